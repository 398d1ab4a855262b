package bolt

import (
	"context"
	"encoding/binary"
	"errors"
	"time"

	"latchkey/app/accounts"
	"latchkey/app/internal/kv"
)

const (
	bucketResets        = "resets"         // SHA-256 of a secret → sealed: account id, expiry in microseconds
	bucketAccountResets = "account resets" // account id → SHA-256 of the secret of its pending reset

	resetVersion = 2
	resetSize    = 16 + 8
)

type reset struct {
	account kv.ID
	expires time.Time
}

func encodeReset(sum []byte, r reset) []byte {
	b := append(make([]byte, kv.SealSize, kv.SealSize+resetSize), r.account[:]...)
	return kv.Seal(resetVersion, sum, binary.BigEndian.AppendUint64(b, microseconds(r.expires)))
}

func decodeReset(sum, record []byte) (reset, error) {
	content, err := kv.Unseal("a reset", resetVersion, sum, record)
	if err == nil && len(content) != resetSize {
		err = errTruncated
	}
	if err != nil {
		return reset{}, err
	}
	return reset{kv.ID(content), fromMicroseconds(content[16:])}, nil
}

func (s accountStore) StartReset(ctx context.Context, id accounts.ID, sum [32]byte, expires time.Time) error {
	return s.db.kv.Update(ctx, func(tx *kv.Tx) error {
		if _, err := account(tx, id[:]); err != nil {
			return err
		}
		return errors.Join(
			dropReset(tx, kv.ID(id)),
			tx.Bucket(bucketResets).Put(sum[:], encodeReset(sum[:], reset{kv.ID(id), expires})),
			tx.Bucket(bucketAccountResets).Put(id[:], sum[:]),
		)
	})
}

// byReset returns the account with the pending reset of this SHA-256, or
// accounts.ErrReset.
func byReset(tx *kv.Tx, sum []byte, now time.Time) (accounts.Account, error) {
	record := tx.Get(bucketResets, sum)
	if record == nil {
		return accounts.Account{}, accounts.ErrReset
	}
	r, err := decodeReset(sum, record)
	if err != nil {
		return accounts.Account{}, err
	}
	a, err := account(tx, r.account[:])
	if err == nil && (a.Disabled || !now.Before(r.expires)) {
		err = accounts.ErrReset
	}
	return a, err
}

func (s accountStore) ByReset(ctx context.Context, sum [32]byte, now time.Time) (a accounts.Account, err error) {
	err = s.db.kv.View(ctx, func(tx *kv.Tx) error {
		a, err = byReset(tx, sum[:], now)
		return err
	})
	if err != nil {
		return accounts.Account{}, err
	}
	return a, nil
}

func (s accountStore) Reset(ctx context.Context, sum [32]byte, hash string, at time.Time) (changed accounts.Account, err error) {
	err = s.db.kv.Update(ctx, func(tx *kv.Tx) error {
		a, err := byReset(tx, sum[:], at)
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

// dropReset deletes the pending reset of an account, if there is one.
func dropReset(tx *kv.Tx, id kv.ID) error {
	b := tx.Bucket(bucketAccountResets)
	if sum := b.Get(id[:]); sum != nil {
		if err := tx.Bucket(bucketResets).Delete(sum); err != nil {
			return err
		}
	}
	return b.Delete(id[:])
}

func dropResetBySum(tx *kv.Tx, sum []byte) error {
	r, err := decodeReset(sum, tx.Get(bucketResets, sum))
	if err != nil {
		return err
	}
	return dropReset(tx, r.account)
}

func (db *DB) resetExpired(sum, record []byte) bool {
	r, err := decodeReset(sum, record)
	return err == nil && !db.now().Before(r.expires)
}
