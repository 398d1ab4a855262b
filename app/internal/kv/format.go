package kv

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"strconv"

	"go.etcd.io/bbolt"
)

// The meta bucket says that the file is ours and how it is laid out. Its name is
// that of no product: a renamed app opens the files it had.
const metaBucket = "kv meta"

var (
	keyFormat  = []byte("format")
	keyBuckets = []byte("buckets") // SHA-256 of the names of all buckets, see sumOfNames
)

// Upgrade converts a file from one format to the next.
type Upgrade struct {
	From int
	// Step does a bounded part of the work, in a transaction of its own, and
	// reports whether that was the last. It is called until it was, and must go on
	// after a kill where the last transaction left off.
	Step func(tx *Tx) (done bool, err error)
}

// Legacy is where formats from before this package kept what is now in the meta
// bucket: their format under the same key, in a bucket of their own.
type Legacy struct {
	Bucket string
	Move   func(tx *Tx, old *bbolt.Bucket) error // keeps what else is in there
}

// prepare makes what is missing in a file and upgrades it to the format of today.
func (db *DB) prepare() error {
	o := db.options
	if err := db.setUp(func(tx *Tx) error {
		meta := tx.Tx.Bucket([]byte(metaBucket))
		created := meta == nil
		if created {
			var err error
			if meta, err = tx.CreateBucket([]byte(metaBucket)); err != nil {
				return err
			}
		}
		for _, name := range o.buckets() {
			if _, err := tx.CreateBucketIfNotExists([]byte(name)); err != nil {
				return err
			}
		}
		old := tx.legacy(o)
		if old == nil {
			if !created {
				return nil
			}
			if o.Init != nil {
				if err := o.Init(tx); err != nil {
					return err
				}
			}
			return putFormat(tx, o.Format)
		}
		if err := meta.Put(keyFormat, bytes.Clone(old.Get(keyFormat))); err != nil {
			return err
		}
		if err := o.Legacy.Move(tx, old); err != nil {
			return err
		}
		return tx.DeleteBucket([]byte(o.Legacy.Bucket))
	}); err != nil {
		return err
	}
	for {
		done := false
		if err := db.setUp(func(tx *Tx) (err error) {
			format := formatOf(tx.Tx, o)
			if format == o.Format {
				done = true
				return nil
			}
			finished, err := o.upgrade(format).Step(tx)
			if err != nil || !finished {
				return err
			}
			return putFormat(tx, format+1)
		}); err != nil || done {
			return err
		}
	}
}

// setUp runs f in a transaction before anybody reads, and notes which buckets
// there are then.
func (db *DB) setUp(f func(tx *Tx) error) error {
	return guard(func() error {
		return db.bolt.Update(func(b *bbolt.Tx) error {
			tx := &Tx{Tx: b, db: db}
			if err := f(tx); err != nil {
				return err
			}
			meta := tx.Bucket(metaBucket)
			if sum := sumOfNames(b); !bytes.Equal(meta.Get(keyBuckets), sum) {
				return meta.Put(keyBuckets, sum)
			}
			return nil
		})
	})
}

func putFormat(tx *Tx, format int) error {
	return tx.Bucket(metaBucket).Put(keyFormat, []byte(strconv.Itoa(format)))
}

func (tx *Tx) legacy(o Options) *bbolt.Bucket {
	if o.Legacy.Bucket == "" {
		return nil
	}
	return tx.Tx.Bucket([]byte(o.Legacy.Bucket))
}

// upgrade returns the one from that format. isOurs has refused a format without.
func (o Options) upgrade(from int) Upgrade {
	for _, u := range o.Upgrades {
		if u.From == from {
			return u
		}
	}
	panic(fmt.Sprintf("kv: there is no upgrade from format %d", from))
}

// meta returns the bucket that says what the file is, or nil.
func meta(tx *bbolt.Tx, o Options) *bbolt.Bucket {
	if b := tx.Bucket([]byte(metaBucket)); b != nil || o.Legacy.Bucket == "" {
		return b
	}
	return tx.Bucket([]byte(o.Legacy.Bucket))
}

// formatOf returns the number of the file's format, or 0 if it has none.
func formatOf(tx *bbolt.Tx, o Options) int {
	b := meta(tx, o)
	if b == nil {
		return 0
	}
	n, err := strconv.Atoi(string(b.Get(keyFormat)))
	if err != nil {
		return 0
	}
	return n
}

// isReady reports whether the file has everything that prepare would write.
func isReady(tx *bbolt.Tx, o Options) (ready bool) {
	err := guard(func() error {
		b := tx.Bucket([]byte(metaBucket))
		if b == nil || formatOf(tx, o) != o.Format || b.Get(keyBuckets) == nil {
			return errVersion
		}
		for _, name := range o.buckets() {
			if tx.Bucket([]byte(name)) == nil {
				return errVersion
			}
		}
		return nil
	})
	return err == nil
}

// isOurs returns an error unless the file is ours and of a format that can be
// opened.
func isOurs(tx *bbolt.Tx, o Options) error {
	b := meta(tx, o)
	if b == nil {
		// It may still be ours: a kill before the first commit leaves no bucket, or,
		// in formats from before this package, the empty one of a table.
		return tx.ForEach(func(name []byte, b *bbolt.Bucket) error {
			if key, _ := b.Cursor().First(); key != nil || !slices.Contains(o.buckets(), string(name)) {
				return errForeign
			}
			return nil
		})
	}
	format := formatOf(tx, o)
	for f := format; f != o.Format; f++ {
		if !hasUpgrade(o, f) {
			return errVersion
		}
	}
	// A bucket whose name is damaged would be made again, empty, and what it holds
	// would seem never to have been.
	if sum := b.Get(keyBuckets); sum != nil && !bytes.Equal(sum, sumOfNames(tx)) {
		return damagedf("a bucket has another name than it had")
	}
	return nil
}

func hasUpgrade(o Options, from int) bool {
	for _, u := range o.Upgrades {
		if u.From == from {
			return true
		}
	}
	return false
}

var errOlder = errors.New("was made by an older version of this app; start this one once, which upgrades it")

// sumOfNames returns the SHA-256 of the names of all buckets, which the file has
// in order.
func sumOfNames(tx *bbolt.Tx) []byte {
	h := sha256.New()
	// The function returns no error, so ForEach returns none.
	_ = tx.ForEach(func(name []byte, _ *bbolt.Bucket) error {
		fmt.Fprintf(h, "%d %s\n", len(name), name)
		return nil
	})
	return h.Sum(nil)
}
