package bolt

import (
	"bytes"
	"context"
	"fmt"

	"latchkey/app/internal/kv"
	"latchkey/app/internal/store"
	"latchkey/app/sessions"
)

// bucketSessionIndex: account id, sessions.Key → one byte, always 1.
//
// The index finds the sessions of an account. Its entries are scattered over
// the file, so updating it in each login would write two or three pages more.
// Instead, write-behind adds many entries at once. Session keys begin with
// their time, so sessions that are not indexed yet are at the end of
// bucketSessions: keyIndexed holds the first key that may not be indexed.
// Lookups read the index and that end, so they are complete even after a kill.
// A session with a smaller key, as after the clock was set back, is indexed
// immediately.
const bucketSessionIndex = "account sessions"

func indexKey(account kv.ID, k []byte) []byte { return append(account[:], k...) }

// indexedUpTo returns the key from which on sessions may not be indexed.
func indexedUpTo(tx *kv.Tx) []byte {
	key, err := kv.Unseal("how far sessions are indexed", stateVersion, keyIndexed, tx.Get(bucketState, keyIndexed))
	if err != nil {
		return nil // unknown: read and index all sessions
	}
	return key
}

func putIndexedUpTo(tx *kv.Tx, key []byte) error {
	record := append(make([]byte, kv.SealSize, kv.SealSize+len(key)), key...)
	return tx.Bucket(bucketState).Put(keyIndexed, kv.Seal(stateVersion, keyIndexed, record))
}

// add runs a change that may add a session, and schedules its indexing.
func (db *DB) add(ctx context.Context, change func(tx *kv.Tx) error) error {
	err := db.kv.Update(ctx, change)
	if err == nil {
		db.index.Add(struct{}{})
	}
	return err
}

// addSession writes a new session.
func addSession(tx *kv.Tx, k []byte, account kv.ID, record []byte) error {
	if account != (kv.ID{}) && bytes.Compare(k, indexedUpTo(tx)) < 0 {
		if err := putIndex(tx, account, k); err != nil {
			return err
		}
	}
	return putSession(tx, k, record)
}

// putIndex writes a value of one byte, because bbolt does not distinguish an
// empty value from a missing one.
func putIndex(tx *kv.Tx, account kv.ID, k []byte) error {
	return tx.Bucket(bucketSessionIndex).Put(indexKey(account, k), []byte{1})
}

// indexAfterKill schedules the indexing of sessions that a killed process left.
func (db *DB) indexAfterKill() {
	_ = db.kv.View(context.Background(), func(tx *kv.Tx) error {
		if k, _ := tx.Bucket(bucketSessions).Cursor().Seek(indexedUpTo(tx)); k != nil {
			db.index.Add(struct{}{})
		}
		return nil // View fails only on a damaged file, where nothing can be indexed
	})
}

// indexSlice is how many additional sessions one transaction indexes.
const indexSlice = 1024

// indexSessions indexes a slice of sessions, at least one for each item in
// added. If some are left, it schedules another call.
func (db *DB) indexSessions(tx *kv.Tx, added []struct{}) error {
	c := tx.Bucket(bucketSessions).Cursor()
	begin := indexedUpTo(tx)
	var last []byte
	k, record := c.Seek(begin)
	for range len(added) + indexSlice {
		if k == nil {
			break
		}
		// Damaged sessions and aliases have no account.
		if r, err := decodeSession(k, record); err == nil && r.Account != (sessions.Account{}) {
			if err := putIndex(tx, kv.ID(r.Account), k); err != nil {
				return err
			}
		}
		last = bytes.Clone(k)
		k, record = c.Next()
	}
	if last == nil {
		return nil // deleted meanwhile
	}
	if bytes.Compare(last, begin) < 0 {
		return errOrder // damaged: the cursor might never reach the end
	}
	if k != nil {
		db.index.Add(struct{}{})
	}
	return putIndexedUpTo(tx, append(last, 0)) // the smallest key after last
}

var errOrder = fmt.Errorf("%w: keys that are not in order", store.ErrDamaged)

// sessionKeys returns the keys of an account's sessions in order. It iterates
// forwards because bbolt's cursor, going back, stops at a page whose elements
// were all deleted in the same transaction. Keys out of order mean a damaged
// file, where the cursor might never reach the end.
func sessionKeys(tx *kv.Tx, account kv.ID) (keys [][]byte, err error) {
	end := indexedUpTo(tx)
	c := tx.Bucket(bucketSessionIndex).Cursor()
	var last []byte
	for k, _ := c.Seek(account[:]); bytes.HasPrefix(k, account[:]) && bytes.Compare(k[len(account):], end) < 0; k, _ = c.Next() {
		if bytes.Compare(k, last) <= 0 {
			return nil, errOrder
		}
		last = k
		keys = append(keys, bytes.Clone(k[len(account):]))
	}
	c = tx.Bucket(bucketSessions).Cursor()
	last = nil
	for k, record := c.Seek(end); k != nil; k, record = c.Next() {
		if bytes.Compare(k, last) <= 0 {
			return nil, errOrder
		}
		last = k
		if isSessionOf(account, record) {
			keys = append(keys, bytes.Clone(k))
		}
	}
	return keys, nil
}

// belongs reports whether k is the key of a session of the account.
func belongs(tx *kv.Tx, account kv.ID, k []byte) bool {
	record := tx.Get(bucketSessions, k)
	if isAlias(record) {
		return false
	}
	if r, err := decodeSession(k, record); err == nil {
		return kv.ID(r.Account) == account
	}
	// The session is damaged: use the index.
	return tx.Get(bucketSessionIndex, indexKey(account, k)) != nil
}
