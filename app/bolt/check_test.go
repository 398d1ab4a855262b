package bolt

import (
	"bytes"
	"crypto/rand"
	"errors"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"go.etcd.io/bbolt"

	"latchkey/app/accounts"
	"latchkey/app/sessions"
)

// town is a small file in which every bucket has something: three accounts with
// two sessions each. Session i is kept under sessionID(i), of account i%3.
func town(t testing.TB) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "town.db")
	db, err := Open(path, sessions.Limits{Idle: time.Hour, Lifetime: time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	fill(t, db, 3)
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	return path
}

// alter changes a file that no store has open.
func alter(t *testing.T, path string, f func(tx *bbolt.Tx) error) {
	t.Helper()
	db, err := bbolt.Open(path, 0o600, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(db.Update(f), db.Close()); err != nil {
		t.Fatal(err)
	}
}

func sessionID(i int) string { return "session " + FilledName(i) }

// fill makes n accounts and twice as many sessions, all else in proportion.
func fill(t testing.TB, db *DB, n int) {
	t.Helper()
	now := time.Now()
	ids := make([]accounts.ID, n)
	must := func(err error) {
		if err != nil {
			t.Fatal(err)
		}
	}
	for i := range ids {
		rand.Read(ids[i][:])
		name := FilledName(i)
		must(db.Accounts().Create(accounts.Account{
			ID: ids[i], Name: accounts.StoredName(name, name), Created: now, PasswordChanged: now, Hash: "hash", Admin: i%3 == 0,
		}))
		must(twoRegistrations(db, ids[i]))
		var sum [32]byte
		rand.Read(sum[:])
		must(db.Accounts().StartReset(ids[i], sum, now.Add(time.Hour)))
		must(db.note([]accounts.Event{{Account: ids[i], At: now, What: "login", Outcome: "done"}}))
	}
	for i := range 2 * n {
		s := sessions.Session{Account: sessions.Account(ids[i%n]), Password: now, Began: now, Seen: now}
		must(db.Begin(sessionID(i), "", s, []byte(FilledName(i%n))))
	}
}

func TestCheckOfAWholeFile(t *testing.T) {
	r, err := Check(t.Context(), town(t))
	if err != nil || !r.Whole() {
		t.Fatalf("%+v, %v", r, err)
	}
	for what, counts := range map[string][2]int{
		"accounts":       {r.Accounts, 3},
		"administrators": {r.Administrators, 1},
		"sessions":       {r.Sessions, 6},
		"registrations":  {r.Registrations, 6},
		"resets":         {r.Resets, 3},
		"events":         {r.Events, 3},
	} {
		if counts[0] != counts[1] {
			t.Errorf("%s: %d, want %d", what, counts[0], counts[1])
		}
	}
}

// Each index is checked both ways: whatever entry is taken out of the file, or
// put into another's place, is missed.
func TestCheckFindsWhatDoesNotMatch(t *testing.T) {
	first := func(b *bbolt.Bucket) []byte { k, _ := b.Cursor().First(); return bytes.Clone(k) }
	tests := map[string]func(tx *bbolt.Tx) error{
		"a session that is not decoded": func(tx *bbolt.Tx) error {
			b := tx.Bucket(bucketSessions)
			return b.Put(first(b), []byte("nonsense"))
		},
		"a session under another's key": func(tx *bbolt.Tx) error {
			b := tx.Bucket(bucketSessions)
			k, _ := b.Cursor().Last()
			return b.Put(first(b), b.Get(k))
		},
		"a name of another": func(tx *bbolt.Tx) error {
			b := tx.Bucket(bucketNames)
			k, _ := b.Cursor().Last()
			return b.Put(first(b), b.Get(k))
		},
		"a disabled administrator": func(tx *bbolt.Tx) error {
			id := first(tx.Bucket(bucketAdmins))
			a, err := account(tx, id)
			a.Disabled = true
			return errors.Join(err, tx.Bucket(bucketAccounts).Put(id, encodeAccount(a)))
		},
		"a short signing key": func(tx *bbolt.Tx) error { return tx.Bucket(bucketMeta).Put(keySigning, []byte("short")) },
	}
	for _, name := range buckets[1:] {
		if string(name) == string(bucketEvents) {
			continue // nothing leads to an event
		}
		tests["without one of the "+string(name)] = func(tx *bbolt.Tx) error {
			b := tx.Bucket(name)
			return b.Delete(first(b))
		}
	}
	for name, harm := range tests {
		t.Run(name, func(t *testing.T) {
			path := town(t)
			alter(t, path, harm)
			r, err := Check(t.Context(), path)
			if err != nil || r.Whole() {
				t.Errorf("%+v, %v", r, err)
			}
			for _, line := range r.Problems {
				if strings.ContainsAny(line, "\n\x00") {
					t.Errorf("not a line: %q", line)
				}
			}
		})
	}
}

// A file of an older version has not every bucket. What it has is checked all the
// same, and nothing is missed that could not be there.
func TestCheckOfAFileWithoutABucket(t *testing.T) {
	for _, missing := range buckets[1:] {
		t.Run(string(missing), func(t *testing.T) {
			path := town(t)
			alter(t, path, func(tx *bbolt.Tx) error { return tx.DeleteBucket(missing) })
			r, err := Check(t.Context(), path)
			if err != nil || len(r.Problems) != 1 || !strings.Contains(r.Problems[0], "another name") {
				t.Errorf("it was there: %+v, %v", r, err)
			}
			alter(t, path, func(tx *bbolt.Tx) error { return tx.Bucket(bucketMeta).Put(keyBuckets, sumOfNames(tx)) })
			r, err = Check(t.Context(), path)
			if err != nil || strings.Contains(strings.Join(r.Problems, "\n"), "runtime error") {
				t.Errorf("it never was: %+v, %v", r, err)
			}
			// Nothing leads to an event, and an index that never was misses nothing.
			alone := []string{string(bucketEvents), string(bucketNames), string(bucketAdmins), string(bucketOwned), string(bucketReset)}
			if slices.Contains(alone, string(missing)) && !r.Whole() {
				t.Errorf("it never was: %+v", r)
			}
			if bytes.Equal(missing, bucketSessions) {
				return
			}
			alter(t, path, func(tx *bbolt.Tx) error {
				b := tx.Bucket(bucketSessions)
				k, _ := b.Cursor().First()
				return b.Put(bytes.Clone(k), []byte("nonsense"))
			})
			r, err = Check(t.Context(), path)
			if err != nil || !slices.ContainsFunc(r.Problems, func(line string) bool { return strings.HasPrefix(line, "sessions, ") }) {
				t.Errorf("with a session that is not decoded: %+v, %v", r, err)
			}
		})
	}
}

func TestCheckOfWhatItCannotRead(t *testing.T) {
	path := town(t)
	db, err := Open(path, sessions.Limits{Idle: time.Hour, Lifetime: time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if _, err := Check(t.Context(), path); !errors.Is(err, ErrInUse) {
		t.Errorf("in use: %v", err)
	}
	if _, err := Check(t.Context(), path+".not"); err == nil || !strings.Contains(err.Error(), "does not exist") {
		t.Errorf("not there: %v", err)
	}
	if _, err := Check(t.Context(), filepath.Dir(path)); err == nil || !strings.Contains(err.Error(), "folder") {
		t.Errorf("a folder: %v", err)
	}
}
