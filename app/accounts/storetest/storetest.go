// Package storetest holds the contract tests for accounts.Store and
// accounts.EventStore. Package sessions/storetest tests which operations end
// sessions.
package storetest

import (
	"crypto/rand"
	"testing"
	"time"

	"latchkey/app/accounts"
)

// Test runs all tests, each on a new empty store from open. open must close the
// store with t.Cleanup.
func Test(t *testing.T, open func(t *testing.T) accounts.Store) {
	for _, test := range []struct {
		name string
		run  func(*testing.T, accounts.Store)
	}{
		{"Create", testCreate},
		{"CreateTaken", testCreateTaken},
		{"CreateAtOnce", testCreateAtOnce},
		{"NotFound", testNotFound},
		{"List", testList},
		{"LoggedIn", testLoggedIn},
		{"LoggedInChanged", testLoggedInChanged},
		{"SetPassword", testSetPassword},
		{"PasswordVersionGrows", testPasswordVersions},
		{"SetPasswordAtOnce", testSetPasswordAtOnce},
		{"LastAdmin", testLastAdmin},
		{"LastAdminAtOnce", testLastAdminAtOnce},
		{"NoAdmin", testNoAdmin},
		{"Delete", testDelete},
		{"Reset", testReset},
		{"ResetIsVoid", testResetVoid},
		{"ResetAtOnce", testResetAtOnce},
		{"Key", testKey},
		{"EndedContext", testEndedContext},
	} {
		t.Run(test.name, func(t *testing.T) { test.run(t, open(t)) })
	}
}

// noon has a fraction of whole microseconds, the precision of a store.
var noon = time.Date(2026, 3, 1, 12, 0, 0, 123456000, time.UTC)

// account returns an account as SignUp creates it. It is not stored.
func account(t *testing.T, name string) accounts.Account {
	t.Helper()
	n, err := accounts.ParseName(name)
	if err != nil {
		t.Fatalf("ParseName(%q): %v", name, err)
	}
	a := accounts.Account{Name: n, Hash: "hash of " + name, Created: noon, PasswordChanged: noon, PasswordVersion: 1}
	rand.Read(a.ID[:])
	return a
}

// create stores a new account.
func create(t *testing.T, s accounts.Store, name string, change ...func(*accounts.Account)) accounts.Account {
	t.Helper()
	a := account(t, name)
	for _, f := range change {
		f(&a)
	}
	if err := s.Create(t.Context(), a); err != nil {
		t.Fatalf("Create(%q): %v", name, err)
	}
	return a
}

func admin(a *accounts.Account)    { a.Admin = true }
func disabled(a *accounts.Account) { a.Disabled = true }

// read returns the stored account and checks that ByID and ByName agree.
func read(t *testing.T, s accounts.Store, a accounts.Account) accounts.Account {
	t.Helper()
	byID, err := s.ByID(t.Context(), a.ID)
	if err != nil {
		t.Fatalf("ByID(%s): %v", a.Name, err)
	}
	byName, err := s.ByName(t.Context(), a.Name.Folded())
	if err != nil {
		t.Fatalf("ByName(%s): %v", a.Name, err)
	}
	same(t, byName, byID)
	return byID
}

// same fails the test unless the accounts are equal and their times are in UTC.
func same(t *testing.T, got, want accounts.Account) {
	t.Helper()
	for _, times := range [][2]time.Time{{got.Created, want.Created}, {got.LastLogin, want.LastLogin}, {got.PasswordChanged, want.PasswordChanged}} {
		if !times[0].Equal(times[1]) || times[0].IsZero() != times[1].IsZero() {
			t.Errorf("time %v, want %v", times[0], times[1])
		}
		if times[0].Location() != time.UTC {
			t.Errorf("time %v is not in UTC", times[0])
		}
	}
	got.Created, got.LastLogin, got.PasswordChanged = want.Created, want.LastLogin, want.PasswordChanged
	if got != want {
		t.Errorf("account %#v, want %#v", got, want)
	}
}
