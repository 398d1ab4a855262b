package main

import (
	"context"
	"io"
	"log/slog"
	"sync"
	"time"
)

// newLog returns a log for people with dev, and for programs otherwise. Times
// are in UTC (OWASP ASVS 16.2.2). The caller flushes it at the end.
func newLog(dev bool, w io.Writer) (log *slog.Logger, flush func()) {
	options := &slog.HandlerOptions{ReplaceAttr: func(groups []string, a slog.Attr) slog.Attr {
		if a.Key == slog.TimeKey && len(groups) == 0 {
			a.Value = slog.TimeValue(a.Value.Time().UTC())
		}
		return a
	}}
	if dev {
		return slog.New(slog.NewTextHandler(w, options)), func() {}
	}
	lines := &gathered{w: w}
	return slog.New(prompt{slog.NewJSONHandler(lines, options), lines}), lines.flush
}

// gathered writes lines together, because one system call for each costs as much
// as half a page. A line waits for a moment at most.
type gathered struct {
	w       io.Writer
	mu      sync.Mutex
	lines   []byte
	waiting bool // a flush is due
}

const (
	linger  = 50 * time.Millisecond
	maxHeld = 32 << 10 // bytes
)

func (g *gathered) Write(line []byte) (int, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.lines = append(g.lines, line...)
	if len(g.lines) >= maxHeld {
		return len(line), g.write()
	}
	if !g.waiting {
		g.waiting = true
		time.AfterFunc(linger, g.flush)
	}
	return len(line), nil
}

func (g *gathered) flush() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.waiting = false
	// There is nobody to tell: this is where errors are told.
	_ = g.write()
}

// write must be called with the lock held.
func (g *gathered) write() error {
	if len(g.lines) == 0 {
		return nil
	}
	_, err := g.w.Write(g.lines)
	g.lines = g.lines[:0]
	return err
}

// prompt writes at once whatever is not the line of an ordinary request: what
// happened to accounts and what failed must be on record if the process dies in
// the next moment.
type prompt struct {
	slog.Handler
	lines *gathered
}

func (p prompt) Handle(ctx context.Context, r slog.Record) error {
	err := p.Handler.Handle(ctx, r)
	if r.Message != "request" || r.Level > slog.LevelInfo {
		p.lines.flush()
	}
	return err
}

func (p prompt) WithAttrs(attrs []slog.Attr) slog.Handler {
	return prompt{p.Handler.WithAttrs(attrs), p.lines}
}

func (p prompt) WithGroup(name string) slog.Handler {
	return prompt{p.Handler.WithGroup(name), p.lines}
}
