package kv

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"strings"
	"testing"

	"go.etcd.io/bbolt"
)

func TestANewFile(t *testing.T) {
	inits := 0
	o := testOptions()
	o.Init = func(tx *Tx) error { inits++; return put("made", "once")(tx) }
	path := temp(t)
	for range 3 {
		db := open(t, path, o)
		if got := get(t, db, "made"); got != "once" {
			t.Errorf("Init wrote %q", got)
		}
		db.Close()
	}
	if inits != 1 {
		t.Errorf("Init ran %d times", inits)
	}
	all := contents(t, path)
	if string(all[metaBucket]["format"]) != "1" || len(all) != len(o.buckets())+1 {
		t.Errorf("%q", all)
	}
	checkPasses(t, path, o)
}

// What a kill before the first commit leaves is made complete.
func TestAFileWithoutOurMark(t *testing.T) {
	for name, make := range map[string]func(tx *bbolt.Tx) error{
		"no bucket":       func(*bbolt.Tx) error { return nil },
		"an empty bucket": func(tx *bbolt.Tx) error { _, err := tx.CreateBucket([]byte("plain")); return err },
	} {
		t.Run(name, func(t *testing.T) {
			path := makeBolt(t, make)
			o := testOptions()
			o.Init = put("made", "once")
			if r := checkPasses(t, path, o); r.Count("plain") != 0 {
				t.Errorf("%+v", r)
			}
			db := open(t, path, o)
			if get(t, db, "made") != "once" {
				t.Error("Init did not run")
			}
			db.Close()
			checkPasses(t, path, o)
		})
	}
}

// An Init that fails leaves a file that can be opened later.
func TestInitThatFails(t *testing.T) {
	no := errors.New("no")
	o := testOptions()
	o.Init = func(tx *Tx) error { return errors.Join(put("half", "v")(tx), no) }
	path := temp(t)
	if db, err := Open(path, o); !errors.Is(err, no) || db != nil {
		t.Errorf("%v", err)
	}
	o.Init = put("made", "once")
	db := open(t, path, o)
	if get(t, db, "made") != "once" || get(t, db, "half") != "" {
		t.Error("a part of the failed one remains")
	}
}

// A table that is new is made in a file that is there, and Check passes then.
func TestANewTable(t *testing.T) {
	path := testFile(t, 3)
	if _, err := Check(t.Context(), path, rankedOptions(), nil); err == nil || !strings.Contains(err.Error(), "older version") {
		t.Errorf("the check: %v", err)
	}
	db := open(t, path, rankedOptions())
	update(t, db, func(tx *Tx) error { return rankedTable.Insert(tx, ranked{ID: number(1), Owner: number(0)}) })
	db.Close()
	r := checkPasses(t, path, rankedOptions())
	if r.Count("ranked") != 1 || r.Count("notes") != 9 {
		t.Errorf("%+v", r)
	}
}

// oldFile is of format 1 from before this package: a bucket of its own says so.
func oldFile(t *testing.T, n int) string {
	return makeBolt(t, func(tx *bbolt.Tx) error {
		old, err := tx.CreateBucket([]byte("old meta"))
		if err != nil {
			return err
		}
		values, err := tx.CreateBucket([]byte("plain"))
		err = errors.Join(err, old.Put(keyFormat, []byte("1")), old.Put([]byte("secret"), []byte("kept")))
		for i := range n {
			err = errors.Join(err, values.Put(fmt.Appendf(nil, "%04d", i), []byte("one")))
		}
		return err
	})
}

// upgraded returns options of format 4: first every value becomes "two", ten in each
// transaction; then "three" at once, in a bucket that goes; then "four", ten each.
// before is called at the start of each step.
func upgraded(before func() error) Options {
	o := testOptions()
	o.Format = 4
	o.Init = func(*Tx) error { return errors.New("Init ran on a file that was there") }
	o.Legacy = Legacy{Bucket: "old meta", Move: func(tx *Tx, old *bbolt.Bucket) error {
		return tx.Bucket("people").Put([]byte("secret"), bytes.Clone(old.Get([]byte("secret"))))
	}}
	some := func(tx *Tx, from, to string, most int) (done bool, err error) {
		if err := before(); err != nil {
			return false, err
		}
		var keys [][]byte
		c := tx.Bucket("plain").Cursor()
		for k, v := c.First(); k != nil && len(keys) < most; k, v = c.Next() {
			if string(v) == from {
				keys = append(keys, bytes.Clone(k))
			}
		}
		for _, k := range keys {
			if err := tx.Bucket("plain").Put(k, []byte(to)); err != nil {
				return false, err
			}
		}
		return len(keys) < most, nil
	}
	o.Upgrades = []Upgrade{
		{From: 2, Step: func(tx *Tx) (bool, error) { return some(tx, "two", "three", 1000) }},
		{From: 1, Step: func(tx *Tx) (bool, error) {
			if _, err := tx.CreateBucketIfNotExists([]byte("for a while")); err != nil {
				return false, err
			}
			return some(tx, "one", "two", 10)
		}},
		{From: 3, Step: func(tx *Tx) (bool, error) {
			done, err := some(tx, "three", "four", 10)
			if err == nil && done {
				err = tx.DeleteBucket([]byte("for a while"))
			}
			return done, err
		}},
	}
	return o
}

func never() error { return nil }

func TestUpgrade(t *testing.T) {
	path := oldFile(t, 35)
	if _, err := Check(t.Context(), path, upgraded(never), nil); err == nil || !strings.Contains(err.Error(), "older version") {
		t.Errorf("the check: %v", err)
	}
	original := readFile(t, path)

	// The file as a kill leaves it before each step, and so after each transaction.
	var killed [][]byte
	db, err := Open(path, upgraded(func() error { killed = append(killed, readFile(t, path)); return nil }))
	if err != nil {
		t.Fatal(err)
	}
	db.Close()
	want := contents(t, path)
	if len(killed) != 9 {
		t.Errorf("%d steps", len(killed))
	}
	if want["people"]["secret"] != "kept" || want["old meta"] != nil || want["for a while"] != nil || want[metaBucket]["format"] != "4" || len(want["plain"]) != 35 {
		t.Errorf("%q", want)
	}
	for key, value := range want["plain"] {
		if value != "four" {
			t.Errorf("%s: %s", key, value)
		}
	}
	checkPasses(t, path, upgraded(never))
	same := func(got map[string]map[string]string) bool {
		return maps.EqualFunc(got, want, func(a, b map[string]string) bool { return maps.Equal(a, b) })
	}
	for i, b := range append(killed, original) {
		path := writeFile(t, filepath.Join(t.TempDir(), "killed.db"), b)
		if _, err := Check(t.Context(), path, upgraded(never), nil); err == nil || !strings.Contains(err.Error(), "older version") {
			t.Errorf("the check before step %d: %v", i, err)
		}
		checkUnchanged(t, path, b)
		db, err := Open(path, upgraded(never))
		if err != nil {
			t.Fatalf("killed before step %d: %v", i, err)
		}
		db.Close()
		if got := contents(t, path); !same(got) {
			t.Errorf("killed before step %d: %q", i, got)
		}
	}
	// Stopped by an error at each step, again and again.
	again := oldFile(t, 35)
	no := errors.New("no")
	for range len(killed) {
		n := 0
		db, err := Open(again, upgraded(func() error {
			if n++; n > 1 {
				return no
			}
			return nil
		}))
		if db != nil {
			db.Close()
			break
		}
		if !errors.Is(err, no) {
			t.Fatal(err)
		}
	}
	if got := contents(t, again); !same(got) {
		t.Errorf("stopped after each step: %q", got)
	}
	// Opened again, nothing runs.
	db = open(t, path, upgraded(func() error { t.Error("an upgrade runs again"); return nil }))
	db.Close()
}

// A file of an unknown format is refused, and one that a newer version made as well.
func TestFormatsWithoutAnUpgrade(t *testing.T) {
	path := oldFile(t, 3)
	before := readFile(t, path)
	o := upgraded(never)
	o.Upgrades = o.Upgrades[:2] // 3 has none
	_, err := Open(path, o)
	if err == nil || !strings.Contains(err.Error(), "another version") {
		t.Errorf("%v", err)
	}
	checkUnchanged(t, path, before)
	open(t, path, upgraded(never)).Close()
	before = readFile(t, path)
	o.Format = 3
	for range 2 {
		if _, err = Open(path, o); err == nil || !strings.Contains(err.Error(), "another version") {
			t.Errorf("%v", err)
		}
		if _, err = Check(context.Background(), path, o, nil); err == nil || !strings.Contains(err.Error(), "another version") {
			t.Errorf("the check: %v", err)
		}
	}
	checkUnchanged(t, path, before)
}

// A Legacy.Move that fails leaves the old file as it was.
func TestMoveThatFails(t *testing.T) {
	path := oldFile(t, 3)
	before := contents(t, path)
	no := errors.New("no")
	o := upgraded(never)
	o.Legacy.Move = func(tx *Tx, _ *bbolt.Bucket) error { return errors.Join(put("x", "v")(tx), no) }
	if _, err := Open(path, o); !errors.Is(err, no) {
		t.Errorf("%v", err)
	}
	if !maps.EqualFunc(contents(t, path), before, func(a, b map[string]string) bool { return maps.Equal(a, b) }) {
		t.Error("the file has changed")
	}
}
