package bolt

import (
	"bytes"
	"encoding/binary"
	"errors"
	"time"

	"go.etcd.io/bbolt"

	"latchkey/app/accounts"
	"latchkey/app/internal/kv"
	"latchkey/app/internal/store"
)

// Files of older formats. testdata has one of each.
//
// Format 1 had sessions under the SHA-256 of their ids alone. They end.
//
// Format 2 had nanoseconds in accounts and resets, no version of the password, and
// registrations under their owner and sport. Sessions named the password by when
// it was set: those nanoseconds are its version now, so sessions go on.
var upgrades = []kv.Upgrade{
	{From: 1, Step: dropSessionsOfFormat1},
	{From: 2, Step: upgradeFormat2},
}

// legacy is the bucket in which formats 1 and 2 said what they are.
var legacy = kv.Legacy{
	Bucket: "latchkey",
	Move: func(tx *kv.Tx, old *bbolt.Bucket) error {
		state := tx.Bucket(bucketState)
		if err := state.Put(keySigning, bytes.Clone(old.Get(keySigning))); err != nil {
			return err
		}
		key := []byte("entered")
		indexed, err := kv.Unseal("how far sessions are indexed", stateVersion, key, old.Get(key))
		if err != nil {
			return nil // all are indexed again
		}
		return putIndexedUpTo(tx, indexed)
	},
}

// upgradeSlice is how many records one transaction converts.
const upgradeSlice = 1000

func dropSessionsOfFormat1(tx *kv.Tx) (done bool, err error) {
	b := tx.Bucket(bucketSessions)
	for range upgradeSlice {
		k, _ := b.Cursor().First()
		if k == nil {
			// Its index did not depend on time, and nothing is left to index.
			if err := tx.DeleteBucket([]byte(bucketSessionIndex)); err != nil {
				return false, err
			}
			_, err := tx.CreateBucket([]byte(bucketSessionIndex))
			return true, err
		}
		if err := b.Delete(bytes.Clone(k)); err != nil {
			return false, err
		}
	}
	return false, nil
}

// conversion is one bucket whose records get another form. A record that cannot be
// read stays as it is: its damage costs that record.
type conversion struct {
	bucket  string
	convert func(tx *kv.Tx, key, record []byte) error
	drop    []string // buckets that are empty afterwards
}

var format2 = []conversion{
	{bucket: bucketAccounts, convert: convertAccount},
	{bucket: bucketResets, convert: convertReset},
	{bucket: "registrations", convert: convertRegistration, drop: []string{"registrations", "registration ids"}},
}

// upgradeFormat2 converts a slice. keyUpgrade has the number of the conversion it
// has come to and the key to go on from.
func upgradeFormat2(tx *kv.Tx) (done bool, err error) {
	state := tx.Bucket(bucketState)
	position := bytes.Clone(state.Get(keyUpgrade))
	if position == nil {
		position = []byte{0}
	}
	n := int(position[0])
	if n == len(format2) {
		return true, state.Delete(keyUpgrade)
	}
	next, err := format2[n].slice(tx, position[1:])
	if err != nil {
		return false, err
	}
	if next != nil {
		return false, state.Put(keyUpgrade, append([]byte{byte(n)}, next...))
	}
	for _, bucket := range format2[n].drop {
		if err := dropIfEmpty(tx, bucket); err != nil {
			return false, err
		}
	}
	return false, state.Put(keyUpgrade, []byte{byte(n + 1)})
}

// slice converts the records from first on, and returns where the next slice
// begins, or nil.
func (c conversion) slice(tx *kv.Tx, first []byte) (next []byte, err error) {
	b := tx.Tx.Bucket([]byte(c.bucket))
	if b == nil {
		return nil, nil // older files did not have all buckets
	}
	type entry struct{ key, record []byte }
	var entries []entry // read first: a cursor may not be trusted after a write
	cursor := b.Cursor()
	key, record := cursor.Seek(first)
	for ; key != nil && len(entries) < upgradeSlice; key, record = cursor.Next() {
		entries = append(entries, entry{bytes.Clone(key), bytes.Clone(record)})
	}
	next = bytes.Clone(key)
	for _, e := range entries {
		err := c.convert(tx, e.key, e.record)
		if err != nil && !errors.Is(err, store.ErrDamaged) && !errors.Is(err, accounts.ErrNotFound) {
			return nil, err
		}
	}
	return next, nil
}

func dropIfEmpty(tx *kv.Tx, bucket string) error {
	b := tx.Tx.Bucket([]byte(bucket))
	if b == nil {
		return nil
	}
	if key, _ := b.Cursor().First(); key != nil {
		return nil // what could not be read, for whoever repairs the file
	}
	return tx.DeleteBucket([]byte(bucket))
}

const version1 = 1 // of all records of formats 1 and 2

func fromNanoseconds(b []byte) time.Time {
	n := binary.BigEndian.Uint64(b)
	if n == 0 {
		return time.Time{}
	}
	return time.Unix(0, int64(n)).UTC().Truncate(time.Microsecond)
}

// convertAccount: flags, created, last login and password changed in nanoseconds,
// then name, folded name and hash.
func convertAccount(tx *kv.Tx, id, record []byte) error {
	content, err := kv.Unseal("an account", version1, id, record)
	if err == nil && (len(content) < 1+3*8 || len(id) != len(accounts.ID{})) {
		err = errShort
	}
	if err != nil {
		return err
	}
	var texts [3]string
	rest := content[1+3*8:]
	for i := range texts {
		if texts[i], rest, err = nextText(rest); err != nil {
			return err
		}
	}
	return tx.Bucket(bucketAccounts).Put(id, encodeAccount(accounts.Account{
		ID:              accounts.ID(id),
		Name:            accounts.StoredName(texts[0], texts[1]),
		Hash:            texts[2],
		Admin:           content[0]&flagAdmin != 0,
		Disabled:        content[0]&flagDisabled != 0,
		Created:         fromNanoseconds(content[1:]),
		LastLogin:       fromNanoseconds(content[9:]),
		PasswordChanged: fromNanoseconds(content[17:]),
		PasswordVersion: binary.BigEndian.Uint64(content[17:]),
	}))
}

// convertReset: the account's id and when it expires in nanoseconds.
func convertReset(tx *kv.Tx, sum, record []byte) error {
	content, err := kv.Unseal("a reset", version1, sum, record)
	if err == nil && len(content) != resetSize {
		err = errShort
	}
	if err != nil {
		return err
	}
	r := reset{kv.ID(content), fromNanoseconds(content[16:])}
	return tx.Bucket(bucketResets).Put(sum, encodeReset(sum, r))
}
