package kv

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"go.etcd.io/bbolt"

	"latchkey/app/internal/store"
)

// note is what most tests keep.
type note struct {
	ID, Owner ID
	Title     string
	Text      string
	At        time.Time
}

var noteTable = Owned[note]{
	Name:   "notes",
	Unique: func(n *note) string { return n.Title },
	Order:  func(n *note) []byte { return []byte(n.Title) },
}

// people are the owners.
var ownerTable = Raw{
	Name:   "people",
	Verify: func(_ *Tx, key, value []byte) (any, error) { return string(value), nil },
	DropOwner: func(tx *Tx, owner ID) error {
		return tx.Bucket("people").Delete(owner[:])
	},
}

// plain holds keys and values without owners. A value that says "wrong" is.
var plain = Raw{
	Name: "plain",
	Verify: func(_ *Tx, key, value []byte) (any, error) {
		if string(value) == "wrong" {
			return nil, errors.New("it is wrong")
		}
		return string(value), nil
	},
	DropOwner: func(*Tx, ID) error { return nil },
}

var flags = Raw{
	Name: "flags", Index: true, KeysOnly: true,
	Verify: func(_ *Tx, _, value []byte) (any, error) {
		if len(value) > 0 {
			return nil, errors.New("it has a value")
		}
		return nil, nil
	},
}

var errNobody = fmt.Errorf("%w: nobody", store.ErrNotFound)

func testOptions() Options {
	return Options{
		Tables: []Table{ownerTable, noteTable, plain, flags},
		Format: 1,
		Owner: func(tx *Tx, owner ID) error {
			if tx.Get("people", owner[:]) == nil {
				return errNobody
			}
			return nil
		},
	}
}

func number(n int) (id ID) {
	binary.BigEndian.PutUint64(id[:], uint64(n)*0x9e3779b97f4a7c15)
	binary.BigEndian.PutUint64(id[8:], uint64(n))
	return id
}

func temp(t testing.TB) string { return filepath.Join(t.TempDir(), "data", "x.db") }

func open(t testing.TB, path string, o Options) *DB {
	t.Helper()
	db, err := Open(path, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	return db
}

func openTest(t testing.TB) *DB { return open(t, temp(t), testOptions()) }

// openFast is openTest for tests that need no disk.
func openFast(t testing.TB) *DB {
	db := openTest(t)
	db.bolt.NoSync = true
	return db
}

// inBubble runs f with a file, on a clock that moves on only when all goroutines
// wait.
func inBubble(t *testing.T, f func(t *testing.T, db *DB)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		db := openFast(t)
		f(t, db)
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
}

func update(t testing.TB, db *DB, change func(tx *Tx) error) {
	t.Helper()
	if err := db.Update(context.Background(), change); err != nil {
		t.Fatal(err)
	}
}

func view(t testing.TB, db *DB, f func(tx *Tx) error) {
	t.Helper()
	if err := db.View(context.Background(), f); err != nil {
		t.Fatal(err)
	}
}

func put(key, value string) func(*Tx) error {
	return func(tx *Tx) error { return tx.Bucket("plain").Put([]byte(key), []byte(value)) }
}

func get(t testing.TB, db *DB, key string) (value string) {
	t.Helper()
	view(t, db, func(tx *Tx) error { value = string(tx.Get("plain", []byte(key))); return nil })
	return value
}

// lastCommit returns the number of commits so far.
func lastCommit(t testing.TB, db *DB) (id int) {
	t.Helper()
	view(t, db, func(tx *Tx) error { id = tx.ID(); return nil })
	return id
}

// begin runs f on a goroutine of its own and returns what it will return.
func begin(f func() error) <-chan error {
	result := make(chan error, 1)
	go func() { result <- f() }()
	return result
}

// hold makes a commit last until release is called, so that later writes queue. It
// is for bubbles.
func hold(db *DB) (release func(), done <-chan error) {
	gate := make(chan struct{})
	done = begin(func() error {
		return db.Update(context.Background(), func(*Tx) error { <-gate; return nil })
	})
	synctest.Wait()
	return func() { close(gate) }, done
}

func addPeople(t testing.TB, db *DB, n int) {
	t.Helper()
	update(t, db, func(tx *Tx) error {
		for i := range n {
			id := number(i)
			if err := tx.Bucket("people").Put(id[:], fmt.Append(nil, "person ", i)); err != nil {
				return err
			}
		}
		return nil
	})
}

// noteOf returns note i, which belongs to person i%owners.
func noteOf(i, owners int) note {
	return note{
		ID: number(1000 + i), Owner: number(i % owners), Title: fmt.Sprintf("title %03d", i), Text: fmt.Sprint("text of ", i),
		At: time.Date(2026, 11, 24, 8, 30, i%60, 123456789, time.UTC),
	}
}

// fill keeps n people with three notes each, and all else in proportion.
func fill(t testing.TB, db *DB, n int) {
	t.Helper()
	addPeople(t, db, n)
	update(t, db, func(tx *Tx) error {
		for i := range 3 * n {
			key := number(i)
			if err := errors.Join(
				noteTable.Insert(tx, noteOf(i, n)),
				tx.Bucket("plain").Put(key[:], fmt.Append(nil, "value ", i)),
				tx.Bucket("flags").Put(key[:], nil),
			); err != nil {
				return err
			}
		}
		return nil
	})
}

// testFile returns a closed file in which every bucket has something.
func testFile(t testing.TB, n int) string {
	t.Helper()
	path := temp(t)
	db := open(t, path, testOptions())
	fill(t, db, n)
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	return path
}

// alter changes a file that nobody has open.
func alter(t testing.TB, path string, f func(tx *bbolt.Tx) error) {
	t.Helper()
	db, err := bbolt.Open(path, 0o600, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(db.Update(f), db.Close()); err != nil {
		t.Fatal(err)
	}
}

// contents returns what is in the buckets of a file.
func contents(t testing.TB, path string) map[string]map[string]string {
	t.Helper()
	db, err := bbolt.Open(path, 0o600, &bbolt.Options{ReadOnly: true, Timeout: time.Second})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	all := map[string]map[string]string{}
	if err := db.View(func(tx *bbolt.Tx) error {
		return tx.ForEach(func(name []byte, b *bbolt.Bucket) error {
			in := map[string]string{}
			all[string(name)] = in
			return b.ForEach(func(k, v []byte) error { in[string(k)] = string(v); return nil })
		})
	}); err != nil {
		t.Fatal(err)
	}
	return all
}

func readFile(t testing.TB, path string) []byte {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func writeFile(t testing.TB, path string, b []byte) string {
	t.Helper()
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func checkUnchanged(t testing.TB, path string, before []byte) {
	t.Helper()
	if !bytes.Equal(readFile(t, path), before) {
		t.Error("the file has changed")
	}
}

func checkPasses(t testing.TB, path string, o Options) Report {
	t.Helper()
	r, err := Check(context.Background(), path, o, nil)
	if err != nil || !r.OK() {
		t.Errorf("the check: %+v, %v", r, err)
	}
	return r
}

// bbolt writes its structs as they are in memory.
var native = binary.NativeEndian
