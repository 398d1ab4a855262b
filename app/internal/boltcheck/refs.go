package boltcheck

import (
	"hash/maphash"
	"sync/atomic"
)

// addRef notes that page from refers to page to. Only one page may.
func (v *verifier) addRef(from, to uint64) error {
	if to >= v.meta.Pages {
		return damaged(from, "refers to a page beyond the end of the file")
	}
	bit := uint32(1) << (to % 32)
	if old := atomic.OrUint32(&v.refs[to/32], bit); old&bit != 0 {
		return damaged(from, "refers to a page that another page refers to")
	}
	return nil
}

// noteFirstKey notes the first key of page id. It is called once with the key that
// the page has, and once with the key that its parent has for it: the two must be
// equal, and cancel each other out.
func (v *verifier) noteFirstKey(id uint64, key []byte) {
	if v.firstKeys != nil {
		v.firstKeys[id] ^= maphash.Bytes(v.seed, key)
	}
}

// verifyRefs verifies that one page refers to each branch and leaf page, and has the
// right first key for it.
func (v *verifier) verifyRefs() error {
	allRead := v.firstKeys != nil
	for i, kind := range v.kinds {
		id := uint64(i)
		if kind == kindUnknown && !allRead {
			continue // a leaf that was not read, or a lost page
		}
		isTree := kind == kindLeaf || kind == kindBranch
		if hasRef := v.refs[id/32]&(1<<(id%32)) != 0; hasRef != isTree {
			return damaged(id, "is lost, or in use and free at once")
		}
		if isTree && allRead && v.firstKeys[id] != 0 && !v.roots[id] {
			return damaged(id, "begins with another key than its parent says")
		}
	}
	return nil
}
