package main

import (
	"context"
	"io"
	"log/slog"
	"math"
	"runtime"
	"strconv"
	"sync"
	"time"

	"latchkey/app/web"
)

// newLog returns a log for people with dev, and for programs otherwise. The
// caller closes it at the end.
func newLog(dev bool, w io.Writer) (log *slog.Logger, done func()) {
	lines := gather(w)
	if dev {
		return slog.New(&handler{slog.NewTextHandler(lines, nil), lines, false}), lines.close
	}
	return slog.New(&handler{slog.NewJSONHandler(lines, nil), lines, true}), lines.close
}

// gathered writes lines together, because one system call for each costs as much
// as half a page, and behind the requests' backs, because whoever reads the log
// may be slow. A line waits for a moment at most.
type gathered struct {
	w       io.Writer
	writing sync.Mutex // held while lines are written, so that they keep their order

	mu    sync.Mutex
	room  sync.Cond // there is room again, below mostHeld
	lines []byte
	spare []byte
	begun uint64 // bytes that have been written, or are about to be
	now   int    // how many wait for their line to be written
	many  bool   // they were more than one the last time

	full chan struct{} // has a value when enough is held to be worth a write
	done chan struct{}
	idle sync.WaitGroup
}

const (
	linger   = 50 * time.Millisecond
	muchHeld = 32 << 10 // bytes, which are written without lingering
	mostHeld = 1 << 20  // bytes, beyond which requests wait for the reader of the log

	all = math.MaxUint64 // the end of all lines, for flush
)

func gather(w io.Writer) *gathered {
	g := &gathered{w: w, full: make(chan struct{}, 1), done: make(chan struct{})}
	g.room.L = &g.mu
	g.idle.Go(func() {
		tick := time.NewTicker(linger)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
			case <-g.full:
			case <-g.done:
				return
			}
			g.flush(all)
		}
	})
	return g
}

func (g *gathered) Write(line []byte) (int, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for len(g.lines) > mostHeld {
		g.room.Wait()
	}
	g.lines = append(g.lines, line...)
	if len(g.lines) >= muchHeld {
		select {
		case g.full <- struct{}{}:
		default:
		}
	}
	return len(line), nil
}

// share returns when the line that was added last is written. Those who log in at
// one moment, for they shared a commit, share the write, too: the others add their
// lines first. One alone does not wait for them: see gather in app/bolt.
func (g *gathered) share() {
	g.mu.Lock()
	g.now++
	many := g.many
	end := g.begun + uint64(len(g.lines))
	g.mu.Unlock()
	if many {
		runtime.Gosched()
	}
	g.flush(end)
}

// flush writes what is held, and returns when it is written. If another has written
// all up to end, counted in bytes, it leaves what came since to linger.
func (g *gathered) flush(end uint64) {
	g.writing.Lock()
	defer g.writing.Unlock()
	g.mu.Lock()
	lines := g.lines
	if len(lines) == 0 || g.begun >= end {
		g.mu.Unlock()
		return
	}
	g.begun += uint64(len(lines))
	if g.now > 0 {
		g.many, g.now = g.now > 1, 0
	}
	g.lines = g.spare[:0]
	g.room.Broadcast()
	g.mu.Unlock()
	// There is nobody to tell of an error: this is where errors are told.
	_, _ = g.w.Write(lines)
	g.spare = lines
}

// close writes what is held. Later lines are lost.
func (g *gathered) close() {
	close(g.done)
	g.idle.Wait()
	g.flush(all)
}

// handler puts times into UTC (OWASP ASVS 16.2.2), and writes at once whatever is
// not the line of an ordinary request: what happened to accounts and what failed
// must be on record if the process dies in the next moment.
type handler struct {
	slog.Handler
	lines *gathered
	short bool // ordinary requests have a way of their own: see appendRequest
}

var _ web.RequestHandler = (*handler)(nil)

func (h *handler) Handle(ctx context.Context, r slog.Record) error {
	r.Time = r.Time.UTC()
	err := h.Handler.Handle(ctx, r)
	if r.Message != "request" || r.Level != slog.LevelInfo {
		h.lines.share()
	}
	return err
}

// HandleRequest writes what Handle would write for r.Record.
func (h *handler) HandleRequest(r web.Request) {
	if h.short {
		var room [256]byte
		if line, ok := appendRequest(room[:0], r); ok {
			_, _ = h.lines.Write(line) // it never fails
			return
		}
	}
	_ = h.Handle(context.Background(), r.Record()) // as in the web, there is nobody to tell
}

func (h *handler) WithAttrs(attrs []slog.Attr) slog.Handler {
	return &handler{h.Handler.WithAttrs(attrs), h.lines, false}
}

func (h *handler) WithGroup(name string) slog.Handler {
	return &handler{h.Handler.WithGroup(name), h.lines, false}
}

// appendRequest adds to b what slog's JSONHandler would write for r.Record, and
// reports whether it could: a text with anything to escape it leaves to that
// handler. Each page writes such a line, and this takes a tenth of the time.
func appendRequest(b []byte, r web.Request) (line []byte, ok bool) {
	if !plain(r.Method) || !plain(r.Path) || !r.IP.IsValid() || r.IP.Zone() != "" {
		return b, false
	}
	b = append(b, `{"time":"`...)
	b = r.At.UTC().AppendFormat(b, time.RFC3339Nano)
	b = append(b, `","level":"INFO","msg":"request","method":"`...)
	b = append(b, r.Method...)
	b = append(b, `","path":"`...)
	b = append(b, r.Path...)
	b = append(b, `","status":`...)
	b = strconv.AppendInt(b, int64(r.Status), 10)
	b = append(b, `,"duration":`...)
	b = strconv.AppendInt(b, int64(r.Duration), 10)
	b = append(b, `,"ip":"`...)
	b = r.IP.AppendTo(b)
	return append(b, "\"}\n"...), true
}

// plain reports whether there is nothing to escape in text.
func plain(text string) bool {
	for i := range len(text) {
		if c := text[i]; c < ' ' || c > '~' || c == '"' || c == '\\' {
			return false
		}
	}
	return true
}
