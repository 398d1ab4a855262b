package accesslog

import (
	"io"
	"sync"
	"time"
)

// groupWriter collects lines and writes them together in the background. To
// write a line immediately, call flush after Write.
type groupWriter struct {
	w       io.Writer
	writing sync.Mutex // held during a write, so that groups stay in order

	mu      sync.Mutex
	space   sync.Cond // signalled when pending is no longer full
	pending []byte
	spare   []byte // buffer of the last group, for reuse

	wake chan struct{} // signals that pending should be written before the interval is over
	stop chan struct{}
	loop sync.WaitGroup
}

const (
	interval     = 50 * time.Millisecond // interval between background writes
	largePending = 32 << 10              // bytes from which pending is written before the interval is over
	maxPending   = 1 << 20               // bytes from which Write blocks until w has caught up
)

func newGroupWriter(w io.Writer) *groupWriter {
	g := &groupWriter{w: w, wake: make(chan struct{}, 1), stop: make(chan struct{})}
	g.space.L = &g.mu
	g.loop.Go(func() {
		tick := time.NewTicker(interval)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
			case <-g.wake:
			case <-g.stop:
				return
			}
			g.flush()
		}
	})
	return g
}

// Write adds a line to the pending group. Its error is always nil.
func (g *groupWriter) Write(line []byte) (int, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for len(g.pending) > maxPending {
		g.space.Wait()
	}
	g.pending = append(g.pending, line...)
	if len(g.pending) >= largePending {
		select {
		case g.wake <- struct{}{}:
		default:
		}
	}
	return len(line), nil
}

// flush writes the pending lines. It returns when every line added before the call
// is written. Concurrent callers share a write.
func (g *groupWriter) flush() {
	g.writing.Lock()
	defer g.writing.Unlock()
	g.mu.Lock()
	group := g.pending
	g.pending = g.spare[:0]
	g.space.Broadcast()
	g.mu.Unlock()
	if len(group) > 0 {
		_, _ = g.w.Write(group) // there is nowhere to report an error of the log
	}
	g.spare = group
}

// close stops the background writes and writes the pending lines.
func (g *groupWriter) close() {
	close(g.stop)
	g.loop.Wait()
	g.flush()
}
