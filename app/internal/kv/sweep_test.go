package kv

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// expiring returns options whose plain values are the second they expire in.
func expiring() Options {
	o := testOptions()
	o.Expiry = []Expiry{{
		Bucket: "plain",
		Expired: func(_, value []byte) bool {
			return len(value) == 8 && time.Now().Unix() >= int64(binary.BigEndian.Uint64(value))
		},
		Remove: func(tx *Tx, key []byte) error { return tx.Bucket("plain").Delete(key) },
	}}
	return o
}

func at(when time.Time) []byte { return binary.BigEndian.AppendUint64(nil, uint64(when.Unix())) }

// inSweepBubble is inBubble with things that expire.
func inSweepBubble(t *testing.T, o Options, f func(t *testing.T, db *DB)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		db := open(t, temp(t), o)
		db.bolt.NoSync = true
		f(t, db)
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
}

func keepExpiring(t *testing.T, db *DB, n int, when func(i int) time.Time) {
	t.Helper()
	update(t, db, func(tx *Tx) error {
		for i := range n {
			if err := tx.Bucket("plain").Put(fmt.Appendf(nil, "%06d", i), at(when(i))); err != nil {
				return err
			}
		}
		return nil
	})
}

func keys(t *testing.T, db *DB, bucket string) (all []string) {
	t.Helper()
	view(t, db, func(tx *Tx) error {
		return tx.Bucket(bucket).ForEach(func(k, _ []byte) error { all = append(all, string(k)); return nil })
	})
	return all
}

func TestSweepRemovesWhatHasExpiredAndNothingElse(t *testing.T) {
	for _, n := range []int{0, 1, sweepSlice - 1, sweepSlice, sweepSlice + 1, 3*sweepSlice + 7} {
		inSweepBubble(t, expiring(), func(t *testing.T, db *DB) {
			now := time.Now()
			keepExpiring(t, db, n, func(i int) time.Time {
				if i%3 == 0 {
					return now
				}
				return now.Add(24 * time.Hour)
			})
			removed, err := db.Sweep(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			left := keys(t, db, "plain")
			if want := (n + 2) / 3; removed != want || len(left) != n-want {
				t.Errorf("of %d, %d removed and %d left, want %d and %d", n, removed, len(left), want, n-want)
			}
			for _, key := range left {
				var i int
				if fmt.Sscanf(key, "%d", &i); i%3 == 0 {
					t.Errorf("%s is left", key)
				}
			}
		})
	}
}

// A sweep leaves the readers most of the time, however quick its slices are. Time
// stands still in them here, so what passes is rest.
func TestSweepRests(t *testing.T) {
	inSweepBubble(t, expiring(), func(t *testing.T, db *DB) {
		now := time.Now()
		keepExpiring(t, db, 2*sweepSlice+1, func(int) time.Time { return now.Add(time.Hour) })
		before := lastCommit(t, db)
		began := time.Now()
		if removed, err := db.Sweep(t.Context()); removed != 0 || err != nil {
			t.Errorf("%d removed, %v", removed, err)
		}
		if took := time.Since(began); took != 2*sweepMinPause {
			t.Errorf("a sweep of three slices rests %v", took)
		}
		if lastCommit(t, db) != before {
			t.Error("it commits with nothing to remove")
		}
	})
}

// What is renewed between the read and the removal stays.
func TestSweepLooksTwice(t *testing.T) {
	inSweepBubble(t, expiring(), func(t *testing.T, db *DB) {
		now := time.Now()
		keepExpiring(t, db, 3, func(int) time.Time { return now })
		release, done := hold(db)
		removed := 0
		swept := begin(func() (err error) { removed, err = db.Sweep(t.Context()); return err })
		synctest.Wait()
		changed := begin(func() error {
			return db.Update(t.Context(), func(tx *Tx) error {
				return errors.Join(
					tx.Bucket("plain").Put([]byte("000001"), at(now.Add(time.Hour))),
					tx.Bucket("plain").Delete([]byte("000002")))
			})
		})
		synctest.Wait()
		db.writers.mu.Lock()
		slices.Reverse(db.writers.queue) // the renewal is written first
		db.writers.mu.Unlock()
		release()
		for _, r := range []<-chan error{done, swept, changed} {
			if err := <-r; err != nil {
				t.Error(err)
			}
		}
		if removed != 1 || !slices.Equal(keys(t, db, "plain"), []string{"000001"}) {
			t.Errorf("%d removed, left: %q", removed, keys(t, db, "plain"))
		}
	})
}

// Run sweeps again and again, says what it removed, and ends with its context.
func TestRunSweepsAgainAndAgain(t *testing.T) {
	var swept []int
	o := expiring()
	o.Swept = func(n int) { swept = append(swept, n) }
	o.Report = func(err error) { t.Errorf("reported: %v", err) }
	inSweepBubble(t, o, func(t *testing.T, db *DB) {
		now := time.Now()
		keepExpiring(t, db, 3, func(i int) time.Time { return now.Add(time.Duration(i) * time.Hour) })
		ctx, cancel := context.WithCancel(t.Context())
		stopped := begin(func() error { return db.Run(ctx) })
		synctest.Wait()
		for i, want := range []int{2, 1, 0} {
			if got := keys(t, db, "plain"); len(got) != want {
				t.Errorf("after %v: %q", time.Since(now), got)
			}
			time.Sleep(time.Until(now.Add(time.Duration(i+1)*time.Hour + sweepInterval + time.Minute)))
			synctest.Wait()
		}
		before := lastCommit(t, db)
		cancel()
		if err := <-stopped; err != nil {
			t.Error(err)
		}
		keepExpiring(t, db, 1, func(int) time.Time { return now })
		time.Sleep(time.Hour)
		if len(keys(t, db, "plain")) != 1 || lastCommit(t, db) != before+1 {
			t.Error("it sweeps after its end")
		}
		if !slices.Equal(swept, []int{1, 1, 1}) {
			t.Errorf("it reports %v", swept)
		}
	})
}

// An error names the bucket, is reported, and is no end: the next sweep comes.
func TestSweepReportsErrors(t *testing.T) {
	var reported []error
	o := expiring()
	no := errors.New("no")
	var mended atomic.Bool
	remove := o.Expiry[0].Remove
	o.Expiry[0].Remove = func(tx *Tx, key []byte) error {
		if !mended.Load() {
			return errors.Join(remove(tx, key), no)
		}
		return remove(tx, key)
	}
	o.Report = func(err error) { reported = append(reported, err) }
	inSweepBubble(t, o, func(t *testing.T, db *DB) {
		keepExpiring(t, db, 1, func(int) time.Time { return time.Now() })
		ctx, cancel := context.WithCancel(t.Context())
		stopped := begin(func() error { return db.Run(ctx) })
		synctest.Wait()
		if len(reported) != 1 || !errors.Is(reported[0], no) || !strings.Contains(reported[0].Error(), "plain") {
			t.Errorf("reported: %v", reported)
		}
		if len(keys(t, db, "plain")) != 1 {
			t.Error("a removal that failed is there")
		}
		mended.Store(true)
		time.Sleep(sweepInterval)
		synctest.Wait()
		if len(reported) != 1 || len(keys(t, db, "plain")) != 0 {
			t.Errorf("later: %v, %q", reported, keys(t, db, "plain"))
		}
		cancel()
		if err := <-stopped; err != nil {
			t.Error(err)
		}
	})
}

// A context that ends in the middle ends the sweep within a slice; what was removed
// is counted.
func TestSweepEndsWithItsContext(t *testing.T) {
	inSweepBubble(t, expiring(), func(t *testing.T, db *DB) {
		now := time.Now()
		keepExpiring(t, db, 3*sweepSlice, func(int) time.Time { return now })
		ctx, cancel := context.WithCancel(t.Context())
		removed := 0
		swept := begin(func() (err error) { removed, err = db.Sweep(ctx); return err })
		synctest.Wait() // it rests
		cancel()
		if err := <-swept; err != nil || removed != sweepSlice {
			t.Errorf("%d removed, %v", removed, err)
		}
		if got := len(keys(t, db, "plain")); got != 2*sweepSlice {
			t.Errorf("%d are left", got)
		}
	})
}

// All expiries are swept, and Remove may remove elsewhere too.
func TestSweepOfTwoBuckets(t *testing.T) {
	o := expiring()
	o.Expiry[0].Remove = func(tx *Tx, key []byte) error {
		return errors.Join(tx.Bucket("plain").Delete(key), tx.Bucket("flags").Delete(key))
	}
	o.Expiry = append(o.Expiry, Expiry{
		Bucket:  "people",
		Expired: func(key, _ []byte) bool { return bytes.HasPrefix(key, []byte("old")) },
		Remove:  func(tx *Tx, key []byte) error { return tx.Bucket("people").Delete(key) },
	})
	inSweepBubble(t, o, func(t *testing.T, db *DB) {
		keepExpiring(t, db, 2, func(i int) time.Time { return time.Now().Add(time.Duration(i) * time.Hour) })
		update(t, db, func(tx *Tx) error {
			return errors.Join(
				tx.Bucket("flags").Put([]byte("000000"), nil), tx.Bucket("flags").Put([]byte("000001"), nil),
				tx.Bucket("people").Put([]byte("old Ann"), []byte("x")), tx.Bucket("people").Put([]byte("Bob"), []byte("x")))
		})
		if removed, err := db.Sweep(t.Context()); removed != 2 || err != nil {
			t.Errorf("%d, %v", removed, err)
		}
		for bucket, want := range map[string]string{"plain": "000001", "flags": "000001", "people": "Bob"} {
			if got := keys(t, db, bucket); !slices.Equal(got, []string{want}) {
				t.Errorf("%s: %q", bucket, got)
			}
		}
	})
}
