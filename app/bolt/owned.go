package bolt

import (
	"bytes"
	"fmt"

	"go.etcd.io/bbolt"

	"latchkey/app/sessions"
)

// The sessions of an account are found by their entries in bucketOwned. Those lie
// all over the file, so a login that wrote its entry would write two or three
// pages for it. They are written a moment later instead, many together.
//
// What is not entered yet is at the end of bucketSessions, which is in the order
// of time: keyEntered says where that end begins. So nothing is missed, also
// after a kill. A session whose key comes before it, as when the clock was put
// back, is entered at once.

// entered returns the key from which on sessions may not be entered yet.
func entered(tx *bbolt.Tx) []byte {
	value := tx.Bucket(bucketMeta).Get(keyEntered)
	if whole("how far sessions are entered", keyEntered, value, 5) != nil {
		return nil // all are looked at, and entered anew
	}
	return value[5:]
}

// begin makes a change that may add a session, and sees to it that it is entered.
func (db *DB) begin(change func(tx *bbolt.Tx) error) error {
	err := db.writes.do(change)
	if err == nil {
		db.entries.add(struct{}{})
	}
	return err
}

// addSession writes a new session.
func addSession(tx *bbolt.Tx, k []byte, account sessions.Account, value []byte) error {
	if bytes.Compare(k, entered(tx)) < 0 && account != (sessions.Account{}) {
		if err := enter(tx, account, k); err != nil {
			return err
		}
	}
	return putEncoded(tx, k, value)
}

// enter writes the entry of a session.
func enter(tx *bbolt.Tx, account sessions.Account, k []byte) error {
	// A value of one byte, for bbolt returns no value and an empty one alike.
	return tx.Bucket(bucketOwned).Put(owned(account[:], k), []byte{1})
}

// enterAll enters the sessions that are not entered yet, some in each transaction.
func (db *DB) enterAll([]struct{}) error {
	<-db.writes.decided // however long that takes
	for {
		var first []byte
		err := guard(func() error {
			// Not by db.view, which keeps the transaction: who writes by Conn would not
			// know of it.
			return db.Storage.Conn().View(func(tx *bbolt.Tx) error {
				first, _ = tx.Bucket(bucketSessions).Cursor().Seek(entered(tx))
				return nil
			})
		})
		if err != nil || first == nil {
			return err
		}
		err = db.writes.do(func(tx *bbolt.Tx) error {
			c := tx.Bucket(bucketSessions).Cursor()
			begin := entered(tx)
			var last []byte
			k, value := c.Seek(begin)
			for range maxSlice {
				if k == nil {
					break
				}
				// One that is damaged is nobody's.
				if r, err := decode(k, value); err == nil && r.Account != (sessions.Account{}) {
					if err := enter(tx, r.Account, k); err != nil {
						return err
					}
				}
				last = k
				k, value = c.Next()
			}
			if last == nil {
				return nil // removed meanwhile
			}
			if bytes.Compare(last, begin) < 0 {
				return errOrder // there might be no end
			}
			end := append(append(make([]byte, 5, 5+len(last)+1), last...), 0) // the least key after it
			return tx.Bucket(bucketMeta).Put(keyEntered, seal(keyEntered, end))
		})
		if err != nil {
			return err
		}
	}
}

// sessionsOf returns the keys of the sessions of an account, in their order. It
// goes forward, for back bbolt's cursor stops where all of a page was removed in
// this same transaction. Where keys are out of order the file is damaged, and
// there might be no end.
func sessionsOf(tx *bbolt.Tx, account []byte) (keys [][]byte, err error) {
	end := entered(tx)
	c := tx.Bucket(bucketOwned).Cursor()
	var last []byte
	for k, _ := c.Seek(account); bytes.HasPrefix(k, account) && bytes.Compare(k[len(account):], end) < 0; k, _ = c.Next() {
		if bytes.Compare(k, last) <= 0 {
			return nil, errOrder
		}
		last = k
		keys = append(keys, bytes.Clone(k[len(account):]))
	}
	c = tx.Bucket(bucketSessions).Cursor()
	last = nil
	for k, value := c.Seek(end); k != nil; k, value = c.Next() {
		if bytes.Compare(k, last) <= 0 {
			return nil, errOrder
		}
		last = k
		if len(value) >= recordHead && bytes.Equal(accountOf(value), account) {
			keys = append(keys, bytes.Clone(k))
		}
	}
	return keys, nil
}

var errOrder = fmt.Errorf("%w: keys that are not in order", ErrDamaged)

// belongs reports whether the session under k is one of an account.
func belongs(tx *bbolt.Tx, account, k []byte) bool {
	value := tx.Bucket(bucketSessions).Get(k)
	if _, err := decode(k, value); err == nil {
		return bytes.Equal(accountOf(value), account)
	}
	// Of one that is damaged the entry alone can tell.
	return tx.Bucket(bucketOwned).Get(owned(account, k)) != nil
}

// owned returns the key that enters session k among those of its account.
func owned(account, k []byte) []byte {
	return append(append(make([]byte, 0, len(account)+len(k)), account...), k...)
}
