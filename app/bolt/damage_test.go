package bolt

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"go.etcd.io/bbolt"

	"latchkey/app/accounts"
	"latchkey/app/internal/boltcheck"
	"latchkey/app/internal/kv"
	"latchkey/app/internal/store"
	"latchkey/app/sessions"
)

var variants = flag.Int("variants", 150, "how many damaged files are opened")

const (
	damagedAccounts = 60   // accounts in the file
	pageSize        = 4096 // where damage begins does not depend on the real one
)

// damages are typical damages of files.
var damages = []struct {
	name   string
	do     func(r *rand.Rand, b []byte) []byte
	forged bool // does not occur by accident: a leaf that leads to itself, found only by verifying all pages
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

// A damaged file is rejected with one line, or its undamaged part is served. It
// never ends the process and never returns another account's data. ASVS 1.5.2
func TestDamage(t *testing.T) {
	if testing.Short() {
		t.Skip("runs with tests/run --all")
	}
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	path := temp(t)
	db := openAt(t, path, Options{})
	db.kv.Bolt().NoSync = true
	fill(t, db, damagedAccounts)
	noError(t, db.Close())
	// Remove free pages, so that the damage hits used ones.
	compact(t, path)
	whole, err := os.ReadFile(path)
	noError(t, err)
	m, err := boltcheck.ReadMeta(bytes.NewReader(whole), int64(len(whole)))
	noError(t, err)
	whole = whole[:m.Pages*uint64(m.PageSize)]
	refused, found, hidden := 0, 0, 0
	for i := range *variants {
		random := rand.New(rand.NewPCG(seed, uint64(i)))
		harm := damages[i%len(damages)]
		// In every other round the file counts as large, so leaves are verified in
		// the background.
		var o Options
		if i/len(damages)%2 == 1 {
			o.verifyFirst = 1
			if harm.forged {
				continue
			}
		}
		path := t.TempDir() + "/damaged.db"
		noError(t, os.WriteFile(path, harm.do(random, slices.Clone(whole)), 0o600))
		done := make(chan string, 1)
		go func() {
			defer close(done)
			o.Limits = hour
			db, err := Open(path, o)
			if err != nil {
				if refused++; strings.Contains(err.Error(), "\n") {
					done <- fmt.Sprintf("not one line: %v", err)
				}
				return
			}
			defer db.Close()
			faults, err := exercise(t, db)
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
		case <-time.After(30 * time.Second):
			t.Fatalf("variant %d, %s: it does not come back", i, harm.name)
		}
		os.Remove(path)
	}
	t.Logf("%d variants of %d bytes: %d refused at the start, %d served in part, %d with nothing amiss", *variants, len(whole), refused, found, hidden)
	if refused == 0 || *variants >= 1000 && found == 0 {
		t.Error("nothing was refused or nothing found, so nothing was shown")
	}
}

func compact(t *testing.T, path string) {
	t.Helper()
	from, err := bbolt.Open(path, 0o600, nil)
	noError(t, err)
	to, err := bbolt.Open(path+".compact", 0o600, nil)
	noError(t, err)
	noError(t, bbolt.Compact(to, from, 0), to.Close(), from.Close(), os.Rename(path+".compact", path))
}

// errWrong is a wrong result.
var errWrong = errors.New("a wrong answer")

// exercise does with a file from fill what a server does, and counts failed
// operations. The error is a wrong result.
func exercise(t *testing.T, db *DB) (faults int, err error) {
	db.kv.Bolt().NoSync = true
	ctx := t.Context()
	var wrong error
	note := func(err error) {
		if errors.Is(err, errWrong) {
			wrong = err
		}
		if errors.Is(err, store.ErrDamaged) || err != nil && strings.Contains(err.Error(), "is damaged") {
			faults++
		}
	}
	readAll := func() error {
		for i := range 2 * damagedAccounts {
			name := nameOf(i % damagedAccounts)
			s, err := db.Sessions().Read(ctx, sessionKey(i))
			note(err)
			if err == nil && s.Name != name {
				return fmt.Errorf("%w: session %d is of %q", errWrong, i, s.Name)
			}
			data, err := db.Sessions().Data(ctx, sessionKey(i))
			note(err)
			if err == nil && string(data) != name {
				return fmt.Errorf("%w: session %d has %q", errWrong, i, data)
			}
		}
		for i := range damagedAccounts {
			a, err := db.Accounts().ByName(ctx, nameOf(i))
			note(err)
			if err != nil {
				continue
			}
			if a.Name.Folded() != nameOf(i) || a.Hash != "hash" {
				return fmt.Errorf("%w: the account of %q is %+v", errWrong, nameOf(i), a)
			}
			note(readRegistrations(t, db, a.ID))
			live, err := db.Sessions().List(ctx, sessions.Account(a.ID), 100)
			note(err)
			for _, s := range live {
				if accounts.ID(s.Account) != a.ID {
					return fmt.Errorf("%w: a session of %q is %+v", errWrong, nameOf(i), s)
				}
			}
			_, err = db.Events().Events(ctx, a.ID)
			note(err)
		}
		return wrong
	}
	if err := readAll(); err != nil {
		return faults, err
	}
	now := time.Now()
	for i := range damagedAccounts {
		a, err := db.Accounts().ByName(ctx, nameOf(i))
		note(err)
		if err != nil {
			continue
		}
		switch i % 4 {
		case 0:
			note(db.Accounts().Delete(ctx, a.ID))
		case 1:
			note(db.Sessions().EndAll(ctx, sessions.Account(a.ID)))
			note(begin(db, sessionKey(i), a, now))
		case 2:
			_, err := db.Accounts().SetPassword(ctx, a, "hash", now)
			note(err)
		case 3:
			note(deleteRegistrations(t, db, a.ID))
		}
	}
	_, err = db.kv.Sweep(ctx)
	note(err)
	return faults, readAll()
}

// A session has ended if its record or that of its account is damaged. Other
// sessions are unaffected. The record stays for a repair.
//
// ASVS 16.5.3
func TestDamagedRecordsOpenNothing(t *testing.T) {
	for name, test := range map[string]struct {
		place func(account accounts.ID) (bucket string, key []byte)
		ended []int // session i is of account i%3
	}{
		"a session": {func(accounts.ID) (string, []byte) {
			k := sessionKey(1)
			return bucketSessions, k[:]
		}, []int{1}},
		"an account": {func(id accounts.ID) (string, []byte) { return bucketAccounts, id[:] }, []int{1, 4}},
	} {
		t.Run(name, func(t *testing.T) {
			path := testFile(t)
			db := openAt(t, path, Options{})
			ctx, s := t.Context(), db.Sessions()
			a, err := db.Accounts().ByName(ctx, nameOf(1))
			noError(t, err)
			bucket, key := test.place(a.ID)
			var harmed []byte
			update(t, db, func(tx *kv.Tx) error {
				harmed = bytes.Clone(tx.Get(bucket, key))
				harmed[len(harmed)-1] ^= 1
				return tx.Bucket(bucket).Put(key, harmed)
			})
			for i := range 6 {
				k := sessionKey(i)
				got, err := s.Read(ctx, k)
				if !slices.Contains(test.ended, i) {
					if err != nil || got.Name != nameOf(i%3) {
						t.Errorf("session %d: %+v, %v", i, got, err)
					}
					continue
				}
				if got != (sessions.Session{}) || !errors.Is(err, sessions.ErrDamaged) || !errors.Is(err, sessions.ErrEnded) || !errors.Is(err, store.ErrDamaged) {
					t.Errorf("session %d: %+v, %v", i, got, err)
				}
				if data, err := s.Data(ctx, k); data != nil || !errors.Is(err, sessions.ErrDamaged) {
					t.Errorf("session %d has %q, %v", i, data, err)
				}
				if err := s.Change(ctx, k, []byte("x")); !errors.Is(err, sessions.ErrEnded) {
					t.Errorf("session %d is changed: %v", i, err)
				}
				if err := s.Rotate(ctx, keyOf("other"), k, time.Now()); !errors.Is(err, sessions.ErrEnded) {
					t.Errorf("session %d gets another id: %v", i, err)
				}
				update(t, db, func(tx *kv.Tx) error { return db.renew(tx, []renewal{{k, time.Now().Add(time.Minute)}}) })
			}
			// Its other sessions are listed if the account is readable.
			list, err := s.List(ctx, sessions.Account(a.ID), 10)
			if err != nil || len(list) != 2-len(test.ended) {
				t.Errorf("%d sessions are listed, %v", len(list), err)
			}
			if _, err := db.Accounts().ByName(ctx, nameOf(1)); errors.Is(err, store.ErrDamaged) != (name == "an account") {
				t.Errorf("the account: %v", err)
			}
			if err := begin(db, keyOf("new"), a, time.Now()); (err != nil) != (name == "an account") {
				t.Errorf("a login: %v", err)
			}
			read(t, db, func(tx *kv.Tx) {
				if !bytes.Equal(tx.Get(bucket, key), harmed) {
					t.Error("the record is not as it was")
				}
			})
			noError(t, db.Close())
			if r, err := File(path).Check(ctx, nil); err != nil || r.OK() {
				t.Errorf("the check: %+v, %v", r, err)
			}
		})
	}
}
