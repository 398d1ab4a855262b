package bolt

import (
	"errors"
	"fmt"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"go.etcd.io/bbolt"
	"latchkey/app/sessions"
)

func openTest(t testing.TB) *DB {
	t.Helper()
	db, err := Open(filepath.Join(t.TempDir(), "x.db"), sessions.Limits{Idle: time.Hour, Lifetime: time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	return db
}

func put(key, value string) func(*bbolt.Tx) error {
	return func(tx *bbolt.Tx) error { return tx.Bucket(bucketMeta).Put([]byte(key), []byte(value)) }
}

func get(t testing.TB, db *DB, key string) (value string) {
	t.Helper()
	if err := db.view(func(tx *bbolt.Tx) error {
		value = string(tx.Bucket(bucketMeta).Get([]byte(key)))
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	return value
}

// lastCommit returns the number of commits so far.
func lastCommit(t testing.TB, db *DB) (id int) {
	t.Helper()
	if err := db.view(func(tx *bbolt.Tx) error { id = tx.ID(); return nil }); err != nil {
		t.Fatal(err)
	}
	return id
}

// hold makes a change that is in hand until release is called, so that what is
// written meanwhile has to queue.
func hold(db *DB) (held <-chan struct{}, release func(), done <-chan error) {
	started, gate, result := make(chan struct{}), make(chan struct{}), make(chan error, 1)
	var once sync.Once
	go func() {
		result <- db.writes.do(func(tx *bbolt.Tx) error {
			once.Do(func() { close(started) })
			<-gate
			return nil
		})
	}()
	return started, func() { close(gate) }, result
}

// queued waits until n writes are waiting.
func queued(db *DB, n int) {
	for {
		db.writes.mu.Lock()
		waiting := len(db.writes.queue)
		db.writes.mu.Unlock()
		if waiting >= n {
			return
		}
		time.Sleep(time.Millisecond)
	}
}

func TestWritersShareACommit(t *testing.T) {
	db := openTest(t)
	before := lastCommit(t, db)
	held, release, done := hold(db)
	<-held
	const n = 100
	var writers sync.WaitGroup
	for i := range n {
		writers.Go(func() {
			if err := db.writes.do(put(fmt.Sprint("k", i), "v")); err != nil {
				t.Error(err)
			}
		})
	}
	queued(db, n)
	release()
	writers.Wait()
	if err := <-done; err != nil {
		t.Error(err)
	}
	if got := lastCommit(t, db) - before; got != 2 {
		t.Errorf("%d commits for one write and a hundred more, want 2", got)
	}
	for i := range n {
		if got := get(t, db, fmt.Sprint("k", i)); got != "v" {
			t.Fatalf("write %d is lost", i)
		}
	}
}

// ASVS 2.3.3. ASVS 15.4.3: a change that panics holds up nobody else.
func TestARefusedChangeLeavesNothingAndHarmsNobody(t *testing.T) {
	db := openTest(t)
	held, release, _ := hold(db)
	<-held
	refusal := errors.New("no")
	results := make(map[string]chan error)
	for _, w := range []struct {
		name   string
		change func(*bbolt.Tx) error
	}{
		{"before", put("before", "v")},
		{"refused", func(tx *bbolt.Tx) error { return errors.Join(put("half", "v")(tx), refusal) }},
		{"panics", func(tx *bbolt.Tx) error { put("half2", "v")(tx); panic("bug") }},
		{"after", put("after", "v")},
	} {
		result := make(chan error, 1)
		results[w.name] = result
		go func() { result <- db.writes.do(w.change) }()
		queued(db, len(results))
	}
	release()
	if err := <-results["refused"]; !errors.Is(err, refusal) {
		t.Errorf("the refused one got %v", err)
	}
	if err := <-results["panics"]; err == nil {
		t.Error("the one that panics was told that all is well")
	}
	for _, name := range []string{"before", "after"} {
		if err := <-results[name]; err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if got := get(t, db, name); got != "v" {
			t.Errorf("%s is lost", name)
		}
	}
	for _, key := range []string{"half", "half2"} {
		if got := get(t, db, key); got != "" {
			t.Errorf("%s of a refused change remains", key)
		}
	}
}

func TestCloseFinishesWhatIsInHand(t *testing.T) {
	db := openTest(t)
	held, release, done := hold(db)
	<-held
	late := make(chan error, 1)
	go func() { late <- db.writes.do(put("late", "v")) }()
	queued(db, 1)
	closed := make(chan error, 1)
	go func() { closed <- db.Close() }()
	release()
	for _, result := range []<-chan error{done, late, closed} {
		if err := <-result; err != nil {
			t.Error(err)
		}
	}
	if err := db.writes.do(put("too late", "v")); !errors.Is(err, errClosed) {
		t.Errorf("a write after close: %v", err)
	}
}
