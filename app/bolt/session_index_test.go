package bolt

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.etcd.io/bbolt"

	"latchkey/app/accounts"
	"latchkey/app/internal/kv"
	"latchkey/app/sessions"
)

// listed returns the keys of an account's sessions as List has them.
func listed(t testing.TB, db *DB, a accounts.Account) (keys []sessions.Key) {
	t.Helper()
	list, err := db.Sessions().List(t.Context(), sessions.Account(a.ID), maxListed)
	noError(t, err)
	for _, s := range list {
		keys = append(keys, s.Key)
	}
	return keys
}

func isIndexed(t *testing.T, db *DB, a accounts.Account, k sessions.Key) (is bool) {
	t.Helper()
	read(t, db, func(tx *kv.Tx) { is = tx.Get(bucketSessionIndex, indexKey(kv.ID(a.ID), k[:])) != nil })
	return is
}

// A session that is not indexed yet is listed and ended as one that is; an id that
// was made before others which are indexed is indexed at once.
func TestSessionsAreIndexedLater(t *testing.T) {
	db := openNew(t)
	ann, bob := create(t, db, "Ann"), create(t, db, "Bob")
	now := time.Now()
	beginAt := func(a accounts.Account, made time.Time) sessions.Key {
		t.Helper()
		k := keyOf(sessions.NewID(made))
		noError(t, begin(db, k, a, now))
		return k
	}
	first := beginAt(ann, now)
	if isIndexed(t, db, ann, first) {
		t.Error("it is indexed at once, so nothing is shown here")
	}
	indexAll(t, db)
	if !isIndexed(t, db, ann, first) {
		t.Error("it is not indexed")
	}
	second := beginAt(ann, now.Add(time.Millisecond))
	early := beginAt(ann, now.Add(-time.Hour))
	bobs := beginAt(bob, now.Add(time.Millisecond))
	if isIndexed(t, db, ann, second) || !isIndexed(t, db, ann, early) {
		t.Error("only what comes before the others is indexed at once")
	}
	if got := listed(t, db, ann); len(got) != 3 {
		t.Errorf("%d sessions are listed", len(got))
	}
	s, id := db.Sessions(), sessions.Account(ann.ID)
	for _, one := range []struct {
		k    sessions.Key
		want error
	}{{bobs, sessions.ErrEnded}, {second, nil}, {second, sessions.ErrEnded}, {early, nil}} {
		if err := s.EndOne(t.Context(), id, one.k); !errors.Is(err, one.want) {
			t.Errorf("EndOne: %v, want %v", err, one.want)
		}
	}
	third := beginAt(ann, now.Add(time.Second))
	noError(t, s.EndOthers(t.Context(), id, third))
	if got := listed(t, db, ann); !slices.Equal(got, []sessions.Key{third}) {
		t.Errorf("after ending the others: %x", got)
	}
	noError(t, s.EndAll(t.Context(), id))
	if got := listed(t, db, ann); len(got) != 0 {
		t.Errorf("after ending all: %x", got)
	}
	if got := listed(t, db, bob); len(got) != 1 {
		t.Errorf("Bob has %d sessions", len(got))
	}
	hasSessions(t, db, "at the end", 1, 1)
}

// After a kill, what was not indexed is found as before, and indexed. Nothing is
// written when there is nothing to index.
func TestSessionsAreIndexedAfterAKill(t *testing.T) {
	path := temp(t)
	db := openAt(t, path, Options{})
	ann := create(t, db, "Ann")
	const n = 2*indexSlice + 1
	update(t, db, func(tx *kv.Tx) error {
		for range n {
			k := keyOf(sessions.NewID(time.Now()))
			now := time.Now()
			r := sessionRecord{Session: sessions.Session{Account: sessions.Account(ann.ID), PasswordVersion: ann.PasswordVersion, Began: now, Seen: now}, expires: now.Add(time.Hour)}
			noError(t, addSession(tx, k[:], kv.ID(ann.ID), encodeSession(k[:], r)))
		}
		return nil
	})
	content, err := os.ReadFile(path)
	noError(t, err)
	killed := filepath.Join(t.TempDir(), "killed.db")
	noError(t, os.WriteFile(killed, content, 0o600))
	if r, err := File(killed).Check(t.Context(), nil); err != nil || !r.OK() || r.Count("sessions") != n {
		t.Errorf("the check: %+v, %v", r, err)
	}
	again := openAt(t, killed, Options{})
	if got := len(listed(t, again, ann)); got != n {
		t.Errorf("%d sessions are listed, want %d", got, n)
	}
	for deadline := time.Now().Add(30 * time.Second); count(t, again, bucketSessionIndex) != n; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%d sessions are indexed", count(t, again, bucketSessionIndex))
		}
	}
	if got := len(listed(t, again, ann)); got != n {
		t.Errorf("indexed, %d sessions are listed, want %d", got, n)
	}
	noError(t, again.Close())
	third := openAt(t, killed, Options{})
	before := txid(t, third)
	noError(t, third.Close()) // which would write what is waiting
	if after := txid(t, openAt(t, killed, Options{})); after != before {
		t.Errorf("with nothing to index there were %d commits", after-before)
	}
}

// Whatever happens in whatever order, by whatever clock, and even if the mark of
// the index is damaged, each account has its own sessions and no other, each once.
func TestEachSessionIsFoundOnce(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	db := openNew(t)
	db.kv.Bolt().NoSync = true
	people := make([]accounts.Account, 3)
	want := make([][]sessions.Key, len(people))
	for i := range people {
		people[i] = create(t, db, nameOf(i))
	}
	now := time.Now()
	made := func() sessions.Key {
		return keyOf(sessions.NewID(now.Add(time.Duration(random.IntN(2000)-1000) * time.Millisecond)))
	}
	s, ctx := db.Sessions(), t.Context()
	for step := range 600 {
		now = now.Add(time.Duration(random.IntN(1000)) * time.Millisecond)
		who := random.IntN(len(people))
		a, mine := people[who], want[who]
		id := sessions.Account(a.ID)
		var err error
		switch random.IntN(11) {
		case 0, 1, 2, 3:
			k := made()
			err = begin(db, k, a, time.Now())
			want[who] = append(mine, k)
		case 4, 5:
			indexAll(t, db)
		case 6:
			if len(mine) > 0 {
				i := random.IntN(len(mine))
				err = s.EndOne(ctx, id, mine[i])
				want[who] = slices.Delete(mine, i, i+1)
			}
		case 7:
			if len(mine) > 0 {
				i, k := random.IntN(len(mine)), made()
				err = s.Rotate(ctx, k, mine[i], time.Now())
				mine[i] = k
			}
		case 8:
			if len(mine) > 0 && random.IntN(4) == 0 {
				i := random.IntN(len(mine))
				err = s.EndOthers(ctx, id, mine[i])
				want[who] = []sessions.Key{mine[i]}
			}
		case 9:
			if random.IntN(6) == 0 {
				err = s.EndAll(ctx, id)
				want[who] = nil
			}
		case 10:
			if random.IntN(4) == 0 {
				update(t, db, func(tx *kv.Tx) error {
					mark := bytes.Clone(tx.Get(bucketState, keyIndexed))
					if len(mark) > 0 {
						mark[random.IntN(len(mark))] ^= 1 << random.IntN(8)
					}
					return tx.Bucket(bucketState).Put(keyIndexed, mark)
				})
			}
		}
		if err != nil {
			t.Fatalf("step %d: %v", step, err)
		}
		for who, a := range people {
			compare := func(a, b sessions.Key) int { return bytes.Compare(a[:], b[:]) }
			keys := slices.SortedFunc(slices.Values(want[who]), compare)
			if got := slices.SortedFunc(slices.Values(listed(t, db, a)), compare); !slices.Equal(got, keys) {
				t.Fatalf("step %d: player %d has %d sessions, want %d", step, who, len(got), len(keys))
			}
		}
	}
}

// In one transaction, the sessions of one account are all ended after those of its
// neighbours were: bbolt leaves empty pages behind until the commit.
func TestEndingNeighbours(t *testing.T) {
	for _, indexed := range []bool{true, false} {
		db := openNew(t)
		db.kv.Bolt().NoSync = true
		people := []accounts.Account{create(t, db, "Ann"), create(t, db, "Bob"), create(t, db, "Cid")}
		slices.SortFunc(people, func(a, b accounts.Account) int { return bytes.Compare(a.ID[:], b.ID[:]) })
		const each = 500 // some pages of the index, and of sessions
		var all sync.WaitGroup
		for _, a := range people {
			for range each {
				all.Go(func() {
					if err := begin(db, keyOf(sessions.NewID(time.Now())), a, time.Now()); err != nil {
						t.Error(err)
					}
				})
			}
		}
		all.Wait()
		if indexed {
			indexAll(t, db)
		}
		update(t, db, func(tx *kv.Tx) error {
			return errors.Join(dropSessions(tx, kv.ID(people[0].ID)), dropSessions(tx, kv.ID(people[2].ID)), dropSessions(tx, kv.ID(people[1].ID)))
		})
		hasSessions(t, db, fmt.Sprint("indexed: ", indexed), 0, 0)
	}
}

// While many log in, indexing goes on, and nobody's session is missed.
func TestIndexingWhileOthersLogIn(t *testing.T) {
	db := openNew(t)
	db.kv.Bolt().NoSync = true
	ann := create(t, db, "Ann")
	done := make(chan struct{})
	var indexing, logins sync.WaitGroup
	indexing.Go(func() {
		for {
			select {
			case <-done:
				return
			default:
				indexAll(t, db)
			}
		}
	})
	const goroutines, each = 16, 50
	for range goroutines {
		logins.Go(func() {
			for range each {
				k := keyOf(sessions.NewID(time.Now()))
				if err := begin(db, k, ann, time.Now()); err != nil {
					t.Error(err)
					return
				}
				if !slices.Contains(listed(t, db, ann), k) {
					t.Error("a session that has begun is not listed")
					return
				}
			}
		})
	}
	logins.Wait()
	close(done)
	indexing.Wait()
	hasSessions(t, db, "after all", goroutines*each, goroutines*each)
}

// The check misses an entry of what should be indexed, and no other.
func TestCheckOfTheSessionIndex(t *testing.T) {
	path := temp(t)
	db := openAt(t, path, Options{})
	noError(t, begin(db, keyOf(sessions.NewID(time.Now())), create(t, db, "Ann"), time.Now()))
	noError(t, db.Close()) // which indexes it
	change := func(f func(tx *bbolt.Tx) error) []string {
		t.Helper()
		alter(t, path, f)
		r, err := File(path).Check(t.Context(), nil)
		noError(t, err)
		return r.Problems
	}
	says := func(problems []string, what string) bool {
		return slices.ContainsFunc(problems, func(line string) bool { return strings.Contains(line, what) })
	}
	var mark []byte
	problems := change(func(tx *bbolt.Tx) error {
		mark = bytes.Clone(tx.Bucket([]byte(bucketState)).Get(keyIndexed))
		index := tx.Bucket([]byte(bucketSessionIndex))
		return index.Delete(firstKey(index))
	})
	if !says(problems, "the index leads elsewhere: account sessions") {
		t.Errorf("without its entry: %q", problems)
	}
	if problems := change(func(tx *bbolt.Tx) error { return tx.Bucket([]byte(bucketState)).Delete(keyIndexed) }); len(problems) != 0 {
		t.Errorf("not indexed yet: %q", problems)
	}
	mark[len(mark)-1] ^= 1
	if problems := change(func(tx *bbolt.Tx) error { return tx.Bucket([]byte(bucketState)).Put(keyIndexed, mark) }); !says(problems, "how far") {
		t.Errorf("with damage: %q", problems)
	}
}
