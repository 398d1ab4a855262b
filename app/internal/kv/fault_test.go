package kv

import (
	"errors"
	"os"
	"runtime/debug"
	"strings"
	"testing"

	"latchkey/app/internal/store"
)

// A programming error in a reader panics with its own value and is not reported
// as damage.
func TestProgrammingErrorsStayPanics(t *testing.T) {
	db := openFast(t)
	fill(t, db, 3)
	for name, bug := range map[string]func(tx *Tx){
		"a panic":  func(*Tx) { panic("bug") },
		"an index": func(*Tx) { var s []int; _ = s[len(s)] },
		"a slice":  func(*Tx) { s := "abc"; n := len(s) + 1; _ = s[n:] },
		//lint:ignore SA5000 the panic is what the test is about
		"a nil map":           func(*Tx) { var m map[string]int; m["x"] = 1 },
		"a nil pointer":       func(*Tx) { var n *note; _ = n.Title },
		"a conversion":        func(*Tx) { var v any = 1; _ = v.(string) },
		"a division":          func(*Tx) { zero := 0; _ = 1 / zero },
		"below bbolt":         func(tx *Tx) { _ = tx.Bucket("plain").ForEach(func(_, _ []byte) error { panic("bug") }) },
		"an index below":      func(tx *Tx) { _ = tx.Bucket("plain").ForEach(func(k, _ []byte) error { _ = k[len(k)]; return nil }) },
		"an unknown bucket":   func(tx *Tx) { tx.Bucket("nowhere") },
		"an unknown table":    func(tx *Tx) { _, _ = Owned[note]{Name: "nowhere"}.Get(tx, ID{}) },
		"an insert elsewhere": func(tx *Tx) { _ = Owned[note]{Name: "nowhere"}.Insert(tx, note{}) },
	} {
		t.Run(name, func(t *testing.T) {
			for _, run := range []func() error{
				func() error { return db.View(t.Context(), func(tx *Tx) error { bug(tx); return nil }) },
				func() error { return db.Update(t.Context(), func(tx *Tx) error { bug(tx); return nil }) },
			} {
				var err error
				var p any
				func() {
					defer func() { p = recover() }()
					err = run()
				}()
				if p == nil {
					t.Errorf("no panic, but %v", err)
				}
				if e, ok := p.(error); ok && errors.Is(e, store.ErrDamaged) {
					t.Errorf("called damage: %v", p)
				}
				if s, ok := p.(string); ok && strings.HasPrefix(name, "an unknown") && !strings.Contains(s, "nowhere") {
					t.Errorf("the panic does not name it: %v", p)
				}
			}
			if get(t, db, "k") != "" {
				t.Error("the database does not go on")
			}
			update(t, db, put("x", "v"))
		})
	}
	if debug.SetPanicOnFault(false) {
		t.Error("faults of this goroutine stay panics")
	}
}

// A damaged page, or memory beyond the end of the file, is an error for the
// reader and does not end the process.
func TestDamageUnderAReader(t *testing.T) {
	for name, harm := range map[string]func(file *os.File, size int64, leaf int64) error{
		"cut short":       func(file *os.File, _, leaf int64) error { return file.Truncate(leaf) },
		"a zeroed page":   func(file *os.File, _, leaf int64) error { _, err := file.WriteAt(make([]byte, 512), leaf); return err },
		"a page of 0xff":  func(file *os.File, _, leaf int64) error { _, err := file.WriteAt(fill0xff(512), leaf); return err },
		"offsets of 0xff": func(file *os.File, _, leaf int64) error { _, err := file.WriteAt(fill0xff(400), leaf+16); return err },
	} {
		t.Run(name, func(t *testing.T) {
			path := temp(t)
			db := open(t, path, testOptions())
			fill(t, db, 100)
			pages := pathOf(t, db.Bolt(), "plain")
			file, err := os.OpenFile(path, os.O_RDWR, 0)
			if err != nil {
				t.Fatal(err)
			}
			defer file.Close()
			info, err := file.Stat()
			if err != nil {
				t.Fatal(err)
			}
			whole := readFile(t, path)
			if err := harm(file, info.Size(), int64(pages[len(pages)-1])*pageSize); err != nil {
				t.Fatal(err)
			}
			last := func(tx *Tx) error {
				c := tx.Bucket("plain").Cursor()
				for k, _ := c.First(); k != nil; k, _ = c.Next() {
					if !strings.HasPrefix(string(tx.Get("plain", k)), "value ") {
						t.Error("a wrong value")
					}
				}
				return nil
			}
			if err := db.View(t.Context(), last); !errors.Is(err, store.ErrDamaged) {
				t.Errorf("a view: %v", err)
			}
			if err := db.Update(t.Context(), func(tx *Tx) error { return last(tx) }); !errors.Is(err, store.ErrDamaged) {
				t.Errorf("an update: %v", err)
			}
			if debug.SetPanicOnFault(false) {
				t.Error("faults of this goroutine stay panics")
			}
			// Later reads and writes are not blocked.
			if _, err := file.WriteAt(whole, 0); err != nil {
				t.Fatal(err)
			}
			view(t, db, last)
			update(t, db, put("k", "value v"))
		})
	}
}

func fill0xff(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = 0xff
	}
	return b
}
