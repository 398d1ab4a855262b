package boltcheck

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"go.etcd.io/bbolt"
)

func pageAt(b []byte, id uint64) []byte {
	return b[id*testPageSize:][:testPageSize]
}

func readMetaOf(t *testing.T, b []byte) Meta {
	t.Helper()
	m, err := ReadMeta(bytes.NewReader(b), int64(len(b)))
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// Without a freelist, pages that nothing refers to are free, whatever they hold.
func TestNoFreelist(t *testing.T) {
	whole := makeFile(t, bbolt.Options{NoFreelistSync: true}, 3000, 500)
	m := readMetaOf(t, whole)
	if !m.NoFreelist {
		t.Fatalf("%+v", m)
	}
	checkSound(t, whole, "whole")
	free := freePages(t, whole)
	if len(free) == 0 {
		t.Fatal("no page is free")
	}
	b := bytes.Clone(whole)
	for _, id := range free {
		copy(pageAt(b, id), pageAt(b, m.root))
	}
	checkSound(t, b, "free pages that hold buckets")
	path := pathOf(t, whole, bucketBig)
	leaf := path[len(path)-1]
	for name, harm := range map[string]func(b []byte){
		"a leaf with another id":   func(b []byte) { pageAt(b, leaf)[0] ^= 1 },
		"a leaf with another key":  func(b []byte) { pageAt(b, leaf)[firstKeyAt(b, leaf)] ^= 1 },
		"a leaf called a branch":   func(b []byte) { native.PutUint16(pageAt(b, leaf)[8:], branchFlag) },
		"a leaf into a free page":  func(b []byte) { native.PutUint64(pageAt(b, path[0])[pageHeaderSize+8:], free[0]) },
		"a last key after a limit": func(b []byte) { copyLastKey(t, b, path) },
	} {
		t.Run(name, func(t *testing.T) {
			b := bytes.Clone(whole)
			harm(b)
			if err := all(b); !errors.Is(err, ErrDamaged) {
				t.Error(err)
			}
		})
	}
}

func firstKeyAt(b []byte, id uint64) int {
	return pageHeaderSize + int(native.Uint32(pageAt(b, id)[pageHeaderSize+4:])) + 15
}

// copyLastKey makes the last key of a leaf larger than the first of the next. Were it
// sound, bbolt would panic when it opens a file without a freelist.
func copyLastKey(t *testing.T, b []byte, path []uint64) {
	t.Helper()
	leaf := childrenOf(b, path[len(path)-2])[0]
	last := pageAt(b, leaf)[pageHeaderSize+(int(native.Uint16(pageAt(b, leaf)[10:]))-1)*elementSize:]
	last[native.Uint32(last[4:])] ^= 0x80
}

// freePages returns the pages that are free according to bbolt.
func freePages(t *testing.T, b []byte) (free []uint64) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "file.db")
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
	db := openFile(t, path, bbolt.Options{ReadOnly: true, PreLoadFreelist: true})
	defer db.Close()
	if err := db.View(func(tx *bbolt.Tx) error {
		for id := 2; ; id++ {
			info, err := tx.Page(id)
			if err != nil || info == nil {
				return err
			}
			if info.Type == "free" {
				free = append(free, uint64(id))
			}
		}
	}); err != nil {
		t.Fatal(err)
	}
	return free
}

func TestWrongFreelist(t *testing.T) {
	whole := makeFile(t, bbolt.Options{}, 3000, 500)
	m := readMetaOf(t, whole)
	list := func(b []byte) []byte { return pageAt(b, m.freelist) }
	count := native.Uint16(list(whole)[10:])
	if count < 2 {
		t.Fatalf("%d pages are free", count)
	}
	setID := func(i int, id uint64) func([]byte) {
		return func(b []byte) { native.PutUint64(list(b)[pageHeaderSize+8*i:], id) }
	}
	for name, harm := range map[string]func(b []byte){
		"a page in use":       setID(0, m.root),
		"a leaf":              setID(1, pathOf(t, whole, bucketBig)[1]),
		"a meta page":         setID(0, 1),
		"the freelist itself": setID(0, m.freelist),
		"one page twice":      setID(1, native.Uint64(list(whole)[pageHeaderSize:])),
		"beyond the end":      setID(0, m.Pages),
		"one page too few":    func(b []byte) { native.PutUint16(list(b)[10:], count-1) },
		"one page too few, an empty leaf": func(b []byte) {
			native.PutUint16(list(b)[10:], count-1)
			lost := native.Uint64(list(b)[pageHeaderSize+8*int(count-1):])
			clear(pageAt(b, lost))
			native.PutUint64(pageAt(b, lost), lost)
			native.PutUint16(pageAt(b, lost)[8:], leafFlag)
		},
		"a count too large": func(b []byte) { native.PutUint16(list(b)[10:], 0xfffe) },
		"a long count too large": func(b []byte) {
			native.PutUint16(list(b)[10:], 0xffff)
			native.PutUint64(list(b)[pageHeaderSize:], 1<<61)
		},
		"another kind of page": func(b []byte) { native.PutUint16(list(b)[8:], leafFlag) },
		"another id":           func(b []byte) { native.PutUint64(list(b), 2000) },
		"an overflow":          func(b []byte) { native.PutUint32(list(b)[12:], 1<<31) },
	} {
		t.Run(name, func(t *testing.T) {
			b := bytes.Clone(whole)
			harm(b)
			if err := all(b); !errors.Is(err, ErrDamaged) {
				t.Errorf("All: %v", err)
			}
			// A lost leaf is not noticed unless all are read.
			if err := branches(b); !errors.Is(err, ErrDamaged) && !strings.HasPrefix(name, "one page too few") && name != "a leaf" {
				t.Errorf("Branches: %v", err)
			}
		})
	}
}

// From 65,535 pages on, the freelist has overflow pages and its count comes first.
func TestLongFreelist(t *testing.T) {
	if testing.Short() {
		t.Skip("runs with tests/run --all")
	}
	path := filepath.Join(t.TempDir(), "file.db")
	db := openFile(t, path, bbolt.Options{PageSize: 1024})
	defer db.Close()
	err := db.Update(func(tx *bbolt.Tx) error {
		b, err := tx.CreateBucket([]byte("gone"))
		if err != nil {
			return err
		}
		return b.Put([]byte("key"), make([]byte, 80_000*1024))
	})
	drop := func(tx *bbolt.Tx) error { return tx.DeleteBucket([]byte("gone")) }
	keep := func(tx *bbolt.Tx) error { _, err := tx.CreateBucket([]byte("kept")); return err }
	if err := errors.Join(err, db.Update(drop), db.Update(keep)); err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if id := readMetaOf(t, b).freelist * 1024; native.Uint16(b[id+10:]) != 0xffff {
		t.Fatalf("%d pages are free", native.Uint16(b[id+10:]))
	}
	checkSound(t, b, "with a long freelist")
}

// sparse is a file whose first bytes are there; the others are zero.
type sparse []byte

func (s sparse) ReadAt(b []byte, offset int64) (int, error) {
	clear(b)
	if offset < 0 {
		return 0, io.EOF
	}
	if offset < int64(len(s)) {
		copy(b, s[offset:])
	}
	return len(b), nil
}

// A damaged page may claim gigabytes of overflow pages. Verification must not
// allocate that.
func TestMemory(t *testing.T) {
	const pages = 1 << 21
	whole := makeFile(t, bbolt.Options{NoFreelistSync: true}, 0, 0)
	for name, id := range map[string]uint64{"root": readMetaOf(t, whole).root, "bucket": readMetaOf(t, whole).root, "freelist": readMetaOf(t, whole).Pages} {
		t.Run(name, func(t *testing.T) {
			b := append(bytes.Clone(whole), make([]byte, testPageSize)...)
			page := pageAt(b, id)
			if name == "freelist" {
				native.PutUint64(page, id)
				native.PutUint16(page[8:], freelistFlag)
				native.PutUint16(page[10:], 0xffff)
				native.PutUint64(page[pageHeaderSize:], 1<<20)
			}
			if name == "bucket" {
				native.PutUint32(page[pageHeaderSize+12:], 1<<30)
			}
			native.PutUint32(page[12:], uint32(pages-id-1))
			for _, at := range []int{0, testPageSize} {
				putMeta(b, at, 40, pages, 8)
				if name == "freelist" {
					putMeta(b, at, 32, id, 8)
				}
			}
			for kind, verify := range map[string]func() error{
				"All":      func() error { return All(t.Context(), sparse(b), pages*testPageSize) },
				"Branches": func() error { return Branches(t.Context(), sparse(b), pages*testPageSize) },
			} {
				var before, after runtime.MemStats
				runtime.ReadMemStats(&before)
				err := verify()
				runtime.ReadMemStats(&after)
				// Ten bytes a page, and the buffer of scan.
				if used := after.TotalAlloc - before.TotalAlloc; used > 10*pages+2*scanSize {
					t.Errorf("%s: %d bytes: %v", kind, used, err)
				}
			}
		})
	}
}
