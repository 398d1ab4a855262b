package bolt

import (
	"context"

	"latchkey/app/accounts"
	"latchkey/app/internal/kv"
	"latchkey/app/registrations"
)

var registrationTable = kv.Owned[registrations.Registration]{
	Name:   "registrations",
	Unique: func(r *registrations.Registration) string { return r.Sport },
	Order:  func(r *registrations.Registration) []byte { return []byte(r.Sport) },
}

type registrationStore struct{ db *DB }

// Registrations returns the registration store.
func (db *DB) Registrations() registrations.Store { return registrationStore{db} }

func (s registrationStore) Insert(ctx context.Context, r registrations.Registration) error {
	return s.db.kv.Update(ctx, func(tx *kv.Tx) error { return registrationTable.Insert(tx, r) })
}

func (s registrationStore) Get(ctx context.Context, id registrations.ID) (r registrations.Registration, err error) {
	err = s.db.kv.View(ctx, func(tx *kv.Tx) error {
		r, err = registrationTable.Get(tx, kv.ID(id))
		return err
	})
	return r, err
}

func (s registrationStore) Update(ctx context.Context, r registrations.Registration) error {
	return s.db.kv.Update(ctx, func(tx *kv.Tx) error { return registrationTable.Update(tx, r) })
}

func (s registrationStore) ListByOwner(ctx context.Context, owner accounts.ID, after string, limit int) (page []registrations.Registration, next string, err error) {
	err = s.db.kv.View(ctx, func(tx *kv.Tx) error {
		page, next, err = registrationTable.ListByOwner(tx, kv.ID(owner), after, limit)
		return err
	})
	return page, next, err
}

func (s registrationStore) Delete(ctx context.Context, id registrations.ID) error {
	return s.db.kv.Update(ctx, func(tx *kv.Tx) error { return registrationTable.Delete(tx, kv.ID(id)) })
}
