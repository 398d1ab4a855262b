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
		now, err := s.LoggedIn(t.Context(), a, a.LastLogin, rehash)
		if err != nil {
			t.Fatal(err)
		}
		same(t, now, a)
		same(t, read(t, s, a), a)
	}
	same(t, read(t, s, other), other)
}

// ASVS 15.4.2: the state that was checked still holds when the store writes.
func testLoggedInChanged(t *testing.T, s accounts.Store) {
	a := create(t, s, "alice")
	old := a
	a, err := s.SetPassword(t.Context(), a, "second", noon.Add(time.Minute))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.LoggedIn(t.Context(), old, noon, "first again"); !errors.Is(err, accounts.ErrChanged) {
		t.Errorf("login by the former password: %v, want ErrChanged", err)
	}
	if err := s.SetDisabled(t.Context(), a.ID, true); err != nil {
		t.Fatal(err)
	}
	a.Disabled = true
	if _, err := s.LoggedIn(t.Context(), a, noon, "rehash"); !errors.Is(err, accounts.ErrChanged) {
		t.Errorf("login while disabled: %v, want ErrChanged", err)
	}
	same(t, read(t, s, a), a)
}

func testSetPassword(t *testing.T, s accounts.Store) {
	other := create(t, s, "bob")
	a := create(t, s, "alice", admin)
	old := a
	at := noon.Add(time.Microsecond)
	now, err := s.SetPassword(t.Context(), a, "second", at)
	if err != nil {
		t.Fatal(err)
	}
	a.Hash, a.PasswordChanged, a.PasswordVersion = "second", at, 2
	same(t, now, a)
	same(t, read(t, s, a), a)
	if _, err := s.SetPassword(t.Context(), old, "third", noon.Add(time.Hour)); !errors.Is(err, accounts.ErrChanged) {
		t.Errorf("change by the former password: %v, want ErrChanged", err)
	}
	same(t, read(t, s, a), a)
	same(t, read(t, s, other), other)
}

// PasswordVersion grows with each new password even if the clock stands still
// or is set back.
func testPasswordVersions(t *testing.T, s accounts.Store) {
	// A large version, as in accounts of format 1.
	const first = uint64(1_764_000_000_123_456_789)
	a := create(t, s, "alice", func(a *accounts.Account) { a.PasswordVersion = first })
	other := create(t, s, "bob")
	var former []accounts.Account
	changed := func(what string, at time.Time, now accounts.Account, err error) {
		t.Helper()
		if err != nil {
			t.Fatalf("%s: %v", what, err)
		}
		if now.PasswordVersion != a.PasswordVersion+1 || !now.PasswordChanged.Equal(at) {
			t.Errorf("%s: version %d at %v, want %d at %v", what, now.PasswordVersion, now.PasswordChanged, a.PasswordVersion+1, at)
		}
		former = append(former, a)
		a = now
		same(t, read(t, s, a), a)
	}
	for i, at := range []time.Time{noon.Add(time.Hour), noon.Add(time.Hour), noon, noon.Add(-time.Hour)} {
		now, err := s.SetPassword(t.Context(), a, "hash", at)
		changed("SetPassword", at, now, err)
		sum := [32]byte{byte(i + 1)}
		if err := s.StartReset(t.Context(), a.ID, sum, noon.Add(2*time.Hour)); err != nil {
			t.Fatal(err)
		}
		now, err = s.Reset(t.Context(), sum, "hash", at)
		changed("Reset", at, now, err)
	}
	for _, old := range former {
		_, set := s.SetPassword(t.Context(), old, "stolen", noon)
		_, in := s.LoggedIn(t.Context(), old, noon, "stolen")
		if !errors.Is(set, accounts.ErrChanged) || !errors.Is(in, accounts.ErrChanged) {
			t.Errorf("by version %d: SetPassword %v, LoggedIn %v, want ErrChanged", old.PasswordVersion, set, in)
		}
	}
	// Only the version is compared, not PasswordChanged.
	read1 := a
	read1.PasswordChanged = noon.Add(time.Minute)
	if _, err := s.LoggedIn(t.Context(), read1, noon, ""); err != nil {
		t.Errorf("LoggedIn with the version on file: %v", err)
	}
	// Other changes leave the version unchanged.
	if err := errors.Join(s.SetAdmin(t.Context(), other.ID, true), s.SetAdmin(t.Context(), a.ID, true), s.SetDisabled(t.Context(), a.ID, true), s.SetDisabled(t.Context(), a.ID, false)); err != nil {
		t.Fatal(err)
	}
	if now := read(t, s, a); now.PasswordVersion != a.PasswordVersion {
		t.Errorf("version %d, want %d", now.PasswordVersion, a.PasswordVersion)
	}
	if now := read(t, s, other); now.PasswordVersion != 1 {
		t.Errorf("another's version is %d", now.PasswordVersion)
	}
}

func testSetPasswordAtOnce(t *testing.T, s accounts.Store) {
	a := create(t, s, "alice")
	won := atOnce(t, 8, accounts.ErrChanged, func(i int) error {
		_, err := s.SetPassword(t.Context(), a, fmt.Sprint(i), noon.Add(time.Duration(i)*time.Microsecond))
		return err
	})
	if now := read(t, s, a); now.Hash != fmt.Sprint(won) {
		t.Errorf("hash %q, want that of call %d", now.Hash, won)
	}
}

// ASVS 6.4.1: a reset secret works once and expires.
func testReset(t *testing.T, s accounts.Store) {
	a := create(t, s, "alice", func(a *accounts.Account) { a.Hash, a.PasswordChanged, a.PasswordVersion = "", time.Time{}, 0 })
	expires := noon.Add(time.Hour)
	former, sum := [32]byte{1}, [32]byte{2}
	for _, sum := range [][32]byte{former, sum} {
		if err := s.StartReset(t.Context(), a.ID, sum, expires); err != nil {
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
		if _, err := s.ByReset(t.Context(), test.sum, test.at); !errors.Is(err, accounts.ErrReset) {
			t.Errorf("ByReset, %s: %v, want ErrReset", test.what, err)
		}
		if _, err := s.Reset(t.Context(), test.sum, "stolen", test.at); !errors.Is(err, accounts.ErrReset) {
			t.Errorf("Reset, %s: %v, want ErrReset", test.what, err)
		}
	}
	same(t, read(t, s, a), a)

	at := expires.Add(-time.Microsecond)
	for range 2 {
		found, err := s.ByReset(t.Context(), sum, at)
		if err != nil {
			t.Fatal(err)
		}
		same(t, found, a)
	}
	a.Hash, a.PasswordChanged, a.PasswordVersion = "first", at, 1
	now, err := s.Reset(t.Context(), sum, "first", at)
	if err != nil {
		t.Fatal(err)
	}
	same(t, now, a)
	same(t, read(t, s, a), a)
	if _, err := s.Reset(t.Context(), sum, "second", at); !errors.Is(err, accounts.ErrReset) {
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
		{"login", func(a accounts.Account) error { _, err := s.LoggedIn(t.Context(), a, noon, "rehash"); return err }, false},
		{"made an administrator", func(a accounts.Account) error { return s.SetAdmin(t.Context(), a.ID, true) }, false},
		{"password changed", func(a accounts.Account) error { _, err := s.SetPassword(t.Context(), a, "new", noon); return err }, true},
		{"disabled", func(a accounts.Account) error { return s.SetDisabled(t.Context(), a.ID, true) }, true},
		{"disabled and enabled", func(a accounts.Account) error {
			return errors.Join(s.SetDisabled(t.Context(), a.ID, true), s.SetDisabled(t.Context(), a.ID, false))
		}, true},
		{"deleted", func(a accounts.Account) error { return s.Delete(t.Context(), a.ID) }, true},
	} {
		a := create(t, s, test.what)
		sum := [32]byte{byte(i + 1)}
		if err := s.StartReset(t.Context(), a.ID, sum, noon.Add(time.Hour)); err != nil {
			t.Fatal(err)
		}
		if err := test.do(a); err != nil {
			t.Fatalf("%s: %v", test.what, err)
		}
		if _, err := s.ByReset(t.Context(), sum, noon); errors.Is(err, accounts.ErrReset) != test.void {
			t.Errorf("%s: ByReset: %v, want void %t", test.what, err, test.void)
		}
	}
	// A reset started while the account is disabled does not work until it is
	// enabled.
	a := create(t, s, "zoe", disabled)
	if err := s.StartReset(t.Context(), a.ID, [32]byte{99}, noon.Add(time.Hour)); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Reset(t.Context(), [32]byte{99}, "new", noon); !errors.Is(err, accounts.ErrReset) {
		t.Errorf("Reset while disabled: %v, want ErrReset", err)
	}
	same(t, read(t, s, a), a)
}

func testResetAtOnce(t *testing.T, s accounts.Store) {
	a := create(t, s, "alice")
	if err := s.StartReset(t.Context(), a.ID, [32]byte{1}, noon.Add(time.Hour)); err != nil {
		t.Fatal(err)
	}
	won := atOnce(t, 8, accounts.ErrReset, func(i int) error {
		_, err := s.Reset(t.Context(), [32]byte{1}, fmt.Sprint(i), noon)
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
			key, err := s.Key(t.Context())
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
