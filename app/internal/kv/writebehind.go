package kv

import (
	"context"
	"sync"
	"time"
)

// WriteBehind writes items in the background, many in each transaction. A power
// failure loses the items of the last delay. The delay keeps its commits from
// slowing down those that somebody waits for.
type WriteBehind[T any] struct {
	db    *DB
	delay time.Duration
	write func(tx *Tx, items []T) error

	mu      sync.Mutex
	items   []T
	running bool
	closing chan struct{}
	idle    sync.WaitGroup
}

const (
	// maxBehind is the maximum number of queued items. Further items are dropped,
	// for example while the disk is full.
	maxBehind = 1 << 15
	// maxSlice is the maximum number of items in one transaction.
	maxSlice = 1024
)

// NewWriteBehind returns a WriteBehind that DB.Close flushes. Call it before
// the DB is used. The rules of Update apply to write; its errors go to
// Options.Report.
func NewWriteBehind[T any](db *DB, delay time.Duration, write func(tx *Tx, items []T) error) *WriteBehind[T] {
	b := &WriteBehind[T]{db: db, delay: delay, write: write, closing: make(chan struct{})}
	db.writeBehinds = append(db.writeBehinds, b)
	return b
}

// Add queues an item.
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

// run writes items until the queue is empty.
func (b *WriteBehind[T]) run() {
	for {
		timer := time.NewTimer(b.delay)
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

// flush writes items in slices, so that other writers do not wait long. When a
// slice fails, flush continues with the next one.
func (b *WriteBehind[T]) flush(items []T) {
	<-b.db.writers.decided // no timeout: verification may take long
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

// close rejects new items and writes the queued ones.
func (b *WriteBehind[T]) close() {
	b.mu.Lock()
	close(b.closing)
	b.mu.Unlock()
	b.idle.Wait()
}
