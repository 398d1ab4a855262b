package accounts_test

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"testing"

	"latchkey/app/accounts"
)

func newForAdding(t *testing.T) (*accounts.Accounts, *memory) {
	t.Helper()
	store := newMemory()
	s, err := accounts.New(t.Context(), store, accounts.Settings{Title: "Bookshop", Cost: accounts.Cost{Memory: 64, Passes: 1, Lanes: 1}, SignUps: 1}, nil)
	if err != nil {
		t.Fatal(err)
	}
	return s, store
}

const goodPassword = "seven otters juggle lamps"

func TestAddWithPassword(t *testing.T) {
	s, _ := newForAdding(t)
	ctx := context.Background()
	// More than the sign-up limit allows.
	for i := range 15 {
		name := fmt.Sprintf("Ann %d", i)
		a, err := s.AddWithPassword(ctx, name, goodPassword, i == 0)
		if err != nil {
			t.Fatal(err)
		}
		if a.Admin != (i == 0) || a.Disabled || !a.LastLogin.IsZero() || a.PasswordChanged.IsZero() || a.Name.String() != name {
			t.Errorf("%#v", a)
		}
		in, err := s.LogIn(ctx, accounts.Attempt{Name: name, Password: goodPassword, From: netip.MustParseAddr("192.0.2.1")})
		if err != nil || in.ID != a.ID {
			t.Errorf("log in: %v, %v", in, err)
		}
	}
}

func TestAddWithPasswordRefused(t *testing.T) {
	s, store := newForAdding(t)
	ctx := context.Background()
	if _, err := s.AddWithPassword(ctx, "Ann", goodPassword, false); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct{ name, password string }{
		{"ann", goodPassword}, {"", goodPassword}, {"a\nb", goodPassword}, {"Bob", ""}, {"Bob", "short"}, {"Bob", "bookshopbookshop"}, {"Bob", "passwordpassword"},
	} {
		a, err := s.AddWithPassword(ctx, test.name, test.password, true)
		var refusal *accounts.Error
		if !errors.As(err, &refusal) || refusal.Kind != accounts.Invalid || a != (accounts.Account{}) {
			t.Errorf("%q with %q: %#v, %v", test.name, test.password, a, err)
		}
	}
	if n := len(store.accounts); n != 1 {
		t.Errorf("%d accounts", n)
	}
}

// ASVS 6.4.1
func TestAddWithReset(t *testing.T) {
	s, store := newForAdding(t)
	ctx := context.Background()
	a, secret, err := s.AddWithReset(t.Context(), "Ann", true)
	if err != nil {
		t.Fatal(err)
	}
	if !a.Admin || a.Hash != "" || !a.PasswordChanged.IsZero() || len(secret) != 43 {
		t.Errorf("%#v, %q", a, secret)
	}
	if _, err := s.LogIn(ctx, accounts.Attempt{Name: "Ann", From: netip.MustParseAddr("192.0.2.1")}); err == nil {
		t.Error("it is open without a password")
	}
	if changed, err := s.Reset(ctx, secret, goodPassword); err != nil || changed.ID != a.ID || !changed.Admin {
		t.Errorf("%#v, %v", changed, err)
	}
	if _, _, err := s.AddWithReset(t.Context(), "ANN", false); !errors.Is(err, accounts.ErrTaken) {
		t.Errorf("a name that is taken: %v", err)
	}
	if _, _, err := s.AddWithReset(t.Context(), "a\x1bb", false); err == nil {
		t.Error("a name with a control character is taken")
	}
	if n := len(store.accounts); n != 1 {
		t.Errorf("%d accounts", n)
	}
}
