package bolt

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"testing"
	"time"

	"go.etcd.io/bbolt"

	"latchkey/app/accounts"
	"latchkey/app/sessions"
)

// keep writes an account that may log in.
func (db *DB) keep(t *testing.T, name string) accounts.Account {
	t.Helper()
	n, err := accounts.ParseName(name)
	if err != nil {
		t.Fatal(err)
	}
	a := accounts.Account{Name: n, Hash: "hash", PasswordChanged: time.Now().UTC().Round(0)}
	rand.Read(a.ID[:])
	if err := db.Accounts().Create(a); err != nil {
		t.Fatal(err)
	}
	return a
}

// enter begins a session of the account as it was read, under that id.
func (db *DB) enter(id string, a accounts.Account, at time.Time) error {
	return db.Begin(id, "", sessions.Session{Account: sessions.Account(a.ID), Password: a.PasswordChanged, Began: at, Seen: at}, []byte("data"))
}

// keys returns how many keys a bucket has that begin with prefix.
func (db *DB) keys(t *testing.T, bucket, prefix []byte) (n int) {
	t.Helper()
	err := db.Conn().View(func(tx *bbolt.Tx) error {
		c := tx.Bucket(bucket).Cursor()
		for k, _ := c.Seek(prefix); k != nil && bytes.HasPrefix(k, prefix); k, _ = c.Next() {
			n++
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// mustHave wants so many sessions in the file, and each of an account among those
// of that account, or about to be.
func (db *DB) mustHave(t *testing.T, what string, all, owned int) {
	t.Helper()
	o := db.keys(t, bucketOwned, nil)
	if err := db.Conn().View(func(tx *bbolt.Tx) error {
		c := tx.Bucket(bucketSessions).Cursor()
		for k, value := c.Seek(entered(tx)); k != nil; k, value = c.Next() {
			if sessions.Account(accountOf(value)) != (sessions.Account{}) {
				o++
			}
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	if s := db.keys(t, bucketSessions, nil); s != all || o != owned {
		t.Errorf("%s: %d sessions and %d of accounts, want %d and %d", what, s, o, all, owned)
	}
}

// What takes the right to be logged in away ends the sessions in the same
// transaction, and those of nobody else. ASVS 7.4.2, 7.4.3
func TestSessionsEndWithTheirRight(t *testing.T) {
	sum := [32]byte{1}
	for what, end := range map[string]func(Accounts, accounts.Account) error{
		"disabled": func(s Accounts, a accounts.Account) error { return s.SetDisabled(a.ID, true) },
		"deleted":  func(s Accounts, a accounts.Account) error { return s.Delete(a.ID) },
		"another password": func(s Accounts, a accounts.Account) error {
			_, err := s.SetPassword(a, "other", time.Now())
			return err
		},
		"the same moment": func(s Accounts, a accounts.Account) error {
			_, err := s.SetPassword(a, "other", a.PasswordChanged)
			return err
		},
		"a reset": func(s Accounts, a accounts.Account) error {
			if err := s.StartReset(a.ID, sum, time.Now().Add(time.Hour)); err != nil {
				return err
			}
			_, err := s.Reset(sum, "other", time.Now())
			return err
		},
	} {
		t.Run(what, func(t *testing.T) {
			db := openTest(t)
			ann, bob := db.keep(t, "Ann"), db.keep(t, "Bob")
			now := time.Now()
			for _, err := range []error{
				db.enter("ann 1", ann, now), db.enter("ann 2", ann, now), db.enter("bob", bob, now),
				db.Begin("nobody", "", sessions.Session{Began: now, Seen: now}, nil),
			} {
				if err != nil {
					t.Fatal(err)
				}
			}
			db.mustHave(t, "before", 4, 3)
			if err := end(db.Accounts(), ann); err != nil {
				t.Fatal(err)
			}
			// They are gone from the file, not only refused when they are read.
			db.mustHave(t, "after", 2, 1)
			for _, id := range []string{"ann 1", "ann 2"} {
				if s, err := db.Read(id); !errors.Is(err, sessions.ErrEnded) {
					t.Errorf("%s: %+v, %v", id, s, err)
				}
				if data, err := db.Get(id); data != nil || err != nil {
					t.Errorf("%s: data %q, %v", id, data, err)
				}
				if err := db.Change(id, []byte("late")); !errors.Is(err, sessions.ErrEnded) {
					t.Errorf("%s: a late write: %v", id, err)
				}
			}
			if s, err := db.Read("bob"); err != nil || s.Name != "Bob" {
				t.Errorf("Bob: %+v, %v", s, err)
			}
			if _, err := db.Read("nobody"); err != nil {
				t.Errorf("nobody: %v", err)
			}
			// Whoever proved the account before begins nothing after.
			if err := db.enter("late", ann, now); !errors.Is(err, sessions.ErrEnded) {
				t.Errorf("a login that was proved before: %v", err)
			}
			db.mustHave(t, "after a late login", 2, 1)
		})
	}
}

// What is refused ends nothing. ASVS 2.3.3
func TestRefusedChangesEndNothing(t *testing.T) {
	db := openTest(t)
	ann := db.keep(t, "Ann")
	if err := db.Accounts().SetAdmin(ann.ID, true); err != nil {
		t.Fatal(err)
	}
	if err := db.enter("ann", ann, time.Now()); err != nil {
		t.Fatal(err)
	}
	stale := ann
	stale.PasswordChanged = ann.PasswordChanged.Add(-1)
	_, changed := db.Accounts().SetPassword(stale, "other", time.Now())
	_, reset := db.Accounts().Reset([32]byte{1}, "other", time.Now())
	for what, test := range map[string]struct{ got, want error }{
		"a stale password":  {changed, accounts.ErrChanged},
		"no such reset":     {reset, accounts.ErrReset},
		"disable the last":  {db.Accounts().SetDisabled(ann.ID, true), accounts.ErrLastAdmin},
		"delete the last":   {db.Accounts().Delete(ann.ID), accounts.ErrLastAdmin},
		"nobody's deletion": {db.Accounts().Delete(accounts.ID{1}), accounts.ErrNotFound},
	} {
		if !errors.Is(test.got, test.want) {
			t.Errorf("%s: %v, want %v", what, test.got, test.want)
		}
	}
	db.mustHave(t, "after", 1, 1)
	if s, err := db.Read("ann"); err != nil || s.Name != "Ann" {
		t.Errorf("%+v, %v", s, err)
	}
}

// ASVS 7.4.2, 15.4.2: Begin looks at the account in its own transaction.
func TestBeginLooksAtTheAccount(t *testing.T) {
	db := openTest(t)
	now := time.Now()
	ann, bob := db.keep(t, "Ann"), db.keep(t, "Bob")
	if err := db.enter("before", ann, now); err != nil {
		t.Fatal(err)
	}
	if err := db.Accounts().SetDisabled(bob.ID, true); err != nil {
		t.Fatal(err)
	}
	early, later, gone := ann, ann, ann
	early.PasswordChanged = ann.PasswordChanged.Add(-1)
	later.PasswordChanged = ann.PasswordChanged.Add(1)
	rand.Read(gone.ID[:])
	for what, a := range map[string]accounts.Account{"an older password": early, "a later one": later, "no account": gone, "a disabled one": bob} {
		s := sessions.Session{Account: sessions.Account(a.ID), Password: a.PasswordChanged, Began: now, Seen: now}
		if err := db.Begin("new", "before", s, nil); !errors.Is(err, sessions.ErrEnded) {
			t.Errorf("%s: %v", what, err)
		}
		if _, err := db.Read("new"); !errors.Is(err, sessions.ErrEnded) {
			t.Errorf("%s began a session: %v", what, err)
		}
		// The one that it would have replaced stays.
		if s, err := db.Read("before"); err != nil || s.Name != "Ann" {
			t.Errorf("%s: the session before: %+v, %v", what, s, err)
		}
	}
	db.mustHave(t, "after", 1, 1)
	if err := db.enter("new", ann, now); err != nil {
		t.Error(err)
	}
	// Enabled again, Bob may come back, but what he had does not.
	if err := db.Accounts().SetDisabled(bob.ID, false); err != nil {
		t.Fatal(err)
	}
	if err := db.enter("bob", bob, now); err != nil {
		t.Error(err)
	}
}

// ASVS 8.3.2: what an account may do, and how it is called, is read each time.
func TestPowersAreReadEachTime(t *testing.T) {
	db := openTest(t)
	ann, bob := db.keep(t, "Ann"), db.keep(t, "Bob")
	for id, a := range map[string]accounts.Account{"ann": ann, "bob": bob} {
		if err := db.enter(id, a, time.Now()); err != nil {
			t.Fatal(err)
		}
	}
	for _, admin := range []bool{false, true, false, true} {
		if err := db.Accounts().SetAdmin(bob.ID, true); err != nil { // so that Ann is not the last
			t.Fatal(err)
		}
		if err := db.Accounts().SetAdmin(ann.ID, admin); err != nil {
			t.Fatal(err)
		}
		if s, err := db.Read("ann"); err != nil || s.Admin != admin || s.Name != "Ann" || accounts.ID(s.Account) != ann.ID {
			t.Errorf("administrator %v: %+v, %v", admin, s, err)
		}
		if s, err := db.Read("bob"); err != nil || !s.Admin {
			t.Errorf("Bob: %+v, %v", s, err)
		}
	}
}

// Whatever removes sessions leaves no entry among those of accounts.
func TestNoEntryIsLeft(t *testing.T) {
	now := time.Now()
	for what, test := range map[string]struct {
		remove         func(*DB) error
		sessions, left int
	}{
		"sweep":   {func(db *DB) error { _, err := db.sweep(context.Background()); return err }, 2, 1}, // of Ann's one and of nobody's one
		"Reset":   {func(db *DB) error { return db.Reset() }, 0, 0},
		"Delete":  {func(db *DB) error { return errors.Join(db.Delete("new"), db.Delete("old"), db.Delete("no such")) }, 2, 0},
		"replace": {func(db *DB) error { return db.Begin("other", "new", sessions.Session{Began: now, Seen: now}, nil) }, 4, 1},
	} {
		t.Run(what, func(t *testing.T) {
			db := openTest(t)
			ann := db.keep(t, "Ann")
			old := now.Add(-2 * time.Hour)
			for _, err := range []error{
				db.enter("new", ann, now), db.enter("old", ann, old),
				db.Begin("nobody", "", sessions.Session{Began: now, Seen: now}, nil),
				db.Begin("nobody, old", "", sessions.Session{Began: old, Seen: old}, nil),
			} {
				if err != nil {
					t.Fatal(err)
				}
			}
			db.mustHave(t, "before", 4, 2)
			if err := test.remove(db); err != nil {
				t.Fatal(err)
			}
			db.mustHave(t, "after", test.sessions, test.left)
		})
	}
}

// A change of a session's data leaves whose it is.
func TestChangeKeepsTheOwner(t *testing.T) {
	db := openTest(t)
	ann := db.keep(t, "Ann")
	if err := db.enter("ann", ann, time.Now()); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		if err := errors.Join(db.Change("ann", []byte("other")), db.Set("ann", []byte("more"), 0)); err != nil {
			t.Fatal(err)
		}
	}
	db.mustHave(t, "after", 1, 1)
	if list, err := db.List(sessions.Account(ann.ID), 10); err != nil || len(list) != 1 {
		t.Errorf("Ann has %d sessions, %v", len(list), err)
	}
	if s, err := db.Read("ann"); err != nil || s.Name != "Ann" || !s.Password.Equal(ann.PasswordChanged) {
		t.Errorf("%+v, %v", s, err)
	}
}
