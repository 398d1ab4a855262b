package storetest

import (
	"context"
	"errors"
	"testing"
	"time"

	"latchkey/app/accounts"
)

// If the context ends before a write begins, nothing is written and the error
// wraps the context's.
func testEndedContext(t *testing.T, s accounts.Store) {
	create(t, s, "root", admin) // so that ErrLastAdmin does not hide the context's error
	sum := [32]byte{1}
	a := create(t, s, "alice", admin)
	if err := s.StartReset(t.Context(), a.ID, sum, noon.Add(time.Hour)); err != nil {
		t.Fatal(err)
	}
	canceled, cancel := context.WithCancel(t.Context())
	cancel()
	late, stop := context.WithDeadline(t.Context(), time.Now().Add(-time.Second))
	defer stop()
	for name, test := range map[string]struct {
		ctx  context.Context
		want error
	}{"canceled": {canceled, context.Canceled}, "too late": {late, context.DeadlineExceeded}} {
		ctx := test.ctx
		bob := account(t, "bob")
		_, loggedIn := s.LoggedIn(ctx, a, noon.Add(time.Hour), "rehash")
		_, setPassword := s.SetPassword(ctx, a, "stolen", noon)
		_, reset := s.Reset(ctx, sum, "stolen", noon)
		for method, err := range map[string]error{
			"Create":      s.Create(ctx, bob),
			"LoggedIn":    loggedIn,
			"SetPassword": setPassword,
			"SetAdmin":    s.SetAdmin(ctx, a.ID, false),
			"SetDisabled": s.SetDisabled(ctx, a.ID, true),
			"Delete":      s.Delete(ctx, a.ID),
			"StartReset":  s.StartReset(ctx, a.ID, [32]byte{2}, noon.Add(time.Hour)),
			"Reset":       reset,
		} {
			if !errors.Is(err, test.want) {
				t.Errorf("%s, %s: %v, want %v", method, name, err, test.want)
			}
		}
		same(t, read(t, s, a), a)
		if _, err := s.ByID(t.Context(), bob.ID); !errors.Is(err, accounts.ErrNotFound) {
			t.Errorf("%s: an account was made: %v", name, err)
		}
		if _, err := s.ByReset(t.Context(), [32]byte{2}, noon); !errors.Is(err, accounts.ErrReset) {
			t.Errorf("%s: a reset was made: %v", name, err)
		}
	}
	if found, err := s.ByReset(t.Context(), sum, noon); err != nil {
		t.Errorf("the reset from before: %v", err)
	} else {
		same(t, found, a)
	}
}
