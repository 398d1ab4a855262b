package bolt

import (
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"latchkey/app/sessions"
)

// A logout with the id that a session had before a proof ends the session, in
// whichever order the two are carried out: whoever is told that they are logged
// out is.
//
// ASVS 7.4.1, 15.4.1
func TestLogoutMeetsAProof(t *testing.T) {
	db := openTest(t)
	now := time.Now()
	for round := range 200 {
		id := fmt.Sprint("id ", round)
		if err := db.Begin(id, "", sessions.Session{Began: now, Seen: now}, nil); err != nil {
			t.Fatal(err)
		}
		var both sync.WaitGroup
		for proof := range 2 { // two at once, of which one is too late
			both.Go(func() {
				if err := db.Rotate(fmt.Sprint(id, " ", proof), id, now); err != nil && !errors.Is(err, sessions.ErrEnded) {
					t.Error(err)
				}
			})
		}
		both.Go(func() {
			if err := db.Delete(id); err != nil {
				t.Error(err)
			}
		})
		both.Wait()
		for _, one := range []string{id, id + " 0", id + " 1"} {
			if _, err := db.Read(one); !errors.Is(err, sessions.ErrEnded) {
				t.Fatalf("round %d: %q after the logout: %v", round, one, err)
			}
		}
	}
}

// The same one after the other, over two proofs, and not for ever: later the old
// id means nothing.
func TestLogoutAfterAProof(t *testing.T) {
	inBubble(t, longLimits, func(t *testing.T, db *DB) {
		for _, wait := range []time.Duration{0, movedFor + time.Second} {
			begin(t, db, "first")
			begin(t, db, "another's")
			for _, ids := range [][2]string{{"first", "second"}, {"second", "third"}} {
				if err := db.Rotate(ids[1], ids[0], time.Now()); err != nil {
					t.Fatal(err)
				}
			}
			if err := db.Rotate("fourth", "first", time.Now()); !errors.Is(err, sessions.ErrEnded) {
				t.Fatalf("a proof with a dead id: %v", err)
			}
			time.Sleep(wait)
			synctest.Wait()
			begin(t, db, "someone") // time passes for moves when there is another
			if err := db.Rotate("someone else", "someone", time.Now()); err != nil {
				t.Fatal(err)
			}
			if err := db.Delete("first"); err != nil {
				t.Fatal(err)
			}
			if _, err := db.Read("third"); errors.Is(err, sessions.ErrEnded) != (wait == 0) {
				t.Errorf("%s after the proof: %v", wait, err)
			}
			if _, err := db.Read("another's"); err != nil {
				t.Errorf("another's: %v", err)
			}
			if n := len(db.moved.moves); n > 3 {
				t.Errorf("%d moves are kept", n)
			}
			db.Delete("third")
			db.Delete("someone else")
		}
	})
}
