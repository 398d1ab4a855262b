package bolt_test

import (
	"errors"
	"fmt"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"latchkey/app/accounts"
	"latchkey/app/bolt"
	"latchkey/app/sessions"
)

// await polls until done says so.
func await(t *testing.T, what string, done func() bool) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); !done(); {
		if time.Now().After(deadline) {
			t.Fatalf("waited in vain for %s", what)
		}
		time.Sleep(time.Millisecond)
	}
}

// ASVS 7.3.1, 7.3.2: activity moves the idle limit, never past the absolute one,
// and all that after a restart.
func TestRenew(t *testing.T) {
	path := temp(t)
	db := open(t, path, limits)
	now := time.Now()
	id := newID()
	s := begun(t, db, "Ann", now.Add(-50*time.Minute))
	if err := db.Begin(id, "", s, []byte("data")); err != nil {
		t.Fatal(err)
	}
	db.Renew(id, now)
	await(t, "the renewal", func() bool { s, err := db.Read(id); return err == nil && now.Sub(s.Seen) < time.Second })
	if data, err := db.Get(id); string(data) != "data" || err != nil {
		t.Errorf("data %q, %v", data, err)
	}
	if got, _ := db.Read(id); !got.Began.Equal(s.Began.Truncate(time.Millisecond)) {
		t.Errorf("it began at %v, now at %v", s.Began, got.Began)
	}
	db.Close()
	db = open(t, path, limits)
	if got, err := db.Read(id); err != nil || now.Sub(got.Seen) > time.Second {
		t.Errorf("after a restart: %+v, %v", got, err)
	}

	old := newID()
	began := now.Add(-limits.Lifetime + 500*time.Millisecond)
	s = sessions.Session{Began: began, Seen: now.Add(-30 * time.Minute)}
	if err := db.Begin(old, "", s, []byte("data")); err != nil {
		t.Fatal(err)
	}
	db.Renew(old, now)
	await(t, "the absolute limit", func() bool { _, err := db.Read(old); return errors.Is(err, sessions.ErrEnded) })
}

// ASVS 7.4.1: a renewal that meets a logout loses.
func TestRenewalDoesNotRevive(t *testing.T) {
	path := temp(t)
	db := open(t, path, limits)
	now := time.Now()
	ids := make([]string, 50)
	for i := range ids {
		id := newID()
		ids[i] = id
		if err := db.Begin(id, "", begun(t, db, "Ann", now.Add(-10*time.Minute)), nil); err != nil {
			t.Fatal(err)
		}
		var both sync.WaitGroup
		both.Go(func() { db.Renew(id, now) })
		both.Go(func() {
			if err := db.Delete(id); err != nil {
				t.Error(err)
			}
		})
		both.Wait()
		db.Renew(id, now)
		if _, err := db.Read(id); !errors.Is(err, sessions.ErrEnded) {
			t.Fatalf("it lives: %v", err)
		}
	}
	db.Close() // waits for the renewals
	db = open(t, path, limits)
	for _, id := range ids {
		if _, err := db.Read(id); !errors.Is(err, sessions.ErrEnded) {
			t.Fatalf("it lives after the renewal: %v", err)
		}
	}
}

func TestRotate(t *testing.T) {
	db := open(t, temp(t), limits)
	now := time.Now()
	first, second := newID(), newID()
	s := begun(t, db, "Ann", now.Add(-20*time.Minute))
	s.Agent, s.Address = "agent", "192.0.2.1"
	if err := db.Begin(first, "", s, []byte("data")); err != nil {
		t.Fatal(err)
	}
	if err := db.Rotate(second, first, now); err != nil {
		t.Fatal(err)
	}
	if _, err := db.Read(first); !errors.Is(err, sessions.ErrEnded) {
		t.Errorf("the old id: %v", err)
	}
	got, err := db.Read(second)
	if err != nil || !got.Began.Equal(s.Began.Truncate(time.Millisecond)) || now.Sub(got.Proved) > time.Second || got.Account != s.Account {
		t.Errorf("the new id: %+v, %v", got, err)
	}
	if data, _ := db.Get(second); string(data) != "data" {
		t.Errorf("data %q", data)
	}
	list, err := db.List(s.Account, 10)
	if err != nil || len(list) != 1 || list[0].Agent != "agent" || list[0].Address != "192.0.2.1" {
		t.Errorf("%+v, %v", list, err)
	}
	if err := db.Rotate(newID(), first, now); !errors.Is(err, sessions.ErrEnded) {
		t.Errorf("rotate what is gone: %v", err)
	}
}

// A login during "end all others" ends up on one side or the other.
//
// ASVS 7.4.3, 15.4.1
func TestEndOthersWhileOthersLogIn(t *testing.T) {
	db := open(t, temp(t), limits)
	here := newID()
	s := begun(t, db, "Ann", time.Now())
	if err := db.Begin(here, "", s, nil); err != nil {
		t.Fatal(err)
	}
	list, err := db.List(s.Account, 1)
	if err != nil {
		t.Fatal(err)
	}
	ids := make([]string, 100)
	var all sync.WaitGroup
	for i := range ids {
		ids[i] = newID()
		all.Go(func() {
			if err := db.Begin(ids[i], "", s, nil); err != nil {
				t.Error(err)
			}
		})
		if i%10 == 5 {
			all.Go(func() {
				if err := db.EndOthers(s.Account, list[0].Key); err != nil {
					t.Error(err)
				}
			})
		}
	}
	all.Wait()
	live := 0
	for _, id := range ids {
		if _, err := db.Read(id); err == nil {
			live++
		} else if !errors.Is(err, sessions.ErrEnded) {
			t.Error(err)
		}
	}
	if list, err := db.List(s.Account, 1000); err != nil || len(list) != live+1 {
		t.Errorf("%d can be read, %d are listed, %v", live+1, len(list), err)
	}
	if _, err := db.Read(here); err != nil {
		t.Errorf("this one: %v", err)
	}
}

func TestEndOneOfAnother(t *testing.T) {
	db := open(t, temp(t), limits)
	id := newID()
	ann, bob := begun(t, db, "Ann", time.Now()), begun(t, db, "Bob", time.Now())
	if err := db.Begin(id, "", ann, nil); err != nil {
		t.Fatal(err)
	}
	list, err := db.List(ann.Account, 1)
	if err != nil {
		t.Fatal(err)
	}
	if err := db.EndOne(bob.Account, list[0].Key); !errors.Is(err, sessions.ErrEnded) {
		t.Errorf("Bob ends it: %v", err)
	}
	if _, err := db.Read(id); err != nil {
		t.Errorf("it has ended: %v", err)
	}
	if err := db.EndOne(ann.Account, list[0].Key); err != nil {
		t.Error(err)
	}
	if _, err := db.Read(id); !errors.Is(err, sessions.ErrEnded) {
		t.Errorf("it lives: %v", err)
	}
}

func TestEvents(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x.db")
	db := open(t, path, limits)
	ann, bob := accounts.ID(begun(t, db, "Ann", time.Now()).Account), accounts.ID(begun(t, db, "Bob", time.Now()).Account)
	events := func(db *bolt.DB, id accounts.ID) []accounts.Event {
		t.Helper()
		list, err := db.Accounts().Events(id)
		if err != nil {
			t.Fatal(err)
		}
		return list
	}
	now := time.Now().UTC().Truncate(time.Millisecond)
	// In figures, for they are a promise: the newest 50, for 90 days.
	const kept, days = 50, 90 * 24 * time.Hour
	const n = kept + 20
	for i := range n {
		db.Accounts().Note(accounts.Event{Account: ann, At: now, What: fmt.Sprint(i), Outcome: "done", Agent: "agent", Address: "192.0.2.1"})
	}
	db.Accounts().Note(accounts.Event{Account: bob, At: now.Add(-days), What: "too old"})
	db.Accounts().Note(accounts.Event{Account: accounts.ID{7}, At: now, What: "of nobody"})
	db.Close() // waits for them
	db = open(t, path, limits)
	got := events(db, ann)
	if len(got) != kept {
		t.Fatalf("%d events are kept", len(got))
	}
	for i, e := range got {
		want := accounts.Event{Account: ann, At: now, What: fmt.Sprint(n - 1 - i), Outcome: "done", Agent: "agent", Address: "192.0.2.1"}
		if e != want {
			t.Fatalf("event %d is %+v, want %+v", i, e, want)
		}
	}
	if got := events(db, bob); len(got) != 0 {
		t.Errorf("Bob's: %v", got)
	}
	// Those on file make room for newer ones, and nobody's for another's.
	for i := range 3 {
		db.Accounts().Note(accounts.Event{Account: ann, At: now, What: fmt.Sprint(n + i)})
		db.Accounts().Note(accounts.Event{Account: bob, At: now, What: fmt.Sprint(i)})
	}
	db.Close()
	db = open(t, path, limits)
	for whose, left := range map[accounts.ID]struct{ count, last int }{ann: {kept, n + 2}, bob: {3, 2}} {
		got := events(db, whose)
		if len(got) != left.count {
			t.Fatalf("%d events are kept, not %d", len(got), left.count)
		}
		for i, e := range got {
			if e.Account != whose || e.What != fmt.Sprint(left.last-i) {
				t.Fatalf("event %d is %+v, not %d", i, e, left.last-i)
			}
		}
	}
	if got := events(db, accounts.ID{7}); len(got) != 0 {
		t.Errorf("nobody's: %v", got)
	}
	if err := db.Accounts().Delete(ann); err != nil {
		t.Fatal(err)
	}
	if got := events(db, ann); len(got) != 0 {
		t.Errorf("after the account: %v", got)
	}
}
