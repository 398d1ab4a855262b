package boltcheck

// idsPerRead is how many ids of the freelist are in memory at once.
const idsPerRead = 8192

// readFreelist verifies the freelist and marks the pages it lists as free. With
// NoFreelistSync there is none: then a page is free if nothing refers to it.
func (v *verifier) readFreelist() error {
	if v.meta.NoFreelist {
		return nil
	}
	id := v.meta.freelist
	b := make([]byte, v.meta.PageSize)
	if err := v.read(id, b); err != nil {
		return err
	}
	if flagsOf(b) != freelistFlag {
		return damaged(id, "is not a freelist page")
	}
	p, err := v.claim(id, b, kindFreelist)
	if err != nil {
		return err
	}
	offset, count := int64(pageHeaderSize), uint64(p.count)
	if count == 0xffff { // or more; the first element has the real count
		b, err := v.bytes(p, offset, 8)
		if err != nil {
			return err
		}
		offset, count = offset+8, native.Uint64(b)
	}
	for count > 0 {
		n := min(count, idsPerRead)
		ids, err := v.bytes(p, offset, 8*int64(n))
		if err != nil {
			return err
		}
		for ; len(ids) > 0; ids = ids[8:] {
			free := native.Uint64(ids)
			if free >= v.meta.Pages || v.kinds[free] != kindUnknown {
				return damaged(id, "lists a page as free that is not")
			}
			v.kinds[free] = kindFree
		}
		offset, count = offset+8*int64(n), count-n
	}
	return nil
}
