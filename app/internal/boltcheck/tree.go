package boltcheck

import (
	"bytes"
	"context"
)

// maxHeight is far more than any tree has: each level has at least twice as many
// pages as the one above.
const maxHeight = 64

// verifyTrees verifies every page of every bucket.
func (v *verifier) verifyTrees(ctx context.Context) error {
	for _, t := range v.trees {
		if err := v.verifyTree(ctx, t.root, false); err != nil {
			return err
		}
	}
	return nil
}

func (v *verifier) verifyTree(ctx context.Context, root uint64, isRoot bool) error {
	height, err := v.height(root)
	if err != nil {
		return err
	}
	return v.verifySubtree(ctx, root, height, nil, isRoot)
}

// height returns how many levels of branch pages a tree has. The first leaf tells;
// whoever descends finds out whether the others are at the same depth.
func (v *verifier) height(root uint64) (int, error) {
	b := make([]byte, v.meta.PageSize)
	id := root
	for height := range maxHeight {
		if err := v.read(id, b); err != nil {
			return 0, err
		}
		if flagsOf(b) != branchFlag {
			return height, nil
		}
		id = native.Uint64(b[pageHeaderSize+8:])
	}
	return 0, damaged(root, "has no leaf below it")
}

// verifySubtree verifies page id and everything below it. All leaves must be height
// levels below. In a file without a freelist all keys must be less than limit, unless
// that is nil.
func (v *verifier) verifySubtree(ctx context.Context, id uint64, height int, limit []byte, isRoot bool) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if isRoot {
		if v.rootPages++; v.rootPages > maxRootPages {
			return damaged(id, "is one of too many pages of the root bucket")
		}
	}
	b := make([]byte, v.meta.PageSize)
	if err := v.read(id, b); err != nil {
		return err
	}
	if isBranch := flagsOf(b) == branchFlag; isBranch != (height > 0) {
		return damaged(id, "is not as deep as the other pages of its kind")
	}
	p, err := v.verifyPage(id, b, isRoot)
	if err != nil || p.count == 0 {
		return err
	}
	// If there is no freelist, bbolt.Open compares the keys of one page with those of
	// the next, and panics. Otherwise it does not, and scan could not do the same.
	if v.meta.NoFreelist && limit != nil {
		last, err := v.element(p, p.count-1, nil)
		if err != nil {
			return err
		}
		if bytes.Compare(last.key, limit) >= 0 {
			return damaged(id, "has a key that belongs to the next page")
		}
	}
	if height == 0 {
		return nil
	}
	for i := range p.count {
		e, err := v.element(p, i, nil)
		if err != nil {
			return err
		}
		below := limit
		if i+1 < p.count {
			next, err := v.element(p, i+1, e.key)
			if err != nil {
				return err
			}
			below = next.key
		}
		if err := v.verifySubtree(ctx, e.child, height-1, below, isRoot); err != nil {
			return err
		}
	}
	return nil
}

// verifyPage verifies a branch or leaf page by itself. Buckets may only be in a leaf
// of the root bucket.
func (v *verifier) verifyPage(id uint64, b []byte, isRoot bool) (page, error) {
	switch flagsOf(b) {
	case branchFlag:
		p, err := v.claim(id, b, kindBranch)
		if err != nil {
			return page{}, err
		}
		return p, v.verifyBranch(p)
	case leafFlag:
		p, err := v.claim(id, b, kindLeaf)
		if err != nil {
			return page{}, err
		}
		return p, v.verifyLeaf(p, isRoot)
	}
	return page{}, damaged(id, "is neither a branch nor a leaf page")
}

func (v *verifier) verifyBranch(p page) error {
	if p.count == 0 {
		return damaged(p.id, "is a branch page without children")
	}
	var last []byte
	for i := range p.count {
		e, err := v.element(p, i, last)
		if err != nil {
			return err
		}
		last = e.key
		if err := v.addRef(p.id, e.child); err != nil {
			return err
		}
		v.noteFirstKey(e.child, e.key)
		if i == 0 {
			v.noteFirstKey(p.id, e.key)
		}
	}
	return nil
}

func (v *verifier) verifyLeaf(p page, isRoot bool) error {
	var last []byte
	for i := range p.count {
		e, err := v.element(p, i, last)
		if err != nil {
			return err
		}
		last = e.key
		if i == 0 {
			v.noteFirstKey(p.id, e.key)
		}
		switch {
		case e.flags == 0:
		case e.flags != bucketFlag:
			return damaged(p.id, "has an element with unknown flags")
		case !isRoot:
			return damaged(p.id, "has a bucket inside a bucket")
		default:
			if err := v.verifyBucket(p, e); err != nil {
				return err
			}
		}
	}
	return nil
}
