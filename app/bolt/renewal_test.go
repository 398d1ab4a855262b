package bolt

import (
	"errors"
	"fmt"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"latchkey/app/sessions"
)

// inBubble runs f on synctest's clock.
func inBubble(t *testing.T, limits sessions.Limits, f func(t *testing.T, db *DB)) {
	synctest.Test(t, func(t *testing.T) {
		db, err := Open(filepath.Join(t.TempDir(), "x.db"), Options{Limits: limits})
		noError(t, err)
		defer db.Close()
		db.kv.Bolt().NoSync = true
		f(t, db)
	})
}

func beginAnonymous(t *testing.T, db *DB, id string) {
	t.Helper()
	now := time.Now()
	noError(t, db.Sessions().Begin(t.Context(), keyOf(id), sessions.Key{}, sessions.Session{Began: now, Seen: now}, nil))
}

// visit does what a request of the session does, and reports whether it lives.
func visit(t *testing.T, db *DB, id string) (sessions.Session, bool) {
	t.Helper()
	s, err := db.Sessions().Read(t.Context(), keyOf(id))
	if err != nil && !errors.Is(err, sessions.ErrEnded) {
		t.Fatal(err)
	}
	if err == nil && time.Since(s.Seen) >= db.limits.Renewal() {
		db.Sessions().Renew(t.Context(), keyOf(id), time.Now())
	}
	return s, err == nil
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
			beginAnonymous(t, db, "busy")
			beginAnonymous(t, db, "left")
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

// A session is written once in each interval at most, however busy it is, and many
// share a commit.
func TestRenewalsAreFewAndShareCommits(t *testing.T) {
	inBubble(t, sessions.Limits{Idle: time.Hour, Lifetime: 24 * time.Hour}, func(t *testing.T, db *DB) {
		const n, minutes = 10, 10
		seen := make([]time.Time, n)
		writes := make([]int, n)
		for i := range n {
			beginAnonymous(t, db, fmt.Sprint(i))
		}
		began := time.Now()
		before := txid(t, db)
		for time.Since(began) < minutes*time.Minute {
			for i := range n {
				s, lives := visit(t, db, fmt.Sprint(i))
				if !lives {
					t.Fatalf("session %d ended", i)
				}
				if i%2 == 0 {
					visit(t, db, fmt.Sprint(i)) // with two requests at once
				}
				if !s.Seen.Equal(seen[i]) {
					seen[i] = s.Seen
					writes[i]++
				}
			}
			time.Sleep(time.Second)
		}
		for i, n := range writes {
			// The first is that of its beginning, and each comes a second late.
			if n < 2 || n > minutes+1 {
				t.Errorf("session %d was written %d times in %d minutes", i, n, minutes)
			}
		}
		if commits := txid(t, db) - before; commits > 2*minutes {
			t.Errorf("%d commits for %d sessions in %d minutes", commits, n, minutes)
		}
	})
}
