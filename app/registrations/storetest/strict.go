package storetest

import (
	"context"
	"testing"
	"time"

	"latchkey/app/accounts"
	accountstest "latchkey/app/accounts/storetest"
	"latchkey/app/registrations"
)

// Strict returns a store that passes everything on to another, and fails the test
// if that other is given what the contract does not allow.
func Strict(t testing.TB, store registrations.Store) registrations.Store { return strict{store, t} }

type strict struct {
	registrations.Store
	t testing.TB
}

func (s strict) Insert(ctx context.Context, r registrations.Registration) error {
	s.t.Helper()
	accountstest.CheckContext(s.t, "Insert", ctx)
	accountstest.CheckText(s.t, "Insert", r.Sport, r.Note)
	accountstest.CheckTimes(s.t, "Insert", time.Microsecond, r.At)
	return s.Store.Insert(ctx, r)
}

func (s strict) Get(ctx context.Context, id registrations.ID) (registrations.Registration, error) {
	s.t.Helper()
	accountstest.CheckContext(s.t, "Get", ctx)
	return s.Store.Get(ctx, id)
}

func (s strict) Update(ctx context.Context, r registrations.Registration) error {
	s.t.Helper()
	accountstest.CheckContext(s.t, "Update", ctx)
	accountstest.CheckText(s.t, "Update", r.Sport, r.Note)
	accountstest.CheckTimes(s.t, "Update", time.Microsecond, r.At)
	return s.Store.Update(ctx, r)
}

func (s strict) ListByOwner(ctx context.Context, owner accounts.ID, after string, limit int) ([]registrations.Registration, string, error) {
	s.t.Helper()
	accountstest.CheckContext(s.t, "ListByOwner", ctx)
	accountstest.CheckText(s.t, "ListByOwner", after)
	if limit < 1 {
		s.t.Errorf("ListByOwner: a limit of %d", limit)
	}
	return s.Store.ListByOwner(ctx, owner, after, limit)
}

func (s strict) Delete(ctx context.Context, id registrations.ID) error {
	s.t.Helper()
	accountstest.CheckContext(s.t, "Delete", ctx)
	return s.Store.Delete(ctx, id)
}
