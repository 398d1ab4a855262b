package bolt

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/fnv"
	"hash/maphash"
	"io"
	"os"
	"runtime"
	"sync"
	"sync/atomic"
)

// checkPages reads the pages of the file and returns an error that wraps
// ErrDamaged unless they make up sound trees. It must come before bbolt reads
// them: bbolt trusts the file, and a page that leads back to itself, a count that
// is too large or a list of free pages that names one in use ends the process or
// destroys what is whole, which no recover could catch. It does not look into
// keys and values; those have checksums of their own.
//
// With leaves it reads the file once from start to end, as fast as the disk can,
// or until ctx ends. Without, it reads the pages that lead to others and the list
// of free ones: see readBranches. It needs ten bytes of memory at most for each page
// of 4 KiB. Nobody else may write the file meanwhile.
func checkPages(ctx context.Context, file io.ReaderAt, size int64, leaves bool) error {
	h, err := readHead(file)
	if err != nil {
		return err
	}
	if int64(h.pages) > size/int64(h.pageSize) {
		return damagedPage(h.pages-1, "lies beyond the end of the file")
	}
	p := &pages{file: file, head: h, kinds: make([]byte, h.pages), referred: make([]uint32, h.pages/32+1), roots: map[uint64]bool{}}
	p.kinds[0], p.kinds[1] = kindHead, kindHead
	read := p.readBranches
	if leaves {
		p.match, p.seed = make([]uint64, h.pages), maphash.MakeSeed()
		read = func() error { return p.readAll(ctx) }
	}
	for _, step := range []func() error{p.readFree, p.referRoot, read, p.checkBuckets, p.checkReferences} {
		if err := step(); err != nil {
			return err
		}
	}
	return nil
}

// pages is what is known of the pages so far.
type pages struct {
	file    io.ReaderAt
	head    fileHead
	match   []uint64 // of each page: zero once its first key was met in the page above, too; nil without leaves
	seed    maphash.Seed
	buckets []uint64        // the pages that have buckets
	trees   []tree          // that begin where those lead
	roots   map[uint64]bool // the first pages of trees: no page above them has their key

	referred []uint32 // a bit of each page: another leads to it. So few bytes stay in the processor's caches

	mu    sync.Mutex // see mark
	kinds []byte     // of each page
}

// tree is that of one bucket.
type tree struct {
	root uint64
	all  bool // its leaves are to be read even where others are not
}

const (
	kindUnknown = iota
	kindHead
	kindFree
	kindFreelist
	kindLeaf
	kindBranch
	kindMore // belongs to the page before it
)

// How a page begins, and the elements after that, as bbolt has them in memory
// and writes them: id, flags, count, overflow.
const (
	pageHead    = 8 + 2 + 2 + 4
	elementSize = 16
	headSize    = 4*4 + 5*8 + 8

	pageBranch   = 1
	pageLeaf     = 2
	pageFreelist = 16
)

var native = binary.NativeEndian

const inUseTwice = "is lost, or in use and free at once"

func damagedPage(id uint64, what string) error {
	return fmt.Errorf("%w: page %d %s", ErrDamaged, id, what)
}

// fileHead is what one of the two heads of the file says. The one that was written
// last counts.
type fileHead struct {
	pageSize uint32
	root     uint64 // page with the buckets
	free     uint64 // page with the list of free pages
	pages    uint64 // how many there are
	commit   uint64
}

func readHead(file io.ReaderAt) (best fileHead, err error) {
	size := int64(os.Getpagesize())
	found := false
	for i := range int64(2) {
		b := make([]byte, headSize)
		if _, err := file.ReadAt(b, i*size+pageHead); err != nil {
			return fileHead{}, fmt.Errorf("%w: %w", ErrDamaged, err)
		}
		sum := fnv.New64a()
		sum.Write(b[:headSize-8])
		if native.Uint64(b[headSize-8:]) != sum.Sum64() {
			continue
		}
		h := fileHead{
			pageSize: native.Uint32(b[8:]),
			root:     native.Uint64(b[16:]),
			free:     native.Uint64(b[32:]),
			pages:    native.Uint64(b[40:]),
			commit:   native.Uint64(b[48:]),
		}
		size = int64(h.pageSize) // as it was where the file was made
		if !found || h.commit > best.commit {
			best, found = h, true
		}
	}
	const most = 16 << 20 // of a page, says bbolt
	switch {
	case !found, best.pageSize < 1024, best.pageSize > most, best.pages < 4, best.root >= best.pages, best.free >= best.pages:
		return fileHead{}, errors.Join(ErrDamaged, errors.New("no sound head"))
	}
	return best, nil
}

// page is one page, with those that belong to it.
type page struct {
	id    uint64
	flags uint16
	count int
	more  uint32
	body  []byte // all of it, the beginning included
}

func (p *pages) parse(id uint64, b []byte) page {
	return page{id: native.Uint64(b), flags: native.Uint16(b[8:]), count: int(native.Uint16(b[10:])), more: native.Uint32(b[12:]), body: b}
}

// take checks how page id begins, marks it and those that belong to it, and
// reads the latter.
func (p *pages) take(id uint64, b []byte, kind byte) (page, error) {
	g := p.parse(id, b)
	if g.id != id {
		return page{}, damagedPage(id, "bears another number")
	}
	if uint64(g.more) >= p.head.pages-id {
		return page{}, damagedPage(id, "is too long")
	}
	if !p.mark(id, uint64(g.more), kind) {
		return page{}, damagedPage(id, "runs into another")
	}
	if g.more > 0 {
		g.body = make([]byte, (int64(g.more)+1)*int64(p.head.pageSize))
		if _, err := p.file.ReadAt(g.body, int64(id)*int64(p.head.pageSize)); err != nil {
			return page{}, fmt.Errorf("%w: %w", ErrDamaged, err)
		}
	}
	return g, nil
}

// mark says of what kind a page is that goes on over more, and reports whether it
// could: none may be marked already. Those who share a level come here together.
func (p *pages) mark(id, more uint64, kind byte) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	all := p.kinds[id : id+more+1]
	for i := range all {
		if all[i] != kindUnknown {
			return false
		}
		all[i] = kindMore
	}
	all[0] = kind
	return true
}

// readFree reads the list of free pages.
func (p *pages) readFree() error {
	id := p.head.free
	b := make([]byte, p.head.pageSize)
	if err := p.readPage(id, b); err != nil {
		return err
	}
	g, err := p.take(id, b, kindFreelist)
	if err != nil {
		return err
	}
	if g.flags != pageFreelist {
		return damagedPage(id, "is not the list of free pages")
	}
	list, count := g.body[pageHead:], uint64(g.count)
	if count == 0xffff { // and more: then the number comes first
		count, list = native.Uint64(list), list[8:]
	}
	if count > uint64(len(list)/8) {
		return damagedPage(id, "is too short for its list")
	}
	for i := range count {
		free := native.Uint64(list[8*i:])
		if free >= p.head.pages || p.kinds[free] != kindUnknown {
			return damagedPage(id, "lists a page as free that is not")
		}
		p.kinds[free] = kindFree
	}
	return nil
}

// referRoot notes that the head leads to the tree of buckets.
func (p *pages) referRoot() error {
	p.roots[p.head.root] = true
	return p.refer(0, p.head.root)
}

// readAll looks at every page that is in use.
func (p *pages) readAll(ctx context.Context) error {
	size := int64(p.head.pageSize)
	perRead := max(1, (1<<20)/size)
	buffer := make([]byte, perRead*size)
	for first := int64(0); first < int64(p.head.pages); first += perRead {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		n := min(perRead, int64(p.head.pages)-first)
		if _, err := p.file.ReadAt(buffer[:n*size], first*size); err != nil {
			return fmt.Errorf("%w: %w", ErrDamaged, err)
		}
		for i := range n {
			if id := uint64(first + i); p.kinds[id] == kindUnknown {
				if _, err := p.readTreePage(id, buffer[i*size:(i+1)*size]); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// readBranches looks at every page that leads to others, about one in 85, and so
// makes sure that whoever follows them never goes round in a circle: bbolt would,
// until the stack has no more room, which ends the process. Where the leaves
// begin, the first of them tells, and the last must agree. They are all equally
// deep: a page is split into pages of its own depth, and merged with one of them,
// and a tree grows and shrinks at its root.
//
// What is wrong with a leaf costs whoever reads it an error. That includes one
// that says of itself that it leads to others: what bbolt then takes for the
// number of a page is made of the lengths of a key and its value, and with any
// value at all, page 1<<32 or later, 16 TiB from the start. Only among the
// administrators, who have none, would it be an early page, which could lead back
// there. So their leaves are read, too. A leaf with its own number and what some
// other page that leads to others has would pass; neither a lost nor a misplaced
// write leaves such a one, for the number is in the same page.
func (p *pages) readBranches() error {
	p.trees = append(p.trees, tree{p.head.root, true})
	// Every page is referred to once at most, so this ends.
	for len(p.trees) > 0 {
		t := p.trees[0]
		p.trees = p.trees[1:]
		if err := p.readBranchesOf(t); err != nil {
			return err
		}
	}
	return nil
}

func (p *pages) readBranchesOf(t tree) error {
	height, err := p.height(t.root)
	ids := []uint64{t.root}
	for level := 0; level < height && err == nil; level++ {
		ids, err = p.readLevel(ids, pageBranch, level == height-1 && !t.all)
	}
	if err == nil {
		_, err = p.readLevel(ids, pageLeaf, false)
	}
	return err
}

// mostHeight is far more than any tree has: each level is twice as many pages at
// least as the one above.
const mostHeight = 64

// height returns how many levels of pages that lead to others a tree has.
func (p *pages) height(root uint64) (int, error) {
	b := make([]byte, p.head.pageSize)
	for height := range mostHeight {
		if err := p.readPage(root, b); err != nil {
			return 0, err
		}
		ids := p.parse(root, b).below()
		if len(ids) == 0 {
			return height, nil
		}
		root = ids[0]
	}
	return 0, damagedPage(root, "lies too deep")
}

// worthSharing is how many pages keep a goroutine busy for longer than it takes to
// begin it.
const worthSharing = 8

// readLevel looks at pages that are equally deep in a tree, and returns those which
// they lead to; with ends, the first and the last of them. At a start nobody else
// has use for the processor's other cores: they share the work. Not that of leaves,
// which are few here, for buckets found in them are noted for all.
func (p *pages) readLevel(ids []uint64, flags uint16, ends bool) (below []uint64, err error) {
	n := 1
	if flags == pageBranch {
		n = max(n, min(runtime.GOMAXPROCS(0), len(ids)/worthSharing))
	}
	parts, errs := make([][]uint64, n), make([]error, n)
	var shares sync.WaitGroup
	for i := range n {
		shares.Go(func() {
			errs[i] = guard(func() (err error) {
				parts[i], err = p.readShare(ids[i*len(ids)/n:(i+1)*len(ids)/n], flags, ends)
				return err
			})
		})
	}
	shares.Wait()
	for i := range n {
		if errs[i] != nil {
			return nil, errs[i]
		}
		below = append(below, parts[i]...)
	}
	if ends && len(below) > 2 {
		below = []uint64{below[0], below[len(below)-1]}
	}
	return below, nil
}

// readShare is readLevel for one share of the pages. With ends it returns those which
// the first and the last page lead to.
func (p *pages) readShare(ids []uint64, flags uint16, ends bool) (below []uint64, err error) {
	b := make([]byte, p.head.pageSize)
	for i, id := range ids {
		if err := p.readPage(id, b); err != nil {
			return nil, err
		}
		if p.parse(id, b).flags != flags {
			return nil, damagedPage(id, "is not as deep as the others")
		}
		g, err := p.readTreePage(id, b)
		if err != nil {
			return nil, err
		}
		if !ends || i == 0 || i == len(ids)-1 {
			below = append(below, g.below()...)
		}
	}
	return below, nil
}

// readPage reads the first part of page id, as long as a page.
func (p *pages) readPage(id uint64, b []byte) error {
	if _, err := p.file.ReadAt(b, int64(id)*int64(p.head.pageSize)); err != nil {
		return fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	return nil
}

// below returns the pages that a page leads to, none if it is a leaf.
func (g page) below() (ids []uint64) {
	if g.flags != pageBranch {
		return nil
	}
	ids = make([]uint64, 0, g.count)
	for i := range g.count {
		if at := pageHead + (i+1)*elementSize; at <= len(g.body) {
			ids = append(ids, native.Uint64(g.body[at-8:]))
		}
	}
	return ids
}

func (p *pages) readTreePage(id uint64, b []byte) (page, error) {
	kind := byte(kindLeaf)
	if native.Uint16(b[8:]) == pageBranch {
		kind = kindBranch
	}
	g, err := p.take(id, b, kind)
	if err != nil {
		return page{}, err
	}
	switch g.flags {
	case pageBranch:
		return g, p.readBranch(g)
	case pageLeaf:
		return g, p.readLeaf(g, true)
	}
	return page{}, damagedPage(id, "is of no kind")
}

// refer notes that some page leads to another, which only one may.
func (p *pages) refer(from, to uint64) error {
	if to >= p.head.pages {
		return damagedPage(from, "leads to a wrong page")
	}
	bit := uint32(1) << (to % 32)
	if before := atomic.OrUint32(&p.referred[to/32], bit); before&bit != 0 {
		return damagedPage(from, "leads to a wrong page")
	}
	return nil
}

// key returns the key of an element and its end, or nil if it does not lie
// inside the page. What is said of it are its place, from where the element
// begins, and its length.
func (g page) key(element int, place, length uint32) (key []byte, end int64) {
	begin := int64(element) + int64(place)
	end = begin + int64(length)
	if length == 0 || begin < int64(pageHead+g.count*elementSize) || end > int64(len(g.body)) {
		return nil, 0
	}
	return g.body[begin:end], end
}

func (p *pages) readBranch(g page) error {
	if g.count == 0 || pageHead+g.count*elementSize > len(g.body) {
		return damagedPage(g.id, "has a wrong count")
	}
	var last []byte
	for i := range g.count {
		at := pageHead + i*elementSize
		e := g.body[at:]
		key, _ := g.key(at, native.Uint32(e), native.Uint32(e[4:]))
		if key == nil || bytes.Compare(last, key) >= 0 {
			return damagedPage(g.id, "has a wrong key")
		}
		last = key
		below := native.Uint64(e[8:])
		if err := p.refer(g.id, below); err != nil {
			return err
		}
		p.meet(below, key)
		if i == 0 {
			p.meet(g.id, key)
		}
	}
	return nil
}

// meet notes that key was met as the first of page id: in the page itself or in
// the one above it.
func (p *pages) meet(id uint64, key []byte) {
	if p.match != nil {
		p.match[id] ^= maphash.Bytes(p.seed, key)
	}
}

// readLeaf looks at a page of keys and values. Only buckets may have buckets
// inside: an inline one may not.
func (p *pages) readLeaf(g page, buckets bool) error {
	if pageHead+g.count*elementSize > len(g.body) {
		return damagedPage(g.id, "has a wrong count")
	}
	var last []byte
	for i := range g.count {
		at := pageHead + i*elementSize
		e := g.body[at:]
		key, end := g.key(at, native.Uint32(e[4:]), native.Uint32(e[8:]))
		if key == nil || bytes.Compare(last, key) >= 0 {
			return damagedPage(g.id, "has a wrong key")
		}
		last = key
		end2 := end + int64(native.Uint32(e[12:]))
		if end2 > int64(len(g.body)) {
			return damagedPage(g.id, "has a wrong value")
		}
		if i == 0 && buckets {
			p.meet(g.id, key)
		}
		switch flags := native.Uint32(e); {
		case flags == 0:
		case flags == 1 && buckets:
			if err := p.readBucket(g.id, key, g.body[end:end2]); err != nil {
				return err
			}
		default:
			return damagedPage(g.id, "has an element of no kind")
		}
	}
	return nil
}

// mostBuckets is more pages than the names of our buckets fill.
const mostBuckets = 100

// readBucket looks at the value of a bucket: its page, a number, and, where the
// page is 0, a leaf.
func (p *pages) readBucket(in uint64, name, value []byte) error {
	if n := len(p.buckets); n == 0 || p.buckets[n-1] != in {
		if n == mostBuckets {
			return damagedPage(in, "has too many buckets")
		}
		p.buckets = append(p.buckets, in)
	}
	if len(value) < 16 {
		return damagedPage(in, "has a bucket cut short")
	}
	if root := native.Uint64(value); root != 0 {
		if err := p.refer(in, root); err != nil {
			return err
		}
		p.roots[root] = true
		p.trees = append(p.trees, tree{root, bytes.Equal(name, bucketAdmins)})
		return nil
	}
	inline := value[16:]
	if len(inline) < pageHead || native.Uint16(inline[8:]) != pageLeaf {
		return damagedPage(in, "has a bucket cut short")
	}
	g := p.parse(in, inline)
	g.id = in
	return p.readLeaf(g, false)
}

// checkBuckets makes sure that buckets are where bbolt looks for them, and that
// nothing else passes for one.
func (p *pages) checkBuckets() error {
	within := map[uint64]bool{}
	// Every page is referred to once at most, so this ends.
	for open := []uint64{p.head.root}; len(open) > 0; {
		id := open[0]
		open = open[1:]
		if within[id] = true; len(within) > mostBuckets {
			return damagedPage(id, "has too many buckets")
		}
		if p.kinds[id] != kindBranch {
			continue
		}
		b := make([]byte, p.head.pageSize)
		if err := p.readPage(id, b); err != nil {
			return err
		}
		open = append(open, p.parse(id, b).below()...)
	}
	for _, id := range p.buckets {
		if !within[id] {
			return damagedPage(id, "has a bucket where none may be")
		}
	}
	return nil
}

// checkReferences makes sure that one page leads to each that is in use, and
// that it knows it by its first key.
func (p *pages) checkReferences() error {
	for id, kind := range p.kinds {
		tree := kind == kindLeaf || kind == kindBranch
		referred := p.referred[id/32]&(1<<(id%32)) != 0
		if kind == kindUnknown && p.match == nil {
			continue // a leaf that was not looked at, or lost
		}
		if referred != tree {
			return damagedPage(uint64(id), inUseTwice)
		}
		if tree && p.match != nil && p.match[id] != 0 && !p.roots[uint64(id)] {
			return damagedPage(uint64(id), "begins with another key than the page above says")
		}
	}
	return nil
}
