package storetest

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"latchkey/app/accounts"
)

func testLoggedIn(t *testing.T, s accounts.Store) {
	other := create(t, s, "bob")
	a := create(t, s, "alice", admin)
	for _, rehash := range []string{"", "new hash", ""} {
		a.LastLogin = a.LastLogin.Add(time.Hour).UTC()
		if a.LastLogin.Before(noon) {
			a.LastLogin = noon.Add(time.Hour)
		}
		if rehash != "" {
			a.Hash = rehash
		}
		now, err := s.LoggedIn(a, a.LastLogin, rehash)
		if err != nil {
			t.Fatal(err)
		}
		same(t, now, a)
		same(t, read(t, s, a), a)
	}
	same(t, read(t, s, other), other)
}

// ASVS 15.4.2: what was checked still holds when it is acted upon.
func testLoggedInChanged(t *testing.T, s accounts.Store) {
	a := create(t, s, "alice")
	old := a
	a, err := s.SetPassword(a, "second", noon.Add(time.Minute))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.LoggedIn(old, noon, "first again"); !errors.Is(err, accounts.ErrChanged) {
		t.Errorf("login by the former password: %v, want ErrChanged", err)
	}
	if err := s.SetDisabled(a.ID, true); err != nil {
		t.Fatal(err)
	}
	a.Disabled = true
	if _, err := s.LoggedIn(a, noon, "rehash"); !errors.Is(err, accounts.ErrChanged) {
		t.Errorf("login while disabled: %v, want ErrChanged", err)
	}
	same(t, read(t, s, a), a)
}

func testSetPassword(t *testing.T, s accounts.Store) {
	other := create(t, s, "bob")
	a := create(t, s, "alice", admin)
	old := a
	at := noon.Add(time.Nanosecond)
	now, err := s.SetPassword(a, "second", at)
	if err != nil {
		t.Fatal(err)
	}
	a.Hash, a.PasswordChanged = "second", at
	same(t, now, a)
	same(t, read(t, s, a), a)
	if _, err := s.SetPassword(old, "third", noon.Add(time.Hour)); !errors.Is(err, accounts.ErrChanged) {
		t.Errorf("change by the former password: %v, want ErrChanged", err)
	}
	same(t, read(t, s, a), a)
	same(t, read(t, s, other), other)
}

func testPasswordTimes(t *testing.T, s accounts.Store) {
	a := create(t, s, "alice")
	for _, test := range []struct{ at, want time.Time }{
		{noon.Add(time.Hour), noon.Add(time.Hour)},
		{noon.Add(time.Hour), noon.Add(time.Hour + 1)}, // the same time again
		{noon, noon.Add(time.Hour + 2)},                // a clock set back
	} {
		var err error
		if a, err = s.SetPassword(a, "hash", test.at); err != nil {
			t.Fatal(err)
		}
		if !a.PasswordChanged.Equal(test.want) {
			t.Errorf("PasswordChanged %v, want %v", a.PasswordChanged, test.want)
		}
	}
	if err := s.StartReset(a.ID, [32]byte{1}, noon.Add(time.Hour)); err != nil {
		t.Fatal(err)
	}
	a, err := s.Reset([32]byte{1}, "hash", noon)
	if err != nil || !a.PasswordChanged.Equal(noon.Add(time.Hour+3)) {
		t.Errorf("Reset: PasswordChanged %v, %v", a.PasswordChanged, err)
	}
}

func testSetPasswordAtOnce(t *testing.T, s accounts.Store) {
	a := create(t, s, "alice")
	won := atOnce(t, 8, accounts.ErrChanged, func(i int) error {
		_, err := s.SetPassword(a, fmt.Sprint(i), noon.Add(time.Duration(i)))
		return err
	})
	if now := read(t, s, a); now.Hash != fmt.Sprint(won) {
		t.Errorf("hash %q, want that of call %d", now.Hash, won)
	}
}

// ASVS 6.4.1: first secrets are used once and expire.
func testReset(t *testing.T, s accounts.Store) {
	a := create(t, s, "alice", func(a *accounts.Account) { a.Hash, a.PasswordChanged = "", time.Time{} })
	expires := noon.Add(time.Hour)
	former, sum := [32]byte{1}, [32]byte{2}
	for _, sum := range [][32]byte{former, sum} {
		if err := s.StartReset(a.ID, sum, expires); err != nil {
			t.Fatal(err)
		}
	}
	for _, test := range []struct {
		what string
		sum  [32]byte
		at   time.Time
	}{
		{"a former secret", former, noon},
		{"an unknown secret", [32]byte{3}, noon},
		{"no secret", [32]byte{}, noon},
		{"at its expiry", sum, expires},
		{"after its expiry", sum, expires.Add(time.Hour)},
	} {
		if _, err := s.ByReset(test.sum, test.at); !errors.Is(err, accounts.ErrReset) {
			t.Errorf("ByReset, %s: %v, want ErrReset", test.what, err)
		}
		if _, err := s.Reset(test.sum, "stolen", test.at); !errors.Is(err, accounts.ErrReset) {
			t.Errorf("Reset, %s: %v, want ErrReset", test.what, err)
		}
	}
	same(t, read(t, s, a), a)

	at := expires.Add(-1)
	for range 2 {
		found, err := s.ByReset(sum, at)
		if err != nil {
			t.Fatal(err)
		}
		same(t, found, a)
	}
	a.Hash, a.PasswordChanged = "first", at
	now, err := s.Reset(sum, "first", at)
	if err != nil {
		t.Fatal(err)
	}
	same(t, now, a)
	same(t, read(t, s, a), a)
	if _, err := s.Reset(sum, "second", at); !errors.Is(err, accounts.ErrReset) {
		t.Errorf("used twice: %v, want ErrReset", err)
	}
	same(t, read(t, s, a), a)
}

func testResetVoid(t *testing.T, s accounts.Store) {
	for i, test := range []struct {
		what string
		do   func(accounts.Account) error
		void bool
	}{
		{"login", func(a accounts.Account) error { _, err := s.LoggedIn(a, noon, "rehash"); return err }, false},
		{"made an administrator", func(a accounts.Account) error { return s.SetAdmin(a.ID, true) }, false},
		{"password changed", func(a accounts.Account) error { _, err := s.SetPassword(a, "new", noon); return err }, true},
		{"disabled", func(a accounts.Account) error { return s.SetDisabled(a.ID, true) }, true},
		{"disabled and enabled", func(a accounts.Account) error {
			return errors.Join(s.SetDisabled(a.ID, true), s.SetDisabled(a.ID, false))
		}, true},
		{"deleted", func(a accounts.Account) error { return s.Delete(a.ID) }, true},
	} {
		a := create(t, s, test.what)
		sum := [32]byte{byte(i + 1)}
		if err := s.StartReset(a.ID, sum, noon.Add(time.Hour)); err != nil {
			t.Fatal(err)
		}
		if err := test.do(a); err != nil {
			t.Fatalf("%s: %v", test.what, err)
		}
		if _, err := s.ByReset(sum, noon); errors.Is(err, accounts.ErrReset) != test.void {
			t.Errorf("%s: ByReset: %v, want void %t", test.what, err, test.void)
		}
	}
	// A reset that was begun while disabled is void as long as that lasts.
	a := create(t, s, "zoe", disabled)
	if err := s.StartReset(a.ID, [32]byte{99}, noon.Add(time.Hour)); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Reset([32]byte{99}, "new", noon); !errors.Is(err, accounts.ErrReset) {
		t.Errorf("Reset while disabled: %v, want ErrReset", err)
	}
	same(t, read(t, s, a), a)
}

func testResetAtOnce(t *testing.T, s accounts.Store) {
	a := create(t, s, "alice")
	if err := s.StartReset(a.ID, [32]byte{1}, noon.Add(time.Hour)); err != nil {
		t.Fatal(err)
	}
	won := atOnce(t, 8, accounts.ErrReset, func(i int) error {
		_, err := s.Reset([32]byte{1}, fmt.Sprint(i), noon)
		return err
	})
	if now := read(t, s, a); now.Hash != fmt.Sprint(won) {
		t.Errorf("hash %q, want that of call %d", now.Hash, won)
	}
}

func testKey(t *testing.T, s accounts.Store) {
	keys := make(chan [32]byte, 8)
	for range cap(keys) {
		go func() {
			key, err := s.Key()
			if err != nil {
				t.Errorf("Key: %v", err)
			}
			keys <- key
		}()
	}
	first := <-keys
	if first == ([32]byte{}) {
		t.Error("the key is zero")
	}
	for range cap(keys) - 1 {
		if <-keys != first {
			t.Error("the key has changed")
		}
	}
}
