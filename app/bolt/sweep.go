package bolt

import (
	"bytes"
	"context"
	"fmt"
	"time"

	"go.etcd.io/bbolt"

	"latchkey/app/sessions"

	"latchkey/app/accounts"
)

// With these, 10,000,000 sessions of which half have expired are swept within an
// hour, and the slowest hundredth of reads takes at most twice as long meanwhile:
// see BenchmarkSweep.
const (
	sweepSlice = 1000                  // records looked at in one transaction
	sweepRest  = 3                     // rest this many times as long as a slice took
	sweepPause = 10 * time.Millisecond // but no shorter: a walk that finds little takes caches from readers
	sweepEvery = 10 * time.Minute      // from the end of one walk to the next
)

// Sweep removes what has expired until ctx ends, walking the file again and
// again. What has expired is refused when it is read, so nothing depends on when
// it is swept. A fault is reported and the walk begins anew later.
func (db *DB) Sweep(ctx context.Context, report func(removed int, err error)) {
	if db.Await(ctx) != nil {
		return // and whoever listens to Damaged knows
	}
	for {
		removed, err := db.sweep(ctx)
		if err != nil || removed > 0 {
			report(removed, err)
		}
		if !rest(ctx, sweepEvery) {
			return
		}
	}
}

// swept is a kind of thing that expires.
type swept struct {
	bucket []byte
	dead   func(key, value []byte) bool
	drop   func(tx *bbolt.Tx, key []byte) error
}

// sweep walks the file once, a slice in each transaction, so that no reader
// keeps old pages for long and no writer waits for more than a slice.
func (db *DB) sweep(ctx context.Context) (removed int, err error) {
	for _, kind := range []swept{
		{bucketSessions, db.deadSession, dropSession},
		{bucketEvents, db.oldEvent, func(tx *bbolt.Tx, k []byte) error { return tx.Bucket(bucketEvents).Delete(k) }},
		{bucketResets, db.deadReset, func(tx *bbolt.Tx, k []byte) error {
			return dropReset(tx, accounts.ID(tx.Bucket(bucketResets).Get(k)[5:21]))
		}},
	} {
		for next := []byte{}; next != nil; {
			began := time.Now()
			n, more, err := db.sweepSlice(kind, next)
			removed += n
			if err != nil {
				return removed, fmt.Errorf("sweep %s: %w", kind.bucket, err)
			}
			if more != nil && !rest(ctx, max(sweepPause, sweepRest*time.Since(began))) {
				return removed, nil
			}
			next = more
		}
	}
	return removed, nil
}

// sweepSlice removes what is dead among the keys from first on. It returns where
// the next slice begins, or nil at the end.
func (db *DB) sweepSlice(kind swept, first []byte) (removed int, next []byte, err error) {
	var dead [][]byte
	err = db.view(func(tx *bbolt.Tx) error {
		c := tx.Bucket(kind.bucket).Cursor()
		k, value := c.Seek(first)
		for range sweepSlice {
			if k == nil {
				return nil
			}
			if kind.dead(k, value) {
				dead = append(dead, bytes.Clone(k))
			}
			k, value = c.Next()
		}
		next = bytes.Clone(k)
		return nil
	})
	if err != nil || len(dead) == 0 {
		return 0, next, err
	}
	err = db.writes.do(func(tx *bbolt.Tx) error {
		removed = 0
		b := tx.Bucket(kind.bucket)
		for _, k := range dead {
			// It may have been renewed or removed since it was looked at.
			if value := b.Get(k); value == nil || !kind.dead(k, value) {
				continue
			}
			if err := kind.drop(tx, k); err != nil {
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

// deadReset reports whether a reset can no longer be used.
func (db *DB) deadReset(k, value []byte) bool {
	return whole("a reset", k, value, resetSize) == nil && !db.now().Before(fromNanoseconds(value[21:]))
}

// deadSession reports whether a session has expired. What cannot be decoded logs
// nobody in, but may be of use to whoever repairs the file: it stays.
func (db *DB) deadSession(k, value []byte) bool {
	var s sessions.Session
	expires, err := decodeSession(k, value, &s)
	return err == nil && db.expired(&s, expires)
}

// rest waits for d and reports whether ctx still lives.
func rest(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}
