package kv

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"latchkey/app/internal/store"
)

func insert(db *DB, n note) error {
	return db.Update(context.Background(), func(tx *Tx) error { return noteTable.Insert(tx, n) })
}

func getNote(db *DB, id ID) (n note, err error) {
	err = db.View(context.Background(), func(tx *Tx) error { n, err = noteTable.Get(tx, id); return err })
	return n, err
}

// list returns all records of an owner, page by page.
func list[T any](t testing.TB, db *DB, table Owned[T], owner ID, limit int) (all []T) {
	t.Helper()
	for after, pages := "", 0; ; pages++ {
		var next string
		view(t, db, func(tx *Tx) error {
			page, n, err := table.ListByOwner(tx, owner, after, limit)
			if len(page) > limit || n != "" && len(page) != limit {
				t.Fatalf("a page of %d, limit %d, next %q", len(page), limit, n)
			}
			all, next = append(all, page...), n
			return err
		})
		if after = next; after == "" {
			return all
		}
		if pages > 10_000 {
			t.Fatal("the pages have no end")
		}
	}
}

func TestOwnedRecordsComeAndGo(t *testing.T) {
	path := temp(t)
	db := open(t, path, testOptions())
	addPeople(t, db, 2)
	n := noteOf(0, 2)
	if _, err := getNote(db, n.ID); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("before: %v", err)
	}
	if err := insert(db, n); err != nil {
		t.Fatal(err)
	}
	if got, err := getNote(db, n.ID); err != nil || got != n {
		t.Errorf("%+v, %v", got, err)
	}
	if err := insert(db, n); !errors.Is(err, store.ErrTaken) {
		t.Errorf("its id again: %v", err)
	}
	other := n
	other.Owner, other.Title = number(1), "x"
	if err := insert(db, other); !errors.Is(err, store.ErrTaken) {
		t.Errorf("its id for another: %v", err)
	}
	nobodys := noteOf(1, 2)
	nobodys.Owner = number(9)
	if err := insert(db, nobodys); !errors.Is(err, errNobody) {
		t.Errorf("of nobody: %v", err)
	}
	n.Text, n.Title = "another text", "another title"
	update(t, db, func(tx *Tx) error { return noteTable.Update(tx, n) })
	if got, err := getNote(db, n.ID); err != nil || got != n {
		t.Errorf("after Update: %+v, %v", got, err)
	}
	for _, wrong := range []note{other, nobodys, {}} {
		if err := db.Update(t.Context(), func(tx *Tx) error { return noteTable.Update(tx, wrong) }); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("Update of %+v: %v", wrong, err)
		}
	}
	if got := list(t, db, noteTable, number(0), 10); !slices.Equal(got, []note{n}) {
		t.Errorf("%+v", got)
	}
	if got := list(t, db, noteTable, number(1), 10); len(got) != 0 {
		t.Errorf("another has %+v", got)
	}
	update(t, db, func(tx *Tx) error { return noteTable.Delete(tx, n.ID) })
	for range 2 {
		if _, err := getNote(db, n.ID); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("after Delete: %v", err)
		}
		if err := db.Update(t.Context(), func(tx *Tx) error { return noteTable.Delete(tx, n.ID) }); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("Delete again: %v", err)
		}
	}
	mustBeEmpty(t, db, noteTable)
}

func mustBeEmpty[T any](t *testing.T, db *DB, table Owned[T]) {
	t.Helper()
	for _, b := range table.buckets() {
		if left := keys(t, db, b.name); len(left) != 0 {
			t.Errorf("%s still has %x", b.name, left)
		}
	}
}

// ranked has an order of any bytes.
type ranked struct {
	ID, Owner ID
	Rank      []byte
	Label     string
}

var rankedTable = Owned[ranked]{
	Name:   "ranked",
	Order:  func(r *ranked) []byte { return r.Rank },
	Unique: func(r *ranked) string { return r.Label },
}

func rankedOptions() Options {
	o := testOptions()
	o.Tables = append(o.Tables, rankedTable)
	return o
}

// Whatever comes and goes in whatever order, the lists are those of a model that
// sorts. Orders have NUL and 0xff, are empty, and are prefixes of one another.
//
// OWASP ASVS 1.2.4
func TestOwnedAgainstAModel(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	path := temp(t)
	db := open(t, path, rankedOptions())
	db.bolt.NoSync = true
	const owners = 4
	addPeople(t, db, owners)
	model := map[ID]ranked{}
	alphabet := []byte{0, 0, 1, 'a', 0xfe, 0xff, 0xff}
	rank := func() []byte {
		b := make([]byte, random.IntN(5))
		for i := range b {
			b[i] = alphabet[random.IntN(len(alphabet))]
		}
		return b
	}
	taken := func(r ranked) bool {
		for id, other := range model {
			if id != r.ID && other.Owner == r.Owner && other.Label == r.Label {
				return true
			}
		}
		return false
	}
	some := func() (id ID) {
		for id = range model {
			break
		}
		return id
	}
	sorted := func(owner ID) (all []ranked) {
		for _, r := range model {
			if r.Owner == owner {
				all = append(all, r)
			}
		}
		slices.SortFunc(all, func(a, b ranked) int {
			if c := bytes.Compare(a.Rank, b.Rank); c != 0 {
				return c
			}
			return bytes.Compare(a.ID[:], b.ID[:])
		})
		return all
	}
	same := func(a, b ranked) bool {
		return a.ID == b.ID && a.Owner == b.Owner && a.Label == b.Label && bytes.Equal(a.Rank, b.Rank)
	}
	for step := range 1500 {
		var err error
		var want error
		switch action := random.IntN(8); {
		case action < 4:
			r := ranked{ID: number(random.IntN(1_000_000)), Owner: number(random.IntN(owners)), Rank: rank(), Label: fmt.Sprint(random.IntN(300))}
			if _, ok := model[r.ID]; ok || taken(r) {
				want = store.ErrTaken
			} else {
				model[r.ID] = r
			}
			// The change goes on after a refusal, which must leave nothing behind.
			update(t, db, func(tx *Tx) error { err = rankedTable.Insert(tx, r); return nil })
		case action < 6 && len(model) > 0:
			r := model[some()]
			r.Rank = rank()
			if random.IntN(2) == 0 {
				r.Label = fmt.Sprint(random.IntN(300))
			}
			if taken(r) {
				want = store.ErrTaken
			} else {
				model[r.ID] = r
			}
			update(t, db, func(tx *Tx) error { err = rankedTable.Update(tx, r); return nil })
		case action == 6 && len(model) > 0:
			id := some()
			delete(model, id)
			update(t, db, func(tx *Tx) error { err = rankedTable.Delete(tx, id); return nil })
		case action == 7 && random.IntN(100) == 0:
			owner := number(random.IntN(owners))
			for _, r := range sorted(owner) {
				delete(model, r.ID)
			}
			update(t, db, func(tx *Tx) error { return rankedTable.dropOwner(tx, owner) })
		}
		if !errors.Is(err, want) {
			t.Fatalf("step %d: %v, want %v", step, err, want)
		}
		if step%10 > 0 {
			continue
		}
		for i := range owners {
			want := sorted(number(i))
			got := list(t, db, rankedTable, number(i), 1+random.IntN(len(want)+3))
			if !slices.EqualFunc(got, want, same) {
				t.Fatalf("step %d: owner %d has %d records, want %d", step, i, len(got), len(want))
			}
		}
	}
	for id, r := range model {
		view(t, db, func(tx *Tx) error {
			if got, err := rankedTable.Get(tx, id); err != nil || !same(got, r) {
				t.Errorf("%+v, %v", got, err)
			}
			return nil
		})
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	if r := mustPass(t, path, rankedOptions()); r.Count("ranked") != len(model) {
		t.Errorf("%d are counted, want %d", r.Count("ranked"), len(model))
	}
}

func TestPagesOfEveryLimit(t *testing.T) {
	db := openFast(t)
	addPeople(t, db, 3)
	const n = 120
	update(t, db, func(tx *Tx) error {
		for i := range 3 * n {
			if err := noteTable.Insert(tx, noteOf(i, 3)); err != nil {
				return err
			}
		}
		return nil
	})
	whole := list(t, db, noteTable, number(1), 1000)
	if len(whole) != n {
		t.Fatalf("%d notes", len(whole))
	}
	for limit := 1; limit <= n+1; limit++ {
		if got := list(t, db, noteTable, number(1), limit); !slices.Equal(got, whole) {
			t.Errorf("in pages of %d: %d notes", limit, len(got))
		}
	}
	for _, limit := range []int{0, -1} {
		func() {
			defer func() {
				if p := recover(); p == nil || !strings.Contains(fmt.Sprint(p), "notes") {
					t.Errorf("a limit of %d: %v", limit, p)
				}
			}()
			db.View(t.Context(), func(tx *Tx) error { noteTable.ListByOwner(tx, number(1), "", limit); return nil })
		}()
	}
}

// A cursor is a place, and never a way to the records of another.
func TestCursors(t *testing.T) {
	db := openFast(t)
	addPeople(t, db, 3)
	update(t, db, func(tx *Tx) error {
		for i := range 60 {
			if err := noteTable.Insert(tx, noteOf(i, 3)); err != nil {
				return err
			}
		}
		return nil
	})
	page := func(owner ID, after string) (page []note, next string, err error) {
		err = db.View(t.Context(), func(tx *Tx) error {
			page, next, err = noteTable.ListByOwner(tx, owner, after, 7)
			return err
		})
		return page, next, err
	}
	whole := list(t, db, noteTable, number(1), 100)
	first, next, err := page(number(1), "")
	if err != nil || len(first) != 7 || next == "" {
		t.Fatal(first, next, err)
	}
	// Both the record at the cursor and the one after it go.
	update(t, db, func(tx *Tx) error {
		return errors.Join(noteTable.Delete(tx, first[6].ID), noteTable.Delete(tx, whole[7].ID))
	})
	if second, _, err := page(number(1), next); err != nil || !slices.Equal(second, whole[8:15]) {
		t.Errorf("after a record that is gone: %+v, %v", second, err)
	}
	for name, after := range map[string]string{
		"another's":      next,
		"bytes":          base64.RawURLEncoding.EncodeToString([]byte{0xff, 0, 1}),
		"below all":      base64.RawURLEncoding.EncodeToString([]byte{0}),
		"beyond all":     base64.RawURLEncoding.EncodeToString(bytes.Repeat([]byte{0xff}, 50)),
		"very long":      base64.RawURLEncoding.EncodeToString(make([]byte, 100_000)),
		"a line":         "\n",
		"another's keys": base64.RawURLEncoding.EncodeToString(append(slices.Clone(first[0].Owner[:]), "title"...)),
	} {
		notes, _, err := page(number(2), after)
		if err != nil && !errors.Is(err, store.ErrNotFound) {
			t.Errorf("%s: %v", name, err)
		}
		for _, n := range notes {
			if n.Owner != number(2) {
				t.Errorf("%s: a note of another: %+v", name, n)
			}
		}
	}
	for _, after := range []string{"=", "!", "a b", "é", "\x00", strings.Repeat("/", 1000), "a"} {
		if notes, next, err := page(number(2), after); !errors.Is(err, store.ErrNotFound) || notes != nil || next != "" {
			t.Errorf("after %.9q: %+v, %v", after, notes, err)
		}
	}
}

func TestUniqueWithinAnOwner(t *testing.T) {
	db := openFast(t)
	addPeople(t, db, 2)
	a, b := noteOf(0, 2), noteOf(2, 2)
	other := noteOf(1, 2)
	a.Title, b.Title, other.Title = "same", "same", "same"
	if err := errors.Join(insert(db, a), insert(db, other)); err != nil {
		t.Fatal(err)
	}
	if err := insert(db, b); !errors.Is(err, store.ErrTaken) {
		t.Errorf("the same title: %v", err)
	}
	// Empty ones and prefixes are titles, too.
	for i, title := range []string{"", "s", "sam", "same\x00", "samee"} {
		n := noteOf(10+2*i, 2)
		n.Title = title
		if err := insert(db, n); err != nil {
			t.Errorf("%q: %v", title, err)
		}
		again := noteOf(100+2*i, 2)
		again.Title = title
		if err := insert(db, again); !errors.Is(err, store.ErrTaken) {
			t.Errorf("%q again: %v", title, err)
		}
	}
	// A refused Update leaves the record as it was, though the change goes on.
	b.Title = "mine"
	if err := insert(db, b); err != nil {
		t.Fatal(err)
	}
	taken := b
	taken.Title = "same"
	update(t, db, func(tx *Tx) error {
		if err := noteTable.Update(tx, taken); !errors.Is(err, store.ErrTaken) {
			t.Errorf("Update to a title that is taken: %v", err)
		}
		return nil
	})
	if got, err := getNote(db, b.ID); err != nil || got != b {
		t.Errorf("after that: %+v, %v", got, err)
	}
	// Update frees the one before, and keeps its own.
	update(t, db, func(tx *Tx) error { return noteTable.Update(tx, a) })
	a.Title = "new"
	update(t, db, func(tx *Tx) error { return errors.Join(noteTable.Update(tx, a), noteTable.Update(tx, taken)) })
	update(t, db, func(tx *Tx) error { return noteTable.Delete(tx, taken.ID) })
	c := noteOf(50, 2)
	c.Title = "same"
	if err := insert(db, c); err != nil {
		t.Errorf("a title that Delete has freed: %v", err)
	}
	if got, err := getNote(db, other.ID); err != nil || got != other {
		t.Errorf("the other's: %+v, %v", got, err)
	}
}

// ASVS 15.4.1
func TestOneWinsWhatIsUnique(t *testing.T) {
	db := openFast(t)
	addPeople(t, db, 1)
	for round := range 10 {
		var all sync.WaitGroup
		results := make([]error, 32)
		for i := range results {
			all.Go(func() {
				n := noteOf(100*round+i, 1)
				n.Title = fmt.Sprint("wanted ", round)
				results[i] = insert(db, n)
			})
		}
		all.Wait()
		won := 0
		for i, err := range results {
			_, there := getNote(db, number(1000+100*round+i))
			if err == nil {
				won++
			} else if !errors.Is(err, store.ErrTaken) || !errors.Is(there, store.ErrNotFound) {
				t.Errorf("a loser: %v, %v", err, there)
			}
		}
		if won != 1 {
			t.Errorf("%d have won", won)
		}
	}
	if got := list(t, db, noteTable, number(0), 100); len(got) != 10 {
		t.Errorf("%d notes", len(got))
	}
}

func TestTimesComeBackInUTC(t *testing.T) {
	db := openFast(t)
	addPeople(t, db, 1)
	for i, at := range []time.Time{
		{}, time.Now(), time.Unix(0, 0), time.Unix(-1, 1), time.Date(2026, 3, 29, 2, 30, 0, 999_999_999, time.FixedZone("x", 3*3600+1800)),
		time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC), time.Date(1, 1, 1, 0, 0, 0, 1, time.UTC),
	} {
		n := noteOf(i, 1)
		n.At = at
		if err := insert(db, n); err != nil {
			t.Errorf("%v: %v", at, err)
			continue
		}
		got, err := getNote(db, n.ID)
		if err != nil || !got.At.Equal(at) || got.At.Location() != time.UTC || got.At.IsZero() != at.IsZero() {
			t.Errorf("%v comes back as %v, %v", at, got.At, err)
		}
	}
	for i, at := range []time.Time{time.Date(10_000, 1, 1, 0, 0, 0, 0, time.UTC), time.Date(-1, 1, 1, 0, 0, 0, 0, time.UTC)} {
		n := noteOf(20+i, 1)
		n.At = at
		if err := insert(db, n); err == nil {
			_, err = getNote(db, n.ID)
			t.Errorf("%v is kept, and read: %v", at, err)
		}
	}
}

// A string that cannot be read again is refused, and any other comes back as it was.
func TestHostileStrings(t *testing.T) {
	path := temp(t)
	db := open(t, path, testOptions())
	addPeople(t, db, 1)
	good := []string{"", "\x00", "a\x00b", "\u202e\ufeff", "<script>", "\U0010ffff", strings.Repeat("é", 10_000), "\n\r\t", "ID", "\xef\xbf\xbd"}
	for i, s := range good {
		n := noteOf(i, 1)
		n.Title, n.Text = s, s
		if err := insert(db, n); err != nil {
			t.Errorf("%.20q: %v", s, err)
		}
		if got, err := getNote(db, n.ID); err != nil || got != n {
			t.Errorf("%.20q comes back as %.20q, %v", s, got.Text, err)
		}
	}
	for i, s := range []string{"\xff", "a\xc3", "\xed\xa0\x80", "\xc0\x80"} {
		n := noteOf(50+i, 1)
		n.Text = s
		err := insert(db, n)
		if err == nil || errors.Is(err, store.ErrDamaged) || !strings.Contains(err.Error(), "UTF-8") {
			t.Errorf("%q: %v", s, err)
		}
		if _, err := getNote(db, n.ID); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("%q is kept: %v", s, err)
		}
		n = noteOf(1, 1)
		n.Title, n.Text = "fine", s
		update(t, db, func(tx *Tx) error {
			if err := noteTable.Update(tx, n); err == nil {
				t.Errorf("%q is kept by Update", s)
			}
			return nil
		})
	}
	n := noteOf(70, 1)
	n.Title = strings.Repeat("x", 40_000) // longer than a key may be
	update(t, db, func(tx *Tx) error {
		if err := noteTable.Insert(tx, n); err == nil || !strings.Contains(err.Error(), "notes") {
			t.Errorf("a title that is too long: %v", err)
		}
		return nil
	})
	db.Close()
	if r := mustPass(t, path, testOptions()); r.Count("notes") != len(good) {
		t.Errorf("%d notes", r.Count("notes"))
	}
}

// What was read belongs to its reader, also after the transaction.
func TestRecordsAreCopies(t *testing.T) {
	db := open(t, temp(t), rankedOptions())
	addPeople(t, db, 1)
	r := ranked{ID: number(5), Owner: number(0), Rank: bytes.Repeat([]byte("r"), 3000), Label: "label"}
	update(t, db, func(tx *Tx) error { return rankedTable.Insert(tx, r) })
	var got ranked
	view(t, db, func(tx *Tx) (err error) {
		key := tx.Get("ranked/ids", r.ID[:])
		value := bytes.Clone(tx.Get("ranked/records", key))
		got, err = rankedTable.decode(tx, key, value)
		clear(value)
		return err
	})
	if !bytes.Equal(got.Rank, r.Rank) || got.Label != "label" {
		t.Error("it shares the memory of the file")
	}
}

// newerNote is a note of a later version: Text is gone, Pinned and Tags are new.
type newerNote struct {
	Pinned    bool
	Tags      []string
	Title     string
	Owner, ID ID
	At        time.Time
}

func TestFieldsComeAndGo(t *testing.T) {
	path := temp(t)
	db := open(t, path, testOptions())
	addPeople(t, db, 1)
	old := noteOf(0, 1)
	if err := insert(db, old); err != nil {
		t.Fatal(err)
	}
	db.Close()
	newer := Owned[newerNote]{
		Name:   "notes",
		Unique: func(n *newerNote) string { return n.Title },
		Order:  func(n *newerNote) []byte { return []byte(n.Title) },
	}
	o := testOptions()
	o.Tables[1] = newer
	db = open(t, path, o)
	var n newerNote
	view(t, db, func(tx *Tx) (err error) { n, err = newer.Get(tx, old.ID); return err })
	if n.ID != old.ID || n.Owner != old.Owner || n.Title != old.Title || n.At != old.At || n.Pinned || n.Tags != nil {
		t.Errorf("%+v", n)
	}
	n.Pinned, n.Tags = true, []string{"x"}
	update(t, db, func(tx *Tx) error { return newer.Update(tx, n) })
	db.Close()
	mustPass(t, path, o)
	got, err := getNote(open(t, path, testOptions()), old.ID)
	old.Text = ""
	if err != nil || got != old {
		t.Errorf("read by the older version: %+v, %v", got, err)
	}
}

// DropOwner empties all buckets, of that owner and of nobody else.
func TestDropOwner(t *testing.T) {
	path := temp(t)
	db := open(t, path, testOptions())
	fill(t, db, 20)
	whole := list(t, db, noteTable, number(8), 10)
	if err := db.Update(t.Context(), func(tx *Tx) error {
		// Neighbours first: bbolt leaves empty pages behind until the commit.
		for _, i := range []int{6, 9, 7} {
			if err := tx.DropOwner(number(i)); err != nil {
				return err
			}
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	for i := range 20 {
		want := 3
		if i == 6 || i == 7 || i == 9 {
			want = 0
		}
		if got := list(t, db, noteTable, number(i), 10); len(got) != want {
			t.Errorf("person %d has %d notes", i, len(got))
		}
	}
	if !slices.Equal(list(t, db, noteTable, number(8), 10), whole) {
		t.Error("a neighbour's notes have changed")
	}
	for _, b := range noteTable.buckets() {
		if got := len(keys(t, db, b.name)); got != 17*3 {
			t.Errorf("%s has %d entries", b.name, got)
		}
	}
	if err := insert(db, noteOf(6, 20)); !errors.Is(err, errNobody) {
		t.Errorf("an owner that is gone: %v", err)
	}
	update(t, db, func(tx *Tx) error { return tx.DropOwner(number(6)) })
	db.Close()
	mustPass(t, path, testOptions())
}

// Of many neighbours with many records each, each is dropped whole.
func TestDropNeighbours(t *testing.T) {
	db := openFast(t)
	addPeople(t, db, 3)
	update(t, db, func(tx *Tx) error {
		for i := range 1500 {
			n := noteOf(i, 3)
			n.Title = fmt.Sprint("title ", i)
			if err := noteTable.Insert(tx, n); err != nil {
				return err
			}
		}
		return nil
	})
	owners := []ID{number(0), number(1), number(2)}
	slices.SortFunc(owners, func(a, b ID) int { return bytes.Compare(a[:], b[:]) })
	update(t, db, func(tx *Tx) error {
		return errors.Join(tx.DropOwner(owners[0]), tx.DropOwner(owners[2]), tx.DropOwner(owners[1]))
	})
	mustBeEmpty(t, db, noteTable)
}

// harmOwned are ways to damage note i of a file. Each says what Get of it answers.
var harmOwned = map[string]struct {
	harm func(t *testing.T, tx *Tx, n note) error
	get  error
	list error
}{
	"a flipped bit in the record": {func(t *testing.T, tx *Tx, n note) error {
		key := noteTable.key(n.Owner, n.ID, &n)
		b := tx.Bucket("notes/records")
		value := bytes.Clone(b.Get(key))
		value[len(value)/2] ^= 4
		return b.Put(key, value)
	}, store.ErrDamaged, store.ErrDamaged},
	"a record of another version": {func(t *testing.T, tx *Tx, n note) error {
		key := noteTable.key(n.Owner, n.ID, &n)
		b := tx.Bucket("notes/records")
		value := bytes.Clone(b.Get(key))
		value[0]++
		return b.Put(key, value)
	}, store.ErrDamaged, store.ErrDamaged},
	"a short record": {func(t *testing.T, tx *Tx, n note) error {
		return tx.Bucket("notes/records").Put(noteTable.key(n.Owner, n.ID, &n), []byte{1})
	}, store.ErrDamaged, store.ErrDamaged},
	"a record of other content": {func(t *testing.T, tx *Tx, n note) error {
		key := noteTable.key(n.Owner, n.ID, &n)
		return tx.Bucket("notes/records").Put(key, Seal(ownedVersion, key, append(make([]byte, SealSize), 0x83, 1, 2, 3)))
	}, store.ErrDamaged, store.ErrDamaged},
	"a neighbour's record in its place": {func(t *testing.T, tx *Tx, n note) error {
		b := tx.Bucket("notes/records")
		_, value := b.Cursor().First()
		if _, last := b.Cursor().Last(); n.ID == number(1000) {
			value = last
		}
		return b.Put(noteTable.key(n.Owner, n.ID, &n), bytes.Clone(value))
	}, store.ErrDamaged, store.ErrDamaged},
	"no record": {func(t *testing.T, tx *Tx, n note) error {
		return tx.Bucket("notes/records").Delete(noteTable.key(n.Owner, n.ID, &n))
	}, store.ErrDamaged, nil},
	"a flipped bit in its id": {func(t *testing.T, tx *Tx, n note) error {
		value := bytes.Clone(tx.Bucket("notes/ids").Get(n.ID[:]))
		value[3] ^= 1
		return tx.Bucket("notes/ids").Put(n.ID[:], value)
	}, store.ErrDamaged, nil},
	"its id leads to another": {func(t *testing.T, tx *Tx, n note) error {
		other := noteOf(1, 5)
		return tx.Bucket("notes/ids").Put(n.ID[:], noteTable.key(other.Owner, other.ID, &other))
	}, store.ErrDamaged, nil},
	"its id leads to nothing": {func(t *testing.T, tx *Tx, n note) error {
		return tx.Bucket("notes/ids").Put(n.ID[:], nil)
	}, store.ErrDamaged, nil},
	"what is unique of it is gone": {func(t *testing.T, tx *Tx, n note) error {
		return tx.Bucket("notes/unique").Delete(noteTable.uniqueKey(n.Owner, &n))
	}, nil, nil},
	"what is unique of it leads elsewhere": {func(t *testing.T, tx *Tx, n note) error {
		id := number(77)
		return tx.Bucket("notes/unique").Put(noteTable.uniqueKey(n.Owner, &n), id[:])
	}, nil, nil},
	"what is unique of it leads to no id": {func(t *testing.T, tx *Tx, n note) error {
		return tx.Bucket("notes/unique").Put(noteTable.uniqueKey(n.Owner, &n), []byte("x"))
	}, nil, nil},
	"something else unique leads to it": {func(t *testing.T, tx *Tx, n note) error {
		other := n
		other.Title = "another title"
		return tx.Bucket("notes/unique").Put(noteTable.uniqueKey(n.Owner, &other), n.ID[:])
	}, nil, nil},
	"it has another order": {func(t *testing.T, tx *Tx, n note) error {
		key := noteTable.key(n.Owner, n.ID, &n)
		n.Title = "zzz"
		content, err := noteTable.encode(tx, key, &n)
		return errors.Join(err, tx.Bucket("notes/records").Put(key, content))
	}, nil, nil},
}

// A damaged record costs that record: Delete and DropOwner still remove it, Check
// names it, and all others are as they were. ASVS 1.5.2
func TestDamagedRecords(t *testing.T) {
	const people = 5
	for name, test := range harmOwned {
		for _, remove := range []string{"Delete", "DropOwner"} {
			t.Run(name+", "+remove, func(t *testing.T) {
				path := temp(t)
				db := open(t, path, testOptions())
				db.bolt.NoSync = true
				fill(t, db, people)
				n := noteOf(7, people)
				update(t, db, func(tx *Tx) error { return test.harm(t, tx, n) })
				db.Close()
				r, err := Check(t.Context(), path, testOptions(), nil)
				if err != nil || r.OK() {
					t.Errorf("the check: %+v, %v", r, err)
				}
				for _, line := range r.Problems {
					if !strings.HasPrefix(line, "notes/") || strings.ContainsAny(line, "\n\x00") {
						t.Errorf("not a line that names the bucket: %q", line)
					}
				}

				db = open(t, path, testOptions())
				db.bolt.NoSync = true
				got, err := getNote(db, n.ID)
				if !errors.Is(err, test.get) || err != nil && got != (note{}) {
					t.Errorf("Get: %+v, %v", got, err)
				}
				err = db.View(t.Context(), func(tx *Tx) error {
					_, _, err := noteTable.ListByOwner(tx, n.Owner, "", 10)
					return err
				})
				if !errors.Is(err, test.list) {
					t.Errorf("ListByOwner: %v", err)
				}
				if err := db.Update(t.Context(), func(tx *Tx) error { return noteTable.Update(tx, n) }); !errors.Is(err, test.get) && !errors.Is(err, store.ErrTaken) {
					t.Errorf("Update: %v", err)
				}
				others := func(when string) {
					for i := range 3 * people {
						want := noteOf(i, people)
						if i == 7 || remove == "DropOwner" && when == "after" && want.Owner == n.Owner {
							continue
						}
						if got, err := getNote(db, want.ID); err != nil || got != want {
							t.Errorf("%s, note %d: %+v, %v", when, i, got, err)
						}
					}
				}
				others("before")
				update(t, db, func(tx *Tx) error {
					if remove == "Delete" {
						return noteTable.Delete(tx, n.ID)
					}
					return noteTable.dropOwner(tx, n.Owner)
				})
				others("after")
				if remove == "Delete" {
					if _, err := getNote(db, n.ID); !errors.Is(err, store.ErrNotFound) {
						t.Errorf("after Delete: %v", err)
					}
					if got := list(t, db, noteTable, n.Owner, 10); len(got) != 2 {
						t.Errorf("after Delete %d are listed", len(got))
					}
				} else if got := list(t, db, noteTable, n.Owner, 10); len(got) != 0 {
					t.Errorf("after DropOwner: %+v", got)
				}
				db.Close()
				// What led to another record, or to none, may stay; whatever was the
				// record's own is gone.
				r, err = Check(t.Context(), path, testOptions(), nil)
				if err != nil || !r.OK() && !strings.Contains(name, "unique of it leads") && !strings.Contains(name, "else unique leads") && !strings.Contains(name, "no record") && remove == "Delete" {
					t.Errorf("the check after: %+v, %v", r, err)
				}
			})
		}
	}
}

// ASVS 1.5.2: what is not whole, or stands under another key, is refused.
func TestSeal(t *testing.T) {
	key := []byte("ann's key")
	value := Seal(3, key, append(make([]byte, SealSize), "content"...))
	if got, err := Unseal("it", 3, key, value); err != nil || string(got) != "content" {
		t.Fatal(string(got), err)
	}
	refused := func(key, value []byte, what string) {
		t.Helper()
		if got, err := Unseal("a kind", 3, key, value); !errors.Is(err, store.ErrDamaged) || got != nil || !strings.Contains(err.Error(), "a kind") {
			t.Errorf("%s: %q, %v", what, got, err)
		}
	}
	refused([]byte("bob's key"), value, "Bob would be Ann")
	refused(append(key, 'c'), value, "a longer key")
	for i := range value {
		for bit := range 8 {
			flipped := bytes.Clone(value)
			flipped[i] ^= 1 << bit
			refused(key, flipped, fmt.Sprint("a flipped bit in byte ", i))
		}
	}
	for n := range len(value) {
		refused(key, value[:n], fmt.Sprint("cut to ", n))
	}
	if got, err := Unseal("it", 1, nil, Seal(1, nil, make([]byte, SealSize))); err != nil || len(got) != 0 {
		t.Errorf("an empty one: %q, %v", got, err)
	}
}

// Whatever bytes lie in the file, reading them does not panic.
func FuzzDecode(f *testing.F) {
	f.Add([]byte{}, []byte{0xa0})
	f.Add(make([]byte, 32), []byte{0xa1, 0x65, 'T', 'i', 't', 'l', 'e', 0x61, 'x'})
	f.Add(make([]byte, 40), []byte{0xbf, 0xff})
	f.Add(make([]byte, 40), []byte{0xa1, 0x62, 'A', 't', 0xfb, 0x7f, 0xf0, 0, 0, 0, 0, 0, 0})
	tx := &Tx{db: &DB{layouts: testOptions().layouts()}}
	f.Fuzz(func(t *testing.T, key, content []byte) {
		n, err := noteTable.decode(tx, key, Seal(ownedVersion, key, append(make([]byte, SealSize), content...)))
		if err != nil && (!errors.Is(err, store.ErrDamaged) || n != (note{})) {
			t.Errorf("%+v, %v", n, err)
		}
		if err == nil && (!bytes.HasPrefix(key, n.Owner[:]) || !bytes.HasSuffix(key, n.ID[:])) {
			t.Errorf("key %x, but owner %x and id %x", key, n.Owner, n.ID)
		}
	})
}

// BenchmarkDecode reads one record as a page does. It should take 0.3 µs at most.
func BenchmarkDecode(b *testing.B) {
	type answer struct {
		ID, Owner ID
		Sport     string
		At        time.Time
	}
	table := Owned[answer]{Name: "answers"}
	o := testOptions()
	o.Tables = append(o.Tables, table)
	tx := &Tx{db: &DB{layouts: o.layouts()}}
	r := answer{ID: number(1), Owner: number(2), Sport: "chess boxing", At: time.Now().UTC().Truncate(time.Microsecond)}
	key := table.key(r.Owner, r.ID, &r)
	value, err := table.encode(tx, key, &r)
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		got, err := table.decode(tx, key, value)
		if err != nil || got.ID != r.ID {
			b.Fatal(got, err)
		}
	}
}
