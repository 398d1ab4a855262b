package kv

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"latchkey/app/internal/store"
)

const testDelay = time.Second

// behind returns a WriteBehind that stores each item under itself as key.
func behind(db *DB) *WriteBehind[string] {
	return NewWriteBehind(db, testDelay, func(tx *Tx, items []string) error {
		for _, item := range items {
			if err := put(item, "v")(tx); err != nil {
				return err
			}
		}
		return nil
	})
}

func TestWriteBehindLingersAndSharesACommit(t *testing.T) {
	inBubble(t, func(t *testing.T, db *DB) {
		b := behind(db)
		for round := range 3 {
			before := lastCommit(t, db)
			for i := range 10 {
				b.Add(fmt.Sprint(round, " ", i))
			}
			time.Sleep(testDelay - time.Nanosecond)
			synctest.Wait()
			if lastCommit(t, db) != before {
				t.Error("it was written before the delay")
			}
			time.Sleep(time.Nanosecond)
			synctest.Wait()
			if got := lastCommit(t, db) - before; got != 1 {
				t.Errorf("%d commits for 10 items", got)
			}
			for i := range 10 {
				if get(t, db, fmt.Sprint(round, " ", i)) != "v" {
					t.Errorf("item %d is lost", i)
				}
			}
			time.Sleep(10 * testDelay)
			synctest.Wait()
			if got := lastCommit(t, db) - before; got != 1 || b.running {
				t.Errorf("with nothing to write: %d commits, running: %v", got, b.running)
			}
		}
	})
}

// Items are written in order and in slices.
func TestWriteBehindInSlices(t *testing.T) {
	inBubble(t, func(t *testing.T, db *DB) {
		var got []int
		var sizes []int
		b := NewWriteBehind(db, testDelay, func(_ *Tx, items []int) error {
			got = append(got, items...)
			sizes = append(sizes, len(items))
			return nil
		})
		for i := range 2*maxSlice + 5 {
			b.Add(i)
		}
		time.Sleep(testDelay)
		synctest.Wait()
		if !slices.IsSorted(got) || !slices.Equal(sizes, []int{maxSlice, maxSlice, 5}) {
			t.Errorf("%d items in slices of %v", len(got), sizes)
		}
	})
}

// An error is reported once for each flush, and the other slices are written.
func TestWriteBehindReportsItsErrors(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var reported []error
		o := testOptions()
		o.Report = func(err error) { reported = append(reported, err) }
		db := open(t, temp(t), o)
		defer db.Close()
		no := errors.New("no")
		written := 0
		b := NewWriteBehind(db, testDelay, func(_ *Tx, items []int) error {
			if items[0] < 2*maxSlice {
				return no
			}
			written += len(items)
			return nil
		})
		for i := range 3 * maxSlice {
			b.Add(i)
		}
		time.Sleep(testDelay)
		synctest.Wait()
		if len(reported) != 1 || !errors.Is(reported[0], no) || written != maxSlice {
			t.Errorf("%v, %d written", reported, written)
		}
	})
}

// On a slow disk the number of queued items is bounded; further ones are
// dropped.
func TestWriteBehindDropsWhatIsTooMuch(t *testing.T) {
	inBubble(t, func(t *testing.T, db *DB) {
		written := 0
		b := NewWriteBehind(db, testDelay, func(_ *Tx, items []int) error { written += len(items); return nil })
		for i := range maxBehind + 100 {
			b.Add(i)
		}
		time.Sleep(testDelay)
		synctest.Wait()
		if written != maxBehind {
			t.Errorf("%d were written", written)
		}
		b.Add(0)
		time.Sleep(testDelay)
		synctest.Wait()
		if written != maxBehind+1 {
			t.Error("it does not go on")
		}
	})
}

// Close writes queued items immediately. Adding later does nothing.
func TestCloseFlushesWriteBehind(t *testing.T) {
	inBubble(t, func(t *testing.T, db *DB) {
		b, other := behind(db), behind(db)
		began := time.Now()
		b.Add("k")
		other.Add("other")
		synctest.Wait()
		for range 2 {
			if err := db.Close(); err != nil {
				t.Error(err)
			}
		}
		if took := time.Since(began); took >= testDelay {
			t.Errorf("Close took %v", took)
		}
		b.Add("late")
		synctest.Wait()
		all := contents(t, db.path)["plain"]
		if all["k"] != "v" || all["other"] != "v" || all["late"] != "" {
			t.Errorf("the file has %q", all)
		}
		if err := db.Update(t.Context(), put("late", "v")); !errors.Is(err, errClosed) {
			t.Errorf("a write: %v", err)
		}
		if err := db.View(t.Context(), func(*Tx) error { return nil }); err == nil {
			t.Error("a reader of a closed file is told that all is well")
		}
	})
}

// Items wait for the verification. If it finds damage, that error is reported.
func TestWriteBehindWaitsToBeAdmitted(t *testing.T) {
	for _, verdict := range []error{nil, store.ErrDamaged} {
		synctest.Test(t, func(t *testing.T) {
			var reported error
			o := testOptions()
			o.Report = func(err error) { reported = err }
			db := open(t, temp(t), o)
			defer db.Close()
			db.writers = writers{}
			db.writers.init(db)
			b := behind(db)
			b.Add("k")
			time.Sleep(10 * admitWait)
			synctest.Wait()
			if get(t, db, "k") != "" || reported != nil {
				t.Errorf("it did not wait: %v", reported)
			}
			db.writers.admit(verdict)
			synctest.Wait()
			if got := get(t, db, "k"); (got == "v") != (verdict == nil) || !errors.Is(reported, verdict) {
				t.Errorf("%q, %v", got, reported)
			}
		})
	}
}

// Concurrent Add and Close do not panic, and items added before Close are
// written.
func TestWriteBehindByMany(t *testing.T) {
	db := openFast(t)
	b := NewWriteBehind(db, time.Millisecond, func(tx *Tx, items []string) error {
		for _, item := range items {
			if err := put(item, "v")(tx); err != nil {
				return err
			}
		}
		return nil
	})
	var adders, late sync.WaitGroup
	for i := range 8 {
		adders.Go(func() {
			for j := range 100 {
				b.Add(fmt.Sprint(i, " ", j))
			}
		})
	}
	adders.Wait()
	for range 4 {
		late.Go(func() {
			for range 100 {
				b.Add("late")
			}
		})
	}
	if err := db.Close(); err != nil {
		t.Error(err)
	}
	late.Wait()
	all := contents(t, db.path)["plain"]
	delete(all, "late")
	if len(all) != 800 {
		t.Errorf("%d of 800 are there", len(all))
	}
}
