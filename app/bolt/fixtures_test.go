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

// must fails the test if there was an error.
func must(t testing.TB, errs ...error) {
	t.Helper()
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
}

func nameOf(i int) string { return fmt.Sprintf("player %07d", i) }

// create keeps an account that may log in.
func create(t testing.TB, db *DB, name string, change ...func(*accounts.Account)) accounts.Account {
	t.Helper()
	n, err := accounts.ParseName(name)
	must(t, err)
	at := time.Now().UTC().Truncate(time.Microsecond)
	a := accounts.Account{ID: accounts.NewID(), Name: n, Hash: "hash", Created: at, PasswordChanged: at, PasswordVersion: 1}
	for _, f := range change {
		f(&a)
	}
	must(t, db.Accounts().Create(t.Context(), a))
	return a
}

func keyOf(id string) sessions.Key { return sessions.KeyOf(id) }

// begin begins a session of the account, as it was read.
func begin(db *DB, k sessions.Key, a accounts.Account, at time.Time) error {
	s := sessions.Session{Account: sessions.Account(a.ID), PasswordVersion: a.PasswordVersion, Began: at, Seen: at, Reauthenticated: at}
	return db.Sessions().Begin(context.Background(), k, sessions.Key{}, s, []byte(a.Name.String()))
}

// sessionKey is that of session i of a town.
func sessionKey(i int) sessions.Key { return keyOf("session " + nameOf(i)) }

// fill makes n accounts, two sessions of each, and all else in proportion. Session i
// is of account i%n, and every third account is an administrator.
func fill(t testing.TB, db *DB, n int) {
	t.Helper()
	now := time.Now()
	all := make([]accounts.Account, n)
	for i := range all {
		all[i] = create(t, db, nameOf(i), func(a *accounts.Account) { a.Admin = i%3 == 0 })
		insertRegistrations(t, db, all[i].ID)
		var sum [32]byte
		rand.Read(sum[:])
		must(t, db.Accounts().StartReset(t.Context(), all[i].ID, sum, now.Add(time.Hour)))
		db.Events().Note(t.Context(), accounts.Event{Account: all[i].ID, At: now, What: "login", Outcome: "done"})
	}
	for i := range 2 * n {
		must(t, begin(db, sessionKey(i), all[i%n], now))
	}
}

// town is a small file in which every bucket has something: see fill, with 3.
func town(t testing.TB) string {
	t.Helper()
	path := temp(t)
	db := openAt(t, path, Options{})
	fill(t, db, 3)
	must(t, db.Close())
	return path
}

// alter changes a file that no store has open.
func alter(t testing.TB, path string, f func(tx *bbolt.Tx) error) {
	t.Helper()
	db, err := bbolt.Open(path, 0o600, nil)
	must(t, err)
	must(t, db.Update(f), db.Close())
}

// count returns how many keys a bucket has.
func count(t testing.TB, db *DB, bucket string) (n int) {
	t.Helper()
	must(t, db.kv.View(t.Context(), func(tx *kv.Tx) error {
		n = 0
		return tx.Bucket(bucket).ForEach(func(_, _ []byte) error { n++; return nil })
	}))
	return n
}

// read runs f in a transaction.
func read(t testing.TB, db *DB, f func(tx *kv.Tx)) {
	t.Helper()
	must(t, db.kv.View(t.Context(), func(tx *kv.Tx) error { f(tx); return nil }))
}

func update(t testing.TB, db *DB, f func(tx *kv.Tx) error) {
	t.Helper()
	must(t, db.kv.Update(t.Context(), f))
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

// mustHave wants so many sessions in the file, and so many of accounts that the
// index leads to, or will: those after its mark.
func mustHave(t testing.TB, db *DB, what string, all, ofAccounts int) {
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
		must(t, tx.Bucket(bucketSessions).ForEach(func(_, record []byte) error {
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
