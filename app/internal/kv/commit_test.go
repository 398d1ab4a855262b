package kv

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"go.etcd.io/bbolt"

	"latchkey/app/internal/store"
)

func TestWritersShareACommit(t *testing.T) {
	for _, n := range []int{1, 100, maxShared, maxShared + 1, 2*maxShared + 1} {
		inBubble(t, func(t *testing.T, db *DB) {
			before := lastCommit(t, db)
			release, done := hold(db)
			var results []<-chan error
			for i := range n {
				results = append(results, begin(func() error { return db.Update(t.Context(), put(fmt.Sprint("k", i), "v")) }))
			}
			synctest.Wait()
			release()
			for _, r := range append(results, done) {
				if err := <-r; err != nil {
					t.Error(err)
				}
			}
			if got, want := lastCommit(t, db)-before, 1+(n+maxShared-1)/maxShared; got != want {
				t.Errorf("%d commits for one write and %d more, want %d", got, n, want)
			}
			for i := range n {
				if get(t, db, fmt.Sprint("k", i)) != "v" {
					t.Fatalf("write %d is lost", i)
				}
			}
		})
	}
}

// A lone writer waits for one commit only.
func TestALoneWriterMakesOneCommit(t *testing.T) {
	inBubble(t, func(t *testing.T, db *DB) {
		before, began := lastCommit(t, db), time.Now()
		for i := range 3 {
			update(t, db, put(fmt.Sprint(i), "v"))
		}
		if got := lastCommit(t, db) - before; got != 3 || time.Since(began) != 0 {
			t.Errorf("%d commits in %v", got, time.Since(began))
		}
	})
}

//go:noinline
func bugInAChange() { panic("bug") }

// tryUpdate returns the error of Update, or the value of its panic.
func tryUpdate(db *DB, change func(*Tx) error) (panicked any, err error) {
	defer func() { panicked = recover() }()
	return nil, db.Update(context.Background(), change)
}

// ASVS 2.3.3. ASVS 15.4.3: a change that panics does not block the others.
func TestARefusedChangeLeavesNothingAndHarmsNobody(t *testing.T) {
	inBubble(t, func(t *testing.T, db *DB) {
		release, done := hold(db)
		refusal := errors.New("no")
		type outcome struct {
			err      error
			panicked any
		}
		outcomes := map[string]chan outcome{}
		for _, w := range []struct {
			name   string
			change func(*Tx) error
		}{
			{"panics first", func(tx *Tx) error { put("half1", "v")(tx); bugInAChange(); return nil }},
			{"before", put("before", "v")},
			{"refused", func(tx *Tx) error { return errors.Join(put("half2", "v")(tx), refusal) }},
			{"between", put("between", "v")},
			{"panics", func(tx *Tx) error { put("half3", "v")(tx); bugInAChange(); return nil }},
			{"after", put("after", "v")},
			{"damaged", func(tx *Tx) error { return errors.Join(put("half4", "v")(tx), damagedf("a record")) }},
			{"last", put("last", "v")},
		} {
			o := make(chan outcome, 1)
			outcomes[w.name] = o
			go func() {
				panicked, err := tryUpdate(db, w.change)
				o <- outcome{err, panicked}
			}()
			synctest.Wait()
		}
		release()
		if err := <-done; err != nil {
			t.Error(err)
		}
		for name, c := range outcomes {
			o := <-c
			switch {
			case strings.HasPrefix(name, "panics"):
				p, ok := o.panicked.(error)
				if !ok || !strings.Contains(p.Error(), "bug\n") || !strings.Contains(p.Error(), "bugInAChange") {
					t.Errorf("%s: %v, %v", name, o.err, o.panicked)
				}
			case name == "refused":
				if !errors.Is(o.err, refusal) || o.panicked != nil {
					t.Errorf("%s: %v, %v", name, o.err, o.panicked)
				}
			case name == "damaged":
				if !errors.Is(o.err, store.ErrDamaged) || o.panicked != nil {
					t.Errorf("%s: %v, %v", name, o.err, o.panicked)
				}
			case o.err != nil || o.panicked != nil || get(t, db, name) != "v":
				t.Errorf("%s: %v, %v, %q", name, o.err, o.panicked, get(t, db, name))
			}
		}
		for i := range 4 {
			if get(t, db, fmt.Sprint("half", i+1)) != "" {
				t.Errorf("half%d of a refused change remains", i+1)
			}
		}
		update(t, db, put("later", "v"))
	})
}

// The panic of a lone writer, which is its own leader.
func TestAPanicOfALoneWriter(t *testing.T) {
	db := openFast(t)
	for range 2 {
		p, err := tryUpdate(db, func(tx *Tx) error { put("half", "v")(tx); bugInAChange(); return nil })
		if err != nil || p == nil || !strings.Contains(fmt.Sprint(p), "bugInAChange") {
			t.Errorf("%v, %v", err, p)
		}
	}
	update(t, db, put("k", "v"))
	if get(t, db, "k") != "v" || get(t, db, "half") != "" {
		t.Error("the database does not go on")
	}
}

var errCause = errors.New("the visitor has left")

func TestUpdateWithAnEndedContext(t *testing.T) {
	db := openFast(t)
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(errCause)
	before := lastCommit(t, db)
	err := db.Update(ctx, func(*Tx) error { t.Error("the change runs"); return nil })
	if !errors.Is(err, errCause) {
		t.Error(err)
	}
	if err := db.View(ctx, func(*Tx) error { t.Error("the view runs"); return nil }); !errors.Is(err, errCause) {
		t.Error(err)
	}
	if lastCommit(t, db) != before {
		t.Error("something was written")
	}
}

// A write whose context ends leaves the queue immediately; the others continue.
func TestAContextThatEndsInTheQueue(t *testing.T) {
	for _, which := range []string{"first", "middle", "last", "all"} {
		inBubble(t, func(t *testing.T, db *DB) {
			release, done := hold(db)
			ctx, cancel := context.WithCancelCause(t.Context())
			results := map[string]<-chan error{}
			for _, name := range []string{"first", "middle", "last"} {
				use := t.Context()
				if name == which || which == "all" {
					use = ctx
				}
				ran := false
				results[name] = begin(func() error {
					err := db.Update(use, func(tx *Tx) error { ran = true; return put(name, "v")(tx) })
					if ran == errors.Is(err, store.ErrBusy) {
						t.Errorf("%s leaves: %s ran: %v, %v", which, name, ran, err)
					}
					return err
				})
				synctest.Wait()
			}
			cancel(errCause)
			synctest.Wait() // during the previous commit
			for name, r := range results {
				if name != which && which != "all" {
					continue
				}
				select {
				case err := <-r:
					if !errors.Is(err, store.ErrBusy) || !errors.Is(err, errCause) {
						t.Errorf("%s: %v", name, err)
					}
				default:
					t.Errorf("%s still waits", name)
				}
				delete(results, name)
				defer func() {
					if get(t, db, name) != "" {
						t.Errorf("%s was written", name)
					}
				}()
			}
			release()
			if err := <-done; err != nil {
				t.Error(err)
			}
			for name, r := range results {
				if err := <-r; err != nil || get(t, db, name) != "v" {
					t.Errorf("%s: %v", name, err)
				}
			}
			update(t, db, put("later", "v"))
		})
	}
}

// A write that has been made leader and whose context has ended passes the lead
// on.
func TestAContextThatEndsBeforeItsWriterLeads(t *testing.T) {
	for _, others := range []int{0, 1, 5} {
		inBubble(t, func(t *testing.T, db *DB) {
			w := &db.writers
			w.mu.Lock()
			w.busy = true // as if there were a leader
			w.mu.Unlock()
			ctx, cancel := context.WithCancelCause(t.Context())
			result := begin(func() error {
				return db.Update(ctx, func(*Tx) error { t.Error("it runs"); return nil })
			})
			synctest.Wait()
			var rest []<-chan error
			for i := range others {
				rest = append(rest, begin(func() error { return db.Update(t.Context(), put(fmt.Sprint(i), "v")) }))
			}
			synctest.Wait()
			// Both happen at the same time for the writer.
			w.mu.Lock()
			cancel(errCause)
			w.passLead()
			w.mu.Unlock()
			if err := <-result; !errors.Is(err, store.ErrBusy) || !errors.Is(err, errCause) {
				t.Error(err)
			}
			for _, r := range rest {
				if err := <-r; err != nil {
					t.Error(err)
				}
			}
			update(t, db, put("later", "v"))
			if w.busy || len(w.queue) > 0 {
				t.Errorf("somebody leads: %v, %d wait", w.busy, len(w.queue))
			}
		})
	}
}

// Once its commit has begun, a write gets the outcome of the commit.
func TestAContextThatEndsDuringItsCommit(t *testing.T) {
	inBubble(t, func(t *testing.T, db *DB) {
		ctx, cancel := context.WithCancel(t.Context())
		release, _ := hold(db)
		gate := make(chan struct{})
		leader := begin(func() error {
			return db.Update(ctx, func(tx *Tx) error { <-gate; return put("leader", "v")(tx) })
		})
		synctest.Wait()
		follower := begin(func() error { return db.Update(ctx, put("follower", "v")) })
		refusal := errors.New("no")
		refused := begin(func() error { return db.Update(ctx, func(*Tx) error { return refusal }) })
		synctest.Wait()
		release()
		synctest.Wait()
		cancel()
		synctest.Wait()
		close(gate)
		for name, r := range map[string]<-chan error{"leader": leader, "follower": follower} {
			if err := <-r; err != nil || get(t, db, name) != "v" {
				t.Errorf("%s: %v, %q", name, err, get(t, db, name))
			}
		}
		if err := <-refused; !errors.Is(err, refusal) {
			t.Error(err)
		}
	})
}

// With contexts ending at random times, each outcome is true, and no write
// waits for ever.
func TestContextsThatEndAtRandom(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	db := openFast(t)
	var told, left atomic.Int64
	var all sync.WaitGroup
	for w := range 16 {
		all.Go(func() {
			random := rand.New(rand.NewPCG(seed, uint64(w)))
			for i := range 150 {
				ctx, cancel := context.WithCancelCause(context.Background())
				if spins := random.IntN(2000); random.IntN(3) > 0 {
					all.Go(func() {
						for range spins {
							if ctx.Err() != nil {
								return
							}
						}
						cancel(errCause)
					})
				}
				key, ran := fmt.Sprint(w, " ", i), false
				refusal := errors.New("no")
				refuses := random.IntN(8) == 0
				err := db.Update(ctx, func(tx *Tx) error {
					ran = true
					if err := put(key, "v")(tx); err != nil || !refuses {
						return err
					}
					return refusal
				})
				switch {
				case err == nil:
					told.Add(1)
					if get(t, db, key) != "v" || refuses {
						t.Errorf("%s is lost", key)
					}
				case refuses && errors.Is(err, refusal):
					if get(t, db, key) != "" {
						t.Errorf("%s was refused and is there", key)
					}
				case errors.Is(err, errCause):
					left.Add(1)
					if ran || get(t, db, key) != "" {
						t.Errorf("%s has left, and ran: %v", key, ran)
					}
				default:
					t.Error(err)
				}
				cancel(nil)
			}
		})
	}
	all.Wait()
	if told.Load() == 0 || left.Load() == 0 {
		t.Errorf("%d were written, %d have left: nothing was shown", told.Load(), left.Load())
	}
	if db.writers.busy || len(db.writers.queue) > 0 {
		t.Error("somebody still leads")
	}
}

func TestCloseFinishesWhatIsQueued(t *testing.T) {
	inBubble(t, func(t *testing.T, db *DB) {
		release, done := hold(db)
		late := begin(func() error { return db.Update(t.Context(), put("late", "v")) })
		synctest.Wait()
		closed := begin(db.Close)
		synctest.Wait()
		tooLate := begin(func() error { return db.Update(t.Context(), put("too late", "v")) })
		synctest.Wait()
		release()
		for _, result := range []<-chan error{done, late, closed} {
			if err := <-result; err != nil {
				t.Error(err)
			}
		}
		if err := <-tooLate; !errors.Is(err, errClosed) {
			t.Errorf("a write after close: %v", err)
		}
		if all := contents(t, db.path)["plain"]; all["late"] != "v" || all["too late"] != "" {
			t.Errorf("the file has %q", all)
		}
	})
}

// Writes wait for the verification of the file, but not for ever. All get its
// result. Close counts as a result.
func TestWritersWaitToBeAdmitted(t *testing.T) {
	no := errors.New("no")
	for name, test := range map[string]struct {
		decide func(*writers)
		want   error
	}{
		"yes":    {func(w *writers) { w.admit(nil) }, nil},
		"no":     {func(w *writers) { w.admit(no); w.admit(nil) }, no},
		"closed": {func(w *writers) { w.close() }, errClosed},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, db *DB) {
				w := &writers{}
				w.init(db)
				ran := false
				change := func(*Tx) error { ran = true; return nil }
				began := time.Now()
				if err := w.update(t.Context(), change); !errors.Is(err, store.ErrBusy) || time.Since(began) != admitWait || ran {
					t.Errorf("before: %v after %v", err, time.Since(began))
				}
				ctx, cancel := context.WithTimeoutCause(t.Context(), time.Second, errCause)
				defer cancel()
				if err := w.update(ctx, change); !errors.Is(err, store.ErrBusy) || !errors.Is(err, errCause) || ran {
					t.Errorf("before, with a context that ends: %v", err)
				}
				got := begin(func() error { return w.update(t.Context(), change) })
				synctest.Wait()
				if ran {
					t.Error("it did not wait")
				}
				test.decide(w)
				if err := <-got; !errors.Is(err, test.want) || ran != (test.want == nil) {
					t.Errorf("it got %v, and ran: %v", err, ran)
				}
				if err := w.update(t.Context(), change); !errors.Is(err, test.want) {
					t.Errorf("the next: %v", err)
				}
			})
		})
	}
}

// harmedCommit returns an open file and a change whose commit, and not the change
// itself, meets a damaged page: it empties the first leaf of plain, so that bbolt
// merges that one with the next.
func harmedCommit(t *testing.T) (db *DB, file *os.File, change func(tx *Tx) error) {
	t.Helper()
	path := temp(t)
	db = open(t, path, testOptions())
	key := func(i int) []byte { return fmt.Appendf(nil, "%04d", i) }
	update(t, db, func(tx *Tx) error {
		for i := range 200 {
			if err := tx.Bucket("plain").Put(key(i), make([]byte, 200)); err != nil {
				return err
			}
		}
		return nil
	})
	var second, inFirst int
	view(t, db, func(tx *Tx) error {
		root := int64(tx.Bucket("plain").RootPage()) * pageSize
		b := readFile(t, path)
		second = int(native.Uint64(b[root+16+16+8:]))
		info, err := tx.Page(int(native.Uint64(b[root+16+8:])))
		inFirst = info.Count
		return err
	})
	file, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { file.Close() })
	if _, err := file.WriteAt(make([]byte, pageSize), int64(second)*pageSize); err != nil {
		t.Fatal(err)
	}
	return db, file, func(tx *Tx) error {
		for i := range inFirst - 1 {
			if err := tx.Bucket("plain").Delete(key(i)); err != nil {
				t.Error(err)
			}
		}
		return nil
	}
}

// Damage that a commit meets costs the change that leads there, and not those that
// share the commit.
func TestDamageMetByACommit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		db, _, change := harmedCommit(t)
		defer db.Close()
		release, done := hold(db)
		harmed := begin(func() error { return db.Update(t.Context(), change) })
		synctest.Wait()
		id := number(1)
		whole := begin(func() error {
			return db.Update(t.Context(), func(tx *Tx) error { return tx.Bucket("people").Put(id[:], []byte("Ann")) })
		})
		synctest.Wait()
		release()
		if err := <-done; err != nil {
			t.Error(err)
		}
		if err := <-harmed; !errors.Is(err, store.ErrDamaged) {
			t.Errorf("the one that meets damage: %v", err)
		}
		if err := <-whole; err != nil {
			t.Errorf("the one that does not: %v", err)
		}
		view(t, db, func(tx *Tx) error {
			if string(tx.Get("people", id[:])) != "Ann" || tx.Get("plain", []byte("0000")) == nil {
				t.Error("the one that does not is lost, or the other is there")
			}
			return nil
		})
	})
}

// When bbolt panics in the rollback after a panic, its write lock stays held. Nobody
// waits for that: writes are refused, Run says so, reads go on, Close returns.
func TestACommitThatCannotBeRolledBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		db, file, change := harmedCommit(t)
		running := begin(func() error { return db.Run(t.Context()) })
		synctest.Wait()
		// bbolt reads the freelist again when it rolls back.
		freelist := 0
		view(t, db, func(tx *Tx) error {
			for id := 2; ; id++ {
				info, err := tx.Page(id)
				if err != nil || info == nil {
					return err
				}
				if info.Type == "freelist" {
					freelist = id
				}
			}
		})
		if _, err := file.WriteAt(make([]byte, pageSize), int64(freelist)*pageSize); err != nil {
			t.Fatal(err)
		}
		if err := db.Update(t.Context(), change); !errors.Is(err, store.ErrDamaged) {
			t.Errorf("the one that meets damage: %v", err)
		}
		ran := false
		for range 2 {
			if err := db.Update(t.Context(), func(*Tx) error { ran = true; return nil }); !errors.Is(err, store.ErrDamaged) || ran {
				t.Errorf("a later write: %v, ran: %v", err, ran)
			}
		}
		if err := <-running; err == nil || !strings.Contains(err.Error(), "damaged") || !strings.Contains(err.Error(), db.path) {
			t.Errorf("Run: %v", err)
		}
		view(t, db, func(tx *Tx) error {
			if tx.Get("plain", []byte("0000")) == nil {
				t.Error("it has left something behind")
			}
			return nil
		})
		for range 2 {
			if err := db.Close(); !errors.Is(err, store.ErrDamaged) {
				t.Errorf("Close: %v", err)
			}
		}
	})
}

// pathOf returns the pages from the root of a bucket to its last leaf.
func pathOf(t testing.TB, db *bbolt.DB, bucket string) (ids []int) {
	t.Helper()
	if err := db.View(func(tx *bbolt.Tx) error {
		id := int(tx.Bucket([]byte(bucket)).RootPage())
		for {
			ids = append(ids, id)
			info, err := tx.Page(id)
			if err != nil {
				return err
			}
			if info.Type != "branch" {
				return nil
			}
			b := readFile(t, db.Path())[int64(id)*pageSize:]
			id = int(native.Uint64(b[16+(info.Count-1)*16+8:]))
		}
	}); err != nil {
		t.Fatal(err)
	}
	return ids
}

// On a full disk only writes fail, and they succeed once there is space again.
func TestAFullDisk(t *testing.T) {
	if testing.Short() {
		t.Skip("runs with tests/run --all")
	}
	const child = "KV_TEST_FULL_DISK"
	path := os.Getenv(child)
	if path == "" {
		cmd := exec.Command(os.Args[0], "-test.run=^TestAFullDisk$", "-test.v")
		cmd.Env = append(os.Environ(), child+"="+filepath.Join(t.TempDir(), "x.db"))
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		return
	}
	// A file size limit causes the same error as a disk quota.
	signal.Ignore(syscall.SIGXFSZ)
	db := open(t, path, testOptions())
	update(t, db, put("before", "v"))
	var was syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_FSIZE, &was); err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &syscall.Rlimit{Cur: uint64(info.Size()), Max: was.Max}); err != nil {
		t.Fatal(err)
	}
	large := put("large", strings.Repeat("x", 1<<20))
	if err := db.Update(t.Context(), large); !errors.Is(err, store.ErrFull) {
		t.Errorf("without room: %v", err)
	}
	if get(t, db, "before") != "v" || get(t, db, "large") != "" {
		t.Error("a wrong answer without room")
	}
	if err := db.Update(t.Context(), put("small", "v")); err != nil {
		t.Errorf("a small write: %v", err)
	}
	if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &was); err != nil {
		t.Fatal(err)
	}
	update(t, db, large)
	if err := db.Close(); err != nil {
		t.Error(err)
	}
	passesCheck(t, path, testOptions())
	if all := contents(t, path)["plain"]; all["before"] != "v" || all["small"] != "v" || len(all["large"]) != 1<<20 {
		t.Errorf("%d keys", len(all))
	}
}

func TestWordsOfAFullDisk(t *testing.T) {
	for words, want := range map[string]bool{
		"file resize error: truncate /x: no space left on device": true,
		"file resize error: truncate /x: file too large":          true,
		"write file /x: disk quota exceeded":                      true,
		"no space left on device":                                 false, // only the text of a system error counts
		"a field named no space left on device":                   false,
	} {
		if got := diskFull(errors.New(words)); got != want {
			t.Errorf("%q: %v", words, got)
		}
	}
	for _, no := range []syscall.Errno{syscall.ENOSPC, syscall.EDQUOT, syscall.EFBIG} {
		if !diskFull(fmt.Errorf("commit: %w", &os.PathError{Op: "write", Path: "/x", Err: no})) {
			t.Errorf("%v", no)
		}
	}
	if diskFull(nil) || diskFull(fmt.Errorf("commit: %w", syscall.EIO)) {
		t.Error("a broken disk is not a full one")
	}
}
