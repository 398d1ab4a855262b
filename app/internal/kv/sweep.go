package kv

import (
	"bytes"
	"context"
	"fmt"
	"time"
)

// Expiry describes a bucket whose records expire.
type Expiry struct {
	Bucket  string
	Expired func(key, value []byte) bool
	Remove  func(tx *Tx, key []byte) error
}

// The pace of a sweep. It lets readers continue, and sweeps 10,000,000 records,
// half of them expired, within an hour (BenchmarkSweep).
const (
	sweepSlice       = 1000                  // records read in one transaction
	sweepPauseFactor = 3                     // pause after a slice, as a multiple of its duration
	sweepMinPause    = 10 * time.Millisecond // shortest pause after a slice
	sweepInterval    = 10 * time.Minute      // pause between sweeps
)

// keepSweeping sweeps periodically until ctx ends. Sweeping only frees space:
// expired records are ignored on reading anyway. It reports errors and tries
// again at the next sweep.
func (db *DB) keepSweeping(ctx context.Context) {
	if db.Await(ctx) != nil {
		return // Run returns the error
	}
	for {
		removed, err := db.Sweep(ctx)
		if ctx.Err() == nil {
			db.report(err)
		}
		if removed > 0 && db.options.Swept != nil {
			db.options.Swept(removed)
		}
		if !sleep(ctx, sweepInterval) {
			return
		}
	}
}

// Sweep deletes expired records and returns their number. It works in slices
// with separate transactions, so that it does not block writers or hold a read
// transaction for long.
func (db *DB) Sweep(ctx context.Context) (removed int, err error) {
	for _, e := range db.options.Expiry {
		for next := []byte{}; next != nil; {
			began := time.Now()
			n, more, err := db.sweepSlice(ctx, e, next)
			removed += n
			if err != nil {
				return removed, fmt.Errorf("sweep %s: %w", e.Bucket, err)
			}
			if more != nil && !sleep(ctx, max(sweepMinPause, sweepPauseFactor*time.Since(began))) {
				return removed, nil
			}
			next = more
		}
	}
	return removed, nil
}

// sweepSlice deletes the expired records among the next sweepSlice keys from
// first on. next is the key of the next slice, nil at the end.
func (db *DB) sweepSlice(ctx context.Context, e Expiry, first []byte) (removed int, next []byte, err error) {
	var expired [][]byte
	err = db.View(ctx, func(tx *Tx) error {
		c := tx.Bucket(e.Bucket).Cursor()
		key, value := c.Seek(first)
		for range sweepSlice {
			if key == nil {
				return nil
			}
			if e.Expired(key, value) {
				expired = append(expired, bytes.Clone(key))
			}
			key, value = c.Next()
		}
		next = bytes.Clone(key)
		return nil
	})
	if err != nil || len(expired) == 0 {
		return 0, next, err
	}
	err = db.Update(ctx, func(tx *Tx) error {
		removed = 0
		for _, key := range expired {
			// The record may have been renewed or deleted since it was read.
			if value := tx.Bucket(e.Bucket).Get(key); value == nil || !e.Expired(key, value) {
				continue
			}
			if err := e.Remove(tx, key); err != nil {
				return err
			}
			removed++
		}
		return nil
	})
	if err != nil {
		return 0, next, err
	}
	return removed, next, nil
}

// sleep waits for d, or returns false when ctx ends.
func sleep(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}
