package kv

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"go.etcd.io/bbolt"
)

func TestCheckOfAWholeFile(t *testing.T) {
	path := testFile(t, 3)
	before := readFile(t, path)
	stat, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	visited := map[string][]string{}
	r, err := Check(t.Context(), path, testOptions(), func(table string, record any) error {
		text, err := json.Marshal(record)
		visited[table] = append(visited[table], string(text))
		return err
	})
	if err != nil || !r.OK() {
		t.Fatalf("%+v, %v", r, err)
	}
	want := []Count{{"people", 3}, {"notes", 9}, {"plain", 9}}
	if !slices.Equal(r.Counts, want) || r.Count("notes") != 9 || r.Count("flags") != 0 || r.Count("nowhere") != 0 {
		t.Errorf("%v, want %v", r.Counts, want)
	}
	for i := range 9 {
		n := noteOf(i, 3)
		if !slices.ContainsFunc(visited["notes"], func(text string) bool {
			return strings.Contains(text, fmt.Sprintf(`"ID":"%x"`, n.ID)) && strings.Contains(text, fmt.Sprintf(`"Owner":"%x"`, n.Owner)) && strings.Contains(text, n.Title)
		}) {
			t.Errorf("note %d is not visited: %q", i, n)
		}
	}
	if len(visited) != 3 || len(visited["people"]) != 3 || len(visited["notes"]) != 9 || len(visited["plain"]) != 9 {
		t.Errorf("visited: %q", visited)
	}
	checkUnchanged(t, path, before)
	if now, err := os.Stat(path); err != nil || !now.ModTime().Equal(stat.ModTime()) || now.Mode() != stat.Mode() {
		t.Errorf("the file was touched: %v, %v", now, err)
	}
}

// Whatever the tables find is a line that names the bucket and the key; the rest is
// checked all the same.
func TestCheckNamesWhatIsWrong(t *testing.T) {
	path := testFile(t, 3)
	gone := number(2)
	alter(t, path, func(tx *bbolt.Tx) error {
		return errors.Join(
			tx.Bucket([]byte("plain")).Put([]byte("bad key\n"), []byte("wrong")),
			tx.Bucket([]byte("flags")).Put([]byte("flag"), []byte("value")),
			tx.Bucket([]byte("people")).Delete(gone[:]))
	})
	r, err := Check(t.Context(), path, testOptions(), nil)
	if err != nil || r.OK() || r.Count("plain") != 10 || r.Count("notes") != 9 {
		t.Errorf("%+v, %v", r, err)
	}
	for part, want := range map[string]int{"plain, 626164206b65790a: it is wrong": 1, "flags, 666c6167: it has a value": 1, "notes/records, ": 3, "nobody": 3} {
		n := 0
		for _, line := range r.Problems {
			if strings.Contains(line, part) {
				n++
			}
		}
		if n != want {
			t.Errorf("%d lines with %q: %q", n, part, r.Problems)
		}
	}
	if len(r.Problems) != 5 || r.More != 0 {
		t.Errorf("%q and %d more", r.Problems, r.More)
	}
}

func TestCheckListsNoMoreThanSome(t *testing.T) {
	path := testFile(t, 1)
	alter(t, path, func(tx *bbolt.Tx) (err error) {
		for i := range maxProblems + 7 {
			err = errors.Join(err, tx.Bucket([]byte("plain")).Put([]byte(fmt.Sprint(i)), []byte("wrong")))
		}
		return err
	})
	r, err := Check(t.Context(), path, testOptions(), nil)
	if err != nil || len(r.Problems) != maxProblems || r.More != 7 {
		t.Errorf("%d problems and %d more, %v", len(r.Problems), r.More, err)
	}
}

// A bucket that is gone would be made again, empty: that is damage. One that never
// was there is a file of an older version.
func TestCheckOfAFileWithoutABucket(t *testing.T) {
	for _, missing := range testOptions().buckets() {
		path := testFile(t, 3)
		alter(t, path, func(tx *bbolt.Tx) error { return tx.DeleteBucket([]byte(missing)) })
		r, err := Check(t.Context(), path, testOptions(), nil)
		if err != nil || len(r.Problems) != 1 || !strings.Contains(r.Problems[0], "another name") {
			t.Errorf("%s was there: %+v, %v", missing, r, err)
		}
		if db, err := Open(path, testOptions()); err == nil || !strings.Contains(err.Error(), "damaged") {
			db.Close()
			t.Errorf("%s was there, and Open says %v", missing, err)
		}
		alter(t, path, func(tx *bbolt.Tx) error { return tx.Bucket([]byte(metaBucket)).Put(keyBuckets, bucketSum(tx)) })
		if _, err = Check(t.Context(), path, testOptions(), nil); err == nil || !strings.Contains(err.Error(), "older version") {
			t.Errorf("%s never was: %v", missing, err)
		}
	}
}

// Each kind of page is named when it is damaged.
func TestCheckNamesDamagedPages(t *testing.T) {
	path := bigTown(t)
	whole := readFile(t, path)
	file, err := bbolt.Open(path, 0o600, &bbolt.Options{ReadOnly: true, PreLoadFreelist: true})
	if err != nil {
		t.Fatal(err)
	}
	pages := pathOf(t, file, "plain")
	kinds := map[string]int{"branch": pages[0], "leaf": pages[len(pages)-1]}
	if err := file.View(func(tx *bbolt.Tx) error {
		for id := 0; ; id++ {
			info, err := tx.Page(id)
			if err != nil || info == nil {
				return err
			}
			if info.Type == "freelist" {
				kinds["freelist"] = id
			}
		}
	}); err != nil {
		t.Fatal(err)
	}
	file.Close()
	for kind, id := range kinds {
		b := slices.Clone(whole)
		clear(b[int64(id)*pageSize+8:][:64])
		path := writeFile(t, filepath.Join(t.TempDir(), "x.db"), b)
		r, err := Check(t.Context(), path, testOptions(), nil)
		if err != nil || len(r.Problems) != 1 || !strings.Contains(r.Problems[0], fmt.Sprint("page ", id)) {
			t.Errorf("%s page %d: %+v, %v", kind, id, r, err)
		}
		checkUnchanged(t, path, b)
	}
	// Of two meta pages one may be damaged by a power loss; without both it is no
	// database.
	b := slices.Clone(whole)
	clear(b[:2*pageSize])
	if _, err := Check(t.Context(), writeFile(t, path, b), testOptions(), nil); err == nil || !strings.Contains(err.Error(), "not a database") {
		t.Errorf("no meta pages: %v", err)
	}
	r, err := Check(t.Context(), writeFile(t, path, whole[:len(whole)/2]), testOptions(), nil)
	if err != nil || r.OK() {
		t.Errorf("cut short: %+v, %v", r, err)
	}
}

func TestCheckOfWhatItCannotRead(t *testing.T) {
	path := testFile(t, 1)
	db := open(t, path, testOptions())
	if _, err := Check(t.Context(), path, testOptions(), nil); !errors.Is(err, ErrInUse) || strings.Contains(err.Error(), "\n") {
		t.Errorf("in use: %v", err)
	}
	db.Close()
	foreign := makeBolt(t, func(tx *bbolt.Tx) error { _, err := tx.CreateBucket([]byte("widgets")); return err })
	for path, want := range map[string]string{
		path + ".not":      "does not exist",
		filepath.Dir(path): "folder",
		foreign:            "not a database",
		writeFile(t, filepath.Join(t.TempDir(), "empty"), nil): "not a database",
	} {
		if r, err := Check(t.Context(), path, testOptions(), nil); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %+v, %v", path, r, err)
		}
	}
	if _, err := os.Stat(path + ".not"); err == nil {
		t.Error("it made a file")
	}
}

// Check ends with its context, and with the first error of visit.
func TestCheckIsInterrupted(t *testing.T) {
	path := bigTown(t)
	ctx, cancel := context.WithCancelCause(t.Context())
	visits := 0
	_, err := Check(ctx, path, testOptions(), func(string, any) error { visits++; cancel(errCause); return nil })
	if !errors.Is(err, errCause) || visits > 2000 {
		t.Errorf("after %d visits: %v", visits, err)
	}
	if r, err := Check(ctx, path, testOptions(), nil); !errors.Is(err, errCause) || len(r.Problems) != 0 {
		t.Errorf("ended before: %+v, %v", r, err)
	}
	no := errors.New("no")
	visits = 0
	r, err := Check(t.Context(), path, testOptions(), func(string, any) error { visits++; return no })
	if !errors.Is(err, no) || visits != 1 || len(r.Problems) != 0 {
		t.Errorf("after %d visits: %+v, %v", visits, r, err)
	}
	open(t, path, testOptions()) // nothing holds the file
}
