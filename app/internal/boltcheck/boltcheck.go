// Package boltcheck verifies the pages of a bbolt file before anybody trusts them.
//
// bbolt trusts what a page says. A page that leads back to itself overflows the
// stack, and a freelist that names a page in use makes bbolt overwrite live data.
// No recover catches either. Sound means: bbolt reads the file without looping,
// faulting or panicking, and writes only to pages that are free. Keys and values
// are not verified; records need checksums of their own.
//
// Nobody may write the file during verification. It takes at most about ten bytes
// of memory for each page. Buckets inside buckets count as damage, and so do more than
// 100 pages of bucket names.
package boltcheck

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/maphash"
	"io"
	"sync"
)

// ErrDamaged is wrapped by every error that says that a page is not sound. A page
// that cannot be read counts as damaged; that error wraps the cause, too.
var ErrDamaged = errors.New("bbolt file is damaged")

// All verifies every page of a file of size bytes. The file may be written
// afterwards. All does not compare the last key of a leaf with the first of the next,
// unless the file has no freelist. If ctx ends first, All returns context.Cause(ctx).
func All(ctx context.Context, file io.ReaderAt, size int64) error {
	v, err := newVerifier(file, size)
	if err != nil {
		return err
	}
	v.firstKeys, v.seed = make([]uint64, v.meta.Pages), maphash.MakeSeed()
	if err := v.readFreelist(); err != nil {
		return err
	}
	if err := v.verifyRootTree(ctx); err != nil {
		return err
	}
	if v.meta.NoFreelist {
		// A page may be free, so only the trees tell which pages count.
		err = v.verifyTrees(ctx)
	} else {
		err = v.scan(ctx)
	}
	if err != nil {
		return err
	}
	return v.verifyRefs()
}

// Branches verifies the meta page, the freelist and every branch page, about one
// page in 85, and of leaf pages only those of the root bucket, those of the buckets
// called leavesOf, and the first and last of each other bucket. The file may be
// read afterwards, but not written: a damaged leaf makes bbolt panic or fault, which
// the reader must recover from (see debug.SetPanicOnFault), but never loop.
//
// That holds if a bucket whose values may all be empty is in leavesOf. If a damaged
// leaf claims to be a branch, bbolt takes the sizes of a key and its value for a
// page id. With a value, that id is 1<<32 or more, which lies beyond the end of any
// file below 4 TiB. Without one, it may be a page that leads back to the leaf.
//
// If ctx ends first, Branches returns context.Cause(ctx).
func Branches(ctx context.Context, file io.ReaderAt, size int64, leavesOf ...string) error {
	v, err := newVerifier(file, size)
	if err != nil {
		return err
	}
	v.leavesOf = leavesOf
	if err := v.readFreelist(); err != nil {
		return err
	}
	if err := v.verifyRootTree(ctx); err != nil {
		return err
	}
	if err := v.verifyBranches(ctx); err != nil {
		return err
	}
	return v.verifyRefs()
}

// verifier holds what is known of the pages so far.
type verifier struct {
	file     io.ReaderAt
	meta     Meta
	leavesOf []string

	// One entry for each page: zero unless the first key of the page differs from
	// the key its parent has for it; see noteFirstKey. Nil unless all leaves are read.
	firstKeys []uint64
	seed      maphash.Seed

	trees     []tree          // one for each bucket, the root bucket aside
	roots     map[uint64]bool // root pages; they have no parent and so no first key there
	rootPages int             // how many pages the tree of the root bucket has

	refs []uint32 // a bit for each page: the meta page or another page refers to it

	mu    sync.Mutex // guards kinds while levels are read in parallel
	kinds []byte     // of each page
}

// tree is the tree of one bucket.
type tree struct {
	root   uint64
	leaves bool // Branches reads all of its leaves
}

const (
	kindUnknown = iota
	kindMeta
	kindFree
	kindFreelist
	kindLeaf
	kindBranch
	kindOverflow // belongs to the page before it
)

// bbolt writes its structs as they are in memory.
var native = binary.NativeEndian

func newVerifier(file io.ReaderAt, size int64) (*verifier, error) {
	m, err := ReadMeta(file, size)
	if err != nil {
		return nil, err
	}
	v := &verifier{
		file:  file,
		meta:  m,
		kinds: make([]byte, m.Pages),
		refs:  make([]uint32, m.Pages/32+1),
		roots: map[uint64]bool{},
	}
	v.kinds[0], v.kinds[1] = kindMeta, kindMeta
	return v, nil
}

func damaged(id uint64, what string) error {
	return fmt.Errorf("%w: page %d %s", ErrDamaged, id, what)
}

func unreadable(err error) error {
	return fmt.Errorf("%w: %w", ErrDamaged, err)
}
