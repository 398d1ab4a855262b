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

// metaBucket holds the format of the file. It names no product, so a renamed
// app can open its old files.
const metaBucket = "kv meta"

var (
	keyFormat  = []byte("format")
	keyBuckets = []byte("buckets") // SHA-256 of the names of all buckets, see bucketSum
)

// Upgrade converts a file from format From to the next one.
type Upgrade struct {
	From int
	// Step does a bounded part of the upgrade in one transaction and reports
	// whether the upgrade is done. Step is called again until it is, also after a
	// restart, and must continue where the last committed transaction stopped.
	Step func(tx *Tx) (done bool, err error)
}

// Legacy describes formats older than this package. They keep the format number
// under the same key in a bucket of their own.
type Legacy struct {
	Bucket string
	Move   func(tx *Tx, old *bbolt.Bucket) error // moves the other contents of the old bucket; the bucket is deleted afterwards
}

// prepare creates missing buckets and upgrades the file to the current format.
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
			finished, err := o.upgradeFrom(format).Step(tx)
			if err != nil || !finished {
				return err
			}
			return putFormat(tx, format+1)
		}); err != nil || done {
			return err
		}
	}
}

// setUp runs f in a write transaction during Open and updates the checksum of
// the bucket names.
func (db *DB) setUp(f func(tx *Tx) error) error {
	return guard(func() error {
		return db.bolt.Update(func(b *bbolt.Tx) error {
			tx := &Tx{Tx: b, db: db}
			if err := f(tx); err != nil {
				return err
			}
			meta := tx.Bucket(metaBucket)
			if sum := bucketSum(b); !bytes.Equal(meta.Get(keyBuckets), sum) {
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

// upgradeFrom returns the upgrade from that format. checkFormat has verified that
// it exists.
func (o Options) upgradeFrom(from int) Upgrade {
	for _, u := range o.Upgrades {
		if u.From == from {
			return u
		}
	}
	panic(fmt.Sprintf("kv: there is no upgrade from format %d", from))
}

// meta returns the bucket with the format, or nil.
func meta(tx *bbolt.Tx, o Options) *bbolt.Bucket {
	if b := tx.Bucket([]byte(metaBucket)); b != nil || o.Legacy.Bucket == "" {
		return b
	}
	return tx.Bucket([]byte(o.Legacy.Bucket))
}

// formatOf returns the format number of the file, or 0 if it has none.
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

// isReady reports whether the file has the current format and all buckets, so
// that prepare has nothing to do.
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

// checkFormat returns an error if the file belongs to another app, or if it has
// a format that cannot be upgraded.
func checkFormat(tx *bbolt.Tx, o Options) error {
	b := meta(tx, o)
	if b == nil {
		// A process killed before its first commit leaves a file without buckets, or,
		// with formats older than this package, with one empty bucket.
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
	// If the name of a bucket is damaged, Open would create an empty bucket in its
	// place, and its records would seem lost.
	if sum := b.Get(keyBuckets); sum != nil && !bytes.Equal(sum, bucketSum(tx)) {
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

// bucketSum returns the SHA-256 of the names of all buckets in key order.
func bucketSum(tx *bbolt.Tx) []byte {
	h := sha256.New()
	// The callback returns no error, so ForEach returns none.
	_ = tx.ForEach(func(name []byte, _ *bbolt.Bucket) error {
		fmt.Fprintf(h, "%d %s\n", len(name), name)
		return nil
	})
	return h.Sum(nil)
}
