package accesslog

import (
	"io"
	"math"
	"runtime"
	"sync"
	"time"
)

// groupWriter collects lines and writes them together in the background. To
// write a line immediately, call sync after Write.
type groupWriter struct {
	w       io.Writer
	writing sync.Mutex // held during a write, so that groups stay in order

	mu      sync.Mutex
	space   sync.Cond // signalled when pending is no longer full
	pending []byte
	spare   []byte // buffer of the last group, for reuse
	written uint64 // total bytes taken from pending
	waiters int    // calls of sync since the last group
	shared  bool   // the last group had more than one waiter

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
			g.flush(math.MaxUint64)
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

// sync returns when every line added before the call is written. Concurrent
// callers share a write.
func (g *groupWriter) sync() {
	g.mu.Lock()
	g.waiters++
	shared := g.shared
	end := g.written + uint64(len(g.pending))
	g.mu.Unlock()
	if shared {
		runtime.Gosched() // let other callers add their lines first; a lone caller does not yield
	}
	g.flush(end)
}

// flush writes the pending lines. It does nothing if the first end bytes of the
// log are already written.
func (g *groupWriter) flush(end uint64) {
	g.writing.Lock()
	defer g.writing.Unlock()
	g.mu.Lock()
	group := g.pending
	if len(group) == 0 || g.written >= end {
		g.mu.Unlock()
		return
	}
	g.written += uint64(len(group))
	if g.waiters > 0 {
		g.shared, g.waiters = g.waiters > 1, 0
	}
	g.pending = g.spare[:0]
	g.space.Broadcast()
	g.mu.Unlock()
	_, _ = g.w.Write(group) // there is nowhere to report an error of the log
	g.spare = group
}

// close stops the background writes and writes the pending lines.
func (g *groupWriter) close() {
	close(g.stop)
	g.loop.Wait()
	g.flush(math.MaxUint64)
}
