package accesslog

import (
	"io"
	"sync"
	"time"
)

// groupWriter collects lines and writes them together, in the background. A caller
// that needs its line written at once calls flush after Write.
type groupWriter struct {
	w       io.Writer
	writing sync.Mutex // held during a write, so that groups keep their order

	mu      sync.Mutex
	space   sync.Cond // signalled when pending is no longer full
	pending []byte
	spare   []byte // the buffer of the last group, for the next

	large chan struct{} // receives a value when pending is worth a write
	stop  chan struct{}
	loop  sync.WaitGroup
}

const (
	interval     = 50 * time.Millisecond // between writes in the background
	largePending = 32 << 10              // bytes that are written before the interval is over
	maxPending   = 1 << 20               // bytes; beyond them Write blocks until w has caught up
)

func newGroupWriter(w io.Writer) *groupWriter {
	g := &groupWriter{w: w, large: make(chan struct{}, 1), stop: make(chan struct{})}
	g.space.L = &g.mu
	g.loop.Go(func() {
		tick := time.NewTicker(interval)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
			case <-g.large:
			case <-g.stop:
				return
			}
			g.flush()
		}
	})
	return g
}

// Write adds a line to the group. It returns no error.
func (g *groupWriter) Write(line []byte) (int, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for len(g.pending) > maxPending {
		g.space.Wait()
	}
	g.pending = append(g.pending, line...)
	if len(g.pending) >= largePending {
		select {
		case g.large <- struct{}{}:
		default:
		}
	}
	return len(line), nil
}

// flush writes the pending lines, and returns when every line added before the call
// is written. Callers at the same moment share a write.
func (g *groupWriter) flush() {
	g.writing.Lock()
	defer g.writing.Unlock()
	g.mu.Lock()
	group := g.pending
	g.pending = g.spare[:0]
	g.space.Broadcast()
	g.mu.Unlock()
	if len(group) > 0 {
		_, _ = g.w.Write(group) // a log has nowhere to report its own errors
	}
	g.spare = group
}

// close writes the pending lines and ends the background writes.
func (g *groupWriter) close() {
	close(g.stop)
	g.loop.Wait()
	g.flush()
}
