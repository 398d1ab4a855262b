package bolt

import (
	"bytes"
	"encoding/binary"
	"errors"
	"testing"
	"time"

	"latchkey/app/accounts"
	"latchkey/app/sessions"
)

// ASVS 1.5.2: what is not whole, or stands under another key, is refused. ASVS
// 1.4.2: a length is not believed beyond the bytes that are there.
func TestRecordOfAnotherKeyIsRefused(t *testing.T) {
	r := record{
		Session: sessions.Session{Account: sessions.Account{1}, Password: time.Unix(0, 5), Began: time.UnixMilli(1), Seen: time.UnixMilli(2), Agent: "agent", Address: "::1"},
		expires: time.UnixMilli(3),
		data:    []byte("data"),
	}
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
// accepted is exactly what was written. ASVS 1.4.2, 1.5.2
func FuzzRecord(f *testing.F) {
	f.Add([]byte("key"), []byte{}, []byte("data"), int64(1))
	f.Add([]byte{}, encode(nil, record{data: []byte("x")}), []byte{}, int64(-1))
	f.Fuzz(func(t *testing.T, key, value, data []byte, at int64) {
		if r, err := decode(key, value); err == nil {
			if again := encode(key, r); !bytes.Equal(again, value) {
				t.Errorf("%x was read as %+v, which is %x", value, r, again)
			}
		}
		want := record{
			Session: sessions.Session{
				Account:  sessions.Account{byte(at)},
				Password: fromNanoseconds(binary.BigEndian.AppendUint64(nil, uint64(at))),
				Began:    time.UnixMilli(at),
				Seen:     time.UnixMilli(at + 1),
				Proved:   time.UnixMilli(at + 3),
				Agent:    string(key[:min(len(key), 1<<16-1)]),
				Address:  "::1",
			},
			expires: time.UnixMilli(at + 2),
			data:    data,
		}
		got, err := decode(key, encode(key, want))
		if err != nil {
			t.Fatal(err)
		}
		if got.Account != want.Account || got.Agent != want.Agent || got.Address != want.Address || !bytes.Equal(got.data, data) ||
			!got.Password.Equal(want.Password) || !got.Began.Equal(want.Began) || !got.Seen.Equal(want.Seen) || !got.Proved.Equal(want.Proved) || !got.expires.Equal(want.expires) {
			t.Errorf("wrote %+v, read %+v", want, got)
		}
	})
}

// ASVS 1.4.2, 1.5.2
func FuzzAccountRecord(f *testing.F) {
	f.Add([]byte("0123456789abcdef"), []byte{}, "Ann", "ann", "hash", true, int64(5))
	f.Fuzz(func(t *testing.T, id, value []byte, typed, folded, hash string, flag bool, at int64) {
		if len(id) != 16 {
			return
		}
		if a, err := decodeAccount(id, value); err == nil {
			if again := encodeAccount(a); !bytes.Equal(again[6:], value[6:len(again)]) {
				t.Errorf("%x was read as %+v, which is %x", value, a, again)
			}
		}
		if max(len(typed), len(folded), len(hash)) > 1<<16-1 {
			return
		}
		want := accounts.Account{ID: accounts.ID(id), Name: accounts.StoredName(typed, folded), Hash: hash, Admin: flag, Disabled: !flag,
			LastLogin: fromNanoseconds(binary.BigEndian.AppendUint64(nil, uint64(at)))}
		got, err := decodeAccount(id, encodeAccount(want))
		if err != nil || got != want {
			t.Errorf("wrote %#v, read %#v, %v", want, got, err)
		}
	})
}
