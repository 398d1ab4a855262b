package bolt

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"go.etcd.io/bbolt"
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
	for _, most := range []int64{info.Size(), 0} {
		if err := checkPages(file, info.Size(), most); err != nil {
			t.Fatalf("%s, all pages up to %d bytes: %v", when, most, err)
		}
	}
}
