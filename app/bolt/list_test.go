package bolt_test

import (
	"errors"
	"testing"
	"time"

	"latchkey/app/accounts"
	"latchkey/app/bolt"
	"latchkey/app/sessions"
)

// two returns Ann with two sessions and Bob with one, and the ids of all three.
func two(t *testing.T) (db *bolt.DB, ann, bob sessions.Session, ids [3]string) {
	db = open(t, temp(t), limits)
	now := time.Now()
	ann, bob = begun(t, db, "Ann", now.Add(-time.Minute)), begun(t, db, "Bob", now)
	later := ann
	later.Began, later.Seen = now, now
	for i, s := range []sessions.Session{ann, later, bob} {
		ids[i] = newID()
		if err := db.Begin(ids[i], "", s, nil); err != nil {
			t.Fatal(err)
		}
	}
	return db, ann, bob, ids
}

func alive(t *testing.T, db *bolt.DB, ids [3]string) (live [3]bool) {
	t.Helper()
	for i, id := range ids {
		_, err := db.Read(id)
		if live[i] = err == nil; err != nil && !errors.Is(err, sessions.ErrEnded) {
			t.Fatal(err)
		}
	}
	return live
}

func TestList(t *testing.T) {
	db, ann, bob, ids := two(t)
	began := func(account sessions.Account, limit int) (times []int64) {
		t.Helper()
		list, err := db.List(account, limit)
		if err != nil {
			t.Fatal(err)
		}
		for _, s := range list {
			if s.Account != account {
				t.Errorf("another's session: %+v", s)
			}
			times = append(times, s.Began.UnixMilli())
		}
		return times
	}
	first := ann.Began.UnixMilli()
	if got := began(ann.Account, 10); len(got) != 2 || got[0] <= first || got[1] != first {
		t.Errorf("Ann's sessions began %v, want the newest first, then %d", got, first)
	}
	if got := began(ann.Account, 1); len(got) != 1 || got[0] <= first {
		t.Errorf("one of Ann's sessions: %v, want the newest", got)
	}
	if got := began(bob.Account, 10); len(got) != 1 {
		t.Errorf("Bob's sessions: %v", got)
	}
	if got := began(sessions.Account{1}, 10); len(got) != 0 {
		t.Errorf("a stranger's sessions: %v", got)
	}
	if err := db.Delete(ids[0]); err != nil {
		t.Fatal(err)
	}
	if got := began(ann.Account, 10); len(got) != 1 || got[0] <= first {
		t.Errorf("after a logout: %v", got)
	}
}

// ASVS 7.4.2, 7.4.3, 7.4.5: what ends the sessions of an account, and only its
// own. ASVS 8.3.2: a change of powers does not, for they are read each time.
func TestWhatEndsSessions(t *testing.T) {
	for name, test := range map[string]struct {
		do   func(db *bolt.DB, ann accounts.Account) error
		ends bool
	}{
		"ended by an administrator": {func(db *bolt.DB, a accounts.Account) error { return db.EndAll(sessions.Account(a.ID)) }, true},
		"disabled":                  {func(db *bolt.DB, a accounts.Account) error { return db.Accounts().SetDisabled(a.ID, true) }, true},
		"deleted":                   {func(db *bolt.DB, a accounts.Account) error { return db.Accounts().Delete(a.ID) }, true},
		"another password": {func(db *bolt.DB, a accounts.Account) error {
			_, err := db.Accounts().SetPassword(a, "new", time.Now())
			return err
		}, true},
		"made an administrator": {func(db *bolt.DB, a accounts.Account) error { return db.Accounts().SetAdmin(a.ID, true) }, false},
		"enabled":               {func(db *bolt.DB, a accounts.Account) error { return db.Accounts().SetDisabled(a.ID, false) }, false},
		"a reset started": {func(db *bolt.DB, a accounts.Account) error {
			return db.Accounts().StartReset(a.ID, [32]byte{1}, time.Now())
		}, false},
	} {
		t.Run(name, func(t *testing.T) {
			db, s, _, ids := two(t)
			ann, err := db.Accounts().ByID(accounts.ID(s.Account))
			if err != nil {
				t.Fatal(err)
			}
			if err := test.do(db, ann); err != nil {
				t.Fatal(err)
			}
			if got, want := alive(t, db, ids), [3]bool{!test.ends, !test.ends, true}; got != want {
				t.Errorf("alive: %v, want %v", got, want)
			}
		})
	}
}

// Powers are those of this moment, in sessions that began before.
//
// ASVS 8.3.2
func TestPowersAreReadEachTime(t *testing.T) {
	db, ann, bob, ids := two(t)
	if err := db.Accounts().SetAdmin(accounts.ID(bob.Account), true); err != nil {
		t.Fatal(err)
	}
	for _, admin := range []bool{true, false} {
		if err := db.Accounts().SetAdmin(accounts.ID(ann.Account), admin); err != nil {
			t.Fatal(err)
		}
		if s, err := db.Read(ids[0]); err != nil || s.Admin != admin {
			t.Errorf("after SetAdmin(%t): %+v, %v", admin, s, err)
		}
	}
}
