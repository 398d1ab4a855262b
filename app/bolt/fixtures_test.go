package bolt

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"go.etcd.io/bbolt"

	"latchkey/app/accounts"
	"latchkey/app/internal/kv"
	"latchkey/app/sessions"
)

var hour = sessions.Limits{Idle: time.Hour, Lifetime: time.Hour}

func temp(t testing.TB) string { return filepath.Join(t.TempDir(), "data", "x.db") }

func openAt(t testing.TB, path string, o Options) *DB {
	t.Helper()
	if o.Limits == (sessions.Limits{}) {
		o.Limits = hour
	}
	db, err := Open(path, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	return db
}

func openNew(t testing.TB) *DB { t.Helper(); return openAt(t, temp(t), Options{}) }

// noError fails the test if an error is not nil.
func noError(t testing.TB, errs ...error) {
	t.Helper()
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
}

func nameOf(i int) string { return fmt.Sprintf("player %07d", i) }

// create stores an account that may log in.
func create(t testing.TB, db *DB, name string, change ...func(*accounts.Account)) accounts.Account {
	t.Helper()
	n, err := accounts.ParseName(name)
	noError(t, err)
	at := time.Now().UTC().Truncate(time.Microsecond)
	a := accounts.Account{ID: accounts.NewID(), Name: n, Hash: "hash", Created: at, PasswordChanged: at, PasswordVersion: 1}
	for _, f := range change {
		f(&a)
	}
	noError(t, db.Accounts().Create(t.Context(), a))
	return a
}

func keyOf(id string) sessions.Key { return sessions.KeyOf(id) }

// begin begins a session of the account.
func begin(db *DB, k sessions.Key, a accounts.Account, at time.Time) error {
	s := sessions.Session{Account: sessions.Account(a.ID), PasswordVersion: a.PasswordVersion, Began: at, Seen: at, Reauthenticated: at}
	return db.Sessions().Begin(context.Background(), k, sessions.Key{}, s, []byte(a.Name.String()))
}

// sessionKey is the key of session i in a test file.
func sessionKey(i int) sessions.Key { return keyOf("session " + nameOf(i)) }

// fill creates n accounts with two sessions each, and a proportional number of
// other records. Session i belongs to account i%n, and every third account is
// an administrator.
func fill(t testing.TB, db *DB, n int) {
	t.Helper()
	now := time.Now()
	all := make([]accounts.Account, n)
	for i := range all {
		all[i] = create(t, db, nameOf(i), func(a *accounts.Account) { a.Admin = i%3 == 0 })
		insertRegistrations(t, db, all[i].ID)
		var sum [32]byte
		rand.Read(sum[:])
		noError(t, db.Accounts().StartReset(t.Context(), all[i].ID, sum, now.Add(time.Hour)))
		db.Events().Note(t.Context(), accounts.Event{Account: all[i].ID, At: now, What: "login", Outcome: "done"})
	}
	for i := range 2 * n {
		noError(t, begin(db, sessionKey(i), all[i%n], now))
	}
}

// testFile returns a small file with records in every bucket: see fill, with 3.
func testFile(t testing.TB) string {
	t.Helper()
	path := temp(t)
	db := openAt(t, path, Options{})
	fill(t, db, 3)
	noError(t, db.Close())
	return path
}

// alter changes a file with bbolt.
func alter(t testing.TB, path string, f func(tx *bbolt.Tx) error) {
	t.Helper()
	db, err := bbolt.Open(path, 0o600, nil)
	noError(t, err)
	noError(t, db.Update(f), db.Close())
}

// count returns how many keys a bucket has.
func count(t testing.TB, db *DB, bucket string) (n int) {
	t.Helper()
	noError(t, db.kv.View(t.Context(), func(tx *kv.Tx) error {
		n = 0
		return tx.Bucket(bucket).ForEach(func(_, _ []byte) error { n++; return nil })
	}))
	return n
}

// read runs f in a transaction.
func read(t testing.TB, db *DB, f func(tx *kv.Tx)) {
	t.Helper()
	noError(t, db.kv.View(t.Context(), func(tx *kv.Tx) error { f(tx); return nil }))
}

func update(t testing.TB, db *DB, f func(tx *kv.Tx) error) {
	t.Helper()
	noError(t, db.kv.Update(t.Context(), f))
}

// indexAll indexes all sessions now.
func indexAll(t testing.TB, db *DB) {
	t.Helper()
	for more := true; more; {
		update(t, db, func(tx *kv.Tx) error {
			if err := db.indexSessions(tx, nil); err != nil {
				return err
			}
			k, _ := tx.Bucket(bucketSessions).Cursor().Seek(indexedUpTo(tx))
			more = k != nil
			return nil
		})
	}
}

// hasSessions fails the test unless the file has so many sessions, and so many of
// accounts that the index has or will have: those after its mark.
func hasSessions(t testing.TB, db *DB, what string, all, ofAccounts int) {
	t.Helper()
	got := count(t, db, bucketSessionIndex)
	read(t, db, func(tx *kv.Tx) {
		c := tx.Bucket(bucketSessions).Cursor()
		for k, record := c.Seek(indexedUpTo(tx)); k != nil; k, record = c.Next() {
			if r, err := decodeSession(k, record); err == nil && r.Account != (sessions.Account{}) {
				got++
			}
		}
	})
	n := 0
	read(t, db, func(tx *kv.Tx) {
		noError(t, tx.Bucket(bucketSessions).ForEach(func(_, record []byte) error {
			if !isAlias(record) {
				n++
			}
			return nil
		}))
	})
	if n != all || got != ofAccounts {
		t.Errorf("%s: %d sessions and %d of accounts, want %d and %d", what, n, got, all, ofAccounts)
	}
}

// firstKey returns a copy of the first key of a bucket.
func firstKey(b *bbolt.Bucket) []byte { k, _ := b.Cursor().First(); return bytes.Clone(k) }
