package bolt

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.etcd.io/bbolt"

	"latchkey/app/accounts"
	"latchkey/app/sessions"
)

func TestSweepRemovesWhatHasExpiredAndNothingElse(t *testing.T) {
	db := openTest(t)
	now := time.Now()
	const n = 3*sweepSlice + 7 // several slices, the last not full
	var begun sync.WaitGroup
	for i := range n {
		at := now
		if i%3 == 0 {
			at = now.Add(-2 * time.Hour)
		}
		s := sessions.Session{Began: at, Seen: at}
		begun.Go(func() { // gathered, for speed
			if err := db.Begin(fmt.Sprint("id", i), "", s, nil); err != nil {
				t.Error(err)
			}
		})
	}
	begun.Wait()
	removed, err := db.sweep(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if want := (n + 2) / 3; removed != want || db.count(t) != n-want {
		t.Errorf("%d removed and %d left, want %d and %d", removed, db.count(t), want, n-want)
	}
	for i := range n {
		_, err := db.Read(fmt.Sprint("id", i))
		if dead := errors.Is(err, sessions.ErrEnded); dead != (i%3 == 0) {
			t.Fatalf("session %d: %v", i, err)
		}
	}
}

// A walk leaves the readers most of the time, however quick its slices are. Time
// stands still in them here, so what passes is rest.
func TestSweepRests(t *testing.T) {
	inBubble(t, longLimits, func(t *testing.T, db *DB) {
		now := time.Now()
		var begun sync.WaitGroup
		for i := range 2*sweepSlice + 1 {
			begun.Go(func() {
				if err := db.Begin(fmt.Sprint("id", i), "", sessions.Session{Began: now, Seen: now}, nil); err != nil {
					t.Error(err)
				}
			})
		}
		begun.Wait()
		began := time.Now()
		if removed, err := db.sweep(t.Context()); removed != 0 || err != nil {
			t.Errorf("%d removed, %v", removed, err)
		}
		if took := time.Since(began); took != 2*sweepPause {
			t.Errorf("a walk of three slices rests %v", took)
		}
	})
}

// A session may be renewed between the look and the removal.
func TestSweepLooksTwice(t *testing.T) {
	db := openTest(t)
	at := time.Now().Add(-2 * time.Hour)
	if err := db.Begin("id", "", sessions.Session{Began: at, Seen: at}, nil); err != nil {
		t.Fatal(err)
	}
	held, release, _ := hold(db)
	<-held
	swept := make(chan int)
	go func() {
		removed, _ := db.sweep(t.Context())
		swept <- removed
	}()
	now := time.Now()
	queued(db, 1) // the removal; now a write that comes later is put before it
	renewed := make(chan error, 1)
	go func() {
		renewed <- db.Begin("id", "", sessions.Session{Began: now, Seen: now}, nil)
	}()
	queued(db, 2)
	db.writes.mu.Lock()
	slices.Reverse(db.writes.queue)
	db.writes.mu.Unlock()
	release()
	if err := <-renewed; err != nil {
		t.Fatal(err)
	}
	if removed := <-swept; removed != 0 {
		t.Error("a renewed session was swept")
	}
	if _, err := db.Read("id"); err != nil {
		t.Errorf("the renewed session: %v", err)
	}
}

func (db *DB) count(t *testing.T) (n int) {
	tx, err := db.Conn().Begin(false)
	if err != nil {
		t.Fatal(err)
	}
	defer tx.Rollback()
	return tx.Bucket(bucketSessions).Stats().KeyN
}

// Events go from the file after 90 days, without anybody asking for them, and not
// before.
func TestSweepGoesOnAndTakesOldEvents(t *testing.T) {
	const day = 24 * time.Hour
	// By the sweep alone: no visitor comes, and nobody looks at the list.
	inBubble(t, sessions.Limits{Idle: time.Hour, Lifetime: 24 * time.Hour}, func(t *testing.T, db *DB) {
		now := time.Now()
		ann := accounts.Account{ID: accounts.ID{1}, Name: accounts.StoredName("Ann", "ann"), Created: now, PasswordChanged: now}
		if err := db.Accounts().Create(ann); err != nil {
			t.Fatal(err)
		}
		for _, days := range []int{91, 89, 1} {
			db.Accounts().Note(accounts.Event{Account: ann.ID, At: now.Add(-time.Duration(days) * day), What: fmt.Sprint(days)})
		}
		begin(t, db, "visitor")
		time.Sleep(2 * lingerBehind)
		onFile := func(want ...string) {
			t.Helper()
			var found []string
			if err := db.view(func(tx *bbolt.Tx) error {
				return tx.Bucket(bucketEvents).ForEach(func(k, value []byte) error {
					e, err := decodeEvent(k, value)
					found = append(found, e.What)
					return err
				})
			}); err != nil {
				t.Fatal(err)
			}
			if !slices.Equal(found, want) {
				t.Errorf("after %s the file has the events %q, want %q", time.Since(now), found, want)
			}
		}
		onFile("91", "89", "1")

		ctx, stop := context.WithCancel(t.Context())
		stopped, removals := make(chan bool), 0
		go func() {
			defer close(stopped)
			db.Sweep(ctx, func(removed int, err error) {
				if removals += removed; err != nil {
					t.Error(err)
				}
			})
		}()
		synctest.Wait()
		onFile("89", "1")
		if n := db.count(t); n != 1 {
			t.Errorf("%d sessions after the first walk", n)
		}
		time.Sleep(time.Hour + 2*sweepEvery)
		if n := db.count(t); n != 0 {
			t.Error("a session that has expired since is on file")
		}
		time.Sleep(time.Until(now.Add(day - time.Minute)))
		onFile("89", "1")
		time.Sleep(2 * sweepEvery)
		onFile("1")
		stop()
		<-stopped
		if removals != 3 {
			t.Errorf("it reports %d removals", removals)
		}
	})
}
