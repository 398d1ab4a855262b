package bolt

import (
	"bytes"
	"context"
	"fmt"

	"latchkey/app/internal/kv"
	"latchkey/app/internal/store"
	"latchkey/app/sessions"
)

// bucketSessionIndex: account's id, sessions.Key → one byte, always 1.
//
// The index finds the sessions of an account. Its entries lie all over the file,
// so a login that wrote its own would write two or three pages more. They are
// written a moment later, many together. What is not indexed yet is at the end of
// the sessions, which are in the order of time: keyIndexed says from where on. So
// nothing is missed, also after a kill. A session whose key comes before that, as
// when the clock was put back, is indexed at once.
const bucketSessionIndex = "account sessions"

func indexKey(account kv.ID, k []byte) []byte { return append(account[:], k...) }

// indexedUpTo returns the key from which on sessions may not be indexed.
func indexedUpTo(tx *kv.Tx) []byte {
	key, err := kv.Unseal("how far sessions are indexed", stateVersion, keyIndexed, tx.Get(bucketState, keyIndexed))
	if err != nil {
		return nil // all are read, and indexed again
	}
	return key
}

func putIndexedUpTo(tx *kv.Tx, key []byte) error {
	record := append(make([]byte, kv.SealSize, kv.SealSize+len(key)), key...)
	return tx.Bucket(bucketState).Put(keyIndexed, kv.Seal(stateVersion, keyIndexed, record))
}

// add makes a change that may add a session, and has that indexed in a while.
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

// putIndex writes a value of one byte, for bbolt reports an empty one as missing.
func putIndex(tx *kv.Tx, account kv.ID, k []byte) error {
	return tx.Bucket(bucketSessionIndex).Put(indexKey(account, k), []byte{1})
}

// indexAfterKill has the sessions indexed that a kill left behind.
func (db *DB) indexAfterKill() {
	_ = db.kv.View(context.Background(), func(tx *kv.Tx) error {
		if k, _ := tx.Bucket(bucketSessions).Cursor().Seek(indexedUpTo(tx)); k != nil {
			db.index.Add(struct{}{})
		}
		return nil // on a damaged file there is nothing to index
	})
}

// indexSlice is how many sessions one transaction indexes beyond those it is told
// of.
const indexSlice = 1024

// indexSessions indexes at least as many sessions as it is told of. If more are
// left, it will be called again.
func (db *DB) indexSessions(tx *kv.Tx, told []struct{}) error {
	c := tx.Bucket(bucketSessions).Cursor()
	begin := indexedUpTo(tx)
	var last []byte
	k, record := c.Seek(begin)
	for range len(told) + indexSlice {
		if k == nil {
			break
		}
		// A damaged one is nobody's, and so is an alias.
		if r, err := decodeSession(k, record); err == nil && r.Account != (sessions.Account{}) {
			if err := putIndex(tx, kv.ID(r.Account), k); err != nil {
				return err
			}
		}
		last = bytes.Clone(k)
		k, record = c.Next()
	}
	if last == nil {
		return nil // removed meanwhile
	}
	if bytes.Compare(last, begin) < 0 {
		return errOrder // there might be no end
	}
	if k != nil {
		db.index.Add(struct{}{})
	}
	return putIndexedUpTo(tx, append(last, 0)) // the least key after it
}

var errOrder = fmt.Errorf("%w: keys that are not in order", store.ErrDamaged)

// sessionKeys returns the keys of the sessions of an account, in order. It goes
// forward: going back, bbolt's cursor stops where all of a page was removed in the
// same transaction. Keys that are out of order might have no end.
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

// belongs reports whether the session under k is one of the account.
func belongs(tx *kv.Tx, account kv.ID, k []byte) bool {
	record := tx.Get(bucketSessions, k)
	if isAlias(record) {
		return false
	}
	if r, err := decodeSession(k, record); err == nil {
		return kv.ID(r.Account) == account
	}
	// Of a damaged one the index alone can tell.
	return tx.Get(bucketSessionIndex, indexKey(account, k)) != nil
}
