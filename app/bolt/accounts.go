package bolt

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"go.etcd.io/bbolt"

	"latchkey/app/accounts"
)

// Accounts keeps accounts in the file of a DB.
type Accounts struct{ db *DB }

var _ accounts.Store = Accounts{}

// Accounts returns the accounts in the file.
func (db *DB) Accounts() Accounts { return Accounts{db} }

// account reads an account, or returns accounts.ErrNotFound.
func account(tx *bbolt.Tx, id []byte) (accounts.Account, error) {
	value := tx.Bucket(bucketAccounts).Get(id)
	if value == nil {
		return accounts.Account{}, accounts.ErrNotFound
	}
	return decodeAccount(id, value)
}

// putAccount writes an account and keeps the list of administrators in step.
func putAccount(tx *bbolt.Tx, a accounts.Account) error {
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

// Create keeps a new account, or returns accounts.ErrTaken.
func (s Accounts) Create(a accounts.Account) error {
	folded := []byte(a.Name.Folded())
	return s.db.writes.do(func(tx *bbolt.Tx) error {
		names := tx.Bucket(bucketNames)
		if names.Get(folded) != nil {
			return accounts.ErrTaken
		}
		if tx.Bucket(bucketAccounts).Get(a.ID[:]) != nil {
			return errors.New("an account with this id exists")
		}
		if err := names.Put(folded, a.ID[:]); err != nil {
			return err
		}
		return putAccount(tx, a)
	})
}

// ByID returns an account, or accounts.ErrNotFound.
func (s Accounts) ByID(id accounts.ID) (a accounts.Account, err error) {
	err = s.db.view(func(tx *bbolt.Tx) error {
		a, err = account(tx, id[:])
		return err
	})
	return a, err
}

// ByName returns the account with this folded name, or accounts.ErrNotFound.
func (s Accounts) ByName(folded string) (a accounts.Account, err error) {
	err = s.db.view(func(tx *bbolt.Tx) error {
		id := tx.Bucket(bucketNames).Get([]byte(folded))
		if id == nil {
			return accounts.ErrNotFound
		}
		a, err = account(tx, id)
		if err == nil && a.Name.Folded() != folded {
			// Names have no checksum. Whom this one belonged to cannot be told.
			a, err = accounts.Account{}, fmt.Errorf("%w: a name leads to an account of another", ErrDamaged)
		}
		return err
	})
	return a, err
}

// List returns at most limit accounts whose folded name begins with prefix and
// comes after after. It reads no more than it returns.
func (s Accounts) List(prefix, after string, limit int) (list []accounts.Account, err error) {
	err = s.db.view(func(tx *bbolt.Tx) error {
		c := tx.Bucket(bucketNames).Cursor()
		for name, id := c.Seek([]byte(max(prefix, after))); len(list) < limit && bytes.HasPrefix(name, []byte(prefix)) && name != nil; name, id = c.Next() {
			if after != "" && string(name) <= after {
				continue // at most the first
			}
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

// change reads an account, lets f change it and writes it back, in one
// transaction, and returns it as it is then.
func (s Accounts) change(id accounts.ID, f func(tx *bbolt.Tx, a *accounts.Account) error) (changed accounts.Account, err error) {
	err = s.db.writes.do(func(tx *bbolt.Tx) error {
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

// LoggedIn notes a login of the account as it was read, and another hash of the
// same password if there is one.
func (s Accounts) LoggedIn(read accounts.Account, at time.Time, rehash string) (accounts.Account, error) {
	return s.change(read.ID, func(_ *bbolt.Tx, a *accounts.Account) error {
		if a.Disabled || !a.PasswordChanged.Equal(read.PasswordChanged) {
			return accounts.ErrChanged
		}
		a.LastLogin = at
		if rehash != "" {
			a.Hash = rehash
		}
		return nil
	})
}

// SetPassword gives the account as it was read another hash, voids its reset and
// ends its sessions.
func (s Accounts) SetPassword(read accounts.Account, hash string, at time.Time) (accounts.Account, error) {
	return s.change(read.ID, func(tx *bbolt.Tx, a *accounts.Account) error {
		if !a.PasswordChanged.Equal(read.PasswordChanged) {
			return accounts.ErrChanged
		}
		return setPassword(tx, a, hash, at)
	})
}

// setPassword changes a. PasswordChanged tells passwords apart, so it always
// moves on, whatever the clock says.
func setPassword(tx *bbolt.Tx, a *accounts.Account, hash string, at time.Time) error {
	if !at.After(a.PasswordChanged) {
		at = a.PasswordChanged.Add(1)
	}
	a.Hash, a.PasswordChanged = hash, at
	return errors.Join(dropReset(tx, a.ID), dropSessions(tx, a.ID[:]))
}

// SetAdmin makes the account an administrator or not.
func (s Accounts) SetAdmin(id accounts.ID, admin bool) error {
	_, err := s.change(id, func(tx *bbolt.Tx, a *accounts.Account) error {
		if !admin && last(tx, id) {
			return accounts.ErrLastAdmin
		}
		a.Admin = admin
		return nil
	})
	return err
}

// SetDisabled disables the account, which voids its reset and ends its sessions,
// or enables it.
func (s Accounts) SetDisabled(id accounts.ID, disabled bool) error {
	_, err := s.change(id, func(tx *bbolt.Tx, a *accounts.Account) error {
		if disabled && last(tx, id) {
			return accounts.ErrLastAdmin
		}
		a.Disabled = disabled
		if !disabled {
			return nil
		}
		return errors.Join(dropReset(tx, id), dropSessions(tx, id[:]))
	})
	return err
}

// last reports whether the account is the only administrator that is not
// disabled.
func last(tx *bbolt.Tx, id accounts.ID) bool {
	c := tx.Bucket(bucketAdmins).Cursor()
	first, _ := c.First()
	second, _ := c.Next()
	return second == nil && bytes.Equal(first, id[:])
}

// Delete removes the account and everything it owns.
func (s Accounts) Delete(id accounts.ID) error {
	return s.db.writes.do(func(tx *bbolt.Tx) error {
		a, err := account(tx, id[:])
		if err != nil {
			return err
		}
		if last(tx, id) {
			return accounts.ErrLastAdmin
		}
		return errors.Join(
			dropReset(tx, id),
			dropSessions(tx, id[:]),
			dropRegistrations(tx, id),
			dropOldest(tx.Bucket(bucketEvents), id[:], 0),
			tx.Bucket(bucketNames).Delete([]byte(a.Name.Folded())),
			tx.Bucket(bucketAdmins).Delete(id[:]),
			tx.Bucket(bucketAccounts).Delete(id[:]),
		)
	})
}

// resetSize is version and checksum as in record, 16 bytes of the account's id,
// and when it expires in nanoseconds.
const resetSize = 1 + 4 + 16 + 8

// StartReset keeps the hash of a secret that may set the password until expires,
// in place of a former one.
func (s Accounts) StartReset(id accounts.ID, sum [32]byte, expires time.Time) error {
	return s.db.writes.do(func(tx *bbolt.Tx) error {
		if _, err := account(tx, id[:]); err != nil {
			return err
		}
		value := binary.BigEndian.AppendUint64(append(make([]byte, 5, resetSize), id[:]...), nanoseconds(expires))
		return errors.Join(
			dropReset(tx, id),
			tx.Bucket(bucketResets).Put(sum[:], seal(sum[:], value)),
			tx.Bucket(bucketReset).Put(id[:], sum[:]),
		)
	})
}

// dropReset voids the reset of an account, if it has one.
func dropReset(tx *bbolt.Tx, id accounts.ID) error {
	b := tx.Bucket(bucketReset)
	if sum := b.Get(id[:]); sum != nil {
		if err := tx.Bucket(bucketResets).Delete(sum); err != nil {
			return err
		}
	}
	return b.Delete(id[:])
}

// byReset returns the account that the secret with this hash may still set the
// password of, or accounts.ErrReset.
func byReset(tx *bbolt.Tx, sum [32]byte, now time.Time) (accounts.Account, error) {
	value := tx.Bucket(bucketResets).Get(sum[:])
	if value == nil {
		return accounts.Account{}, accounts.ErrReset
	}
	if err := whole("a reset", sum[:], value, resetSize); err != nil {
		return accounts.Account{}, err
	}
	a, err := account(tx, value[5:21])
	if err == nil && (a.Disabled || !now.Before(fromNanoseconds(value[21:]))) {
		err = accounts.ErrReset
	}
	return a, err
}

// ByReset returns the account of a reset, or accounts.ErrReset.
func (s Accounts) ByReset(sum [32]byte, now time.Time) (a accounts.Account, err error) {
	err = s.db.view(func(tx *bbolt.Tx) error {
		a, err = byReset(tx, sum, now)
		return err
	})
	if err != nil {
		return accounts.Account{}, err
	}
	return a, nil
}

// Reset sets the password of the account of a reset, and uses the reset up.
func (s Accounts) Reset(sum [32]byte, hash string, at time.Time) (changed accounts.Account, err error) {
	err = s.db.writes.do(func(tx *bbolt.Tx) error {
		a, err := byReset(tx, sum, at)
		if err != nil {
			return err
		}
		if err := setPassword(tx, &a, hash, at); err != nil {
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

// Key returns the 32 random bytes that sign what browsers keep.
func (s Accounts) Key() (key [32]byte, err error) {
	err = s.db.view(func(tx *bbolt.Tx) error {
		if copy(key[:], tx.Bucket(bucketMeta).Get(keySigning)) < len(key) {
			return fmt.Errorf("%w: the signing key is cut short", ErrDamaged)
		}
		return nil
	})
	return key, err
}
