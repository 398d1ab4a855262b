package kv

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.etcd.io/bbolt"

	"latchkey/app/internal/boltcheck"
	"latchkey/app/internal/store"
)

// ASVS 13.3.2
func TestOpenKeepsOthersOut(t *testing.T) {
	path := temp(t)
	open(t, path, testOptions())
	for name, want := range map[string]os.FileMode{filepath.Dir(path): 0o700, path: 0o600} {
		if info, err := os.Stat(name); err != nil || info.Mode().Perm() != want {
			t.Errorf("%s has mode %o, want %o", name, info.Mode().Perm(), want)
		}
	}
	// The permissions of an existing file are tightened.
	ours := testFile(t, 1)
	empty := writeFile(t, filepath.Join(t.TempDir(), "empty.db"), nil)
	for _, path := range []string{ours, empty} {
		if err := os.Chmod(path, 0o644); err != nil {
			t.Fatal(err)
		}
		open(t, path, testOptions())
		if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: mode %v, error %v", path, info.Mode(), err)
		}
	}
}

// makeBolt returns a bbolt file that f has filled.
func makeBolt(t *testing.T, f func(tx *bbolt.Tx) error) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "made.db")
	alter(t, path, f)
	return path
}

func TestOpenRefusesForeignAndDamagedFiles(t *testing.T) {
	whole := readFile(t, testFile(t, 100))
	zeroed := bytes.Clone(whole)
	clear(zeroed[:2*pageSize])
	bucket := func(names ...string) []byte {
		return readFile(t, makeBolt(t, func(tx *bbolt.Tx) error {
			for _, name := range names {
				if _, err := tx.CreateBucket([]byte(name)); err != nil {
					return err
				}
			}
			return nil
		}))
	}
	notEmpty := readFile(t, makeBolt(t, func(tx *bbolt.Tx) error {
		b, err := tx.CreateBucket([]byte("plain"))
		return errors.Join(err, b.Put([]byte("k"), []byte("v")))
	}))
	format := func(f string) []byte {
		path := writeFile(t, filepath.Join(t.TempDir(), "x.db"), whole)
		alter(t, path, func(tx *bbolt.Tx) error { return tx.Bucket([]byte(metaBucket)).Put(keyFormat, []byte(f)) })
		return readFile(t, path)
	}
	renamed := bytes.ReplaceAll(whole, []byte("notes/records"), []byte("notes/rekords"))
	const foreign, damaged, version = "is not a database of this app", "damaged", "another version"
	for name, test := range map[string]struct {
		content []byte
		want    string
	}{
		"text":             {[]byte(strings.Repeat("not a database\n", 1000)), foreign},
		"a short text":     {[]byte("hello"), foreign},
		"one byte":         {[]byte{0}, foreign},
		"a foreign bucket": {bucket("widgets"), foreign},
		"another, beside":  {bucket("plain", "widgets"), foreign},
		"not empty":        {notEmpty, foreign},
		"no meta pages":    {zeroed, foreign},
		"cut short":        {whole[:len(whole)/2], damaged},
		"one page":         {whole[:pageSize], foreign},
		"format 0":         {format("0"), version},
		"format 2":         {format("2"), version},
		"format -1":        {format("-1"), version},
		"no format":        {format(""), version},
		"format x":         {format("x"), version},
		"a renamed bucket": {renamed, damaged},
	} {
		t.Run(name, func(t *testing.T) {
			path := writeFile(t, filepath.Join(t.TempDir(), "x.db"), test.content)
			if err := os.Chmod(path, 0o644); err != nil {
				t.Fatal(err)
			}
			for _, first := range []int64{0, 1} {
				o := testOptions()
				o.VerifyFirst = first
				db, err := Open(path, o)
				if err == nil {
					db.Close()
					t.Fatal("it was opened")
				}
				if !strings.Contains(err.Error(), test.want) || strings.Contains(err.Error(), "\n") || !strings.Contains(err.Error(), path) {
					t.Errorf("error %q, want one line with %q", err, test.want)
				}
			}
			checkUnchanged(t, path, test.content)
			if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o644 {
				t.Errorf("mode %v, error %v", info.Mode(), err)
			}
		})
	}
}

func TestOpenRefusesWhatIsNoFile(t *testing.T) {
	fifo := filepath.Join(t.TempDir(), "fifo")
	if err := syscall.Mkfifo(fifo, 0o644); err != nil {
		t.Fatal(err)
	}
	file := testFile(t, 1)
	for path, want := range map[string]string{
		t.TempDir():                  "is a directory",
		fifo:                         "is not a file",
		filepath.Join(file, "x.db"):  "not a directory",
		filepath.Join(file, "a/b.c"): "not a directory",
	} {
		db, err := Open(path, testOptions())
		if err == nil {
			db.Close()
		}
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: %v", path, err)
		}
	}
	if info, err := os.Stat(fifo); err != nil || info.Mode().Perm() != 0o644 {
		t.Error("the FIFO has changed")
	}
}

func TestOpenOfAFileInUse(t *testing.T) {
	path := testFile(t, 1)
	db := open(t, path, testOptions())
	began := time.Now()
	_, err := Open(path, testOptions())
	if !errors.Is(err, ErrInUse) || !strings.Contains(err.Error(), path) {
		t.Errorf("error %v", err)
	}
	// A generous limit: the adapter would wait for ever.
	if waited := time.Since(began); waited > 10*time.Second {
		t.Errorf("it took %v", waited)
	}
	db.Close()
	open(t, path, testOptions())
}

// Open writes nothing to a file that needs no upgrade.
func TestOpenWritesNothingToAFileThatIsReady(t *testing.T) {
	path := testFile(t, 3)
	before := readFile(t, path)
	for _, first := range []int64{0, 1} {
		o := testOptions()
		o.VerifyFirst = first
		db := open(t, path, o)
		if err := errors.Join(db.Await(t.Context()), db.Close()); err != nil {
			t.Fatal(err)
		}
		checkUnchanged(t, path, before)
	}
}

// Invalid Options panic with the name of the table.
func TestOpenPanicsOfWrongOptions(t *testing.T) {
	type noOwner struct{ ID ID }
	type shortID struct {
		ID    [8]byte
		Owner ID
	}
	verify := plain.Verify
	for want, change := range map[string]func(o *Options){
		"table lone: ":             func(o *Options) { o.Tables = append(o.Tables, Owned[noOwner]{Name: "lone"}) },
		"table short: ":            func(o *Options) { o.Tables = append(o.Tables, Owned[shortID]{Name: "short"}) },
		"table word: ":             func(o *Options) { o.Tables = append(o.Tables, Owned[string]{Name: "word"}) },
		"table pointer: ":          func(o *Options) { o.Tables = append(o.Tables, Owned[*note]{Name: "pointer"}) },
		"without a name":           func(o *Options) { o.Tables = append(o.Tables, Owned[note]{}) },
		`"" `:                      func(o *Options) { o.Tables = append(o.Tables, Raw{Verify: verify, Index: true}) },
		`"unverified"`:             func(o *Options) { o.Tables = append(o.Tables, Raw{Name: "unverified", Index: true}) },
		`"undropped"`:              func(o *Options) { o.Tables = append(o.Tables, Raw{Name: "undropped", Verify: verify}) },
		"the bucket notes/":        func(o *Options) { o.Tables = append(o.Tables, noteTable) },
		"the bucket plain":         func(o *Options) { o.Tables = append(o.Tables, plain) },
		"the bucket notes/ids":     func(o *Options) { o.Tables = append(o.Tables, Raw{Name: "notes/ids", Verify: verify, Index: true}) },
		"the bucket " + metaBucket: func(o *Options) { o.Tables = append(o.Tables, Raw{Name: metaBucket, Verify: verify, Index: true}) },
		"the bucket flags":         func(o *Options) { o.Legacy.Bucket = "flags" },
		"notes has owners":         func(o *Options) { o.Owner = nil },
		"expiry of nowhere":        func(o *Options) { o.Expiry = []Expiry{{Bucket: "nowhere"}} },
		"expiry of plain":          func(o *Options) { o.Expiry = []Expiry{{Bucket: "plain"}} },
	} {
		path := temp(t)
		o := testOptions()
		change(&o)
		for _, run := range []func(){
			func() { Open(path, o) },
			func() { Check(t.Context(), path, o, nil) },
		} {
			func() {
				defer func() {
					if p := recover(); p == nil || !strings.Contains(fmt.Sprint(p), want) {
						t.Errorf("%s: %v", want, p)
					}
				}()
				run()
			}()
		}
		if _, err := os.Stat(path); err == nil {
			t.Errorf("%s: a file was made", want)
		}
	}
}

// Using a table that is missing in Options.Tables panics with its name.
func TestAForgottenTable(t *testing.T) {
	db := open(t, temp(t), testOptions())
	addPeople(t, db, 1)
	forgotten := rankedTable
	r := ranked{ID: number(1), Owner: number(0)}
	for name, use := range map[string]func(tx *Tx) error{
		"Insert":      func(tx *Tx) error { return forgotten.Insert(tx, r) },
		"Get":         func(tx *Tx) error { _, err := forgotten.Get(tx, r.ID); return err },
		"Update":      func(tx *Tx) error { return forgotten.Update(tx, r) },
		"Delete":      func(tx *Tx) error { return forgotten.Delete(tx, r.ID) },
		"ListByOwner": func(tx *Tx) error { _, _, err := forgotten.ListByOwner(tx, r.Owner, "", 1); return err },
		"a Raw":       func(tx *Tx) error { tx.Bucket("ranked things"); return nil },
	} {
		p, _ := tryUpdate(db, use)
		if p == nil || !strings.Contains(fmt.Sprint(p), "ranked") {
			t.Errorf("%s: %v", name, p)
		}
	}
}

// A large file can be read before all pages are verified, and written
// afterwards. A file that needs an upgrade is verified first.
func TestLargeFilesAreReadFirst(t *testing.T) {
	path := testFile(t, 50)
	o := testOptions()
	o.VerifyFirst = 1
	if found, err := inspect(path, o); err != nil || found.verified {
		t.Errorf("all was verified: %v, %v", found, err)
	}
	if found, err := inspect(path, testOptions()); err != nil || !found.verified {
		t.Errorf("of a small one not all was verified: %v, %v", found, err)
	}
	db := open(t, path, o)
	if n, err := getNote(db, noteOf(1, 50).ID); err != nil || n != noteOf(1, 50) {
		t.Errorf("%+v, %v", n, err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	running := begin(func() error { return db.Run(ctx) })
	if err := db.Await(t.Context()); err != nil {
		t.Error(err)
	}
	update(t, db, put("k", "v"))
	cancel()
	if err := <-running; err != nil {
		t.Errorf("it is whole, and Run says %v", err)
	}
	db.Close()
	for name, change := range map[string]func(o *Options){
		"another table":  func(o *Options) { o.Tables = append(o.Tables, rankedTable) },
		"another format": func(o *Options) { o.Format, o.Upgrades = 2, []Upgrade{{From: 1}} },
	} {
		o := o
		change(&o)
		if found, err := inspect(path, o); err != nil || !found.verified {
			t.Errorf("%s: not all was verified: %v, %v", name, found, err)
		}
	}
}

// Closing a file during its verification is immediate and is not reported as
// damage.
func TestCloseDuringVerification(t *testing.T) {
	path := testFile(t, 50)
	o := testOptions()
	o.VerifyFirst = 1
	for range 20 {
		db := open(t, path, o)
		if err := db.Close(); err != nil {
			t.Error(err)
		}
		if err := db.Await(t.Context()); err != nil && !errors.Is(err, errClosed) {
			t.Error(err)
		}
		select {
		case err := <-db.damaged:
			t.Error(err)
		default:
		}
	}
}

// largeTestFile returns a closed file whose tables plain and flags have branch
// pages.
func largeTestFile(t *testing.T) string {
	t.Helper()
	path := temp(t)
	db := open(t, path, testOptions())
	for part := range 4 {
		update(t, db, func(tx *Tx) error {
			for i := range 5000 {
				key := number(5000*part + i)
				if err := errors.Join(tx.Bucket("plain").Put(key[8:], make([]byte, 200)), tx.Bucket("flags").Put(key[8:], nil)); err != nil {
					return err
				}
			}
			return nil
		})
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	compact(t, path)
	return path
}

func compact(t *testing.T, path string) {
	t.Helper()
	from, err := bbolt.Open(path, 0o600, nil)
	if err != nil {
		t.Fatal(err)
	}
	to, err := bbolt.Open(path+".compact", 0o600, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(bbolt.Compact(to, from, 0), to.Close(), from.Close(), os.Rename(path+".compact", path)); err != nil {
		t.Fatal(err)
	}
}

// A page that leads back to itself or to an ancestor would make bbolt overflow
// the stack, which nothing can catch. Open detects it in a file of any size. A
// damaged leaf of a large file is an error for readers until the background
// verification finds it.
func TestPagesThatLeadBack(t *testing.T) {
	if testing.Short() {
		t.Skip("runs with tests/run --all")
	}
	path := largeTestFile(t)
	whole := readFile(t, path)
	file, err := bbolt.Open(path, 0o600, &bbolt.Options{ReadOnly: true, PreLoadFreelist: true})
	if err != nil {
		t.Fatal(err)
	}
	values, set := pathOf(t, file, "plain"), pathOf(t, file, "flags")
	file.Close()
	if len(values) < 3 || len(set) < 2 {
		t.Fatalf("the trees are too low: %d, %d", values, set)
	}
	body := func(b []byte, id int) []byte { return b[int64(id)*pageSize:][:pageSize] }
	const pageHead, branchFlag, leafFlag = 16, 1, 2
	leads := func(from int, to uint64) func([]byte) {
		return func(b []byte) { native.PutUint64(body(b, from)[pageHead+8:], to) }
	}
	last := len(values) - 1
	want := "database %s is damaged; restore a backup"
	for name, damage := range map[string]func(b []byte){
		"to itself":               leads(values[last-1], uint64(values[last-1])),
		"to its parent":           leads(values[last-1], uint64(values[last-2])),
		"the first to itself":     leads(values[0], uint64(values[0])),
		"to another bucket":       leads(values[last-1], uint64(set[0])),
		"to another's leaf":       leads(values[last-1], uint64(set[1])),
		"to a meta page":          leads(values[last-1], 1),
		"beyond the end":          leads(values[last-1], 1<<40),
		"to where no offset is":   leads(values[last-1], 1<<63),
		"a branch called a leaf":  func(b []byte) { native.PutUint16(body(b, values[last-1])[8:], leafFlag) },
		"a leaf without values":   func(b []byte) { native.PutUint16(body(b, set[len(set)-1])[8:], branchFlag) },
		"a branch page is zeroed": func(b []byte) { clear(body(b, values[last-1])) },
		"the root page is zeroed": func(b []byte) { clear(body(b, values[0])) },
	} {
		t.Run(name, func(t *testing.T) {
			b := bytes.Clone(whole)
			damage(b)
			path := writeFile(t, filepath.Join(t.TempDir(), "x.db"), b)
			for _, first := range []int64{0, 1} {
				o := testOptions()
				o.VerifyFirst = first
				db, err := Open(path, o)
				if err == nil {
					db.Close()
				}
				if err == nil || err.Error() != fmt.Sprintf(want, path) {
					t.Errorf("verified first %d: %v", first, err)
				}
			}
			checkUnchanged(t, path, b)
		})
	}
	t.Run("a leaf called a branch", func(t *testing.T) {
		b := bytes.Clone(whole)
		// A leaf in the middle: the first and last are verified during Open.
		count := int(native.Uint16(body(b, values[last-1])[10:]))
		leaf := int(native.Uint64(body(b, values[last-1])[pageHead+(count-2)*16+8:]))
		native.PutUint16(body(b, leaf)[8:], branchFlag)
		path := writeFile(t, filepath.Join(t.TempDir(), "x.db"), b)
		o := testOptions()
		o.VerifyFirst = 1
		var reported error
		o.Report = func(err error) { reported = err }
		db := open(t, path, o)
		behind := NewWriteBehind(db, time.Millisecond, func(*Tx, []int) error { t.Error("it is written to"); return nil })
		behind.Add(1)
		running := begin(func() error { return db.Run(t.Context()) })
		err := db.View(t.Context(), func(tx *Tx) error {
			return tx.Bucket("plain").ForEach(func(_, _ []byte) error { return nil })
		})
		if !errors.Is(err, store.ErrDamaged) {
			t.Error(err)
		}
		line := fmt.Sprintf(want, path)
		for what, err := range map[string]error{
			"Run":    <-running,
			"Await":  db.Await(t.Context()),
			"Update": db.Update(t.Context(), put("k", "v")),
		} {
			if err == nil || err.Error() != line {
				t.Errorf("%s: %v", what, err)
			}
		}
		db.Close()
		if reported == nil || reported.Error() != line {
			t.Errorf("write-behind reports %v", reported)
		}
		checkUnchanged(t, path, b)
	})
}

// Files written by this package always pass verification.
func TestFilesThatAreWrittenAreSound(t *testing.T) {
	db := openFast(t)
	fill(t, db, 50)
	for i := range 30 {
		update(t, db, func(tx *Tx) error {
			if i%3 == 0 {
				return tx.DropOwner(number(i))
			}
			return put(fmt.Sprint(i), strings.Repeat("x", 1000*i))(tx)
		})
		file, err := os.Open(db.path)
		if err != nil {
			t.Fatal(err)
		}
		info, err := file.Stat()
		if err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(boltcheck.All(t.Context(), file, info.Size()), boltcheck.Branches(t.Context(), file, info.Size(), "flags")); err != nil {
			t.Error(err)
		}
		file.Close()
	}
}
