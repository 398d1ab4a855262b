package bolt

import (
	"sync"
	"time"

	"go.etcd.io/bbolt"
)

// behind gathers what is written behind the visitor's back: nobody waits for it,
// and losing a moment's worth does no harm. It lingers before it writes, so that
// a commit of its own does not stand in the way of those that are waited for.
type behind[T any] struct {
	linger time.Duration
	write  func([]T) error
	report func(error)

	mu      sync.Mutex
	items   []T
	running bool
	closing chan struct{}
	idle    sync.WaitGroup
}

const (
	// lingerBehind is how long what is written behind lingers: so much of it is
	// lost when the machine dies.
	lingerBehind = time.Second
	// maxBehind is how many may wait. On a disk that is full or too slow the rest
	// is dropped.
	maxBehind = 1 << 15
	// maxSlice is how many of them go into one transaction.
	maxSlice = 1024
)

func newBehind[T any](linger time.Duration, write func([]T) error, report func(error)) *behind[T] {
	return &behind[T]{linger: linger, write: write, report: report, closing: make(chan struct{})}
}

func (b *behind[T]) add(item T) {
	b.mu.Lock()
	defer b.mu.Unlock()
	select {
	case <-b.closing:
		return
	default:
	}
	if len(b.items) >= maxBehind {
		return
	}
	b.items = append(b.items, item)
	if !b.running {
		b.running = true
		b.idle.Go(b.run)
	}
}

// run writes until nothing waits.
func (b *behind[T]) run() {
	for {
		select {
		case <-time.After(b.linger):
		case <-b.closing:
		}
		b.mu.Lock()
		items := b.items
		b.items = nil
		if len(items) == 0 {
			b.running = false
			b.mu.Unlock()
			return
		}
		b.mu.Unlock()
		if err := b.write(items); err != nil {
			b.report(err)
		}
	}
}

// close refuses more and writes what waits. It must be called once.
func (b *behind[T]) close() {
	b.mu.Lock()
	close(b.closing)
	b.mu.Unlock()
	b.idle.Wait()
}

// inSlices writes n things that were written behind, some in each transaction, so
// that none who waits for a write waits long. A slice that fails does not keep the
// others back. The error is that of the first.
func (db *DB) inSlices(n int, write func(tx *bbolt.Tx, from, to int) error) (failed error) {
	<-db.writes.decided // however long that takes
	for from := 0; from < n; from += maxSlice {
		err := db.writes.do(func(tx *bbolt.Tx) error { return write(tx, from, min(n, from+maxSlice)) })
		if failed == nil {
			failed = err
		}
	}
	return failed
}
