package bolt

import (
	"errors"
	"fmt"
	"path/filepath"
	"sync"
	"testing"
	"testing/synctest"
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

// Who writes before it is known whether the file is whole waits, but not for
// ever. What the answer is, all are told, and a file that is closed first is an
// answer, too.
func TestWritesWaitToBeLetIn(t *testing.T) {
	no := errors.New("no")
	for name, test := range map[string]struct {
		decide func(*gatherer)
		want   error
	}{
		"yes":    {func(g *gatherer) { g.admit(nil) }, nil},
		"no":     {func(g *gatherer) { g.admit(no); g.admit(nil) }, no},
		"closed": {func(g *gatherer) { g.close() }, errClosed},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, longLimits, func(t *testing.T, db *DB) {
				g := newGatherer(db.readers)
				ran := false
				change := func(*bbolt.Tx) error { ran = true; return nil }
				began := time.Now()
				if err := g.do(change); !errors.Is(err, sessions.ErrBusy) || time.Since(began) != longestWait || ran {
					t.Errorf("before: %v after %v", err, time.Since(began))
				}
				got := make(chan error, 1)
				go func() { got <- g.do(change) }()
				synctest.Wait()
				if ran {
					t.Error("it did not wait")
				}
				test.decide(g)
				if err := <-got; !errors.Is(err, test.want) || ran != (test.want == nil) {
					t.Errorf("it got %v, and ran: %v", err, ran)
				}
				if err := g.do(change); !errors.Is(err, test.want) {
					t.Errorf("the next: %v", err)
				}
			})
		})
	}
}

// A large file is read before all of its pages have been looked at, and written
// after. One that Open would have to write into is looked at first.
func TestLargeFilesAreReadFirst(t *testing.T) {
	path := town(t)
	rest, err := inspect(path, 0)
	if err != nil || !rest {
		t.Errorf("all was looked at: %v, %v", !rest, err)
	}
	if rest, err := inspect(path, lookAtMost); err != nil || rest {
		t.Errorf("of a small one not all was looked at: %v, %v", rest, err)
	}
	db, err := open(path, longLimits, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if s, err := db.Read(sessionID(1)); err != nil || s.Name != FilledName(1) {
		t.Errorf("%+v, %v", s, err)
	}
	if err := db.Await(t.Context()); err != nil {
		t.Error(err)
	}
	if err := db.Change(sessionID(1), []byte("changed")); err != nil {
		t.Error(err)
	}
	select {
	case err := <-db.Damaged():
		t.Errorf("it is whole, and said to be %v", err)
	default:
	}
	if err := db.writes.do(func(tx *bbolt.Tx) error { return tx.Bucket(bucketMeta).Delete(keySigning) }); err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	if rest, err := inspect(path, 0); err != nil || rest {
		t.Errorf("without a key not all was looked at: %v, %v", rest, err)
	}
}
