package bolt

import (
	"bytes"
	"crypto/rand"
	"fmt"
	"slices"
	"time"

	"go.etcd.io/bbolt"

	"latchkey/app/accounts"
)

// Fill keeps n accounts, called by FilledName, in few large transactions: one by
// one they would take an hour. Their ids are random, so the accounts of one page
// lie all over the file, as they would.
func (db *DB) Fill(n int) error {
	type entry struct {
		number int
		id     accounts.ID
	}
	entries := make([]entry, n)
	for i := range entries {
		entries[i].number = i
		rand.Read(entries[i].id[:])
	}
	at := time.Now()
	// In the order of their keys, each bucket is written once from left to right.
	byID := slices.SortedFunc(slices.Values(entries), func(a, b entry) int { return bytes.Compare(a.id[:], b.id[:]) })
	for part := range slices.Chunk(byID, 100_000) {
		err := db.Conn().Update(func(tx *bbolt.Tx) error {
			for _, e := range part {
				name := FilledName(e.number)
				a := accounts.Account{ID: e.id, Name: accounts.StoredName(name, name), Created: at, PasswordChanged: at,
					Hash: "$argon2id$v=19$m=19456,t=2,p=1$c29tZXNhbHRzb21lc2FsdA$c29tZWhhc2hzb21laGFzaHNvbWVoYXNoc29tZWhhc2g"}
				if err := putAccount(tx, a); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	for part := range slices.Chunk(entries, 100_000) {
		err := db.Conn().Update(func(tx *bbolt.Tx) error {
			for _, e := range part {
				if err := tx.Bucket(bucketNames).Put([]byte(FilledName(e.number)), e.id[:]); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// FilledName returns what Fill calls an account.
func FilledName(number int) string { return fmt.Sprintf("player %07d", number) }
