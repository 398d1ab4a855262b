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
	"latchkey/app/sessions"
)

// listed returns the keys of an account's sessions as List has them.
func (db *DB) listed(t *testing.T, a accounts.Account) (keys []sessions.Key) {
	t.Helper()
	list, err := db.List(sessions.Account(a.ID), listMost)
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range list {
		keys = append(keys, s.Key)
	}
	return keys
}

// hasEntry reports whether a session is entered among those of an account.
func (db *DB) hasEntry(t *testing.T, a accounts.Account, id string) (has bool) {
	t.Helper()
	k := sessions.KeyOf(id)
	if err := db.view(func(tx *bbolt.Tx) error {
		has = tx.Bucket(bucketOwned).Get(owned(a.ID[:], k[:])) != nil
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	return has
}

// A session that is not entered yet is listed and ended as one that is; an id
// that was made before others which are entered is entered at once.
func TestSessionsAreEnteredLater(t *testing.T) {
	db := openTest(t)
	ann, bob := db.keep(t, "Ann"), db.keep(t, "Bob")
	now := time.Now()
	begin := func(a accounts.Account, made time.Time) string {
		t.Helper()
		id := sessions.NewID(made)
		if err := db.enter(id, a, now); err != nil {
			t.Fatal(err)
		}
		return id
	}
	first := begin(ann, now)
	if db.hasEntry(t, ann, first) {
		t.Error("it is entered at once, so nothing is shown here")
	}
	if err := db.enterAll(nil); err != nil {
		t.Fatal(err)
	}
	if !db.hasEntry(t, ann, first) {
		t.Error("it is not entered")
	}
	second := begin(ann, now.Add(time.Millisecond))
	early := begin(ann, now.Add(-time.Hour))
	bobs := begin(bob, now.Add(time.Millisecond))
	if db.hasEntry(t, ann, second) || !db.hasEntry(t, ann, early) {
		t.Error("only what comes before the others is entered at once")
	}
	if got := db.listed(t, ann); len(got) != 3 {
		t.Errorf("%d sessions are listed", len(got))
	}
	for _, one := range []struct {
		id   string
		want error
	}{{bobs, sessions.ErrEnded}, {second, nil}, {second, sessions.ErrEnded}, {early, nil}} {
		if err := db.EndOne(sessions.Account(ann.ID), sessions.KeyOf(one.id)); !errors.Is(err, one.want) {
			t.Errorf("EndOne: %v, want %v", err, one.want)
		}
	}
	third := begin(ann, now.Add(time.Second))
	if err := db.EndOthers(sessions.Account(ann.ID), sessions.KeyOf(third)); err != nil {
		t.Fatal(err)
	}
	if got := db.listed(t, ann); !slices.Equal(got, []sessions.Key{sessions.KeyOf(third)}) {
		t.Errorf("after ending the others: %x", got)
	}
	if err := db.EndAll(sessions.Account(ann.ID)); err != nil {
		t.Fatal(err)
	}
	if got := db.listed(t, ann); len(got) != 0 {
		t.Errorf("after ending all: %x", got)
	}
	if got := db.listed(t, bob); len(got) != 1 {
		t.Errorf("Bob has %d sessions", len(got))
	}
	db.mustHave(t, "at the end", 1, 1)
}

// After a kill, what was not entered is found as before, and entered. Nothing is
// written when there is nothing to enter.
func TestSessionsAreEnteredAfterAKill(t *testing.T) {
	db := openTest(t)
	ann := db.keep(t, "Ann")
	var ids []string
	for i := range 2*maxSlice + 1 {
		ids = append(ids, sessions.NewID(time.Now()))
		if i > 0 { // the others in one commit, for speed
			continue
		}
		if err := db.enter(ids[0], ann, time.Now()); err != nil {
			t.Fatal(err)
		}
	}
	if err := db.writes.do(func(tx *bbolt.Tx) error {
		first := sessions.KeyOf(ids[0])
		r, err := db.live(tx, first[:])
		for _, id := range ids[1:] {
			k := sessions.KeyOf(id)
			err = errors.Join(err, addSession(tx, k[:], r.Account, encode(k[:], r)))
		}
		return err
	}); err != nil {
		t.Fatal(err)
	}
	killed := filepath.Join(t.TempDir(), "killed.db")
	file, err := os.ReadFile(db.Conn().Path())
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(killed, file, 0o600); err != nil {
		t.Fatal(err)
	}
	if r, err := Check(t.Context(), killed); err != nil || !r.Whole() || r.Sessions != len(ids) {
		t.Errorf("the check: %+v, %v", r, err)
	}
	again, err := Open(killed, longLimits)
	if err != nil {
		t.Fatal(err)
	}
	defer again.Close()
	if n := len(again.listed(t, ann)); n != len(ids) {
		t.Errorf("%d sessions are listed, want %d", n, len(ids))
	}
	for deadline := time.Now().Add(30 * time.Second); again.keys(t, bucketOwned, ann.ID[:]) != len(ids); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%d sessions are entered", again.keys(t, bucketOwned, ann.ID[:]))
		}
	}
	if n := len(again.listed(t, ann)); n != len(ids) {
		t.Errorf("entered, %d sessions are listed, want %d", n, len(ids))
	}
	before := lastCommit(t, again)
	if err := again.enterAll(nil); err != nil || lastCommit(t, again) != before {
		t.Errorf("with nothing to enter: %v, %d commits", err, lastCommit(t, again)-before)
	}
}

// Whatever happens in whatever order, by whatever clock, and even if how far they
// are entered is damaged, each account has its own sessions and no other, each
// once.
func TestEachSessionIsFoundOnce(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	db := openTest(t)
	db.Conn().NoSync = true
	people := make([]accounts.Account, 3)
	want := make([][]string, len(people))
	for i := range people {
		people[i] = db.keep(t, fmt.Sprint("player ", i))
	}
	now := time.Now()
	made := func() string {
		return sessions.NewID(now.Add(time.Duration(random.IntN(2000)-1000) * time.Millisecond))
	}
	for step := range 600 {
		now = now.Add(time.Duration(random.IntN(1000)) * time.Millisecond)
		who := random.IntN(len(people))
		a, mine := people[who], want[who]
		var err error
		switch random.IntN(11) {
		case 0, 1, 2, 3:
			id := made()
			err = db.enter(id, a, time.Now())
			want[who] = append(mine, id)
		case 4, 5:
			err = db.enterAll(nil)
		case 6:
			if len(mine) > 0 {
				i := random.IntN(len(mine))
				err = db.EndOne(sessions.Account(a.ID), sessions.KeyOf(mine[i]))
				want[who] = slices.Delete(mine, i, i+1)
			}
		case 7:
			if len(mine) > 0 {
				i, id := random.IntN(len(mine)), made()
				err = db.Rotate(id, mine[i], time.Now())
				mine[i] = id
			}
		case 8:
			if len(mine) > 0 && random.IntN(4) == 0 {
				i := random.IntN(len(mine))
				err = db.EndOthers(sessions.Account(a.ID), sessions.KeyOf(mine[i]))
				want[who] = []string{mine[i]}
			}
		case 9:
			if random.IntN(6) == 0 {
				err = db.EndAll(sessions.Account(a.ID))
				want[who] = nil
			}
		case 10:
			if random.IntN(4) == 0 {
				err = db.writes.do(func(tx *bbolt.Tx) error {
					value := bytes.Clone(tx.Bucket(bucketMeta).Get(keyEntered))
					if len(value) > 0 {
						value[random.IntN(len(value))] ^= 1 << random.IntN(8)
					}
					return tx.Bucket(bucketMeta).Put(keyEntered, value)
				})
			}
		}
		if err != nil {
			t.Fatalf("step %d: %v", step, err)
		}
		for who, a := range people {
			var keys []sessions.Key
			for _, id := range want[who] {
				keys = append(keys, sessions.KeyOf(id))
			}
			compare := func(a, b sessions.Key) int { return bytes.Compare(a[:], b[:]) }
			slices.SortFunc(keys, compare)
			if got := slices.SortedFunc(slices.Values(db.listed(t, a)), compare); !slices.Equal(got, keys) {
				t.Fatalf("step %d: player %d has %d sessions, want %d", step, who, len(got), len(keys))
			}
		}
	}
}

// In one transaction, the sessions of one account are ended whole after those of
// its neighbours were: bbolt leaves empty pages behind until the commit.
func TestEndingNeighbours(t *testing.T) {
	for _, later := range []bool{false, true} {
		db := openTest(t)
		db.Conn().NoSync = true
		people := []accounts.Account{db.keep(t, "Ann"), db.keep(t, "Bob"), db.keep(t, "Cid")}
		slices.SortFunc(people, func(a, b accounts.Account) int { return bytes.Compare(a.ID[:], b.ID[:]) })
		const each = 500 // some pages of entries, and of sessions
		var all sync.WaitGroup
		for _, a := range people {
			for range each {
				all.Go(func() {
					if err := db.enter(sessions.NewID(time.Now()), a, time.Now()); err != nil {
						t.Error(err)
					}
				})
			}
		}
		all.Wait()
		if !later {
			if err := db.enterAll(nil); err != nil {
				t.Fatal(err)
			}
		}
		if err := db.writes.do(func(tx *bbolt.Tx) error {
			return errors.Join(dropSessions(tx, people[0].ID[:]), dropSessions(tx, people[2].ID[:]), dropSessions(tx, people[1].ID[:]))
		}); err != nil {
			t.Fatal(err)
		}
		db.mustHave(t, fmt.Sprint("entered later: ", later), 0, 0)
	}
}

// While many log in, entering goes on, and nobody's session is missed.
func TestEnteringWhileOthersLogIn(t *testing.T) {
	db := openTest(t)
	db.Conn().NoSync = true
	ann := db.keep(t, "Ann")
	done := make(chan struct{})
	var entering, logins sync.WaitGroup
	entering.Go(func() {
		for {
			select {
			case <-done:
				return
			default:
			}
			if err := db.enterAll(nil); err != nil {
				t.Error(err)
			}
		}
	})
	var begun [16]int
	for i := range begun {
		logins.Go(func() {
			for range 50 {
				id := sessions.NewID(time.Now())
				if err := db.enter(id, ann, time.Now()); err != nil {
					t.Error(err)
					return
				}
				begun[i]++
				if !slices.Contains(db.listed(t, ann), sessions.KeyOf(id)) {
					t.Error("a session that has begun is not listed")
					return
				}
			}
		})
	}
	logins.Wait()
	close(done)
	entering.Wait()
	n := 0
	for _, b := range begun {
		n += b
	}
	db.mustHave(t, "after all", n, n)
}

// The check misses an entry of what should be entered, and no other.
func TestCheckOfEntries(t *testing.T) {
	db := openTest(t)
	path := db.Conn().Path()
	ann := db.keep(t, "Ann")
	if err := db.enter(sessions.NewID(time.Now()), ann, time.Now()); err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil { // which enters it
		t.Fatal(err)
	}
	change := func(f func(tx *bbolt.Tx) error) Report {
		t.Helper()
		alter(t, path, f)
		r, err := Check(t.Context(), path)
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	says := func(r Report, what string) bool {
		return slices.ContainsFunc(r.Problems, func(line string) bool { return strings.Contains(line, what) })
	}
	var mark []byte
	r := change(func(tx *bbolt.Tx) error {
		mark = bytes.Clone(tx.Bucket(bucketMeta).Get(keyEntered))
		k, _ := tx.Bucket(bucketOwned).Cursor().First()
		return tx.Bucket(bucketOwned).Delete(bytes.Clone(k))
	})
	if !says(r, "not among the account sessions") {
		t.Errorf("without its entry: %+v", r)
	}
	if r := change(func(tx *bbolt.Tx) error { return tx.Bucket(bucketMeta).Delete(keyEntered) }); !r.Whole() {
		t.Errorf("not entered yet: %+v", r)
	}
	mark[len(mark)-1] ^= 1
	if r := change(func(tx *bbolt.Tx) error { return tx.Bucket(bucketMeta).Put(keyEntered, mark) }); !says(r, "how far") {
		t.Errorf("with damage: %+v", r)
	}
}

// A file of the format before keeps its accounts and loses its sessions.
func TestTheFormatBefore(t *testing.T) {
	path := town(t)
	alter(t, path, func(tx *bbolt.Tx) error { return tx.Bucket(bucketMeta).Put(keyFormat, formatOld) })
	if _, err := Check(t.Context(), path); err == nil || !strings.Contains(err.Error(), "older version") {
		t.Errorf("the check: %v", err)
	}
	db, err := Open(path, longLimits)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	db.mustHave(t, "opened", 0, 0)
	a, err := db.Accounts().ByName(FilledName(1))
	if err != nil {
		t.Fatal(err)
	}
	if err := db.enter("new", a, time.Now()); err != nil {
		t.Fatal(err)
	}
	db.Close()
	if r, err := Check(t.Context(), path); err != nil || !r.Whole() || r.Sessions != 1 || r.Accounts != 3 {
		t.Errorf("after: %+v, %v", r, err)
	}
}
