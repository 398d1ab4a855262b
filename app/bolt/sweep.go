package bolt

import (
	"bytes"
	"context"
	"fmt"
	"time"

	"go.etcd.io/bbolt"
)

const (
	sweepSlice = 1000             // records looked at in one transaction
	sweepRest  = 10               // rest this many times as long as a slice took
	sweepEvery = 10 * time.Minute // from the end of one walk to the next
)

// Sweep removes expired sessions until ctx ends, walking the file again and
// again. An expired session is refused when it is read, so nothing depends on
// when it is swept. A fault is reported and the walk begins anew later.
func (db *DB) Sweep(ctx context.Context, report func(removed int, err error)) {
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

// sweep walks the file once, a slice in each transaction, so that no reader
// keeps old pages for long and no writer waits for more than a slice.
func (db *DB) sweep(ctx context.Context) (removed int, err error) {
	var next []byte
	for {
		began := time.Now()
		n, more, err := db.sweepSlice(next)
		removed += n
		if err != nil {
			return removed, fmt.Errorf("sweep sessions: %w", err)
		}
		if more == nil || !rest(ctx, sweepRest*time.Since(began)) {
			return removed, nil
		}
		next = more
	}
}

// sweepSlice removes what has expired among the records from first on. It
// returns where the next slice begins, or nil at the end.
func (db *DB) sweepSlice(first []byte) (removed int, next []byte, err error) {
	var dead [][]byte
	err = db.view(func(tx *bbolt.Tx) error {
		c := tx.Bucket(bucketSessions).Cursor()
		k, value := c.Seek(first)
		for range sweepSlice {
			if k == nil {
				return nil
			}
			// What cannot be decoded logs nobody in, but may be of use to whoever
			// repairs the file: it stays.
			if r, err := decode(k, value); err == nil && db.expired(r) {
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
		b := tx.Bucket(bucketSessions)
		for _, k := range dead {
			// It may have been renewed or removed since it was looked at.
			value := b.Get(k)
			if value == nil {
				continue
			}
			if r, err := decode(k, value); err != nil || !db.expired(r) {
				continue
			}
			if err := dropSession(tx, k); err != nil {
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
