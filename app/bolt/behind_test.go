package bolt

import (
	"errors"
	"fmt"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"go.etcd.io/bbolt"

	"latchkey/app/sessions"
)

// inBubble runs f with a file, on a clock that stands still while anything is
// being done, and moves on when all only wait.
func inBubble(t *testing.T, limits sessions.Limits, f func(t *testing.T, db *DB)) {
	synctest.Test(t, func(t *testing.T) {
		db, err := Open(filepath.Join(t.TempDir(), "x.db"), limits)
		if err != nil {
			t.Fatal(err)
		}
		defer db.Close()
		db.Conn().NoSync = true
		f(t, db)
	})
}

// visit does what a request of the session does, and reports whether it lives.
func visit(t *testing.T, db *DB, id string) (sessions.Session, bool) {
	t.Helper()
	s, err := db.Read(id)
	if err != nil && !errors.Is(err, sessions.ErrEnded) {
		t.Fatal(err)
	}
	if err == nil && time.Since(s.Seen) >= db.limits.Renewal() {
		db.Renew(id, time.Now())
	}
	return s, err == nil
}

func begin(t *testing.T, db *DB, id string) {
	t.Helper()
	now := time.Now()
	if err := db.Begin(id, "", sessions.Session{Began: now, Seen: now}, nil); err != nil {
		t.Fatal(err)
	}
}

// However short the idle limit, whoever comes well before it stays, until the
// absolute limit, and not a moment longer.
//
// ASVS 7.3.1, 7.3.2
func TestActivityCarriesOverShortIdleLimits(t *testing.T) {
	for _, idle := range []time.Duration{time.Second, 2 * time.Second, 10 * time.Second, time.Hour} {
		limits := sessions.Limits{Idle: idle, Lifetime: 10*idle + idle/2}
		inBubble(t, limits, func(t *testing.T, db *DB) {
			began := time.Now()
			begin(t, db, "busy")
			begin(t, db, "left")
			for time.Since(began) < limits.Lifetime {
				if _, lives := visit(t, db, "busy"); !lives {
					t.Fatalf("idle limit %s: it ended after %s", idle, time.Since(began))
				}
				if time.Since(began) == 0 {
					visit(t, db, "left")
				}
				time.Sleep(idle * 3 / 4)
			}
			time.Sleep(time.Until(began.Add(limits.Lifetime)))
			for _, id := range []string{"busy", "left"} {
				if _, lives := visit(t, db, id); lives {
					t.Errorf("idle limit %s: the session that is %s lives after %s", idle, id, time.Since(began))
				}
			}
		})
	}
}

// A session is written once in each interval at most, however busy it is, and
// many share a commit.
func TestRenewalsAreFewAndGathered(t *testing.T) {
	inBubble(t, sessions.Limits{Idle: time.Hour, Lifetime: 24 * time.Hour}, func(t *testing.T, db *DB) {
		const sessions, minutes = 10, 10
		seen := make([]time.Time, sessions)
		writes := make([]int, sessions)
		for i := range sessions {
			begin(t, db, fmt.Sprint(i))
		}
		began := time.Now()
		before := lastCommit(t, db)
		for time.Since(began) < minutes*time.Minute {
			for i := range sessions {
				s, lives := visit(t, db, fmt.Sprint(i))
				if !lives {
					t.Fatalf("session %d ended", i)
				}
				if i%2 == 0 {
					visit(t, db, fmt.Sprint(i)) // with two requests at once
				}
				if !s.Seen.Equal(seen[i]) {
					if writes[i]++; writes[i] > 1 && s.Seen.Sub(seen[i]) < db.limits.Renewal() {
						t.Errorf("session %d is written after %s", i, s.Seen.Sub(seen[i]))
					}
					seen[i] = s.Seen
				}
			}
			time.Sleep(500 * time.Millisecond) // now and then in the moment of a write
		}
		for i, n := range writes {
			if n < minutes-1 || n > minutes {
				t.Errorf("session %d was written %d times in %d minutes", i, n, minutes)
			}
		}
		// Whoever came in the moment of a write asks once more, in vain.
		if commits := lastCommit(t, db) - before; commits > 2*minutes {
			t.Errorf("%d commits for the renewals of %d minutes", commits, minutes)
		}
	})
}

// ASVS 7.4.1: a renewal that meets a logout loses, whichever comes first, and so
// does one that meets the end of the account's sessions.
func TestRenewalLosesToALogout(t *testing.T) {
	inBubble(t, sessions.Limits{Idle: time.Hour, Lifetime: 24 * time.Hour}, func(t *testing.T, db *DB) {
		begin(t, db, "out")
		begin(t, db, "stays")
		time.Sleep(10 * time.Minute)
		at := time.Now()
		db.Renew("out", at)
		db.Renew("stays", at)
		if err := db.Delete("out"); err != nil {
			t.Fatal(err)
		}
		db.Renew("out", at)
		time.Sleep(lingerBehind)
		synctest.Wait()
		if _, err := db.Read("out"); !errors.Is(err, sessions.ErrEnded) {
			t.Errorf("it lives: %v", err)
		}
		if err := db.view(func(tx *bbolt.Tx) error {
			if k := sessions.KeyOf("out"); tx.Bucket(bucketSessions).Get(k[:]) != nil {
				t.Error("it was written again")
			}
			return nil
		}); err != nil {
			t.Error(err)
		}
		// The test waits long enough: the other renewal is there.
		if s, err := db.Read("stays"); err != nil || !s.Seen.Equal(at.Truncate(time.Millisecond)) {
			t.Errorf("the other one was seen at %v, %v", s.Seen, err)
		}
	})
}
