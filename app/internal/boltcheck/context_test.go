package boltcheck

import (
	"bytes"
	"context"
	"errors"
	"io"
	"testing"

	"go.etcd.io/bbolt"
)

func TestContextEnds(t *testing.T) {
	b := makeFile(t, bbolt.Options{}, 3000, 500)
	bare := makeFile(t, bbolt.Options{NoFreelistSync: true}, 3000, 500)
	cause := errors.New("the server stops")
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(cause)
	for name, err := range map[string]error{
		"All":                     All(ctx, bytes.NewReader(b), int64(len(b))),
		"All, without a freelist": All(ctx, bytes.NewReader(bare), int64(len(bare))),
		"Branches":                Branches(ctx, bytes.NewReader(b), int64(len(b))),
	} {
		if err != cause {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// Reading ends soon after ctx, and not only before the first page.
func TestContextEndsInTheMiddle(t *testing.T) {
	b := makeFile(t, bbolt.Options{}, 20_000, 500)
	if len(b) < 2*scanSize {
		t.Fatalf("%d bytes are too few", len(b))
	}
	path := pathOf(t, b, bucketBig)
	cause := errors.New("the server stops")
	for name, test := range map[string]struct {
		end    func(b []byte, offset int64) bool
		verify func(ctx context.Context, r io.ReaderAt) error
	}{
		"All": {
			func(b []byte, _ int64) bool { return len(b) == scanSize },
			func(ctx context.Context, r io.ReaderAt) error { return All(ctx, r, int64(len(b))) },
		},
		"Branches": {
			func(_ []byte, offset int64) bool { return offset == int64(path[0])*testPageSize },
			func(ctx context.Context, r io.ReaderAt) error { return Branches(ctx, r, int64(len(b))) },
		},
		"Branches, among leaves": {
			func(_ []byte, offset int64) bool { return offset == int64(path[0])*testPageSize },
			func(ctx context.Context, r io.ReaderAt) error { return Branches(ctx, r, int64(len(b)), bucketBig) },
		},
	} {
		t.Run(name, func(t *testing.T) {
			ctx, cancel := context.WithCancelCause(t.Context())
			later := 0
			r := readerFunc(func(p []byte, offset int64) (int, error) {
				if ctx.Err() != nil {
					later++
				}
				if test.end(p, offset) {
					cancel(cause)
				}
				return bytes.NewReader(b).ReadAt(p, offset)
			})
			if err := test.verify(ctx, r); err != cause {
				t.Error(err)
			}
			if later > 20 { // overflow pages of what is in the buffer
				t.Errorf("%d more reads", later)
			}
		})
	}
}

type readerFunc func(b []byte, offset int64) (int, error)

func (f readerFunc) ReadAt(b []byte, offset int64) (int, error) { return f(b, offset) }
