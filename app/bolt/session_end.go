package bolt

import (
	"bytes"
	"context"

	"latchkey/app/internal/kv"
	"latchkey/app/sessions"
)

func (s sessionStore) End(ctx context.Context, k sessions.Key) error {
	found := false
	err := s.kv.View(ctx, func(tx *kv.Tx) error {
		found = tx.Get(bucketSessions, k[:]) != nil
		return nil
	})
	if err != nil || !found {
		return err // nothing to end, so no commit
	}
	return s.kv.Update(ctx, func(tx *kv.Tx) error { return s.endSession(tx, k) })
}

// maxAliases limits how many rotations of one session endSession follows. It is
// never reached: each rotation needs a password, and an alias expires after a
// minute.
const maxAliases = 1000

// endSession deletes the session under k. If k is an alias, it deletes the
// session that the alias leads to.
func (db *DB) endSession(tx *kv.Tx, k sessions.Key) error {
	for range maxAliases {
		record := tx.Get(bucketSessions, k[:])
		if !isAlias(record) {
			return dropSession(tx, k[:])
		}
		a, err := decodeAlias(k[:], record)
		if err != nil || !db.now().Before(a.expires) {
			return nil // a damaged alias does not lead anywhere
		}
		k = a.key
	}
	return nil
}

// dropSession deletes the session or alias under k, if there is one.
func dropSession(tx *kv.Tx, k []byte) error {
	b := tx.Bucket(bucketSessions)
	record := b.Get(k)
	if record == nil {
		return nil
	}
	if r, err := decodeSession(k, record); err == nil && r.Account != (sessions.Account{}) {
		if err := tx.Bucket(bucketSessionIndex).Delete(indexKey(kv.ID(r.Account), k)); err != nil {
			return err
		}
	}
	return b.Delete(k)
}

// dropSessions ends all sessions of an account.
func dropSessions(tx *kv.Tx, account kv.ID) error { return dropOtherSessions(tx, account, nil) }

func dropOtherSessions(tx *kv.Tx, account kv.ID, keep []byte) error {
	keys, err := sessionKeys(tx, account)
	if err != nil {
		return err
	}
	for _, k := range keys {
		if bytes.Equal(k, keep) {
			continue
		}
		if err := tx.Bucket(bucketSessionIndex).Delete(indexKey(account, k)); err != nil {
			return err
		}
		if err := tx.Bucket(bucketSessions).Delete(k); err != nil {
			return err
		}
	}
	return nil
}

func (s sessionStore) EndAll(ctx context.Context, account sessions.Account) error {
	return s.kv.Update(ctx, func(tx *kv.Tx) error { return dropSessions(tx, kv.ID(account)) })
}

func (s sessionStore) EndOthers(ctx context.Context, account sessions.Account, but sessions.Key) error {
	return s.kv.Update(ctx, func(tx *kv.Tx) error { return dropOtherSessions(tx, kv.ID(account), but[:]) })
}

func (s sessionStore) EndOne(ctx context.Context, account sessions.Account, k sessions.Key) error {
	return s.kv.Update(ctx, func(tx *kv.Tx) error {
		if !belongs(tx, kv.ID(account), k[:]) {
			return sessions.ErrEnded
		}
		return dropSession(tx, k[:])
	})
}
