package kv

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"go.etcd.io/bbolt"

	"latchkey/app/internal/boltcheck"
	"latchkey/app/internal/store"
)

var (
	variants   = flag.Int("variants", 300, "how many damaged files are opened")
	damageSeed = flag.Uint64("damage-seed", 0, "what TestDamage said was its seed, to see it again")
)

const damagePage = 4096 // where damage begins does not depend on the real page size

// harms are what disks, cables and people do to files.
var harms = []struct {
	name   string
	do     func(r *rand.Rand, b []byte) []byte
	forged bool // no disk does it: a leaf may come to lead to itself, which only reading all pages finds
}{
	{"a flipped bit", func(r *rand.Rand, b []byte) []byte {
		b[r.IntN(len(b))] ^= 1 << r.IntN(8)
		return b
	}, false},
	{"a flipped bit where a page begins", func(r *rand.Rand, b []byte) []byte {
		b[r.IntN(len(b)/damagePage)*damagePage+r.IntN(200)] ^= 1 << r.IntN(8)
		return b
	}, false},
	{"a few other bytes where a page begins", func(r *rand.Rand, b []byte) []byte {
		page := r.IntN(len(b) / damagePage)
		for range 4 {
			b[page*damagePage+r.IntN(64)] = byte(r.IntN(256))
		}
		return b
	}, false},
	{"a zeroed sector", func(r *rand.Rand, b []byte) []byte {
		clear(b[r.IntN(len(b)/512)*512:][:512])
		return b
	}, false},
	{"a zeroed page", func(r *rand.Rand, b []byte) []byte {
		clear(b[r.IntN(len(b)/damagePage)*damagePage:][:damagePage])
		return b
	}, false},
	{"a page of nonsense", func(r *rand.Rand, b []byte) []byte {
		page := b[r.IntN(len(b)/damagePage)*damagePage:][:damagePage]
		for i := range page {
			page[i] = byte(r.IntN(256))
		}
		return b
	}, false},
	{"a page in another's place", func(r *rand.Rand, b []byte) []byte {
		n := len(b) / damagePage
		copy(b[r.IntN(n)*damagePage:][:damagePage], b[r.IntN(n)*damagePage:])
		return b
	}, false},
	{"a page in another's place, with its number", func(r *rand.Rand, b []byte) []byte {
		n := len(b) / damagePage
		to := r.IntN(n)
		copy(b[to*damagePage+8:][:damagePage-8], b[r.IntN(n)*damagePage+8:])
		return b
	}, true},
	{"cut short", func(r *rand.Rand, b []byte) []byte { return b[:r.IntN(len(b))] }, false},
}

const damagedPeople = 60

// A damaged file is refused in one line, or what is whole of it is served: never a
// panic, never a wrong answer, never an end of the process. ASVS 1.5.2
func TestDamage(t *testing.T) {
	if testing.Short() {
		t.Skip("runs with tests/run --all")
	}
	seed := cmp.Or(*damageSeed, uint64(time.Now().UnixNano()))
	t.Logf("seed %d", seed)
	path := temp(t)
	db := open(t, path, testOptions())
	fill(t, db, damagedPeople)
	db.Close()
	// The pages that were free until now are gone from the copy, so that the damage
	// hits something.
	compact(t, path)
	whole := readFile(t, path)
	meta, err := boltcheck.ReadMeta(bytes.NewReader(whole), int64(len(whole)))
	if err != nil {
		t.Fatal(err)
	}
	whole = whole[:int64(meta.Pages)*pageSize]
	refused, found, hidden := 0, 0, 0
	for i := range *variants {
		random := rand.New(rand.NewPCG(seed, uint64(i)))
		harm := harms[i%len(harms)]
		o := testOptions()
		// Every other round the file passes for a large one, whose leaves are verified
		// while it is served already.
		if i/len(harms)%2 == 1 {
			if o.VerifyFirst = 1; harm.forged {
				continue
			}
		}
		path := writeFile(t, filepath.Join(t.TempDir(), "damaged.db"), harm.do(random, slices.Clone(whole)))
		done := make(chan string, 1)
		go func() {
			defer close(done)
			before, _ := os.ReadFile(path)
			if _, err := Check(context.Background(), path, o, nil); err != nil && strings.Contains(err.Error(), "\n") {
				done <- fmt.Sprintf("not one line: %v", err)
				return
			}
			if after, _ := os.ReadFile(path); !bytes.Equal(before, after) {
				done <- "the check has changed the file"
				return
			}
			db, err := Open(path, o)
			if err != nil {
				if refused++; strings.Contains(err.Error(), "\n") {
					done <- fmt.Sprintf("not one line: %v", err)
				} else if after, _ := os.ReadFile(path); !bytes.Equal(before, after) {
					done <- "a file that was refused has changed"
				}
				return
			}
			defer db.Close()
			db.bolt.NoSync = true
			switch faults, wrong := use(db); {
			case wrong != "":
				done <- wrong
			case faults > 0:
				found++
			default:
				hidden++
			}
		}()
		select {
		case wrong := <-done:
			if wrong != "" {
				t.Errorf("variant %d, %s: %s", i, harm.name, wrong)
			}
		case <-time.After(10 * time.Second):
			stacks := make([]byte, 1<<20)
			t.Fatalf("variant %d, %s: it does not come back\n%s", i, harm.name, stacks[:runtime.Stack(stacks, true)])
		}
		os.Remove(path)
	}
	t.Logf("%d variants of %d bytes: %d refused at the start, %d served in part, %d with nothing amiss", *variants, len(whole), refused, found, hidden)
	if refused == 0 || *variants >= 1000 && found == 0 {
		t.Error("nothing was refused or nothing found, so nothing was shown")
	}
}

// use does what a server does with a file that fill made, and counts what could not
// be read or written. wrong is an answer that is not right.
func use(db *DB) (faults int, wrong string) {
	note := func(err error) {
		switch {
		case errors.Is(err, store.ErrDamaged), errors.Is(err, errDamaged):
			faults++
		case err != nil && !errors.Is(err, store.ErrNotFound) && !errors.Is(err, store.ErrTaken):
			wrong = err.Error()
		}
	}
	ctx := context.Background()
	gone := map[ID]bool{}
	read := func() {
		for i := range 3 * damagedPeople {
			want := noteOf(i, damagedPeople)
			got, err := getNote(db, want.ID)
			note(err)
			got.Text = strings.TrimSuffix(got.Text, " changed")
			if err == nil && got != want {
				wrong = fmt.Sprintf("note %d is %+v", i, got)
			}
			if err == nil && gone[want.ID] {
				wrong = fmt.Sprintf("note %d was removed and is there", i)
			}
			key := number(i)
			note(db.View(ctx, func(tx *Tx) error { tx.Get("people", key[:]); return nil }))
		}
		for i := range damagedPeople {
			note(db.View(ctx, func(tx *Tx) error {
				for after := ""; ; {
					page, next, err := noteTable.ListByOwner(tx, number(i), after, 2)
					for _, n := range page {
						if n.Owner != number(i) {
							wrong = fmt.Sprintf("a note of another: %+v", n)
						}
					}
					if after = next; err != nil || after == "" {
						return err
					}
				}
			}))
		}
	}
	read()
	for i := range damagedPeople {
		n := noteOf(i, damagedPeople)
		err := db.Update(ctx, func(tx *Tx) error {
			switch i % 4 {
			case 0:
				return tx.DropOwner(n.Owner)
			case 1:
				return noteTable.Delete(tx, n.ID)
			case 2:
				n.Text += " changed"
				return noteTable.Update(tx, n)
			}
			return noteTable.Insert(tx, noteOf(1000+i, damagedPeople))
		})
		note(err)
		if err == nil && i%4 < 2 {
			gone[n.ID] = true
		}
	}
	note(db.Backup(ctx, &bytes.Buffer{}))
	read()
	return faults, wrong
}

// Of a large file, a leaf whose keys are out of order may be read before it is
// verified. No page of a list may lead back to an earlier one.
func TestPagesOfALeafOutOfOrder(t *testing.T) {
	path := testFile(t, 1)
	db := open(t, path, testOptions())
	root := 0
	update(t, db, func(tx *Tx) error {
		for i := 3; i < 60; i++ {
			if err := noteTable.Insert(tx, noteOf(i, 1)); err != nil {
				return err
			}
		}
		return nil
	})
	view(t, db, func(tx *Tx) error { root = int(tx.Bucket("notes/records").RootPage()); return nil })
	db.Close()
	b := readFile(t, path)
	at := int64(root) * pageSize
	leaf := int64(native.Uint64(b[at+16+16+8:])) * pageSize
	// Element 5 becomes element 1 once more: whole, with the right checksum.
	const size, head = 16, 16
	element := func(i int64) []byte { return b[leaf+head+i*size:][:size] }
	distance := uint32(4 * size)
	place := native.Uint32(element(1)[4:]) - distance // wraps around, as bbolt's pointer does
	copy(element(5), element(1))
	native.PutUint32(element(5)[4:], place)
	if int32(place) < 0 {
		t.Fatal("the test is wrong")
	}
	writeFile(t, path, b)
	tx := openUnverified(t, path)
	for limit := 1; limit < 12; limit++ {
		pages := 0
		for after := ""; ; pages++ {
			_, next, err := noteTable.ListByOwner(tx, number(0), after, limit)
			if errors.Is(err, store.ErrDamaged) {
				break
			}
			if after = next; err != nil || after == "" || pages > 100 {
				t.Fatalf("pages of %d: %v after %d pages, next %q", limit, err, pages, next)
			}
		}
	}
}

// openUnverified returns a transaction of a file as it is before its leaves have
// been verified.
func openUnverified(t *testing.T, path string) *Tx {
	t.Helper()
	file, err := bbolt.Open(path, 0o600, &bbolt.Options{ReadOnly: true})
	if err != nil {
		t.Fatal(err)
	}
	tx, err := file.Begin(false)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { tx.Rollback(); file.Close() })
	o := testOptions()
	return &Tx{Tx: tx, db: &DB{options: o, layouts: o.layouts()}}
}
