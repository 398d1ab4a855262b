package boltcheck

import (
	"fmt"
	"hash/fnv"
	"io"
)

// Meta is what the current meta page of a file says.
type Meta struct {
	PageSize int    // in bytes; by default that of the machine that made the file
	Pages    uint64 // how many pages there are, free ones included
	Txid     uint64 // of the last commit

	// NoFreelist says that the file was written with NoFreelistSync. If bbolt opens
	// such a file for writing, it reads every page at once, in a goroutine whose
	// panics nobody can recover: call All first.
	NoFreelist bool

	root     uint64 // root page of the root bucket
	freelist uint64 // first page of the freelist
}

const (
	metaSize    = 4*4 + 5*8 + 8 // without the page header
	metaMagic   = 0xed0cdaed
	metaVersion = 2
	noFreelist  = 1<<64 - 1

	minPageSize = 1 << 10 // bbolt looks for the second meta page at powers of two between these
	maxPageSize = 1 << 24
	minPages    = 4 // two meta pages, the freelist, and the root bucket
)

// ReadMeta reads the meta pages of a file of size bytes and returns the current one,
// as bbolt does: the sound one with the higher txid. Errors wrap ErrDamaged. It reads
// no other page.
func ReadMeta(file io.ReaderAt, size int64) (Meta, error) {
	m, sound, err := readMeta(file, 0)
	if err != nil {
		return Meta{}, err
	}
	if sound {
		if err := m.validate(size); err != nil {
			return Meta{}, err
		}
		second, sound, err := readMeta(file, int64(m.PageSize))
		switch {
		case err != nil:
			return Meta{}, err
		case !sound || second.Txid <= m.Txid:
			return m, nil
		case second.PageSize != m.PageSize:
			return Meta{}, damaged(1, "has another page size than page 0")
		}
		if err := second.validate(size); err != nil {
			return Meta{}, err
		}
		return second, nil
	}
	for offset := int64(minPageSize); offset <= min(maxPageSize, size-pageHeaderSize-metaSize); offset *= 2 {
		m, sound, err := readMeta(file, offset)
		switch {
		case err != nil:
			return Meta{}, err
		case !sound:
			continue
		case int64(m.PageSize) != offset:
			return Meta{}, damaged(1, "is not where its page size says")
		}
		if err := m.validate(size); err != nil {
			return Meta{}, err
		}
		return m, nil
	}
	return Meta{}, fmt.Errorf("%w: no sound meta page", ErrDamaged)
}

// ReadMetaPage reads one of the two meta pages, 0 or 1. It reports whether bbolt would
// accept it.
func ReadMetaPage(file io.ReaderAt, pageSize, page int) (m Meta, sound bool, err error) {
	return readMeta(file, int64(pageSize)*int64(page))
}

// readMeta reads the meta page at offset. It reports whether bbolt would accept it.
func readMeta(file io.ReaderAt, offset int64) (m Meta, sound bool, err error) {
	b := make([]byte, metaSize)
	if _, err := file.ReadAt(b, offset+pageHeaderSize); err != nil {
		return Meta{}, false, unreadable(err)
	}
	sum := fnv.New64a()
	sum.Write(b[:metaSize-8])
	sound = native.Uint32(b) == metaMagic && native.Uint32(b[4:]) == metaVersion && native.Uint64(b[metaSize-8:]) == sum.Sum64()
	m = Meta{
		PageSize: int(native.Uint32(b[8:])),
		Pages:    native.Uint64(b[40:]),
		Txid:     native.Uint64(b[48:]),
		root:     native.Uint64(b[16:]),
		freelist: native.Uint64(b[32:]),
	}
	m.NoFreelist = m.freelist == noFreelist
	return m, sound, nil
}

// validate returns an error unless the pages that m names lie inside a file of size
// bytes.
func (m Meta) validate(size int64) error {
	switch {
	case m.PageSize < minPageSize, m.PageSize > maxPageSize:
		return fmt.Errorf("%w: the meta page has a wrong page size", ErrDamaged)
	case m.Pages < minPages, m.root >= m.Pages, m.freelist >= m.Pages && !m.NoFreelist:
		return fmt.Errorf("%w: the meta page has a wrong page id", ErrDamaged)
	case m.Pages > uint64(size)/uint64(m.PageSize):
		return damaged(m.Pages-1, "lies beyond the end of the file")
	}
	return nil
}
