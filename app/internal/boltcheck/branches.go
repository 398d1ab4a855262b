package boltcheck

import (
	"context"
	"runtime"
	"sync"
)

// verifyBranches verifies every branch page, the first and the last leaf of each
// bucket, and all leaves of the buckets in leavesOf.
//
// The first leaf tells the height of the tree. All leaves have the same depth, since
// bbolt splits and merges pages only with their siblings, and a tree grows and
// shrinks at its root. So branch pages are verified level by level, and no leaf is
// read to find out what it is.
func (v *verifier) verifyBranches(ctx context.Context) error {
	for _, t := range v.trees {
		var err error
		if t.leaves {
			err = v.verifyTree(ctx, t.root, false)
		} else {
			err = v.verifyBranchesOf(ctx, t.root)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (v *verifier) verifyBranchesOf(ctx context.Context, root uint64) error {
	height, err := v.height(root)
	if err != nil {
		return err
	}
	ids := []uint64{root}
	for level := range height {
		if ids, err = v.verifyLevel(ctx, ids, level == height-1); err != nil {
			return err
		}
	}
	for _, id := range ids {
		if err := v.verifySubtree(ctx, id, 0, nil, false); err != nil {
			return err
		}
	}
	return nil
}

// minShare is how many pages are worth a goroutine.
const minShare = 8

// verifyLevel verifies the branch pages of one level in parallel and returns their
// children. If ends is set, it returns only the first and the last child of the level.
func (v *verifier) verifyLevel(ctx context.Context, ids []uint64, ends bool) (children []uint64, err error) {
	n := max(1, min(runtime.GOMAXPROCS(0), len(ids)/minShare))
	parts, errs := make([][]uint64, n), make([]error, n)
	var shares sync.WaitGroup
	for i := range n {
		shares.Go(func() {
			parts[i], errs[i] = v.verifyShare(ctx, ids[i*len(ids)/n:(i+1)*len(ids)/n], ends)
		})
	}
	shares.Wait()
	for i := range n {
		if errs[i] != nil {
			return nil, errs[i]
		}
		children = append(children, parts[i]...)
	}
	if ends {
		children = firstAndLast(children)
	}
	return children, nil
}

// verifyShare is verifyLevel for one share of the pages.
func (v *verifier) verifyShare(ctx context.Context, ids []uint64, ends bool) (children []uint64, err error) {
	b := make([]byte, v.meta.PageSize)
	for _, id := range ids {
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		if err := v.read(id, b); err != nil {
			return nil, err
		}
		if flagsOf(b) != branchFlag {
			return nil, damaged(id, "is not as deep as the other pages of its kind")
		}
		p, err := v.verifyPage(id, b, false)
		if err != nil {
			return nil, err
		}
		for i := range p.count {
			e, err := v.element(p, i, nil)
			if err != nil {
				return nil, err
			}
			children = append(children, e.child)
		}
		if ends {
			children = firstAndLast(children)
		}
	}
	return children, nil
}

func firstAndLast(ids []uint64) []uint64 {
	if len(ids) <= 2 {
		return ids
	}
	return []uint64{ids[0], ids[len(ids)-1]}
}
