package boltcheck

import (
	"context"
	"slices"
)

// maxRootPages bounds the memory for buckets. The tree of the root bucket holds
// nothing but names and small inline buckets, so a few pages are plenty.
const maxRootPages = 100

// verifyRootTree verifies the tree of the root bucket, whose leaves hold all other
// buckets, and notes their trees.
func (v *verifier) verifyRootTree(ctx context.Context) error {
	v.roots[v.meta.root] = true
	if err := v.addRef(0, v.meta.root); err != nil {
		return err
	}
	return v.verifyTree(ctx, v.meta.root, true)
}

// verifyBucket verifies the value of a bucket: the id of its root page, a sequence
// number, and, if the id is 0, an inline page.
func (v *verifier) verifyBucket(p page, e element) error {
	const bucketSize = 16
	// bbolt keeps a bucket inline only up to a quarter of a page.
	if e.size < bucketSize || e.size > int64(v.meta.PageSize) {
		return damaged(p.id, "has a bucket of a wrong size")
	}
	value, err := v.bytes(p, e.value, e.size)
	if err != nil {
		return err
	}
	if root := native.Uint64(value); root != 0 {
		v.roots[root] = true
		v.trees = append(v.trees, tree{root, slices.Contains(v.leavesOf, string(e.key))})
		return v.addRef(p.id, root)
	}
	inline := value[bucketSize:]
	if len(inline) < pageHeaderSize || flagsOf(inline) != leafFlag {
		return damaged(p.id, "has an inline bucket that is not a leaf")
	}
	q := page{id: p.id, flags: leafFlag, count: int(native.Uint16(inline[10:])), first: inline, size: int64(len(inline))}
	var last []byte
	for i := range q.count {
		e, err := v.element(q, i, last)
		if err != nil {
			return err
		}
		if last = e.key; e.flags != 0 {
			return damaged(p.id, "has an inline bucket with a bucket inside")
		}
	}
	return nil
}
