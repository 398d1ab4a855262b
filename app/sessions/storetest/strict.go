package storetest

import (
	"context"
	"testing"
	"time"

	accountstest "latchkey/app/accounts/storetest"
	"latchkey/app/sessions"
)

// Strict returns a store that passes everything on to another, and fails the test
// if that other is given what the contract does not allow: a text that is not valid
// UTF-8 or has NUL, a time that is not UTC in whole milliseconds, or a context that
// never ends.
func Strict(t testing.TB, store sessions.Store) sessions.Store { return strict{store, t} }

type strict struct {
	sessions.Store
	t testing.TB
}

func (s strict) check(ctx context.Context, method string, times ...time.Time) {
	s.t.Helper()
	accountstest.CheckContext(s.t, method, ctx)
	accountstest.CheckTimes(s.t, method, time.Millisecond, times...)
}

func (s strict) Read(ctx context.Context, k sessions.Key) (sessions.Session, error) {
	s.t.Helper()
	s.check(ctx, "Read")
	return s.Store.Read(ctx, k)
}

func (s strict) Data(ctx context.Context, k sessions.Key) ([]byte, error) {
	s.t.Helper()
	s.check(ctx, "Data")
	return s.Store.Data(ctx, k)
}

func (s strict) Begin(ctx context.Context, k, replaces sessions.Key, one sessions.Session, data []byte) error {
	s.t.Helper()
	s.check(ctx, "Begin", one.Began, one.Seen, one.Reauthenticated)
	accountstest.CheckText(s.t, "Begin", one.Name, one.Agent, one.Address)
	if len(one.Agent) > 256 {
		s.t.Errorf("Begin: an agent of %d bytes", len(one.Agent))
	}
	return s.Store.Begin(ctx, k, replaces, one, data)
}

func (s strict) Change(ctx context.Context, k sessions.Key, data []byte) error {
	s.t.Helper()
	s.check(ctx, "Change")
	return s.Store.Change(ctx, k, data)
}

func (s strict) Renew(ctx context.Context, k sessions.Key, seen time.Time) {
	s.t.Helper()
	s.check(ctx, "Renew", seen)
	s.Store.Renew(ctx, k, seen)
}

func (s strict) Rotate(ctx context.Context, k, replaces sessions.Key, at time.Time) error {
	s.t.Helper()
	s.check(ctx, "Rotate", at)
	return s.Store.Rotate(ctx, k, replaces, at)
}

func (s strict) End(ctx context.Context, k sessions.Key) error {
	s.t.Helper()
	s.check(ctx, "End")
	return s.Store.End(ctx, k)
}

func (s strict) List(ctx context.Context, account sessions.Account, limit int) ([]sessions.Session, error) {
	s.t.Helper()
	s.check(ctx, "List")
	return s.Store.List(ctx, account, limit)
}

func (s strict) EndAll(ctx context.Context, account sessions.Account) error {
	s.t.Helper()
	s.check(ctx, "EndAll")
	return s.Store.EndAll(ctx, account)
}

func (s strict) EndOthers(ctx context.Context, account sessions.Account, but sessions.Key) error {
	s.t.Helper()
	s.check(ctx, "EndOthers")
	return s.Store.EndOthers(ctx, account, but)
}

func (s strict) EndOne(ctx context.Context, account sessions.Account, k sessions.Key) error {
	s.t.Helper()
	s.check(ctx, "EndOne")
	return s.Store.EndOne(ctx, account, k)
}
