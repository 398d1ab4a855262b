package accounts_test

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"latchkey/app/accounts"
	"latchkey/app/internal/store"
)

// hostile are inputs that are not valid names: invalid UTF-8, NUL, control
// characters, empty, too long.
var hostile = []string{
	"", " ", "\x00", "alice\x00", "\x00alice", "a\xff", "\xff\xfe", "\xed\xa0\x80", "a\nb", "\x1b[31m", "\u202ealice",
	strings.Repeat("x", 65), strings.Repeat("x", 60_000), strings.Repeat("\x00", 5000), strings.Repeat("\xff", 5000), strings.Repeat("é", 600)[1:],
}

// open wraps the store in storetest.Strict, which checks what the store
// receives.

func TestWhatIsNoNameReachesNoStore(t *testing.T) {
	s, kept, _ := open(t)
	signUp(t, s, "alice")
	for _, typed := range hostile {
		if a, err := s.Find(t.Context(), typed); !errors.Is(err, accounts.ErrNotFound) {
			t.Errorf("Find(%.20q): %v, %v", typed, a, err)
		}
		_, err := logIn(t, s, typed, good)
		refused(t, typed, err, accounts.Wrong, wrong)
		for _, after := range append([]string{"alice"}, hostile...) {
			page, err := s.List(t.Context(), typed, after)
			if err != nil || typed != "" && len(page.Accounts) > 0 {
				t.Errorf("List(%.20q, %.20q): %v, %v", typed, after, page, err)
			}
		}
		if _, err := s.SignUp(t.Context(), typed, good, home); err == nil {
			t.Errorf("SignUp(%.20q) made an account", typed)
		}
		if _, err := s.Add(t.Context(), typed); err == nil {
			t.Errorf("Add(%.20q) made an account", typed)
		}
		if _, err := s.CheckReset(t.Context(), typed); !errors.Is(err, accounts.ErrReset) {
			t.Errorf("CheckReset(%.20q): %v", typed, err)
		}
	}
	if len(kept.accounts) != 1 {
		t.Errorf("%d accounts", len(kept.accounts))
	}
}

// Inputs that are not valid names are throttled like names, each on its own.
func TestInvalidNameThrottled(t *testing.T) {
	s, _, _ := open(t)
	// They differ only after the point where a naive length limit would cut them,
	// or in a character that a naive cleanup would remove.
	long := strings.Repeat("x", 60_000)
	for _, pair := range [][2]string{{long + "a", long + "b"}, {"a\xff", "a\xfe"}, {"a\x00", "a\uFFFD\x00"}, {"\x00", "\x00\x00"}} {
		for range 5 {
			_, err := logIn(t, s, pair[0], "wrong")
			refused(t, pair[0], err, accounts.Wrong, wrong)
		}
		var held *accounts.Error
		if _, err := logIn(t, s, pair[0], "wrong"); !errors.As(err, &held) || held.Kind != accounts.TooMany {
			t.Errorf("%.20q is not held: %v", pair[0], err)
		}
		if _, err := logIn(t, s, pair[1], "wrong"); !errors.As(err, &held) || held.Kind != accounts.Wrong {
			t.Errorf("%.20q is held as well: %v", pair[1], err)
		}
	}
}

// Each new password increments the version. An account without a password has
// version 0.
func TestPasswordVersions(t *testing.T) {
	s, kept, now := open(t, func(s *accounts.Settings) { s.Dev = true })
	signed := signUp(t, s, "alice")
	typed, err := s.AddWithPassword(t.Context(), "bob", good, false)
	if err != nil {
		t.Fatal(err)
	}
	linked, secret, err := s.AddWithReset(t.Context(), "cid", false)
	if err != nil {
		t.Fatal(err)
	}
	added, err := s.Add(t.Context(), "dan")
	if err != nil {
		t.Fatal(err)
	}
	dev, err := s.LogInDev(t.Context(), "eve")
	if err != nil {
		t.Fatal(err)
	}
	hasVersion := func(a accounts.Account, want uint64) {
		t.Helper()
		if on := kept.accounts[a.ID].PasswordVersion; a.PasswordVersion != want || on != want {
			t.Errorf("%s has version %d, on file %d, want %d", a, a.PasswordVersion, on, want)
		}
	}
	hasVersion(signed, 1)
	hasVersion(typed, 1)
	hasVersion(linked, 0)
	hasVersion(added, 0)
	hasVersion(dev, 0)
	if linked, err = s.Reset(t.Context(), secret, good); err != nil {
		t.Fatal(err)
	}
	hasVersion(linked, 1)
	now.Add(-time.Hour) // the clock is set back
	if signed, err = s.ChangePassword(t.Context(), signed.ID, good, another, home); err != nil {
		t.Fatal(err)
	}
	hasVersion(signed, 2)
	if signed, err = logIn(t, s, "alice", another); err != nil {
		t.Fatal(err)
	}
	hasVersion(signed, 2) // a login is not a new password
}

// In accounts of format 1, PasswordVersion is PasswordChanged in nanoseconds,
// so that browsers stay known after the upgrade.
func TestKnownFormat1(t *testing.T) {
	s, kept, now := open(t)
	a := signUp(t, s, "alice")
	changed := time.Date(2025, 11, 24, 12, 0, 0, 987654321, time.UTC)
	a.PasswordVersion = uint64(changed.UnixNano())
	kept.accounts[a.ID] = a

	// The cookie as earlier versions made it.
	issued := now.Now().Add(-24 * time.Hour)
	cookie := binary.BigEndian.AppendUint64(nil, uint64(issued.UnixNano()))
	mac := hmac.New(sha256.New, kept.key[:])
	mac.Write([]byte("latchkey known browser 1\n"))
	mac.Write(a.ID[:])
	mac.Write(binary.BigEndian.AppendUint64(nil, uint64(issued.UnixNano())))
	mac.Write(binary.BigEndian.AppendUint64(nil, uint64(changed.UnixNano())))
	known := base64.RawURLEncoding.EncodeToString(mac.Sum(cookie))

	for range 6 {
		logIn(t, s, "alice", "wrong")
	}
	attempt := func(known string) error {
		_, err := s.LogIn(t.Context(), accounts.Attempt{Name: "alice", Password: good, From: home, Known: known})
		return err
	}
	var held *accounts.Error
	if err := attempt(""); !errors.As(err, &held) || held.Kind != accounts.TooMany {
		t.Fatalf("a browser that is not known: %v", err)
	}
	if err := attempt(known); err != nil {
		t.Errorf("a browser that was known before: %v", err)
	}
	a.PasswordVersion++
	kept.accounts[a.ID] = a
	if err := attempt(known); !errors.As(err, &held) || held.Kind != accounts.TooMany {
		t.Errorf("after another password: %v", err)
	}
}

// Internal failures of a store stay recognisable and are not shown to visitors.
func TestStoreFailures(t *testing.T) {
	for _, fault := range []error{store.ErrBusy, store.ErrFull, store.ErrDamaged, context.DeadlineExceeded} {
		s, kept, _ := open(t)
		signUp(t, s, "alice")
		kept.fault = fmt.Errorf("of the test: %w", fault)
		_, in := logIn(t, s, "alice", good)
		_, up := s.SignUp(t.Context(), "bob", good, home)
		for what, err := range map[string]error{"LogIn": in, "SignUp": up} {
			if !errors.Is(err, fault) || errors.As(err, new(*accounts.Error)) {
				t.Errorf("%s with %v: %v", what, fault, err)
			}
		}
		// The failed attempts revealed nothing, so they do not count.
		kept.fault = nil
		if _, err := logIn(t, s, "alice", good); err != nil {
			t.Errorf("after %v: %v", fault, err)
		}
	}
}

// With a context that has ended, nothing is done and the error is not an
// *Error.
func TestEndedContext(t *testing.T) {
	s, kept, _ := open(t)
	a := signUp(t, s, "alice")
	ctx, cancel := context.WithDeadline(t.Context(), time.Now().Add(-time.Second))
	defer cancel()
	_, in := s.LogIn(ctx, accounts.Attempt{Name: "alice", Password: good, From: home})
	_, up := s.SignUp(ctx, "bob", good, home)
	_, add := s.Add(ctx, "bob")
	_, change := s.ChangePassword(ctx, a.ID, good, another, home)
	for what, err := range map[string]error{"LogIn": in, "SignUp": up, "Add": add, "ChangePassword": change, "Delete": s.Delete(ctx, a.ID, good, home), "Remove": s.Remove(ctx, a.ID)} {
		if !errors.Is(err, context.DeadlineExceeded) || errors.As(err, new(*accounts.Error)) {
			t.Errorf("%s: %v", what, err)
		}
	}
	if len(kept.accounts) != 1 || kept.accounts[a.ID] != a {
		t.Errorf("on file: %#v, want %#v", kept.accounts, a)
	}
}
