package kv

import (
	"bytes"
	"fmt"
	"os"
	"sync"

	"go.etcd.io/bbolt"

	"latchkey/app/internal/boltcheck"
	"latchkey/app/internal/store"
)

// Tx is a transaction. Keys and values are valid only until it ends.
type Tx struct {
	*bbolt.Tx
	db      *DB
	cursors []bucketCursor // reused while readers share the transaction
	key     []byte         // buffer for the key that Get looks up
}

type bucketCursor struct {
	bucket string
	cursor *bbolt.Cursor
}

// Bucket returns the bucket with that name. Open has created the buckets of all
// tables; Bucket panics if no table in Options.Tables has it.
func (tx *Tx) Bucket(name string) *bbolt.Bucket {
	b := tx.Tx.Bucket([]byte(name))
	if b == nil {
		panic("kv: bucket " + name + " belongs to no table in Options.Tables")
	}
	return b
}

// Get returns the value of a key, or nil. A read transaction reuses its
// cursors.
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

// readers lets consecutive readers share a bbolt transaction, because beginning
// one and opening its buckets takes longer than the reads of a page.
//
// Sharing never hides a commit: a commit ends the idle transactions when it
// begins and when it ends, and a transaction that began before or during a
// commit is not kept. Ending them first also avoids a deadlock: a commit that
// grows the file waits for all read transactions.
type readers struct {
	db *DB

	mu      sync.Mutex
	idle    []*Tx  // began after the latest commit
	commits uint64 // incremented when a commit begins and when it ends; odd during a commit

	// These belong to the leader.
	broken error // why all further commits are rejected
	stuck  bool  // a commit could not be rolled back and will never end
}

// maxIdle is the maximum number of idle transactions.
const maxIdle = 64

func (r *readers) init(db *DB) { r.db = db }

func (r *readers) use(f func(*Tx) error) error {
	tx, commits, err := r.acquire()
	if err != nil {
		return err
	}
	done := false
	defer func() {
		// Do not share a transaction after a panic of its reader.
		if !done || !r.release(tx, commits) {
			_ = tx.Rollback() // fails only if the transaction has already ended
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

// release keeps tx for the next reader unless a commit has begun since acquire
// returned this count. It reports whether tx was kept.
func (r *readers) release(tx *Tx, commits uint64) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if commits != r.commits || commits%2 == 1 || len(r.idle) == maxIdle {
		return false
	}
	r.idle = append(r.idle, tx)
	return true
}

// commit runs f in a write transaction. bbolt allows one at a time.
func (r *readers) commit(f func(*Tx) error) error {
	if r.broken != nil {
		return r.broken
	}
	r.toggle()
	defer r.toggle()
	var begun *bbolt.Tx
	txid, pageSize, changed := 0, 0, false
	defer func() {
		// On a damaged tree bbolt may panic in a commit, and again in the rollback
		// after it. That transaction never ends and keeps bbolt's write lock.
		if begun != nil && begun.DB() != nil {
			r.stuck = true
			r.shut(damagedf("a commit could not be rolled back"))
		}
	}()
	err := r.db.bolt.Update(func(b *bbolt.Tx) error {
		begun, txid, pageSize = b, b.ID(), b.DB().Info().PageSize
		err := f(&Tx{Tx: b, db: r.db})
		changed = err == nil
		return err
	})
	if err != nil && changed && mayHaveWrittenMeta(r.db.path, pageSize, txid) {
		return r.shut(fmt.Errorf("%w: %w", store.ErrFailed, err))
	}
	return err
}

// shut rejects all further commits with err, and makes Run return it.
func (r *readers) shut(err error) error {
	r.broken = err
	r.db.reportDamage(err)
	return err
}

// mayHaveWrittenMeta reports whether a failed commit may have reached its meta page.
//
// bbolt writes the meta page and then syncs it. If the sync fails, bbolt reports an
// error, but readers and later commits already use the new meta. Whether it is on
// disk is unknown: later commits would reuse pages that the meta on disk still needs,
// and a loss of power would destroy the file. So nothing may be written any more,
// unless the meta page still holds an older commit.
func mayHaveWrittenMeta(path string, pageSize, txid int) bool {
	file, err := os.Open(path)
	if err != nil {
		return true
	}
	defer file.Close()
	m, sound, err := boltcheck.ReadMetaPage(file, pageSize, txid%2)
	return err != nil || !sound || m.Txid >= uint64(txid)
}

// toggle increments the count of commits, at the beginning or the end of one, and
// closes the idle read transactions.
func (r *readers) toggle() {
	r.mu.Lock()
	r.commits++
	idle := r.idle
	r.idle = nil
	r.mu.Unlock()
	for _, tx := range idle {
		_ = tx.Rollback()
	}
}

// retire ends the idle transactions and lets later readers begin new ones.
func (r *readers) retire() {
	r.toggle()
	r.toggle()
}

// close ends the idle transactions and stops keeping any: bbolt waits for all
// transactions before it closes the file.
func (r *readers) close() { r.toggle() }
