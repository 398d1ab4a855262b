package bolt

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"time"

	"latchkey/app/accounts"
	"latchkey/app/internal/kv"
	"latchkey/app/internal/store"
)

const (
	bucketAccounts = "accounts"       // id → record, see account_record.go
	bucketNames    = "names"          // folded name → id
	bucketAdmins   = "administrators" // id of each enabled administrator → empty
)

type accountStore struct{ db *DB }

var _ accounts.Store = accountStore{}

// account returns the account, or accounts.ErrNotFound.
func account(tx *kv.Tx, id []byte) (accounts.Account, error) {
	record := tx.Get(bucketAccounts, id)
	if record == nil {
		return accounts.Account{}, accounts.ErrNotFound
	}
	return decodeAccount(id, record)
}

// putAccount writes an account and updates the index of administrators.
func putAccount(tx *kv.Tx, a accounts.Account) error {
	admins := tx.Bucket(bucketAdmins)
	var err error
	if a.Admin && !a.Disabled {
		err = admins.Put(a.ID[:], nil)
	} else {
		err = admins.Delete(a.ID[:])
	}
	if err != nil {
		return err
	}
	return tx.Bucket(bucketAccounts).Put(a.ID[:], encodeAccount(a))
}

func (s accountStore) Create(ctx context.Context, a accounts.Account) error {
	folded := []byte(a.Name.Folded())
	return s.db.kv.Update(ctx, func(tx *kv.Tx) error {
		names := tx.Bucket(bucketNames)
		if names.Get(folded) != nil {
			return accounts.ErrTaken
		}
		if tx.Get(bucketAccounts, a.ID[:]) != nil {
			return errors.New("an account with this id exists")
		}
		if err := names.Put(folded, a.ID[:]); err != nil {
			return err
		}
		return putAccount(tx, a)
	})
}

func (s accountStore) ByID(ctx context.Context, id accounts.ID) (a accounts.Account, err error) {
	err = s.db.kv.View(ctx, func(tx *kv.Tx) error {
		a, err = account(tx, id[:])
		return err
	})
	return a, err
}

func (s accountStore) ByName(ctx context.Context, folded string) (a accounts.Account, err error) {
	err = s.db.kv.View(ctx, func(tx *kv.Tx) error {
		id := tx.Get(bucketNames, []byte(folded))
		if id == nil {
			return accounts.ErrNotFound
		}
		a, err = account(tx, id)
		if err == nil && a.Name.Folded() != folded {
			// Names have no checksum, so a damaged entry may lead to another account.
			a, err = accounts.Account{}, fmt.Errorf("%w: a name leads to another account", store.ErrDamaged)
		}
		return err
	})
	return a, err
}

func (s accountStore) List(ctx context.Context, prefix, after string, limit int) (list []accounts.Account, err error) {
	err = s.db.kv.View(ctx, func(tx *kv.Tx) error {
		c := tx.Bucket(bucketNames).Cursor()
		name, id := c.Seek([]byte(max(prefix, after)))
		if after != "" && string(name) == after {
			name, id = c.Next()
		}
		for ; len(list) < limit && name != nil && bytes.HasPrefix(name, []byte(prefix)); name, id = c.Next() {
			a, err := account(tx, id)
			if err != nil {
				return err
			}
			list = append(list, a)
		}
		return nil
	})
	return list, err
}

// change loads an account, applies f and stores the result in one transaction.
// It returns the changed account.
func (s accountStore) change(ctx context.Context, id accounts.ID, f func(tx *kv.Tx, a *accounts.Account) error) (changed accounts.Account, err error) {
	err = s.db.kv.Update(ctx, func(tx *kv.Tx) error {
		a, err := account(tx, id[:])
		if err != nil {
			return err
		}
		if err := f(tx, &a); err != nil {
			return err
		}
		changed = a
		return putAccount(tx, a)
	})
	if err != nil {
		return accounts.Account{}, err
	}
	return changed, nil
}

func (s accountStore) LoggedIn(ctx context.Context, read accounts.Account, at time.Time, rehash string) (accounts.Account, error) {
	return s.change(ctx, read.ID, func(_ *kv.Tx, a *accounts.Account) error {
		if a.Disabled || a.PasswordVersion != read.PasswordVersion {
			return accounts.ErrChanged
		}
		a.LastLogin = at
		if rehash != "" {
			a.Hash = rehash
		}
		return nil
	})
}

func (s accountStore) SetPassword(ctx context.Context, read accounts.Account, hash string, at time.Time) (accounts.Account, error) {
	return s.change(ctx, read.ID, func(tx *kv.Tx, a *accounts.Account) error {
		if a.PasswordVersion != read.PasswordVersion {
			return accounts.ErrChanged
		}
		return setPassword(tx, a, hash, at)
	})
}

// setPassword sets the hash in a, deletes a pending reset and ends the
// account's sessions. The caller stores a.
func setPassword(tx *kv.Tx, a *accounts.Account, hash string, at time.Time) error {
	a.Hash, a.PasswordChanged = hash, at
	a.PasswordVersion++
	return errors.Join(dropReset(tx, kv.ID(a.ID)), dropSessions(tx, kv.ID(a.ID)))
}

func (s accountStore) SetAdmin(ctx context.Context, id accounts.ID, admin bool) error {
	_, err := s.change(ctx, id, func(tx *kv.Tx, a *accounts.Account) error {
		if !admin && isLastAdmin(tx, id) {
			return accounts.ErrLastAdmin
		}
		a.Admin = admin
		return nil
	})
	return err
}

func (s accountStore) SetDisabled(ctx context.Context, id accounts.ID, disabled bool) error {
	_, err := s.change(ctx, id, func(tx *kv.Tx, a *accounts.Account) error {
		if disabled && isLastAdmin(tx, id) {
			return accounts.ErrLastAdmin
		}
		a.Disabled = disabled
		if !disabled {
			return nil
		}
		return errors.Join(dropReset(tx, kv.ID(id)), dropSessions(tx, kv.ID(id)))
	})
	return err
}

// isLastAdmin reports whether the account is the only enabled administrator.
func isLastAdmin(tx *kv.Tx, id accounts.ID) bool {
	c := tx.Bucket(bucketAdmins).Cursor()
	first, _ := c.First()
	second, _ := c.Next()
	return second == nil && bytes.Equal(first, id[:])
}

func (s accountStore) Delete(ctx context.Context, id accounts.ID) error {
	return s.db.kv.Update(ctx, func(tx *kv.Tx) error {
		if _, err := account(tx, id[:]); err != nil {
			return err
		}
		if isLastAdmin(tx, id) {
			return accounts.ErrLastAdmin
		}
		return tx.DropOwner(kv.ID(id))
	})
}

func (s accountStore) Key(ctx context.Context) (key [32]byte, err error) {
	err = s.db.kv.View(ctx, func(tx *kv.Tx) error {
		key, err = signingKey(tx.Get(bucketState, keySigning))
		return err
	})
	return key, err
}

func dropAccount(tx *kv.Tx, id kv.ID) error {
	a, err := account(tx, id[:])
	if err != nil {
		return err
	}
	return errors.Join(
		tx.Bucket(bucketNames).Delete([]byte(a.Name.Folded())),
		tx.Bucket(bucketAccounts).Delete(id[:]),
	)
}

func dropAdmin(tx *kv.Tx, id kv.ID) error { return tx.Bucket(bucketAdmins).Delete(id[:]) }
