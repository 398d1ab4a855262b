package bolt

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

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
