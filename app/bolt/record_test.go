package bolt

import (
	"bytes"
	"errors"
	"testing"
	"time"
)

func TestRecordOfAnotherKeyIsRefused(t *testing.T) {
	r := record{name: []byte("Ann"), began: time.UnixMilli(1), seen: time.UnixMilli(2), expires: time.UnixMilli(3), data: []byte("data")}
	value := encode([]byte("ann's key"), r)
	if _, err := decode([]byte("ann's key"), value); err != nil {
		t.Fatal(err)
	}
	if _, err := decode([]byte("bob's key"), value); !errors.Is(err, ErrDamaged) {
		t.Errorf("Bob would be Ann: %v", err)
	}
	for i := range value {
		flipped := bytes.Clone(value)
		flipped[i] ^= 0x10
		if _, err := decode([]byte("ann's key"), flipped); !errors.Is(err, ErrDamaged) {
			t.Errorf("a flipped bit in byte %d: %v", i, err)
		}
	}
	for n := range len(value) {
		if _, err := decode([]byte("ann's key"), value[:n]); !errors.Is(err, ErrDamaged) {
			t.Errorf("cut to %d bytes: %v", n, err)
		}
	}
}

// Whatever bytes lie in the file, reading them does not panic, and what is
// accepted is exactly what was written.
func FuzzRecord(f *testing.F) {
	f.Add([]byte("key"), []byte{}, []byte("Ann"), []byte("data"), int64(1))
	f.Add([]byte{}, encode(nil, record{name: []byte("Bob")}), []byte(""), []byte(""), int64(-1))
	f.Fuzz(func(t *testing.T, key, value, name, data []byte, at int64) {
		if r, err := decode(key, value); err == nil {
			if again := encode(key, r); !bytes.Equal(again, value) {
				t.Errorf("%x was read as %+v, which is %x", value, r, again)
			}
		}
		if len(name) > 1<<16-1 {
			return
		}
		want := record{name: name, began: time.UnixMilli(at), seen: time.UnixMilli(at + 1), expires: time.UnixMilli(at + 2), data: data}
		got, err := decode(key, encode(key, want))
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(got.name, name) || !bytes.Equal(got.data, data) || !got.began.Equal(want.began) || !got.seen.Equal(want.seen) || !got.expires.Equal(want.expires) {
			t.Errorf("wrote %+v, read %+v", want, got)
		}
	})
}
