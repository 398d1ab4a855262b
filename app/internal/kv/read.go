package kv

import (
	"bytes"
	"sync"

	"go.etcd.io/bbolt"
)

// Tx is a transaction. The memory of keys and values that it returns ends with it.
type Tx struct {
	*bbolt.Tx
	db      *DB
	cursors []bucketCursor // of those who share a read transaction
	key     []byte         // a copy of the key that Get looks up
}

type bucketCursor struct {
	bucket string
	cursor *bbolt.Cursor
}

// Bucket returns the bucket of a table. It panics if no table in Options.Tables
// has it, which is a programming error: Open makes the buckets of all tables.
func (tx *Tx) Bucket(name string) *bbolt.Bucket {
	b := tx.Tx.Bucket([]byte(name))
	if b == nil {
		panic("kv: bucket " + name + " belongs to no table in Options.Tables")
	}
	return b
}

// Get returns the value of a key, or nil. In a shared read transaction it uses a
// cursor that readers before it have opened.
func (tx *Tx) Get(bucket string, key []byte) []byte {
	if tx.Writable() {
		return tx.Bucket(bucket).Get(key)
	}
	tx.key = append(tx.key[:0], key...)
	found, value := tx.cursor(bucket).Seek(tx.key)
	if !bytes.Equal(found, tx.key) {
		return nil
	}
	return value
}

func (tx *Tx) cursor(bucket string) *bbolt.Cursor {
	for i := range tx.cursors {
		if tx.cursors[i].bucket == bucket {
			return tx.cursors[i].cursor
		}
	}
	c := tx.Bucket(bucket).Cursor()
	tx.cursors = append(tx.cursors, bucketCursor{bucket, c})
	return c
}

// readers lets those who read one after the other, with no commit between them,
// use the same bbolt transaction: beginning one and opening its buckets costs more
// than what a page reads.
//
// A shared transaction never hides a commit: whoever commits retires the idle ones
// first, and one that began before the commit ended is not kept. They must be
// retired before the commit for another reason, too: a commit that makes the file
// grow waits until no transaction reads, and an idle one would never end.
type readers struct {
	db *DB

	mu      sync.Mutex
	idle    []*Tx  // began after the newest commit
	commits uint64 // counts their beginnings and ends, so it is odd during a commit

	stuck bool // a commit has not ended and never will; belongs to who commits
}

// maxIdle is how many transactions wait for a reader.
const maxIdle = 64

func (r *readers) init(db *DB) { r.db = db }

func (r *readers) use(f func(*Tx) error) error {
	tx, commits, err := r.acquire()
	if err != nil {
		return err
	}
	done := false
	defer func() {
		// A transaction in which a reader panicked is not shared again.
		if !done || !r.release(tx, commits) {
			_ = tx.Rollback() // fails only if it has ended already
		}
	}()
	err = f(tx)
	done = true
	return err
}

func (r *readers) acquire() (tx *Tx, commits uint64, err error) {
	r.mu.Lock()
	commits = r.commits
	if last := len(r.idle) - 1; last >= 0 {
		tx = r.idle[last]
		r.idle = r.idle[:last]
	}
	r.mu.Unlock()
	if tx != nil {
		return tx, commits, nil
	}
	b, err := r.db.bolt.Begin(false)
	if err != nil {
		return nil, 0, err
	}
	return &Tx{Tx: b, db: r.db}, commits, nil
}

// release reports whether it kept a transaction that was acquired when the count
// of commits was this.
func (r *readers) release(tx *Tx, commits uint64) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if commits != r.commits || commits%2 == 1 || len(r.idle) == maxIdle {
		return false
	}
	r.idle = append(r.idle, tx)
	return true
}

// commit runs f in a write transaction, of which there is one at a time.
func (r *readers) commit(f func(*Tx) error) error {
	if r.stuck {
		return damagedf("an earlier commit could not be rolled back")
	}
	r.turn()
	defer r.turn()
	var begun *bbolt.Tx
	defer func() {
		// On a damaged tree bbolt may panic in a commit, and again in the rollback
		// after it. That transaction never ends and keeps bbolt's write lock.
		if begun != nil && begun.DB() != nil {
			r.stuck = true
			r.db.reportDamage(damagedf("a commit could not be rolled back"))
		}
	}()
	return r.db.bolt.Update(func(b *bbolt.Tx) error {
		begun = b
		return f(&Tx{Tx: b, db: r.db})
	})
}

// turn marks the beginning of a commit, or its end, and ends idle transactions.
func (r *readers) turn() {
	r.mu.Lock()
	r.commits++
	idle := r.idle
	r.idle = nil
	r.mu.Unlock()
	for _, tx := range idle {
		_ = tx.Rollback()
	}
}

// retire ends the idle transactions, as a commit does.
func (r *readers) retire() {
	r.turn()
	r.turn()
}

// close ends the idle transactions and keeps none from now on, for bbolt waits for
// all of them before it closes the file.
func (r *readers) close() { r.turn() }
