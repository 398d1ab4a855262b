package kv

import (
	"context"
	"sync"
	"time"
)

// WriteBehind writes items that nobody waits for, many in each transaction. A loss
// of power costs those of the last moment. It lingers before it writes, so that
// its commits do not delay those that are waited for.
type WriteBehind[T any] struct {
	db     *DB
	linger time.Duration
	write  func(tx *Tx, items []T) error

	mu      sync.Mutex
	items   []T
	running bool
	closing chan struct{}
	idle    sync.WaitGroup
}

const (
	// maxBehind is how many items may wait. On a disk that is full or too slow the
	// rest is dropped.
	maxBehind = 1 << 15
	// maxSlice is how many of them go into one transaction.
	maxSlice = 1024
)

// NewWriteBehind returns a WriteBehind that Close flushes. It is called before the
// DB is used. write must be fit for Update; its errors go to Options.Report.
func NewWriteBehind[T any](db *DB, linger time.Duration, write func(tx *Tx, items []T) error) *WriteBehind[T] {
	b := &WriteBehind[T]{db: db, linger: linger, write: write, closing: make(chan struct{})}
	db.behind = append(db.behind, b)
	return b
}

// Add has an item written in a while.
func (b *WriteBehind[T]) Add(item T) {
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
func (b *WriteBehind[T]) run() {
	for {
		timer := time.NewTimer(b.linger)
		select {
		case <-timer.C:
		case <-b.closing:
			timer.Stop()
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
		b.flush(items)
	}
}

// flush writes items in slices, so that no other writer waits long. A slice that
// fails does not keep the others back.
func (b *WriteBehind[T]) flush(items []T) {
	<-b.db.writers.decided // however long verification takes
	var failed error
	for len(items) > 0 {
		slice := items[:min(maxSlice, len(items))]
		items = items[len(slice):]
		err := b.db.Update(context.Background(), func(tx *Tx) error { return b.write(tx, slice) })
		if failed == nil {
			failed = err
		}
	}
	b.db.report(failed)
}

// close refuses more items and writes those that wait.
func (b *WriteBehind[T]) close() {
	b.mu.Lock()
	close(b.closing)
	b.mu.Unlock()
	b.idle.Wait()
}
