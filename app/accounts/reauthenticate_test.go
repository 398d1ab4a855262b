package accounts_test

import (
	"errors"
	"testing"
	"time"

	"latchkey/app/accounts"
)

// ASVS 6.2.2, 6.2.3, 7.5.1.
func TestChangePassword(t *testing.T) {
	s, _, now := open(t)
	a := signUp(t, s, "alice")
	for _, test := range []struct {
		old, chosen string
		kind        accounts.Kind
		message     string
	}{
		{"wrong", another, accounts.Wrong, wrongPassword},
		{"", another, accounts.Wrong, wrongPassword},
		{good, "", accounts.Invalid, "Please type a password."},
		{good, "short", accounts.Invalid, "The password is too short: 15 characters at least."},
		{good, good, accounts.Invalid, "The new password is the old one. Please take another."},
		{"wrong", "short", accounts.Invalid, "The password is too short: 15 characters at least."},
	} {
		_, err := s.ChangePassword(t.Context(), a.ID, test.old, test.chosen, home)
		refused(t, test.old+", "+test.chosen, err, test.kind, test.message)
	}
	if _, err := logIn(t, s, "alice", good); err != nil {
		t.Fatalf("the old one no longer fits: %v", err)
	}
	now.Add(time.Minute)
	changed, err := s.ChangePassword(t.Context(), a.ID, good, another, home)
	if err != nil || !changed.PasswordChanged.Equal(now.Stored()) {
		t.Fatalf("%#v, %v", changed, err)
	}
	if _, err := logIn(t, s, "alice", another); err != nil {
		t.Errorf("the new one: %v", err)
	}
	_, err = logIn(t, s, "alice", good)
	refused(t, "the old one", err, accounts.Wrong, wrong)
	_, err = s.ChangePassword(t.Context(), accounts.ID{1}, good, another, home)
	if !errors.Is(err, accounts.ErrNotFound) {
		t.Error(err)
	}
}

// Re-authentication is throttled, separately from logins.
func TestReauthenticateThrottled(t *testing.T) {
	s, store, now := open(t)
	a := signUp(t, s, "alice")
	for range 5 {
		logIn(t, s, "alice", "wrong")
	}
	for i := range 5 {
		var err error
		switch i % 3 {
		case 0:
			err = s.Reauthenticate(t.Context(), a.ID, "wrong", home)
		case 1:
			_, err = s.ChangePassword(t.Context(), a.ID, "wrong", another, home)
		case 2:
			err = s.Delete(t.Context(), a.ID, "wrong", home)
		}
		refused(t, "failures of logins do not count", err, accounts.Wrong, wrongPassword)
	}
	const wait = "Too many tries. Please wait 15 seconds."
	refused(t, "re-authenticate", s.Reauthenticate(t.Context(), a.ID, good, home), accounts.TooMany, wait)
	_, err := s.ChangePassword(t.Context(), a.ID, good, another, home)
	refused(t, "change", err, accounts.TooMany, wait)
	refused(t, "delete", s.Delete(t.Context(), a.ID, good, home), accounts.TooMany, wait)
	now.Add(15 * time.Second)
	if err := s.Reauthenticate(t.Context(), a.ID, good, home); err != nil {
		t.Errorf("after the wait: %v", err)
	}
	if err := s.Delete(t.Context(), a.ID, good, home); err != nil || len(store.accounts) != 0 {
		t.Errorf("delete: %v, %d accounts", err, len(store.accounts))
	}
	if err := s.Reauthenticate(t.Context(), a.ID, good, home); !errors.Is(err, accounts.ErrNotFound) {
		t.Errorf("re-authenticate after that: %v", err)
	}
}

// A disabled account cannot re-authenticate, even if a session is left.
func TestReauthenticateDisabled(t *testing.T) {
	s, store, _ := open(t)
	a := signUp(t, s, "alice")
	a.Disabled = true
	store.accounts[a.ID] = a
	refused(t, "re-authenticate", s.Reauthenticate(t.Context(), a.ID, good, home), accounts.Wrong, wrongPassword)
}
