package boltcheck

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"go.etcd.io/bbolt"
)

// The buckets of the test files. Those in bucketKeys have no values.
const (
	bucketBig   = "big"
	bucketKeys  = "keys"
	bucketSmall = "small" // inline
	bucketEmpty = "empty"
)

func openFile(t *testing.T, path string, o bbolt.Options) *bbolt.DB {
	t.Helper()
	o.NoSync = true
	db, err := bbolt.Open(path, 0o600, &o)
	if err != nil {
		t.Fatal(err)
	}
	return db
}

// testPageSize makes trees high with few keys.
const testPageSize = 1024

// makeFile returns a file in which two buckets have that many keys. Its pages are of
// testPageSize, unless o says otherwise.
func makeFile(t *testing.T, o bbolt.Options, big, keys int) []byte {
	t.Helper()
	if o.PageSize == 0 {
		o.PageSize = testPageSize
	}
	path := filepath.Join(t.TempDir(), "file.db")
	db := openFile(t, path, o)
	err := db.Update(func(tx *bbolt.Tx) error {
		for name, n := range map[string]int{bucketBig: big, bucketKeys: keys, bucketSmall: 3, bucketEmpty: 0} {
			b, err := tx.CreateBucket([]byte(name))
			if err != nil {
				return err
			}
			for i := range n {
				k := binary.BigEndian.AppendUint64(make([]byte, 8), uint64(i))
				if err := b.Put(k, valueOf(name, k)); err != nil {
					return err
				}
			}
		}
		return nil
	})
	// A second commit, so that the freelist is not empty.
	err = errors.Join(err, db.Update(func(tx *bbolt.Tx) error {
		k := binary.BigEndian.AppendUint64(make([]byte, 8), 0)
		return tx.Bucket([]byte(bucketBig)).Put(k, valueOf(bucketBig, k))
	}))
	if err := errors.Join(err, db.Close()); err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	m, err := ReadMeta(bytes.NewReader(b), int64(len(b)))
	if err != nil {
		t.Fatal(err)
	}
	return b[:m.Pages*uint64(m.PageSize)]
}

// valueOf returns the value of a key, which serves as its checksum as well. Some
// values have overflow pages.
func valueOf(bucket string, key []byte) []byte {
	if bucket == bucketKeys {
		return nil
	}
	sum := sha256.Sum256(append([]byte(bucket), key...))
	if bucket == bucketBig && sum[0] == 0 {
		return bytes.Repeat(sum[:], 1000)
	}
	return sum[:]
}

func all(b []byte) error {
	return All(context.Background(), bytes.NewReader(b), int64(len(b)))
}

func branches(b []byte) error {
	return Branches(context.Background(), bytes.NewReader(b), int64(len(b)), bucketKeys)
}

func checkSound(t *testing.T, b []byte, when string) {
	t.Helper()
	if err := all(b); err != nil {
		t.Fatalf("%s: All: %v", when, err)
	}
	if err := branches(b); err != nil {
		t.Fatalf("%s: Branches: %v", when, err)
	}
}

// Files written by bbolt always pass, after random operations.
func TestFilesThatBboltWritesAreSound(t *testing.T) {
	for name, o := range map[string]bbolt.Options{
		"default":             {},
		"map freelist":        {FreelistType: bbolt.FreelistMapType},
		"no freelist":         {NoFreelistSync: true},
		"pages of 1024 bytes": {PageSize: 1024},
		"pages of 64 KiB":     {PageSize: 64 << 10},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			path := filepath.Join(t.TempDir(), "file.db")
			db := openFile(t, path, o)
			defer db.Close()
			random := rand.New(rand.NewPCG(rand.Uint64(), 0))
			key := func() []byte {
				b := binary.BigEndian.AppendUint64(nil, random.Uint64N(10_000)*0x9e3779b97f4a7c15)
				b = append(b, make([]byte, random.IntN(30))...)
				if b[0] == 7 {
					b = append(b, make([]byte, 3000)...) // branch pages with overflow
				}
				return b
			}
			for commit := range 80 {
				err := db.Update(func(tx *bbolt.Tx) error {
					for _, name := range []string{bucketBig, bucketKeys, bucketSmall} {
						b, err := tx.CreateBucketIfNotExists([]byte(name))
						if err != nil {
							return err
						}
						for range random.IntN(200) {
							// The file grows at first and shrinks later.
							if random.IntN(8) > commit/10 {
								var value []byte
								if name != bucketKeys {
									value = make([]byte, random.IntN(400)*(random.IntN(40)/39*40+1))
								}
								err = b.Put(key(), value)
							} else if k, _ := b.Cursor().Seek(key()); k != nil {
								err = b.Delete(bytes.Clone(k))
							}
							if err != nil {
								return err
							}
							if name == bucketSmall {
								break
							}
						}
					}
					if commit%30 == 29 {
						return tx.DeleteBucket([]byte(bucketKeys))
					}
					return nil
				})
				if err != nil {
					t.Fatal(err)
				}
				if commit%4 == 0 {
					b, err := os.ReadFile(path)
					if err != nil {
						t.Fatal(err)
					}
					checkSound(t, b, fmt.Sprintf("commit %d", commit))
				}
			}
		})
	}
}

func TestNewFileIsSound(t *testing.T) {
	path := filepath.Join(t.TempDir(), "file.db")
	if err := openFile(t, path, bbolt.Options{}).Close(); err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	checkSound(t, b, "new")
}

func TestNestedBucketsCountAsDamage(t *testing.T) {
	for name, n := range map[string]int{"inline": 1, "in a tree": 1000} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "file.db")
			db := openFile(t, path, bbolt.Options{})
			err := db.Update(func(tx *bbolt.Tx) error {
				outer, err := tx.CreateBucket([]byte("outer"))
				if err != nil {
					return err
				}
				inner, err := outer.CreateBucket([]byte("inner"))
				for i := range n {
					err = errors.Join(err, inner.Put(fmt.Appendf(nil, "%09d", i), nil))
				}
				return err
			})
			if err := errors.Join(err, db.Close()); err != nil {
				t.Fatal(err)
			}
			b, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if err := all(b); !errors.Is(err, ErrDamaged) {
				t.Errorf("All: %v", err)
			}
			if err := branches(b); !errors.Is(err, ErrDamaged) {
				t.Errorf("Branches: %v", err)
			}
		})
	}
}

// A read error counts as damage and wraps its cause.
func TestUnreadablePage(t *testing.T) {
	b := makeFile(t, bbolt.Options{}, 3000, 500)
	for _, size := range []int64{0, 100, testPageSize, 2 * testPageSize, int64(len(b)) / 2, int64(len(b)) - 1} {
		// The file is shorter than its size.
		r := bytes.NewReader(b[:size])
		for name, err := range map[string]error{
			"All":      All(t.Context(), r, int64(len(b))),
			"Branches": Branches(t.Context(), r, int64(len(b)), bucketBig, bucketKeys),
		} {
			if !errors.Is(err, ErrDamaged) || err.Error() == ErrDamaged.Error() {
				t.Errorf("%s of %d bytes: %v", name, size, err)
			}
		}
	}
}
