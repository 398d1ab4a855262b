package boltcheck

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"go.etcd.io/bbolt"
)

func TestWrongBuckets(t *testing.T) {
	whole := makeFile(t, bbolt.Options{}, 1000, 500)
	m := readMetaOf(t, whole)
	const big, keys, small = 0, 2, 3 // in the order of their names; 1 is empty
	element := func(b []byte, i int) []byte { return pageAt(b, m.root)[pageHeaderSize+i*elementSize:] }
	value := func(b []byte, i int) []byte {
		e := element(b, i)
		return e[native.Uint32(e[4:])+native.Uint32(e[8:]):][:native.Uint32(e[12:])]
	}
	if root := native.Uint64(value(whole, big)); root == 0 {
		t.Fatal("big is inline")
	}
	if root := native.Uint64(value(whole, small)); root != 0 {
		t.Fatal("small is not inline")
	}
	inline := func(b []byte) []byte { return value(b, small)[16:] }
	for name, harm := range map[string]func(b []byte){
		"no bucket but a value":           func(b []byte) { native.PutUint32(element(b, big), 0) },
		"unknown flags":                   func(b []byte) { native.PutUint32(element(b, big), 2) },
		"more flags":                      func(b []byte) { native.PutUint32(element(b, big), 3) },
		"a root beyond the end":           func(b []byte) { native.PutUint64(value(b, big), 1<<40) },
		"the root of another":             func(b []byte) { copy(value(b, big), value(b, keys)) },
		"the root bucket":                 func(b []byte) { native.PutUint64(value(b, big), m.root) },
		"a value too small":               func(b []byte) { native.PutUint32(element(b, big)[12:], 8) },
		"an inline value too small":       func(b []byte) { native.PutUint32(element(b, small)[12:], 8) },
		"no inline page":                  func(b []byte) { native.PutUint32(element(b, small)[12:], 16) },
		"an inline page header too small": func(b []byte) { native.PutUint32(element(b, small)[12:], 20) },
		"an inline page cut short":        func(b []byte) { native.PutUint32(element(b, small)[12:], 60) },
		"an inline branch":                func(b []byte) { native.PutUint16(inline(b)[8:], branchFlag) },
		"an inline count too large":       func(b []byte) { native.PutUint16(inline(b)[10:], 0xffff) },
		"a bucket in an inline bucket":    func(b []byte) { native.PutUint32(inline(b)[pageHeaderSize:], bucketFlag) },
		"an inline key out of order":      func(b []byte) { inline(b)[pageHeaderSize+int(native.Uint32(inline(b)[pageHeaderSize+4:]))] = 0xff },
		"an inline value too large":       func(b []byte) { native.PutUint32(inline(b)[pageHeaderSize+12:], 1<<31) },
	} {
		t.Run(name, func(t *testing.T) {
			b := bytes.Clone(whole)
			harm(b)
			if err := all(b); !errors.Is(err, ErrDamaged) {
				t.Errorf("All: %v", err)
			}
			// Without its bucket, a tree is merely lost.
			if err := branches(b); !errors.Is(err, ErrDamaged) && name != "no bucket but a value" {
				t.Errorf("Branches: %v", err)
			}
		})
	}
}

// fileWith returns a file that fill made in one transaction.
func fileWith(t *testing.T, fill func(tx *bbolt.Tx) error) []byte {
	t.Helper()
	path := filepath.Join(t.TempDir(), "file.db")
	db := openFile(t, path, bbolt.Options{PageSize: testPageSize})
	if err := errors.Join(db.Update(fill), db.Close()); err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// The tree of the root bucket may be large, but not without bounds.
func TestManyBuckets(t *testing.T) {
	for n, sound := range map[int]bool{60: true, 1000: false} {
		b := fileWith(t, func(tx *bbolt.Tx) (err error) {
			for i := range n {
				_, create := tx.CreateBucket(fmt.Appendf(nil, "%04d %s", i, strings.Repeat("x", 400)))
				err = errors.Join(err, create)
			}
			return err
		})
		if err := all(b); errors.Is(err, ErrDamaged) == sound {
			t.Errorf("%d buckets: All: %v", n, err)
		}
		if err := branches(b); errors.Is(err, ErrDamaged) == sound {
			t.Errorf("%d buckets: Branches: %v", n, err)
		}
	}
}

func TestKeyLongerThanBboltAllows(t *testing.T) {
	b := fileWith(t, func(tx *bbolt.Tx) error {
		bucket, err := tx.CreateBucket([]byte(bucketBig))
		if err != nil {
			return err
		}
		return bucket.Put([]byte("key"), make([]byte, 100_000))
	})
	checkSound(t, b, "whole")
	element := pageAt(b, pathOf(t, b, bucketBig)[0])[pageHeaderSize:]
	native.PutUint32(element[8:], maxKeySize+1)
	native.PutUint32(element[12:], 0)
	if err := all(b); !errors.Is(err, ErrDamaged) {
		t.Error(err)
	}
}
