package bolt

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
	"time"

	"go.etcd.io/bbolt"

	"latchkey/app/sessions"
)

// What bbolt writes must never be called damaged, in whatever order keys come
// and go.
func TestPagesThatBboltWritesAreSound(t *testing.T) {
	for seed := range uint64(2) {
		path := filepath.Join(t.TempDir(), "x.db")
		db, err := bbolt.Open(path, 0o600, &bbolt.Options{NoSync: true})
		if err != nil {
			t.Fatal(err)
		}
		random := rand.New(rand.NewPCG(seed, 0))
		key := func() []byte {
			b := binary.BigEndian.AppendUint64(nil, random.Uint64N(30_000)*0x9e3779b97f4a7c15)
			return append(b, make([]byte, random.IntN(30))...)
		}
		for commit := range 120 {
			err := db.Update(func(tx *bbolt.Tx) error {
				for _, name := range buckets {
					b, err := tx.CreateBucketIfNotExists(name)
					if err != nil {
						return err
					}
					// Now it grows, now it shrinks.
					for range random.IntN(200) {
						if random.IntN(8) > commit/10%8 {
							err = b.Put(key(), make([]byte, random.IntN(400)*(random.IntN(40)/39*40+1)))
						} else if k, _ := b.Cursor().Seek(key()); k != nil {
							err = b.Delete(bytes.Clone(k))
						}
						if err != nil {
							return err
						}
					}
				}
				return nil
			})
			if err != nil {
				t.Fatal(err)
			}
			if commit%4 > 0 {
				continue
			}
			mustBeSound(t, path, fmt.Sprintf("seed %d, commit %d", seed, commit))
		}
		if err := db.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

func mustBeSound(t *testing.T, path, when string) {
	t.Helper()
	file, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		t.Fatal(err)
	}
	for _, leaves := range []bool{true, false} {
		if err := checkPages(t.Context(), file, info.Size(), leaves); err != nil {
			t.Fatalf("%s, with leaves %v: %v", when, leaves, err)
		}
	}
}

// A page that leads to itself, or to one above it, would send bbolt round in a
// circle until the stack has no more room: nothing could catch that. Of a file too
// large to be looked at whole, it is found all the same.
func TestPagesThatLeadBack(t *testing.T) {
	path := filepath.Join(t.TempDir(), "whole.db")
	db, err := bbolt.Open(path, 0o600, &bbolt.Options{NoSync: true})
	if err != nil {
		t.Fatal(err)
	}
	err = db.Update(func(tx *bbolt.Tx) error {
		for _, name := range buckets {
			b, err := tx.CreateBucketIfNotExists(name)
			if err != nil {
				return err
			}
			for i := range uint64(20_000) {
				// As an administrator: 16 bytes, and nothing.
				k, v := binary.BigEndian.AppendUint64(make([]byte, 8), i), make([]byte, 200)
				if string(name) == string(bucketAdmins) {
					v = nil
				} else if string(name) != string(bucketSessions) && i > 10 {
					break
				}
				if err := b.Put(k, v); err != nil {
					return err
				}
			}
		}
		meta := tx.Bucket(bucketMeta)
		return errors.Join(meta.Put(keyFormat, format), meta.Put(keySigning, make([]byte, 32)), meta.Put(keyBuckets, sumOfNames(tx)))
	})
	if err := errors.Join(err, db.Close()); err != nil {
		t.Fatal(err)
	}
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	mustBeSound(t, path, "whole")
	visits := pathOf(t, path, bucketSessions)
	admins := pathOf(t, path, bucketAdmins)
	if len(visits) < 3 || len(admins) < 2 {
		t.Fatalf("the trees are too low: %d, %d", visits, admins)
	}
	size := uint64(os.Getpagesize())
	body := func(b []byte, id uint64) []byte { return b[id*size:][:size] }
	leads := func(from, to uint64) func([]byte) {
		return func(b []byte) { native.PutUint64(body(b, from)[pageHead+8:], to) }
	}
	below := func(b []byte, id uint64) []uint64 { return (&pages{}).parse(0, body(b, id)).below() }
	shared := below(whole, visits[0])
	if len(shared) < 2*worthSharing {
		t.Fatalf("the tree is too narrow for its pages to be shared: %d", shared)
	}
	last := len(visits) - 1
	damages := map[string]func(b []byte){
		"to itself":                  leads(visits[last-1], visits[last-1]),
		"to its parent":              leads(visits[last-1], visits[last-2]),
		"the first to itself":        leads(visits[0], visits[0]),
		"to another bucket":          leads(visits[last-1], admins[0]),
		"to another's leaf":          leads(visits[last-1], admins[1]),
		"to a head":                  leads(visits[last-1], 1),
		"beyond the end":             leads(visits[last-1], 1<<40),
		"to where no offset is":      leads(visits[last-1], 1<<63),
		"one less deep":              leads(visits[0], visits[last]),
		"to a leaf of another share": leads(visits[last-1], below(whole, shared[0])[1]),
		"a branch called a leaf":     func(b []byte) { native.PutUint16(body(b, visits[last-1])[8:], pageLeaf) },
		"an administrators' leaf called a branch": func(b []byte) {
			native.PutUint16(body(b, admins[len(admins)-1])[8:], pageBranch)
		},
	}
	head, err := readHead(bytes.NewReader(whole))
	if err != nil {
		t.Fatal(err)
	}
	// What is found of buckets is noted for all, so no share may read a leaf.
	damages["leaves with buckets in all shares"] = func(b []byte) {
		for _, id := range shared[1:] { // the first tells how deep the tree is
			copy(body(b, id), body(whole, head.root))
			native.PutUint64(body(b, id), id)
		}
	}
	for _, id := range shared {
		damages[fmt.Sprintf("page %d is lost", id)] = func(b []byte) { clear(body(b, id)) }
	}
	for name, damage := range damages {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "x.db")
			b := bytes.Clone(whole)
			damage(b)
			if err := os.WriteFile(path, b, 0o600); err != nil {
				t.Fatal(err)
			}
			for _, most := range []int64{lookAtMost, 0} {
				db, err := open(path, longLimits, most)
				if err == nil {
					db.Close()
				}
				if err == nil || err.Error() != "database "+path+" is damaged; put a backup in its place" {
					t.Errorf("with leaves up to %d bytes: %v", most, err)
				}
			}
		})
	}
	// What bbolt makes of a leaf that says it leads on is an error, not a circle.
	t.Run("a leaf called a branch", func(t *testing.T) {
		b := bytes.Clone(whole)
		// Neither the first nor the last of all, which are looked at early.
		leaves := below(b, visits[last-1])
		native.PutUint16(body(b, leaves[len(leaves)-2])[8:], pageBranch)
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
		db, err := open(path, longLimits, 0)
		if err != nil {
			t.Fatal(err)
		}
		defer db.Close()
		err = db.view(func(tx *bbolt.Tx) error {
			c := tx.Bucket(bucketSessions).Cursor()
			for k, _ := c.First(); k != nil; k, _ = c.Next() {
			}
			return nil
		})
		if !errors.Is(err, ErrDamaged) {
			t.Error(err)
		}
		// Soon it is known, and nothing was written.
		want := "database " + path + " is damaged; put a backup in its place"
		if err := <-db.Damaged(); err == nil || err.Error() != want {
			t.Errorf("later: %v", err)
		}
		if err := db.Begin("new", "", sessions.Session{Began: time.Now(), Seen: time.Now()}, nil); err == nil || err.Error() != want {
			t.Errorf("a write: %v", err)
		}
	})
}

// pathOf returns the pages from the first of a bucket to one of its last leaves.
func pathOf(t *testing.T, path string, bucket []byte) (ids []uint64) {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	db, err := bbolt.Open(path, 0o600, &bbolt.Options{ReadOnly: true})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if err := db.View(func(tx *bbolt.Tx) error {
		ids = []uint64{uint64(tx.Bucket(bucket).RootPage())}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	for p := (&pages{}); ; {
		below := p.parse(0, b[ids[len(ids)-1]*uint64(os.Getpagesize()):]).below()
		if below == nil {
			return ids
		}
		ids = append(ids, below[len(below)-1])
	}
}
