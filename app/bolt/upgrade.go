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

// Upgrades from older formats. testdata has a file of each format.
//
// Format 1: session keys were plain SHA-256 sums of ids. The upgrade ends all
// sessions.
//
// Format 2: accounts and resets had times in nanoseconds, accounts had no
// PasswordVersion, and registrations had the owner and the sport as key.
// Sessions stored the time of the last password change in nanoseconds. The
// upgrade uses that number as PasswordVersion, so sessions continue.
var upgrades = []kv.Upgrade{
	{From: 1, Step: dropSessionsOfFormat1},
	{From: 2, Step: upgradeFormat2},
}

// legacy is the bucket in which formats 1 and 2 kept the format number.
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
			return nil // unknown: index all sessions again
		}
		return putIndexedUpTo(tx, indexed)
	},
}

// upgradeSlice is the number of records converted in one transaction.
const upgradeSlice = 1000

func dropSessionsOfFormat1(tx *kv.Tx) (done bool, err error) {
	b := tx.Bucket(bucketSessions)
	for range upgradeSlice {
		k, _ := b.Cursor().First()
		if k == nil {
			// All sessions are deleted. The index of format 1 had another order, so it
			// is replaced.
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

// conversion converts the records of one bucket. A record that cannot be
// decoded stays unchanged.
type conversion struct {
	bucket  string
	convert func(tx *kv.Tx, key, record []byte) error
	drop    []string // buckets to delete afterwards if they are empty
}

var format2 = []conversion{
	{bucket: bucketAccounts, convert: convertAccount},
	{bucket: bucketResets, convert: convertReset},
	{bucket: "registrations", convert: convertRegistration, drop: []string{"registrations", "registration ids"}},
}

// upgradeFormat2 converts one slice. keyUpgrade holds the index of the current
// conversion and the key to continue from.
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

// slice converts the records from first on and returns the key of the next
// slice, or nil at the end.
func (c conversion) slice(tx *kv.Tx, first []byte) (next []byte, err error) {
	b := tx.Tx.Bucket([]byte(c.bucket))
	if b == nil {
		return nil, nil // a file of an older version may lack the bucket
	}
	type entry struct{ key, record []byte }
	var entries []entry // read first: a write invalidates the cursor
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
		return nil // keep records that could not be decoded, for a repair
	}
	return tx.DeleteBucket([]byte(bucket))
}

const recordVersion1 = 1 // record version in formats 1 and 2

func fromNanoseconds(b []byte) time.Time {
	n := binary.BigEndian.Uint64(b)
	if n == 0 {
		return time.Time{}
	}
	return time.Unix(0, int64(n)).UTC().Truncate(time.Microsecond)
}

// convertAccount converts an account of format 2: flags; created, last login
// and password changed in nanoseconds; name, folded name and hash.
func convertAccount(tx *kv.Tx, id, record []byte) error {
	content, err := kv.Unseal("an account", recordVersion1, id, record)
	if err == nil && (len(content) < 1+3*8 || len(id) != len(accounts.ID{})) {
		err = errTruncated
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

// convertReset converts a reset of format 2: account id, expiry in nanoseconds.
func convertReset(tx *kv.Tx, sum, record []byte) error {
	content, err := kv.Unseal("a reset", recordVersion1, sum, record)
	if err == nil && len(content) != resetSize {
		err = errTruncated
	}
	if err != nil {
		return err
	}
	r := reset{kv.ID(content), fromNanoseconds(content[16:])}
	return tx.Bucket(bucketResets).Put(sum, encodeReset(sum, r))
}
