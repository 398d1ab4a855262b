package kv

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"sync"
	"testing"
)

// A copy that is made while others write is whole, and of one moment.
func TestBackupWhileOthersWrite(t *testing.T) {
	db := openFast(t)
	fill(t, db, 50)
	done := make(chan struct{})
	var writers sync.WaitGroup
	for w := range 2 {
		writers.Go(func() {
			for i := 0; ; i++ {
				select {
				case <-done:
					return
				default:
				}
				if err := db.Update(context.Background(), func(tx *Tx) error {
					value := fmt.Append(nil, i)
					b := tx.Bucket("plain")
					return errors.Join(
						b.Put(fmt.Append(nil, "a left ", w), value), b.Put(fmt.Append(nil, "z right ", w), value),
						b.Put(fmt.Append(nil, "filler ", i%500, " ", w), make([]byte, i%2000)))
				}); err != nil {
					t.Error(err)
				}
			}
		})
	}
	for range 8 {
		path := filepath.Join(t.TempDir(), "copy.db")
		var b bytes.Buffer
		if err := db.Backup(t.Context(), &b); err != nil {
			t.Fatal(err)
		}
		writeFile(t, path, b.Bytes())
		if r := checkPasses(t, path, testOptions()); r.Count("notes") != 150 {
			t.Errorf("%d notes", r.Count("notes"))
		}
		copied := open(t, path, testOptions())
		for w := range 2 {
			left, right := get(t, copied, fmt.Sprint("a left ", w)), get(t, copied, fmt.Sprint("z right ", w))
			if left != right {
				t.Errorf("of two moments: %s and %s", left, right)
			}
		}
		copied.Close()
	}
	close(done)
	writers.Wait()
}

// endingWriter ends a context after some writes.
type endingWriter struct {
	left   int
	cancel func()
}

func (w *endingWriter) Write(b []byte) (int, error) {
	if w.left--; w.left == 0 {
		w.cancel()
	}
	return len(b), nil
}

type failingWriter struct{ err error }

func (w failingWriter) Write([]byte) (int, error) { return 0, w.err }

// A copy ends with its context or with the first error of the writer, and then
// holds up nobody.
func TestBackupThatEndsEarly(t *testing.T) {
	db := openFast(t)
	update(t, db, put("large", string(make([]byte, 1<<20))))
	for _, after := range []int{1, 2, 5} {
		ctx, cancel := context.WithCancelCause(t.Context())
		w := &endingWriter{after, func() { cancel(errCause) }}
		if err := db.Backup(ctx, w); !errors.Is(err, errCause) || w.left < 0 {
			t.Errorf("after %d writes: %v, %d more", after, err, -w.left)
		}
		if err := db.Backup(ctx, w); !errors.Is(err, errCause) || w.left < 0 {
			t.Errorf("ended before: %v", err)
		}
	}
	no := errors.New("no")
	if err := db.Backup(t.Context(), failingWriter{no}); err == nil {
		t.Error("a writer that fails is told that all is well")
	}
	// A growing file waits for every transaction.
	update(t, db, put("larger", string(make([]byte, 8<<20))))
	if err := db.Close(); err != nil {
		t.Error(err)
	}
	if err := db.Backup(t.Context(), &bytes.Buffer{}); err == nil {
		t.Error("a copy of a closed file")
	}
}
