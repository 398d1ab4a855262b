package kv

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"

	"go.etcd.io/bbolt"
)

// transaction returns the transaction that the next reader gets.
func transaction(t *testing.T, db *DB) (tx *Tx) {
	t.Helper()
	view(t, db, func(used *Tx) error { tx = used; return nil })
	return tx
}

// Consecutive readers share a transaction, but not across a commit.
func TestReadersShareATransaction(t *testing.T) {
	db := openFast(t)
	// Large enough that the commit below need not grow the file and wait for this
	// reader.
	update(t, db, put("large", string(make([]byte, 1<<20))))
	first := transaction(t, db)
	if transaction(t, db) != first {
		t.Error("the second reader began another transaction")
	}
	view(t, db, func(tx *Tx) error {
		if transaction(t, db) == tx {
			t.Error("two readers at once have one transaction")
		}
		return nil
	})
	update(t, db, put("k", "v"))
	if transaction(t, db) == first {
		t.Error("a transaction outlived a commit")
	}

	// A transaction that began before or during a commit is not reused.
	var before, during *Tx
	view(t, db, func(tx *Tx) error {
		before = tx
		return db.Update(t.Context(), func(*Tx) error {
			during = transaction(t, db)
			if transaction(t, db) == during {
				t.Error("a transaction was kept during a commit")
			}
			return nil
		})
	})
	if now := transaction(t, db); now == before || now == during {
		t.Error("a transaction outlived a commit")
	}

	// A transaction in which a reader panicked or found damage is not reused.
	broken := transaction(t, db)
	func() {
		defer func() { recover() }()
		db.View(t.Context(), func(*Tx) error { panic("bug") })
	}()
	if transaction(t, db) == broken {
		t.Error("a transaction outlived a panic")
	}
}

// Get reuses a cursor: each key must get its own value.
func TestGetAnswersForItsOwnKey(t *testing.T) {
	db := openFast(t)
	random := rand.New(rand.NewPCG(1, 2))
	update(t, db, func(tx *Tx) error {
		for i := range 2000 {
			if err := tx.Bucket("plain").Put(fmt.Appendf(nil, "%05d", 2*i), fmt.Append(nil, 2*i)); err != nil {
				return err
			}
		}
		return nil
	})
	check := func(tx *Tx) error {
		for range 2000 {
			n := random.IntN(4100)
			key := fmt.Appendf(nil, "%05d", n)
			want := ""
			if n%2 == 0 && n < 4000 {
				want = fmt.Sprint(n)
			}
			if got := tx.Get("plain", key); string(got) != want {
				t.Errorf("%s: %q", key, got)
			}
			if tx.Get("people", key) != nil || tx.Get("plain", nil) != nil {
				t.Errorf("%s: an answer of another bucket", key)
			}
			clear(key) // the caller may change the key
		}
		return nil
	}
	view(t, db, check)
	view(t, db, check)
	update(t, db, check)
}

// Every acknowledged write is visible to later reads, under concurrent reads
// and writes, while the file grows.
//
// ASVS 15.4.1, 15.4.3
func TestReadersSeeEveryCommit(t *testing.T) {
	db := openFast(t)
	var told [8]atomic.Int64 // the last value of each counter that was acknowledged
	done := make(chan struct{})
	var writers, readers sync.WaitGroup
	name := func(i int) string { return fmt.Sprint("counter ", i) }
	for w := range told {
		writers.Go(func() {
			filler := make([]byte, 3000)
			for i := range 60 {
				err := db.Update(context.Background(), func(tx *Tx) error {
					if err := tx.Bucket("plain").Put(fmt.Append(nil, "filler ", w, " ", i), filler); err != nil {
						return err
					}
					return put(name(w), string(make([]byte, i+1)))(tx)
				})
				if err != nil {
					t.Error(err)
					return
				}
				told[w].Store(int64(i + 1))
				if got := len(get(t, db, name(w))); got != i+1 {
					t.Errorf("writer %d reads %d after it wrote %d", w, got, i+1)
				}
			}
		})
	}
	var reads atomic.Int64
	for r := range 4 {
		readers.Go(func() {
			for i := r; ; i++ {
				select {
				case <-done:
					return
				default:
				}
				w := i % len(told)
				acknowledged := int(told[w].Load())
				if got := len(get(t, db, name(w))); got < acknowledged {
					t.Errorf("a reader sees %d, and %d was acknowledged", got, acknowledged)
				}
				reads.Add(1)
			}
		})
	}
	writers.Wait()
	close(done)
	readers.Wait()
	if reads.Load() == 0 {
		t.Error("nobody read")
	}
}

// What View copied stays unchanged while the file is remapped, and each View is
// consistent. (The adapter's Get returns memory that is unmapped by then.)
func TestReadersWhileTheFileGrows(t *testing.T) {
	db := openFast(t)
	done := make(chan struct{})
	var writers, readers sync.WaitGroup
	pair := func(n int) []byte { return bytes.Repeat(fmt.Appendf(nil, "%d;", n), 700) }
	for w := range 2 {
		writers.Go(func() {
			for i := range 150 {
				if err := db.Update(context.Background(), func(tx *Tx) error {
					left, right := fmt.Append(nil, "left", w), fmt.Append(nil, "right", w)
					b := tx.Bucket("plain")
					for _, key := range [][]byte{left, right, fmt.Append(nil, "filler", w, " ", i)} {
						if err := b.Put(key, pair(i)); err != nil {
							return err
						}
					}
					return nil
				}); err != nil {
					t.Error(err)
				}
			}
		})
	}
	for r := range 3 {
		readers.Go(func() {
			for {
				select {
				case <-done:
					return
				default:
				}
				var left, right []byte
				view(t, db, func(tx *Tx) error {
					left = bytes.Clone(tx.Get("plain", fmt.Append(nil, "left", r%2)))
					right = bytes.Clone(tx.Get("plain", fmt.Append(nil, "right", r%2)))
					return nil
				})
				if !bytes.Equal(left, right) {
					t.Errorf("torn: %.20q and %.20q", left, right)
					return
				}
			}
		})
	}
	writers.Wait()
	close(done)
	readers.Wait()
}

// Idle transactions do not block a growing file or Close.
func TestIdleTransactionsHoldNobodyUp(t *testing.T) {
	db := openFast(t)
	for i := range 3 {
		view(t, db, func(*Tx) error {
			transaction(t, db)
			return nil
		})
		if len(db.readers.idle) != 2 {
			t.Fatalf("%d transactions are idle, not 2", len(db.readers.idle))
		}
		update(t, db, put(fmt.Sprint(i), string(make([]byte, 1<<20))))
	}
	transaction(t, db)
	if err := db.Bolt().Update(func(b *bbolt.Tx) error {
		return b.Bucket([]byte("plain")).Put([]byte("x"), make([]byte, 8<<20))
	}); err != nil {
		t.Fatal(err)
	}
	var late <-chan error
	view(t, db, func(*Tx) error {
		late = begin(db.Close)
		return nil
	})
	if err := <-late; err != nil {
		t.Error(err)
	}
}

// A reader during Close must not leave an idle transaction, for which Close
// would wait for ever.
func TestReadersDuringClose(t *testing.T) {
	db := openFast(t)
	transaction(t, db)
	db.writers.close()
	db.readers.close() // as Close does, just before it closes the file
	transaction(t, db)
	if len(db.readers.idle) != 0 {
		t.Error("a transaction is kept for a reader who never comes")
	}
	for range 20 {
		db := openFast(t)
		var readers sync.WaitGroup
		for range 4 {
			readers.Go(func() {
				for db.View(context.Background(), func(tx *Tx) error { tx.Get("plain", []byte("k")); return nil }) == nil {
				}
			})
		}
		if err := db.Close(); err != nil {
			t.Error(err)
		}
		readers.Wait()
	}
}

func TestNoMoreThanMaxIdle(t *testing.T) {
	db := openFast(t)
	var nest func(n int)
	nest = func(n int) {
		if n > 0 {
			view(t, db, func(*Tx) error { nest(n - 1); return nil })
		}
	}
	nest(maxIdle + 5)
	if len(db.readers.idle) != maxIdle {
		t.Errorf("%d are idle, want %d", len(db.readers.idle), maxIdle)
	}
}
