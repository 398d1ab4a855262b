package boltcheck

import "bytes"

// Sizes and flags of pages, from bbolt's internal/common/page.go.
const (
	pageHeaderSize = 8 + 2 + 2 + 4 // id, flags, count, overflow
	elementSize    = 16
	maxKeySize     = 32768 // bbolt.MaxKeySize

	branchFlag   = 0x01
	leafFlag     = 0x02
	freelistFlag = 0x10

	bucketFlag = 0x01 // of a leaf element
)

// page is one page with its overflow pages, or an inline bucket.
type page struct {
	id    uint64
	flags uint16
	count int
	first []byte // the first page; overflow pages stay in the file
	size  int64  // with overflow pages
}

// read reads page id, without its overflow pages, into b.
func (v *verifier) read(id uint64, b []byte) error {
	if id >= v.meta.Pages {
		return damaged(id, "lies beyond the end of the file")
	}
	if _, err := v.file.ReadAt(b, int64(id)*int64(v.meta.PageSize)); err != nil {
		return unreadable(err)
	}
	return nil
}

func flagsOf(b []byte) uint16 { return native.Uint16(b[8:]) }

// claim parses the header of page id, whose first page is b, and marks the page as
// of kind. No page may be claimed twice, not even as an overflow page.
func (v *verifier) claim(id uint64, b []byte, kind byte) (page, error) {
	overflow := uint64(native.Uint32(b[12:]))
	if native.Uint64(b) != id {
		return page{}, damaged(id, "has another page's id")
	}
	if overflow >= v.meta.Pages-id {
		return page{}, damaged(id, "overflows beyond the end of the file")
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	kinds := v.kinds[id : id+overflow+1]
	for i := range kinds {
		if kinds[i] != kindUnknown {
			return page{}, damaged(id, "overlaps another page")
		}
		kinds[i] = kindOverflow
	}
	kinds[0] = kind
	return page{
		id:    id,
		flags: flagsOf(b),
		count: int(native.Uint16(b[10:])),
		first: b,
		size:  int64(overflow+1) * int64(v.meta.PageSize),
	}, nil
}

// bytes returns n bytes of p from offset on. It reads overflow pages only as far as
// needed, because a damaged overflow count may name gigabytes.
func (v *verifier) bytes(p page, offset, n int64) ([]byte, error) {
	if offset+n > p.size {
		return nil, damaged(p.id, "has an element that does not fit")
	}
	if offset+n <= int64(len(p.first)) {
		return p.first[offset : offset+n], nil
	}
	b := make([]byte, n)
	if _, err := v.file.ReadAt(b, int64(p.id)*int64(v.meta.PageSize)+offset); err != nil {
		return nil, unreadable(err)
	}
	return b, nil
}

// element is one element of a branch or leaf page.
type element struct {
	key         []byte
	child       uint64 // in a branch
	flags       uint32 // in a leaf
	value, size int64  // in a leaf: where the value begins in the page, and its size
}

// element returns element i of p. Its key must be greater than last; so an empty key
// is damage, too.
func (v *verifier) element(p page, i int, last []byte) (element, error) {
	at := int64(pageHeaderSize + i*elementSize)
	b, err := v.bytes(p, at, elementSize)
	if err != nil {
		return element{}, err
	}
	var e element
	var pos, keySize uint32
	if p.flags == branchFlag {
		pos, keySize = native.Uint32(b), native.Uint32(b[4:])
		e.child = native.Uint64(b[8:])
	} else {
		e.flags, pos, keySize = native.Uint32(b), native.Uint32(b[4:]), native.Uint32(b[8:])
		e.size = int64(native.Uint32(b[12:]))
	}
	begin := at + int64(pos)
	if keySize > maxKeySize || begin < int64(pageHeaderSize+p.count*elementSize) {
		return element{}, damaged(p.id, "has a key of a wrong size or place")
	}
	if e.key, err = v.bytes(p, begin, int64(keySize)); err != nil {
		return element{}, err
	}
	if bytes.Compare(last, e.key) >= 0 {
		return element{}, damaged(p.id, "has keys that are not in order")
	}
	e.value = begin + int64(keySize)
	if e.value+e.size > p.size {
		return element{}, damaged(p.id, "has a value that does not fit")
	}
	return e, nil
}
