package storetest

import (
	"context"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"latchkey/app/accounts"
)

// Strict wraps a store and fails the test if a call breaks the caller's side of
// the contract.
func Strict(t testing.TB, store accounts.Store) accounts.Store { return strict{store, t} }

// StrictEvents does the same for an event store.
func StrictEvents(t testing.TB, store accounts.EventStore) accounts.EventStore {
	return strictEvents{store, t}
}

// CheckText fails the test unless every text is valid UTF-8 without NUL.
func CheckText(t testing.TB, method string, texts ...string) {
	t.Helper()
	for _, text := range texts {
		if !utf8.ValidString(text) || strings.Contains(text, "\x00") {
			t.Errorf("%s: a store is given %q", method, text)
		}
	}
}

// CheckTimes fails the test unless every time is UTC in whole units without a
// monotonic clock. The zero time is allowed.
func CheckTimes(t testing.TB, method string, unit time.Duration, times ...time.Time) {
	t.Helper()
	for _, at := range times {
		if at.Location() != time.UTC || at.Nanosecond()%int(unit) != 0 || at.Round(0) != at {
			t.Errorf("%s: a store is given %v, which is not UTC in whole %s without a monotonic clock", method, at, unit)
		}
	}
}

// CheckContext fails the test unless ctx can end. A context without an end
// could block a request for ever.
func CheckContext(t testing.TB, method string, ctx context.Context) {
	t.Helper()
	if ctx == nil {
		t.Errorf("%s: a store is given no context", method)
	} else if _, limited := ctx.Deadline(); !limited && ctx.Done() == nil {
		t.Errorf("%s: a store is given a context that never ends", method)
	}
}

type strict struct {
	accounts.Store
	t testing.TB
}

func (s strict) account(ctx context.Context, method string, a accounts.Account) {
	s.t.Helper()
	CheckContext(s.t, method, ctx)
	CheckText(s.t, method, a.Name.String(), a.Name.Folded(), a.Hash)
	CheckTimes(s.t, method, time.Microsecond, a.Created, a.LastLogin, a.PasswordChanged)
}

func (s strict) Create(ctx context.Context, a accounts.Account) error {
	s.t.Helper()
	s.account(ctx, "Create", a)
	if a.PasswordVersion > 1 || (a.Hash == "") != (a.PasswordVersion == 0) {
		s.t.Errorf("Create: an account with the hash %q has the PasswordVersion %d", a.Hash, a.PasswordVersion)
	}
	return s.Store.Create(ctx, a)
}

func (s strict) ByID(ctx context.Context, id accounts.ID) (accounts.Account, error) {
	s.t.Helper()
	CheckContext(s.t, "ByID", ctx)
	return s.Store.ByID(ctx, id)
}

func (s strict) ByName(ctx context.Context, folded string) (accounts.Account, error) {
	s.t.Helper()
	CheckContext(s.t, "ByName", ctx)
	CheckText(s.t, "ByName", folded)
	if len(folded) > maxText {
		s.t.Errorf("ByName: %d bytes", len(folded))
	}
	return s.Store.ByName(ctx, folded)
}

// maxText is the maximum length of a folded name in bytes: 256 code points.
const maxText = 256 * utf8.UTFMax

func (s strict) List(ctx context.Context, prefix, after string, limit int) ([]accounts.Account, error) {
	s.t.Helper()
	CheckContext(s.t, "List", ctx)
	CheckText(s.t, "List", prefix, after)
	if len(prefix) > maxText || len(after) > maxText {
		s.t.Errorf("List: %d and %d bytes", len(prefix), len(after))
	}
	return s.Store.List(ctx, prefix, after, limit)
}

func (s strict) LoggedIn(ctx context.Context, read accounts.Account, at time.Time, rehash string) (accounts.Account, error) {
	s.t.Helper()
	s.account(ctx, "LoggedIn", read)
	CheckText(s.t, "LoggedIn", rehash)
	CheckTimes(s.t, "LoggedIn", time.Microsecond, at)
	return s.Store.LoggedIn(ctx, read, at, rehash)
}

func (s strict) SetPassword(ctx context.Context, read accounts.Account, hash string, at time.Time) (accounts.Account, error) {
	s.t.Helper()
	s.account(ctx, "SetPassword", read)
	CheckText(s.t, "SetPassword", hash)
	CheckTimes(s.t, "SetPassword", time.Microsecond, at)
	return s.Store.SetPassword(ctx, read, hash, at)
}

func (s strict) SetAdmin(ctx context.Context, id accounts.ID, admin bool) error {
	s.t.Helper()
	CheckContext(s.t, "SetAdmin", ctx)
	return s.Store.SetAdmin(ctx, id, admin)
}

func (s strict) SetDisabled(ctx context.Context, id accounts.ID, disabled bool) error {
	s.t.Helper()
	CheckContext(s.t, "SetDisabled", ctx)
	return s.Store.SetDisabled(ctx, id, disabled)
}

func (s strict) Delete(ctx context.Context, id accounts.ID) error {
	s.t.Helper()
	CheckContext(s.t, "Delete", ctx)
	return s.Store.Delete(ctx, id)
}

func (s strict) StartReset(ctx context.Context, id accounts.ID, sum [32]byte, expires time.Time) error {
	s.t.Helper()
	CheckContext(s.t, "StartReset", ctx)
	CheckTimes(s.t, "StartReset", time.Microsecond, expires)
	return s.Store.StartReset(ctx, id, sum, expires)
}

func (s strict) ByReset(ctx context.Context, sum [32]byte, now time.Time) (accounts.Account, error) {
	s.t.Helper()
	CheckContext(s.t, "ByReset", ctx)
	CheckTimes(s.t, "ByReset", time.Microsecond, now)
	return s.Store.ByReset(ctx, sum, now)
}

func (s strict) Reset(ctx context.Context, sum [32]byte, hash string, at time.Time) (accounts.Account, error) {
	s.t.Helper()
	CheckContext(s.t, "Reset", ctx)
	CheckText(s.t, "Reset", hash)
	CheckTimes(s.t, "Reset", time.Microsecond, at)
	return s.Store.Reset(ctx, sum, hash, at)
}

type strictEvents struct {
	accounts.EventStore
	t testing.TB
}

func (s strictEvents) Note(ctx context.Context, e accounts.Event) {
	s.t.Helper()
	CheckText(s.t, "Note", e.What, e.Outcome, e.Agent, e.Address)
	CheckTimes(s.t, "Note", time.Millisecond, e.At) // the precision of Event.At
	if ctx == nil || ctx.Err() != nil {
		s.t.Errorf("Note: of the context %v", ctx)
	}
	s.EventStore.Note(ctx, e)
}

func (s strictEvents) Events(ctx context.Context, id accounts.ID) ([]accounts.Event, error) {
	s.t.Helper()
	CheckContext(s.t, "Events", ctx)
	return s.EventStore.Events(ctx, id)
}
