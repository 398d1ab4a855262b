package kv

import (
	"bytes"
	"context"
	"fmt"
	"time"
)

// Expiry is a bucket whose records expire.
type Expiry struct {
	Bucket  string
	Expired func(key, value []byte) bool
	Remove  func(tx *Tx, key []byte) error
}

// With these, 10,000,000 records of which half have expired are swept within an
// hour, and readers notice little of it: see BenchmarkSweep.
const (
	sweepSlice = 1000                  // records read in one transaction
	sweepRest  = 3                     // rests this many times as long as a slice took
	sweepPause = 10 * time.Millisecond // the shortest rest
	sweepEvery = 10 * time.Minute      // from the end of one sweep to the next
)

// keepSweeping sweeps again and again until ctx ends. What has expired is refused
// when it is read, so nothing depends on when it is removed. An error is reported,
// and the sweep begins again later.
func (db *DB) keepSweeping(ctx context.Context) {
	if db.Await(ctx) != nil {
		return // Run returns the reason
	}
	for {
		removed, err := db.Sweep(ctx)
		if ctx.Err() == nil {
			db.report(err)
		}
		if removed > 0 && db.options.Swept != nil {
			db.options.Swept(removed)
		}
		if !sleep(ctx, sweepEvery) {
			return
		}
	}
}

// Sweep removes what has expired and returns how many records that were. Each
// slice has a transaction of its own, so that no reader keeps old pages for long
// and no writer waits for more than a slice.
func (db *DB) Sweep(ctx context.Context) (removed int, err error) {
	for _, e := range db.options.Expiry {
		for next := []byte{}; next != nil; {
			began := time.Now()
			n, more, err := db.sweepSlice(ctx, e, next)
			removed += n
			if err != nil {
				return removed, fmt.Errorf("sweep %s: %w", e.Bucket, err)
			}
			if more != nil && !sleep(ctx, max(sweepPause, sweepRest*time.Since(began))) {
				return removed, nil
			}
			next = more
		}
	}
	return removed, nil
}

// sweepSlice removes what has expired among the keys from first on. next is where
// the next slice begins, nil at the end.
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
			// It may have been renewed or removed since it was read.
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

// sleep waits for d and reports whether ctx still lives.
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
