package bolt

import (
	"context"

	"latchkey/app/accounts"
	"latchkey/app/internal/kv"
)

// ownedStore is the store of a resource in a typed table. Its methods are those that
// the Store interface of a resource has. K is the type of the resource's ids.
type ownedStore[T any, K ~[16]byte] struct {
	db    *DB
	table kv.Owned[T]
}

func (s ownedStore[T, K]) Insert(ctx context.Context, r T) error {
	return s.db.kv.Update(ctx, func(tx *kv.Tx) error { return s.table.Insert(tx, r) })
}

func (s ownedStore[T, K]) Get(ctx context.Context, id K) (r T, err error) {
	err = s.db.kv.View(ctx, func(tx *kv.Tx) error {
		r, err = s.table.Get(tx, kv.ID(id))
		return err
	})
	return r, err
}

func (s ownedStore[T, K]) Update(ctx context.Context, r T) error {
	return s.db.kv.Update(ctx, func(tx *kv.Tx) error { return s.table.Update(tx, r) })
}

func (s ownedStore[T, K]) ListByOwner(ctx context.Context, owner accounts.ID, after string, limit int) (page []T, next string, err error) {
	err = s.db.kv.View(ctx, func(tx *kv.Tx) error {
		page, next, err = s.table.ListByOwner(tx, kv.ID(owner), after, limit)
		return err
	})
	return page, next, err
}

func (s ownedStore[T, K]) Delete(ctx context.Context, id K) error {
	return s.db.kv.Update(ctx, func(tx *kv.Tx) error { return s.table.Delete(tx, kv.ID(id)) })
}
