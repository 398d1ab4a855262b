package bolt

import (
	"bytes"
	"crypto/rand"
	"fmt"
	mathrand "math/rand/v2"
	"slices"
	"testing"
	"time"

	"latchkey/app/accounts"
	"latchkey/app/internal/kv"
)

// fillAccounts stores n accounts with random ids in a few large transactions,
// because single ones would take an hour.
func fillAccounts(b *testing.B, db *DB, n int) {
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
	inSlices := func(entries []entry, put func(tx *kv.Tx, e entry) error) {
		for part := range slices.Chunk(entries, 100_000) {
			if err := db.kv.Update(b.Context(), func(tx *kv.Tx) error {
				for _, e := range part {
					if err := put(tx, e); err != nil {
						return err
					}
				}
				return nil
			}); err != nil {
				b.Fatal(err)
			}
		}
	}
	// Write in key order, so that each page is written once.
	byID := slices.SortedFunc(slices.Values(entries), func(a, b entry) int { return bytes.Compare(a.id[:], b.id[:]) })
	inSlices(byID, func(tx *kv.Tx, e entry) error {
		name := nameOf(e.number)
		return putAccount(tx, accounts.Account{
			ID: e.id, Name: accounts.StoredName(name, name), Created: at, PasswordChanged: at, PasswordVersion: 1,
			Hash: "$argon2id$v=19$m=19456,t=2,p=1$c29tZXNhbHRzb21lc2FsdA$c29tZWhhc2hzb21laGFzaHNvbWVoYXNoc29tZWhhc2g",
		})
	})
	inSlices(entries, func(tx *kv.Tx, e entry) error {
		return tx.Bucket(bucketNames).Put([]byte(nameOf(e.number)), e.id[:])
	})
}

// BenchmarkSearch compares a page of the back office with 1,000 and with
// 1,000,000 accounts.
func BenchmarkSearch(b *testing.B) {
	const page = 50
	var small time.Duration
	for _, n := range []int{1_000, 1_000_000} {
		db := openNew(b)
		fillAccounts(b, db, n)
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			for b.Loop() {
				found, err := db.Accounts().List(b.Context(), "player", nameOf(mathrand.IntN(n-page-1)), page)
				if err != nil || len(found) != page {
					b.Fatalf("%d accounts, %v", len(found), err)
				}
			}
			each := b.Elapsed() / time.Duration(b.N)
			if n == 1_000 {
				small = each
			} else if small > 0 {
				b.ReportMetric(float64(each)/float64(small), "times")
			}
		})
	}
}
