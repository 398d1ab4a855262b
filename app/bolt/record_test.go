package bolt

import (
	"bytes"
	"errors"
	"testing"
	"time"

	"latchkey/app/accounts"
	"latchkey/app/internal/store"
	"latchkey/app/sessions"
)

// ASVS 1.5.2: a truncated record or one under another key is rejected. ASVS
// 1.4.2: a length beyond the end is rejected.
func TestDamagedSessionRecordIsRefused(t *testing.T) {
	record := encodeSession([]byte("ann's key"), sessionRecord{
		Session: sessions.Session{Account: sessions.Account{1}, PasswordVersion: 5, Began: time.UnixMilli(1), Seen: time.UnixMilli(2), Agent: "agent", Address: "::1"},
		expires: time.UnixMilli(3),
		data:    []byte("data"),
	})
	if _, err := decodeSession([]byte("ann's key"), record); err != nil {
		t.Fatal(err)
	}
	if _, err := decodeSession([]byte("bob's key"), record); !errors.Is(err, store.ErrDamaged) {
		t.Errorf("Bob would be Ann: %v", err)
	}
	for i := range record {
		flipped := bytes.Clone(record)
		flipped[i] ^= 0x10
		if _, err := decodeSession([]byte("ann's key"), flipped); !errors.Is(err, store.ErrDamaged) {
			t.Errorf("a flipped bit in byte %d: %v", i, err)
		}
	}
	for n := range len(record) {
		if _, err := decodeSession([]byte("ann's key"), record[:n]); !errors.Is(err, store.ErrDamaged) {
			t.Errorf("cut to %d bytes: %v", n, err)
		}
	}
}

// An alias cannot be decoded as a session, nor a session as an alias.
func TestAliasIsNoSession(t *testing.T) {
	k, a := []byte("old"), alias{key: keyOf("new"), expires: time.UnixMilli(7).UTC()}
	record := encodeAlias(k, a)
	if got, err := decodeAlias(k, record); err != nil || got != a || !isAlias(record) {
		t.Errorf("%+v, %v", got, err)
	}
	if _, err := decodeSession(k, record); !errors.Is(err, store.ErrDamaged) {
		t.Errorf("read as a session: %v", err)
	}
	session := encodeSession(k, sessionRecord{})
	if _, err := decodeAlias(k, session); !errors.Is(err, store.ErrDamaged) || isAlias(session) {
		t.Errorf("read as an alias: %v", err)
	}
	for i := range record {
		flipped := bytes.Clone(record)
		flipped[i] ^= 0x10
		if _, err := decodeAlias(k, flipped); !errors.Is(err, store.ErrDamaged) {
			t.Errorf("a flipped bit in byte %d: %v", i, err)
		}
	}
}

// Decoding arbitrary bytes does not panic, and an accepted record encodes to
// the same bytes. ASVS 1.4.2, 1.5.2
func FuzzSessionRecord(f *testing.F) {
	f.Add([]byte("key"), []byte{}, []byte("data"), int64(1))
	f.Add([]byte{}, encodeSession(nil, sessionRecord{data: []byte("x")}), []byte{}, int64(-1))
	f.Fuzz(func(t *testing.T, key, record, data []byte, at int64) {
		if r, err := decodeSession(key, record); err == nil {
			if again := encodeSession(key, r); !bytes.Equal(again, record) {
				t.Errorf("%x was read as %+v, which is %x", record, r, again)
			}
		}
		want := sessionRecord{
			Session: sessions.Session{
				Account:         sessions.Account{byte(at)},
				PasswordVersion: uint64(at),
				Began:           time.UnixMilli(at).UTC(),
				Seen:            time.UnixMilli(at + 1).UTC(),
				Reauthenticated: time.UnixMilli(at + 3).UTC(),
				Agent:           string(key[:min(len(key), 1<<16-1)]),
				Address:         "::1",
			},
			expires: time.UnixMilli(at + 2).UTC(),
		}
		withData := want
		withData.data = data
		got, err := decodeSession(key, encodeSession(key, withData))
		if err != nil || !bytes.Equal(got.data, data) || got.Session != want.Session || got.expires != want.expires {
			t.Errorf("wrote %+v, read %+v, %v", withData, got, err)
		}
	})
}

// ASVS 1.4.2, 1.5.2
func FuzzAccountRecord(f *testing.F) {
	f.Add([]byte("0123456789abcdef"), []byte{}, "Ann", "ann", "hash", true, int64(5))
	f.Fuzz(func(t *testing.T, id, record []byte, typed, folded, hash string, flag bool, at int64) {
		if len(id) != 16 {
			return
		}
		if a, err := decodeAccount(id, record); err == nil {
			if again := encodeAccount(a); !bytes.Equal(again[6:], record[6:len(again)]) {
				t.Errorf("%x was read as %+v, which is %x", record, a, again)
			}
		}
		if max(len(typed), len(folded), len(hash)) > 1<<16-1 {
			return
		}
		want := accounts.Account{ID: accounts.ID(id), Name: accounts.StoredName(typed, folded), Hash: hash, Admin: flag, Disabled: !flag, PasswordVersion: uint64(at)}
		if at != 0 {
			want.LastLogin = time.UnixMicro(at).UTC()
		}
		got, err := decodeAccount(id, encodeAccount(want))
		if err != nil || got != want {
			t.Errorf("wrote %#v, read %#v, %v", want, got, err)
		}
	})
}
