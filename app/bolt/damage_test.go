package bolt

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"go.etcd.io/bbolt"

	"latchkey/app/accounts"
	"latchkey/app/sessions"
)

var variants = flag.Int("variants", 150, "how many damaged files are opened")

const (
	damagedTown = 60   // accounts in the file
	pageSize    = 4096 // where damage begins does not depend on the real one
)

// harms are what disks, cables and people do to files.
var harms = []struct {
	name   string
	do     func(r *rand.Rand, b []byte) []byte
	forged bool // no disk does it: a leaf may get what leads to itself, which only a look at all pages finds
}{
	{"a flipped bit", func(r *rand.Rand, b []byte) []byte {
		b[r.IntN(len(b))] ^= 1 << r.IntN(8)
		return b
	}, false},
	{"a flipped bit where a page begins", func(r *rand.Rand, b []byte) []byte {
		b[r.IntN(len(b)/pageSize)*pageSize+r.IntN(200)] ^= 1 << r.IntN(8)
		return b
	}, false},
	{"a few other bytes where a page begins", func(r *rand.Rand, b []byte) []byte {
		page := r.IntN(len(b) / pageSize)
		for range 4 {
			b[page*pageSize+r.IntN(64)] = byte(r.IntN(256))
		}
		return b
	}, false},
	{"a zeroed sector", func(r *rand.Rand, b []byte) []byte {
		clear(b[r.IntN(len(b)/512)*512:][:512])
		return b
	}, false},
	{"a zeroed page", func(r *rand.Rand, b []byte) []byte {
		clear(b[r.IntN(len(b)/pageSize)*pageSize:][:pageSize])
		return b
	}, false},
	{"a page of nonsense", func(r *rand.Rand, b []byte) []byte {
		for i := range b[r.IntN(len(b)/pageSize)*pageSize:][:pageSize] {
			b[i] = byte(r.IntN(256))
		}
		return b
	}, false},
	{"a page in another's place", func(r *rand.Rand, b []byte) []byte {
		n := len(b) / pageSize
		copy(b[r.IntN(n)*pageSize:][:pageSize], b[r.IntN(n)*pageSize:])
		return b
	}, false},
	{"a page in another's place, with its number", func(r *rand.Rand, b []byte) []byte {
		n := len(b) / pageSize
		to := r.IntN(n)
		copy(b[to*pageSize+8:][:pageSize-8], b[r.IntN(n)*pageSize+8:])
		return b
	}, true},
	{"cut short", func(r *rand.Rand, b []byte) []byte { return b[:r.IntN(len(b))] }, false},
}

// A damaged file is refused in one line, or what is whole of it is served: never
// a panic that ends the process, never another's. ASVS 1.5.2
func TestDamage(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	path := filepath.Join(t.TempDir(), "whole.db")
	db, err := Open(path, longLimits)
	if err != nil {
		t.Fatal(err)
	}
	db.Conn().NoSync = true
	fill(t, db, damagedTown)
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	// The pages that were free until now are gone from the copy, so that the damage
	// hits something.
	compact(t, path)
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	h, err := readHead(bytes.NewReader(whole))
	if err != nil {
		t.Fatal(err)
	}
	whole = whole[:h.pages*uint64(h.pageSize)]
	refused, found, hidden := 0, 0, 0
	for i := range *variants {
		random := rand.New(rand.NewPCG(seed, uint64(i)))
		harm := harms[i%len(harms)]
		// Every other round the file passes for a large one, whose leaves are looked at
		// while it is served already.
		most := int64(lookAtMost)
		if i/len(harms)%2 == 1 {
			most = 0
			if harm.forged {
				continue
			}
		}
		path := filepath.Join(t.TempDir(), "damaged.db")
		if err := os.WriteFile(path, harm.do(random, slices.Clone(whole)), 0o600); err != nil {
			t.Fatal(err)
		}
		done := make(chan string, 1)
		go func() {
			defer close(done)
			db, err := open(path, longLimits, most)
			if err != nil {
				if refused++; strings.Contains(err.Error(), "\n") {
					done <- fmt.Sprintf("not one line: %v", err)
				}
				return
			}
			defer db.Close()
			faults, err := use(db)
			switch {
			case err != nil:
				done <- err.Error()
			case faults > 0:
				found++
			default:
				hidden++
			}
		}()
		select {
		case wrong := <-done:
			if wrong != "" {
				t.Errorf("variant %d, %s: %s", i, harm.name, wrong)
			}
		case <-time.After(20 * time.Second):
			t.Fatalf("variant %d, %s: it does not come back", i, harm.name)
		}
		os.Remove(path)
	}
	t.Logf("%d variants of %d bytes: %d refused at the start, %d served in part, %d with nothing amiss", *variants, len(whole), refused, found, hidden)
	if refused == 0 || *variants >= 1000 && found == 0 {
		t.Error("nothing was refused or nothing found, so nothing was shown")
	}
}

// harm flips a bit of what lies under a key, and returns what lies there then.
func harm(t *testing.T, db *DB, bucket, k []byte) (harmed []byte) {
	t.Helper()
	if err := db.Conn().Update(func(tx *bbolt.Tx) error {
		b := tx.Bucket(bucket)
		harmed = bytes.Clone(b.Get(k))
		harmed[len(harmed)-1] ^= 1
		return b.Put(k, harmed)
	}); err != nil {
		t.Fatal(err)
	}
	return harmed
}

// A session has ended when its record, or that of its account, cannot be read,
// and no other has. The record stays as it is, for whoever repairs the file.
//
// ASVS 16.5.3
func TestDamagedRecordsOpenNothing(t *testing.T) {
	// Session i is of account i%3.
	for name, test := range map[string]struct {
		damage func(t *testing.T, db *DB, account accounts.ID) (bucket, k []byte)
		ended  []int
	}{
		"a session": {func(t *testing.T, db *DB, _ accounts.ID) ([]byte, []byte) {
			k := sessions.KeyOf(sessionID(1))
			return bucketSessions, k[:]
		}, []int{1}},
		"an account": {func(t *testing.T, db *DB, id accounts.ID) ([]byte, []byte) {
			return bucketAccounts, id[:]
		}, []int{1, 4}},
	} {
		t.Run(name, func(t *testing.T) {
			path := town(t)
			db, err := Open(path, longLimits)
			if err != nil {
				t.Fatal(err)
			}
			defer db.Close()
			a, err := db.Accounts().ByName(FilledName(1))
			if err != nil {
				t.Fatal(err)
			}
			bucket, k := test.damage(t, db, a.ID)
			harmed := harm(t, db, bucket, k)
			for i := range 6 {
				id := sessionID(i)
				s, err := db.Read(id)
				if !slices.Contains(test.ended, i) {
					if err != nil || s.Name != FilledName(i%3) {
						t.Errorf("session %d: %+v, %v", i, s, err)
					}
					continue
				}
				if s != (sessions.Session{}) || !errors.Is(err, sessions.ErrDamaged) || !errors.Is(err, sessions.ErrEnded) || !errors.Is(err, ErrDamaged) {
					t.Errorf("session %d: %+v, %v", i, s, err)
				}
				if data, err := db.Get(id); data != nil || err != nil {
					t.Errorf("session %d has %q, %v", i, data, err)
				}
				if err := db.Change(id, []byte("x")); !errors.Is(err, sessions.ErrEnded) {
					t.Errorf("session %d is changed: %v", i, err)
				}
				if err := db.Rotate("other", id, time.Now()); !errors.Is(err, sessions.ErrEnded) {
					t.Errorf("session %d gets another id: %v", i, err)
				}
				if err := db.Set(id, []byte("x"), 0); !errors.Is(err, ErrDamaged) {
					t.Errorf("session %d is written over: %v", i, err)
				}
				if err := db.renew([]renewal{{sessions.KeyOf(id), time.Now().Add(time.Minute)}}); err != nil {
					t.Error(err)
				}
			}
			// Its other sessions are listed, if the account can be read.
			list, err := db.List(sessions.Account(a.ID), 10)
			if err != nil || len(list) != 2-len(test.ended) {
				t.Errorf("%d sessions are listed, %v", len(list), err)
			}
			if _, err := db.Accounts().ByName(FilledName(1)); errors.Is(err, ErrDamaged) != (name == "an account") {
				t.Errorf("the account: %v", err)
			}
			now := time.Now()
			err = db.Begin("new", "", sessions.Session{Account: sessions.Account(a.ID), Password: a.PasswordChanged, Began: now, Seen: now}, nil)
			if (err != nil) != (name == "an account") {
				t.Errorf("a login: %v", err)
			}
			if err := db.view(func(tx *bbolt.Tx) error {
				if !bytes.Equal(tx.Bucket(bucket).Get(k), harmed) {
					t.Error("the record is not as it was")
				}
				return nil
			}); err != nil {
				t.Error(err)
			}
			db.Close()
			if r, err := Check(t.Context(), path); err != nil || r.Whole() {
				t.Errorf("the check: %+v, %v", r, err)
			}
		})
	}
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

var longLimits = sessions.Limits{Idle: time.Hour, Lifetime: time.Hour}

// errWrong is an answer that is not right.
var errWrong = errors.New("a wrong answer")

// use does with a file that fill made what a server does, and counts what could
// not be read or written. An error is an answer that is not right.
func use(db *DB) (faults int, err error) {
	db.Conn().NoSync = true
	var wrong error
	note := func(err error) {
		switch {
		case errors.Is(err, errWrong):
			wrong = err
		case errors.Is(err, ErrDamaged), errors.Is(err, errDamaged):
			faults++
		}
	}
	read := func() error {
		for i := range 2 * damagedTown {
			name := FilledName(i % damagedTown)
			s, err := db.Read(sessionID(i))
			note(err)
			if err == nil && s.Name != name {
				return fmt.Errorf("session %d is of %q", i, s.Name)
			}
			data, err := db.Get(sessionID(i))
			note(err)
			if err == nil && data != nil && string(data) != name {
				return fmt.Errorf("session %d has %q", i, data)
			}
		}
		for i := range damagedTown {
			a, err := db.Accounts().ByName(FilledName(i))
			note(err)
			if err != nil {
				continue
			}
			if a.Name.Folded() != FilledName(i) || a.Hash != "hash" {
				return fmt.Errorf("the account of %q: %+v", FilledName(i), a)
			}
			note(readRegistrations(db, a.ID))
			live, err := db.List(sessions.Account(a.ID), 100)
			note(err)
			for _, s := range live {
				if accounts.ID(s.Account) != a.ID {
					return fmt.Errorf("a session of %q: %+v", FilledName(i), s)
				}
			}
			_, err = db.Accounts().Events(a.ID)
			note(err)
		}
		return wrong
	}
	if err := read(); err != nil {
		return faults, err
	}
	now := time.Now()
	for i := range damagedTown {
		a, err := db.Accounts().ByName(FilledName(i))
		note(err)
		if err != nil {
			continue
		}
		switch i % 4 {
		case 0:
			note(db.Accounts().Delete(a.ID))
		case 1:
			note(db.EndAll(sessions.Account(a.ID)))
			s := sessions.Session{Account: sessions.Account(a.ID), Password: a.PasswordChanged, Began: now, Seen: now}
			note(db.Begin(sessionID(i), "", s, []byte(FilledName(i))))
		case 2:
			_, err := db.Accounts().SetPassword(a, "hash", now)
			note(err)
		case 3:
			note(dropEachRegistration(db, a.ID))
		}
	}
	_, err = db.sweep(context.Background())
	note(err)
	return faults, read()
}
