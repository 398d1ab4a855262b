package accounts_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"latchkey/app/accounts"
)

func TestList(t *testing.T) {
	s, _, _ := open(t)
	for i := range 120 {
		if _, err := s.Add(t.Context(), fmt.Sprintf("Anna %03d", i)); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := s.Add(t.Context(), "Bob"); err != nil {
		t.Fatal(err)
	}
	for typed, want := range map[string][]int{"": {50, 50, 21}, "ANNA": {50, 50, 20}, "anna 00": {10}, "bob": {1}, "carol": {0}, "\x00": {0}, " ": {0}} {
		after, seen := "", map[string]bool{}
		for i, n := range want {
			page, err := s.List(t.Context(), typed, after)
			if err != nil || len(page.Accounts) != n || (page.Next != "") != (i < len(want)-1) {
				t.Fatalf("%q, page %d: %d accounts, next %q, %v, want %d", typed, i, len(page.Accounts), page.Next, err, n)
			}
			for _, a := range page.Accounts {
				if seen[a.Name.Folded()] {
					t.Errorf("%q twice", a.Name)
				}
				seen[a.Name.Folded()] = true
			}
			after = page.Next
		}
	}
}

// ASVS 2.3.3, 7.4.2: the store's tests show more.
func TestAdmin(t *testing.T) {
	s, _, _ := open(t)
	a, b := signUp(t, s, "alice"), signUp(t, s, "bob")
	for _, err := range []error{s.SetAdmin(t.Context(), a.ID, true), s.SetDisabled(t.Context(), b.ID, true)} {
		if err != nil {
			t.Fatal(err)
		}
	}
	_, err := logIn(t, s, "bob", good)
	refused(t, "disabled", err, accounts.Wrong, wrong)
	const last = "This is the last administrator. Please make another account an administrator first."
	refused(t, "unmake", s.SetAdmin(t.Context(), a.ID, false), accounts.Invalid, last)
	refused(t, "disable", s.SetDisabled(t.Context(), a.ID, true), accounts.Invalid, last)
	refused(t, "remove", s.Remove(t.Context(), a.ID), accounts.Invalid, last)
	refused(t, "delete", s.Delete(t.Context(), a.ID, good, home), accounts.Invalid, last)
	if err := s.SetDisabled(t.Context(), b.ID, false); err != nil {
		t.Fatal(err)
	}
	if _, err := logIn(t, s, "bob", good); err != nil {
		t.Errorf("enabled again: %v", err)
	}
	if err := s.Remove(t.Context(), b.ID); err != nil {
		t.Fatal(err)
	}
	for what, err := range map[string]error{
		"get":  func() error { _, err := s.Get(t.Context(), b.ID); return err }(),
		"find": func() error { _, err := s.Find(t.Context(), "bob"); return err }(),
		"junk": func() error { _, err := s.Find(t.Context(), "\x00"); return err }(),
	} {
		refused(t, what, err, accounts.NotFound, "There is no such account.")
	}
	if found, err := s.Find(t.Context(), " ALICE "); err != nil || found.ID != a.ID || !found.Admin {
		t.Errorf("find: %#v, %v", found, err)
	}
	if found, err := s.Get(t.Context(), a.ID); err != nil || found.ID != a.ID {
		t.Errorf("get: %#v, %v", found, err)
	}
}

// ASVS 6.4.1, 6.4.6: a reset works once and for one hour, and an administrator
// who starts one does not choose the password.
func TestReset(t *testing.T) {
	s, store, now := open(t)
	a, err := s.Add(t.Context(), "Alice")
	if err != nil || a.Hash != "" {
		t.Fatalf("%#v, %v", a, err)
	}
	_, err = s.Add(t.Context(), "alice")
	refused(t, "add again", err, accounts.Invalid, taken)
	for _, password := range []string{"", good} {
		_, err := logIn(t, s, "alice", password)
		refused(t, "before", err, accounts.Wrong, wrong)
	}
	former, err := s.StartReset(t.Context(), a.ID)
	if err != nil {
		t.Fatal(err)
	}
	secret, err := s.StartReset(t.Context(), a.ID)
	if err != nil || secret == former || len(secret) != 43 {
		t.Fatalf("%q, %v", secret, err)
	}
	if strings.Contains(fmt.Sprint(store.resets), secret) {
		t.Error("the store has the secret itself")
	}
	for _, bad := range []string{"", "x", former, secret[:42], secret + "A", strings.ToUpper(secret)} {
		_, err := s.CheckReset(t.Context(), bad)
		refused(t, bad, err, accounts.NotFound, usedLink)
		_, err = s.Reset(t.Context(), bad, good)
		refused(t, bad, err, accounts.NotFound, usedLink)
	}
	_, err = s.Reset(t.Context(), secret, "short")
	refused(t, "short", err, accounts.Invalid, "The password is too short: 15 characters at least.")
	now.Add(accounts.ResetFor - time.Microsecond)
	if got, err := s.CheckReset(t.Context(), secret); err != nil || got.ID != a.ID {
		t.Errorf("%#v, %v", got, err)
	}
	if got, err := s.Reset(t.Context(), secret, good); err != nil || got.ID != a.ID || !got.PasswordChanged.Equal(now.Stored()) {
		t.Errorf("%#v, %v", got, err)
	}
	if _, err := logIn(t, s, "alice", good); err != nil {
		t.Errorf("after: %v", err)
	}
	_, err = s.Reset(t.Context(), secret, another)
	refused(t, "again", err, accounts.NotFound, usedLink)

	secret, err = s.StartReset(t.Context(), a.ID)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := logIn(t, s, "alice", good); err != nil {
		t.Errorf("a reset that was only begun: %v", err)
	}
	now.Add(accounts.ResetFor)
	_, err = s.Reset(t.Context(), secret, another)
	refused(t, "too late", err, accounts.NotFound, usedLink)
	if _, err := s.StartReset(t.Context(), accounts.ID{1}); !errors.Is(err, accounts.ErrNotFound) {
		t.Error(err)
	}
}
