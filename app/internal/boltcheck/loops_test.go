package boltcheck

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"runtime/debug"
	"testing"

	"go.etcd.io/bbolt"
)

// childrenOf returns the pages that page id refers to, none if it is a leaf.
func childrenOf(b []byte, id uint64) (children []uint64) {
	page := pageAt(b, id)
	if flagsOf(page) != branchFlag {
		return nil
	}
	for i := range int(native.Uint16(page[10:])) {
		children = append(children, native.Uint64(page[pageHeaderSize+i*elementSize+8:]))
	}
	return children
}

// pathOf returns the pages from the root page of a bucket to its last leaf.
func pathOf(t *testing.T, b []byte, bucket string) (ids []uint64) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "file.db")
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
	db := openFile(t, path, bbolt.Options{ReadOnly: true})
	defer db.Close()
	if err := db.View(func(tx *bbolt.Tx) error {
		ids = []uint64{uint64(tx.Bucket([]byte(bucket)).RootPage())}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	for {
		children := childrenOf(b, ids[len(ids)-1])
		if children == nil {
			return ids
		}
		ids = append(ids, children[len(children)-1])
	}
}

// A page that leads to itself, or to one above it, would make bbolt overflow the
// stack, which nothing recovers from.
func TestPagesThatLeadBack(t *testing.T) {
	if testing.Short() {
		t.Skip("runs with tests/run --all")
	}
	for name, o := range map[string]bbolt.Options{"freelist": {}, "no freelist": {NoFreelistSync: true}} {
		t.Run(name, func(t *testing.T) { testPagesThatLeadBack(t, o) })
	}
}

func testPagesThatLeadBack(t *testing.T, o bbolt.Options) {
	whole := makeFile(t, o, 10_000, 3000)
	checkSound(t, whole, "whole")
	m := readMetaOf(t, whole)
	big, keys := pathOf(t, whole, bucketBig), pathOf(t, whole, bucketKeys)
	if len(big) < 3 || len(keys) < 3 {
		t.Fatalf("the trees are too low: %d, %d", big, keys)
	}
	level := []uint64{big[0]} // the branch pages just above the leaves
	for range len(big) - 2 {
		var children []uint64
		for _, id := range level {
			children = append(children, childrenOf(whole, id)...)
		}
		level = children
	}
	if len(level) < 2*minShare {
		t.Fatalf("the level is too narrow to be shared: %d", level)
	}
	last := len(big) - 1
	leads := func(from, to uint64) func([]byte) {
		return func(b []byte) { native.PutUint64(pageAt(b, from)[pageHeaderSize+8:], to) }
	}
	flags := func(id uint64, flags uint16) func([]byte) {
		return func(b []byte) { native.PutUint16(pageAt(b, id)[8:], flags) }
	}
	// Where both must find it.
	damages := map[string]func(b []byte){
		"to itself":                  leads(big[last-1], big[last-1]),
		"to its parent":              leads(big[last-1], big[last-2]),
		"the root to itself":         leads(big[0], big[0]),
		"to another bucket":          leads(big[last-1], keys[0]),
		"to another's leaf":          leads(big[last-1], keys[1]),
		"to the root bucket":         leads(big[last-1], m.root),
		"to a meta page":             leads(big[last-1], 1),
		"beyond the end":             leads(big[last-1], 1<<40),
		"to where no offset is":      leads(big[last-1], 1<<63),
		"to an offset that wraps":    leads(big[last-1], 1<<52+big[last]),
		"the first leaf is higher":   leads(big[0], big[last]),
		"to a leaf of another share": leads(big[last-1], childrenOf(whole, level[0])[1]),
		"a branch called a leaf":     flags(big[last-1], leafFlag),
		"a root called a leaf":       flags(big[0], leafFlag),
		"the last leaf of keys":      flags(keys[len(keys)-1], branchFlag),
		"a leaf of keys":             flags(childrenOf(whole, keys[len(keys)-2])[1], branchFlag),
		"the last leaf":              flags(big[last], branchFlag),
		"a branch of no kind":        flags(level[1], 3),
		"no children":                func(b []byte) { native.PutUint16(pageAt(b, level[1])[10:], 0) },
		"too many children":          func(b []byte) { native.PutUint16(pageAt(b, level[1])[10:], 0xffff) },
		"keys not in order": func(b []byte) {
			first := pageAt(b, level[1])[pageHeaderSize:]
			first[native.Uint32(first)] = 0xff
		},
		"a branch replaced by an empty leaf": func(b []byte) {
			flags(level[1], leafFlag)(b)
			native.PutUint16(pageAt(b, level[1])[10:], 0)
		},
		"a branch of keys replaced by an empty leaf": func(b []byte) {
			id := childrenOf(b, keys[0])[1]
			flags(id, leafFlag)(b)
			native.PutUint16(pageAt(b, id)[10:], 0)
		},
		"an empty key":       func(b []byte) { native.PutUint32(pageAt(b, level[1])[pageHeaderSize+4:], 0) },
		"a key too far away": func(b []byte) { native.PutUint32(pageAt(b, level[1])[pageHeaderSize:], 1<<31) },
		"a key in the elements": func(b []byte) {
			native.PutUint32(pageAt(b, level[1])[pageHeaderSize:], elementSize)
		},
		// Buckets are noted without a lock, so no share may note any.
		"leaves with buckets in all shares": func(b []byte) {
			for _, id := range level[1:] { // the first tells the height
				copy(pageAt(b, id), pageAt(whole, m.root))
				native.PutUint64(pageAt(b, id), id)
			}
		},
	}
	for _, id := range level {
		damages[fmt.Sprintf("page %d is lost", id)] = func(b []byte) { clear(pageAt(b, id)) }
	}
	// Where Branches may miss it, for no branch page is damaged.
	inLeaf := childrenOf(whole, level[1])[1]
	leaves := map[string]func(b []byte){
		"a leaf called a branch": flags(inLeaf, branchFlag),
		"a leaf of no kind":      flags(inLeaf, 0),
		"a leaf is lost":         func(b []byte) { clear(pageAt(b, inLeaf)) },
		"a leaf of another id":   func(b []byte) { pageAt(b, inLeaf)[0] ^= 1 },
		"an empty leaf":          func(b []byte) { native.PutUint16(pageAt(b, inLeaf)[10:], 0) },
		"an element of no kind":  func(b []byte) { native.PutUint32(pageAt(b, inLeaf)[pageHeaderSize:], 2) },
		"a key in the elements": func(b []byte) {
			last := pageAt(b, inLeaf)[pageHeaderSize+(int(native.Uint16(pageAt(b, inLeaf)[10:]))-1)*elementSize:]
			native.PutUint32(last[4:], 12) // the value's size, which is more than the first bytes of all keys
		},
		"a value that does not fit": func(b []byte) {
			native.PutUint32(pageAt(b, inLeaf)[pageHeaderSize+12:], 1<<31)
		},
		"a leaf over the next page": func(b []byte) { native.PutUint32(pageAt(b, inLeaf)[12:], 1) },
		"another first key":         func(b []byte) { pageAt(b, inLeaf)[firstKeyAt(b, inLeaf)] ^= 1 },
		"a bucket in a bucket":      func(b []byte) { native.PutUint32(pageAt(b, inLeaf)[pageHeaderSize:], bucketFlag) },
	}
	for name, harm := range damages {
		t.Run(name, func(t *testing.T) {
			b := bytes.Clone(whole)
			harm(b)
			if err := all(b); !errors.Is(err, ErrDamaged) {
				t.Errorf("All: %v", err)
			}
			if err := branches(b); !errors.Is(err, ErrDamaged) {
				t.Errorf("Branches: %v", err)
			}
		})
	}
	for name, harm := range leaves {
		t.Run(name, func(t *testing.T) {
			b := bytes.Clone(whole)
			harm(b)
			if err := all(b); !errors.Is(err, ErrDamaged) {
				t.Errorf("All: %v", err)
			}
			if err := branches(b); err != nil && !errors.Is(err, ErrDamaged) {
				t.Errorf("Branches: %v", err)
			}
		})
	}
	// What bbolt makes of a leaf called a branch is an error, not a loop.
	t.Run("bbolt reads a leaf called a branch", func(t *testing.T) {
		b := bytes.Clone(whole)
		leaves["a leaf called a branch"](b)
		if err := branches(b); err != nil {
			t.Fatal(err)
		}
		if pairs, err := readPairs(t, b); err == nil {
			t.Errorf("%d pairs and no error", len(pairs))
		}
	})
	// Only the names given to Branches make it read all leaves.
	t.Run("a bucket that is not named", func(t *testing.T) {
		b := bytes.Clone(whole)
		damages["a leaf of keys"](b)
		if err := Branches(t.Context(), bytes.NewReader(b), int64(len(b)), bucketBig, "other"); err != nil {
			t.Error(err)
		}
	})
}

// readPairs reads every key and value of a file with bbolt. A panic or a fault is an
// error.
func readPairs(t *testing.T, b []byte) (pairs map[string]string, err error) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "pairs.db")
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
	defer os.Remove(path)
	db, err := bbolt.Open(path, 0o600, &bbolt.Options{ReadOnly: true})
	if err != nil {
		return nil, err
	}
	defer db.Close()
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic: %v", p)
		}
	}()
	pairs = map[string]string{}
	tx, err := db.Begin(false)
	if err != nil {
		return nil, err
	}
	defer tx.Rollback()
	err = tx.ForEach(func(name []byte, bucket *bbolt.Bucket) error {
		return bucket.ForEach(func(k, v []byte) error {
			pairs[string(name)+"/"+string(k)] = string(v)
			return nil
		})
	})
	return maps.Clone(pairs), err
}
