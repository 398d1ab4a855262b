package bolt

import (
	"encoding/binary"
	"fmt"
	"sync"
	"testing"

	"go.etcd.io/bbolt"

	"latchkey/app/sessions"
)

// transaction returns the one that a reader gets.
func transaction(t *testing.T, db *DB) (tx *bbolt.Tx) {
	t.Helper()
	if err := db.view(func(used *bbolt.Tx) error { tx = used; return nil }); err != nil {
		t.Fatal(err)
	}
	return tx
}

// Readers share a transaction one after the other, and never beyond a commit.
func TestReadersShareATransaction(t *testing.T) {
	db := openTest(t)
	// So large that it need not grow below, where a commit would wait for the
	// reader around it.
	if err := db.Begin("large", "", sessions.Session{}, make([]byte, 1<<20)); err != nil {
		t.Fatal(err)
	}
	first := transaction(t, db)
	if transaction(t, db) != first {
		t.Error("the second reader began another transaction")
	}
	db.view(func(tx *bbolt.Tx) error {
		if transaction(t, db) == tx {
			t.Error("two readers at once have one transaction")
		}
		return nil
	})
	if err := db.Begin("id", "", sessions.Session{}, nil); err != nil {
		t.Fatal(err)
	}
	if transaction(t, db) == first {
		t.Error("a transaction outlived a commit")
	}

	// One that began before a commit and ends after it is not kept either, nor one
	// that began while the commit was on its way.
	var before, during *bbolt.Tx
	db.view(func(tx *bbolt.Tx) error {
		before = tx
		return db.writes.do(func(*bbolt.Tx) error {
			during = transaction(t, db)
			if transaction(t, db) == during {
				t.Error("a transaction was kept while a commit was on its way")
			}
			return nil
		})
	})
	if now := transaction(t, db); now == before || now == during {
		t.Error("a transaction outlived a commit")
	}

	// Nobody gets one in which a page was damaged.
	broken := transaction(t, db)
	if err := db.view(func(*bbolt.Tx) error { panic("a damaged page") }); err == nil {
		t.Error("no error")
	}
	if transaction(t, db) == broken {
		t.Error("a transaction outlived a panic")
	}
}

// Whoever has been told that a write is on disk reads it, and never what was
// before, however many read and write at once. The file grows meanwhile, for
// which bbolt waits for every reader.
//
// ASVS 15.4.1, 15.4.3
func TestReadersSeeEveryCommit(t *testing.T) {
	db := openTest(t)
	var group sync.WaitGroup
	for writer := range 8 {
		group.Go(func() {
			name := fmt.Appendf(nil, "counter %d", writer)
			for i := range uint64(60) {
				// Some kilobytes more each time, so that the file grows.
				value := append(binary.BigEndian.AppendUint64(nil, i), make([]byte, 3000)...)
				err := db.writes.do(func(tx *bbolt.Tx) error {
					b := tx.Bucket(bucketMeta)
					return b.Put(fmt.Appendf(name[:len(name):len(name)], " %d", i), value)
				})
				if err != nil {
					t.Error(err)
					return
				}
				for range 3 {
					db.view(func(tx *bbolt.Tx) error {
						if tx.Bucket(bucketMeta).Get(fmt.Appendf(name[:len(name):len(name)], " %d", i)) == nil {
							t.Errorf("writer %d does not see its write %d", writer, i)
						}
						return nil
					})
				}
			}
		})
	}
	group.Wait()
}

// What waits for the next reader holds up neither a growing file nor the end.
func TestWaitingReadersHoldNobodyUp(t *testing.T) {
	db := openTest(t)
	for range 3 {
		db.view(func(*bbolt.Tx) error {
			transaction(t, db)
			return nil
		})
		if len(db.readers.idle) != 2 {
			t.Fatalf("%d transactions wait, not 2", len(db.readers.idle))
		}
		if err := db.Begin("id", "", sessions.Session{}, make([]byte, 1<<20)); err != nil {
			t.Fatal(err)
		}
	}
	transaction(t, db)
	db.Conn().Update(func(tx *bbolt.Tx) error {
		return tx.Bucket(bucketMeta).Put([]byte("x"), make([]byte, 8<<20))
	})
	late := make(chan error)
	db.view(func(*bbolt.Tx) error {
		go func() { late <- db.Close() }()
		return nil
	})
	if err := <-late; err != nil {
		t.Error(err)
	}
}
