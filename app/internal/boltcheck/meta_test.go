package boltcheck

import (
	"bytes"
	"errors"
	"fmt"
	"hash/fnv"
	"os"
	"path/filepath"
	"testing"

	"go.etcd.io/bbolt"
)

// putMeta changes a field of the meta page at offset and mends the checksum.
func putMeta(b []byte, offset, field int, value uint64, size int) {
	body := b[offset+pageHeaderSize:][:metaSize]
	if size == 4 {
		native.PutUint32(body[field:], uint32(value))
	} else {
		native.PutUint64(body[field:], value)
	}
	sum := fnv.New64a()
	sum.Write(body[:metaSize-8])
	native.PutUint64(body[metaSize-8:], sum.Sum64())
}

func TestReadMetaAgreesWithBbolt(t *testing.T) {
	for _, size := range []int{1024, 4096, 16384, 65536} {
		for _, bare := range []bool{false, true} {
			for damage, harm := range map[string]func(b []byte){
				"nothing":        func([]byte) {},
				"first meta":     func(b []byte) { b[pageHeaderSize+40] ^= 1 },
				"second meta":    func(b []byte) { b[size+pageHeaderSize+40] ^= 1 },
				"first magic":    func(b []byte) { putMeta(b, 0, 0, 1, 4) },
				"second magic":   func(b []byte) { putMeta(b, size, 0, 1, 4) },
				"first version":  func(b []byte) { putMeta(b, 0, 4, 3, 4) },
				"second version": func(b []byte) { putMeta(b, size, 4, 3, 4) },
			} {
				t.Run(fmt.Sprintf("%d bytes, without a freelist %v, %s damaged", size, bare, damage), func(t *testing.T) {
					b := makeFile(t, bbolt.Options{PageSize: size, NoFreelistSync: bare}, 200, 20)
					harm(b)
					path := filepath.Join(t.TempDir(), "file.db")
					if err := os.WriteFile(path, b, 0o600); err != nil {
						t.Fatal(err)
					}
					db := openFile(t, path, bbolt.Options{ReadOnly: true})
					defer db.Close()
					m, err := ReadMeta(bytes.NewReader(b), int64(len(b)))
					if err != nil {
						t.Fatal(err)
					}
					if err := db.View(func(tx *bbolt.Tx) error {
						if m.PageSize != db.Info().PageSize || m.PageSize != size || int64(m.Pages)*int64(size) != tx.Size() ||
							m.Txid != uint64(tx.ID()) || m.root != uint64(tx.Cursor().Bucket().RootPage()) {
							t.Errorf("%+v; bbolt says page size %d, %d bytes, txid %d", m, db.Info().PageSize, tx.Size(), tx.ID())
						}
						return nil
					}); err != nil {
						t.Fatal(err)
					}
					if m.NoFreelist != bare {
						t.Errorf("%+v", m)
					}
				})
			}
		}
	}
}

func TestWrongMetaPages(t *testing.T) {
	whole := makeFile(t, bbolt.Options{PageSize: 4096}, 200, 20)
	both := func(field int, value uint64, size int) func([]byte) []byte {
		return func(b []byte) []byte {
			putMeta(b, 0, field, value, size)
			putMeta(b, 4096, field, value, size)
			return b
		}
	}
	for name, harm := range map[string]func(b []byte) []byte{
		"no sound one":                    func(b []byte) []byte { b[20] ^= 1; b[4096+20] ^= 1; return b },
		"foreign":                         func(b []byte) []byte { return bytes.Repeat([]byte("text"), len(b)/4) },
		"empty":                           func(b []byte) []byte { return nil },
		"page size 0":                     both(8, 0, 4),
		"page size too large":             both(8, 1<<31, 4),
		"page size of the first":          func(b []byte) []byte { putMeta(b, 4096, 8, 2048, 4); b[20] ^= 1; return b },
		"another page size of the second": func(b []byte) []byte { putMeta(b, 4096, 8, 2048, 4); return b },
		"no pages":                        both(40, 0, 8),
		"more pages than the file":        both(40, uint64(len(whole)/4096+1), 8),
		"pages that overflow":             both(40, 1<<63, 8),
		"root beyond the end":             both(16, 1<<40, 8),
		"root in a meta page":             both(16, 1, 8),
		"freelist beyond the end":         both(32, 1<<40, 8),
		"freelist in a meta page":         both(32, 0, 8),
		"cut short":                       func(b []byte) []byte { return b[:len(b)-1] },
	} {
		t.Run(name, func(t *testing.T) {
			b := harm(bytes.Clone(whole))
			// These two are found when the pages are read.
			if name != "root in a meta page" && name != "freelist in a meta page" {
				if m, err := ReadMeta(bytes.NewReader(b), int64(len(b))); !errors.Is(err, ErrDamaged) {
					t.Errorf("ReadMeta: %+v, %v", m, err)
				}
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
