package bolt_test

import (
	"bytes"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"go.etcd.io/bbolt"

	"latchkey/app/accounts"
	"latchkey/app/bolt"
	"latchkey/app/sessions"
)

var limits = sessions.Limits{Idle: time.Hour, Lifetime: 24 * time.Hour}

func open(t testing.TB, path string, l sessions.Limits) *bolt.DB {
	t.Helper()
	db, err := bolt.Open(path, l)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	return db
}

func temp(t testing.TB) string { return filepath.Join(t.TempDir(), "data", "latchkey.db") }

func newID() string { return sessions.NewID(time.Now()) }

// begun returns a session of the account of that name, which is made if it is
// not there.
func begun(t testing.TB, db *bolt.DB, name string, at time.Time) sessions.Session {
	t.Helper()
	n, err := accounts.ParseName(name)
	if err != nil {
		t.Fatal(err)
	}
	a := accounts.Account{Name: n, Hash: "hash", Created: at, PasswordChanged: at}
	rand.Read(a.ID[:])
	err = db.Accounts().Create(a)
	if errors.Is(err, accounts.ErrTaken) {
		a, err = db.Accounts().ByName(n.Folded())
	}
	if err != nil {
		t.Fatal(err)
	}
	return sessions.Session{Account: sessions.Account(a.ID), Password: a.PasswordChanged, Began: at, Seen: at}
}

// ASVS 13.3.2
func TestOpenKeepsOthersOut(t *testing.T) {
	path := temp(t)
	open(t, path, limits)
	for name, want := range map[string]os.FileMode{filepath.Dir(path): 0o700, path: 0o600} {
		info, err := os.Stat(name)
		if err != nil {
			t.Fatal(err)
		}
		if got := info.Mode().Perm(); got != want {
			t.Errorf("%s has mode %o, want %o", name, got, want)
		}
	}

	// A file that was left open to others is closed to them.
	loose := filepath.Join(t.TempDir(), "loose.db")
	if err := os.WriteFile(loose, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	open(t, loose, limits)
	if info, err := os.Stat(loose); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, error %v", info.Mode(), err)
	}
}

func TestOpenRefuses(t *testing.T) {
	whole := temp(t)
	db := open(t, whole, limits)
	for range 500 {
		if err := db.Begin(newID(), "", begun(t, db, "Ann", time.Now()), bytes.Repeat([]byte("x"), 200)); err != nil {
			t.Fatal(err)
		}
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	content, err := os.ReadFile(whole)
	if err != nil {
		t.Fatal(err)
	}
	foreign := filepath.Join(t.TempDir(), "foreign.db")
	other, err := bbolt.Open(foreign, 0o600, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := other.Update(func(tx *bbolt.Tx) error { _, err := tx.CreateBucket([]byte("widgets")); return err }); err != nil {
		t.Fatal(err)
	}
	other.Close()
	foreignContent, err := os.ReadFile(foreign)
	if err != nil {
		t.Fatal(err)
	}
	zeroed := bytes.Clone(content)
	clear(zeroed[:2*os.Getpagesize()])

	for name, test := range map[string]struct {
		content []byte
		want    string
	}{
		"text":         {[]byte(strings.Repeat("not a database\n", 1000)), "not a database of Latchkey"},
		"a short text": {[]byte("hello"), "not a database of Latchkey"},
		"foreign":      {foreignContent, "not a database of Latchkey"},
		"no head":      {zeroed, "not a database of Latchkey"},
		"cut short":    {content[:len(content)/2], "damaged"},
		"one page":     {content[:os.Getpagesize()], "not a database of Latchkey"},
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "x.db")
			if err := os.WriteFile(path, test.content, 0o600); err != nil {
				t.Fatal(err)
			}
			db, err := bolt.Open(path, limits)
			if err == nil {
				db.Close()
				t.Fatal("it was opened")
			}
			if !strings.Contains(err.Error(), test.want) || strings.Contains(err.Error(), "\n") {
				t.Errorf("error %q, want one line with %q", err, test.want)
			}
			if after, _ := os.ReadFile(path); !bytes.Equal(after, test.content) {
				t.Error("the file was changed")
			}
		})
	}

	t.Run("a folder", func(t *testing.T) {
		if _, err := bolt.Open(t.TempDir(), limits); err == nil || !strings.Contains(err.Error(), "folder") {
			t.Errorf("error %v", err)
		}
	})
	t.Run("below a file", func(t *testing.T) {
		if _, err := bolt.Open(filepath.Join(whole, "x.db"), limits); err == nil || !strings.Contains(err.Error(), "not a folder") {
			t.Errorf("error %v", err)
		}
	})
	t.Run("in use", func(t *testing.T) {
		path := temp(t)
		open(t, path, limits)
		began := time.Now()
		_, err := bolt.Open(path, limits)
		if !errors.Is(err, bolt.ErrInUse) || !strings.Contains(err.Error(), "in use") {
			t.Errorf("error %v", err)
		}
		// Not a bound on speed: the adapter's default waits for ever.
		if waited := time.Since(began); waited > 10*time.Second {
			t.Errorf("it took %v", waited)
		}
	})
}

// ASVS 7.2.4
func TestBeginReplaces(t *testing.T) {
	db := open(t, temp(t), limits)
	first, second := newID(), newID()
	if err := db.Begin(first, "", begun(t, db, "Ann", time.Now()), nil); err != nil {
		t.Fatal(err)
	}
	if err := db.Begin(second, first, begun(t, db, "Bob", time.Now()), nil); err != nil {
		t.Fatal(err)
	}
	if _, err := db.Read(first); !errors.Is(err, sessions.ErrEnded) {
		t.Errorf("the replaced session: %v", err)
	}
	if s, err := db.Read(second); err != nil || s.Name != "Bob" {
		t.Errorf("the new session: %+v, %v", s, err)
	}
	if _, err := db.Read(newID()); !errors.Is(err, sessions.ErrEnded) {
		t.Errorf("an id of nobody: %v", err)
	}
}

// ASVS 7.4.1
func TestWhatHasEndedStaysEnded(t *testing.T) {
	path := temp(t)
	db := open(t, path, limits)
	id := newID()
	if err := db.Begin(id, "", begun(t, db, "Ann", time.Now()), []byte("data")); err != nil {
		t.Fatal(err)
	}
	if err := db.Delete(id); err != nil {
		t.Fatal(err)
	}
	if err := db.Change(id, []byte("late")); !errors.Is(err, sessions.ErrEnded) {
		t.Errorf("Change after Delete: %v", err)
	}
	// Fiber's own Set may write, but logs nobody in.
	if err := db.Set(id, []byte("late"), time.Hour); err != nil {
		t.Fatal(err)
	}
	if s, err := db.Read(id); err != nil || s.Name != "" {
		t.Errorf("after Set: %+v, %v", s, err)
	}
	if err := db.Delete(id); err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := open(t, path, limits).Read(id); !errors.Is(err, sessions.ErrEnded) {
		t.Errorf("after a restart: %v", err)
	}
}

// ASVS 7.3.1, 7.3.2
func TestLimits(t *testing.T) {
	path := temp(t)
	db := open(t, path, limits)
	now := time.Now()
	for name, test := range map[string]struct {
		began, seen time.Duration // ago
		lives       bool
	}{
		"fresh":                 {0, 0, true},
		"nearly idle":           {59 * time.Minute, 59 * time.Minute, true},
		"idle":                  {time.Hour, time.Hour, false},
		"long, lately seen":     {23 * time.Hour, time.Minute, true},
		"too long, lately seen": {24 * time.Hour, time.Minute, false},
	} {
		id := newID()
		s := sessions.Session{Began: now.Add(-test.began), Seen: now.Add(-test.seen)}
		if err := db.Begin(id, "", s, []byte("data")); err != nil {
			t.Fatal(err)
		}
		_, err := db.Read(id)
		if lives := err == nil; lives != test.lives {
			t.Errorf("%s: Read: %v", name, err)
		}
		data, err := db.Get(id)
		if lives := data != nil; lives != test.lives || err != nil {
			t.Errorf("%s: Get: %q, %v", name, data, err)
		}
	}

	// Shorter limits hold for the sessions there are.
	id := newID()
	if err := db.Begin(id, "", begun(t, db, "Ann", now.Add(-30*time.Minute)), nil); err != nil {
		t.Fatal(err)
	}
	db.Close()
	shorter := open(t, path, sessions.Limits{Idle: time.Minute, Lifetime: time.Hour})
	if _, err := shorter.Read(id); !errors.Is(err, sessions.ErrEnded) {
		t.Errorf("with shorter limits: %v", err)
	}
}

func TestSetKeepsTheExpiryItIsGiven(t *testing.T) {
	db := open(t, temp(t), limits)
	id := newID()
	if err := db.Set(id, []byte("data"), time.Millisecond); err != nil {
		t.Fatal(err)
	}
	deadline := time.Now().Add(10 * time.Second)
	for {
		data, err := db.Get(id)
		if err != nil {
			t.Fatal(err)
		}
		if data == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatal("it never expired")
		}
	}
}

// A stolen copy of the file must log nobody in.
//
// ASVS 7.2.3
func TestNoIDInTheFile(t *testing.T) {
	path := temp(t)
	db := open(t, path, limits)
	id := newID()
	if err := db.Begin(id, "", begun(t, db, "Ann", time.Now()), nil); err != nil {
		t.Fatal(err)
	}
	db.Close()
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	raw, _ := base64.RawURLEncoding.DecodeString(id)
	if bytes.Contains(content, []byte(id)) || bytes.Contains(content, raw) {
		t.Error("the id is in the file")
	}
	if !bytes.Contains(content, []byte("Ann")) {
		t.Error("the test looks for nothing: the name is not in the file either")
	}
}

// With the adapter's own Get this ends the process: it returns memory of a map
// that is gone once the file has grown.
func TestReadersWhileTheFileGrows(t *testing.T) {
	db := open(t, temp(t), limits)
	type kept struct{ id, data string }
	var mu sync.Mutex
	var all []kept
	var writers, readers sync.WaitGroup
	done := make(chan struct{})
	for w := range 4 {
		writers.Go(func() {
			for i := range 150 {
				k := kept{newID(), strings.Repeat(fmt.Sprintf("%d.%d;", w, i), 500)}
				if err := db.Begin(k.id, "", begun(t, db, k.id[:8], time.Now()), []byte(k.data)); err != nil {
					t.Error(err)
					return
				}
				mu.Lock()
				all = append(all, k)
				mu.Unlock()
			}
		})
	}
	for range 4 {
		readers.Go(func() {
			for i := 0; ; i++ {
				select {
				case <-done:
					return
				default:
				}
				mu.Lock()
				if len(all) == 0 {
					mu.Unlock()
					continue
				}
				k := all[i*7919%len(all)]
				mu.Unlock()
				data, err := db.Get(k.id)
				if err != nil || string(data) != k.data {
					t.Errorf("torn data: %d bytes, %v", len(data), err)
					return
				}
				if s, err := db.Read(k.id); err != nil || s.Name != k.id[:8] {
					t.Errorf("another's session: %+v, %v", s, err)
					return
				}
			}
		})
	}
	writers.Wait()
	close(done)
	readers.Wait()
}

func TestReset(t *testing.T) {
	db := open(t, temp(t), limits)
	id := newID()
	if err := db.Begin(id, "", begun(t, db, "Ann", time.Now()), nil); err != nil {
		t.Fatal(err)
	}
	if err := db.Reset(); err != nil {
		t.Fatal(err)
	}
	if _, err := db.Read(id); !errors.Is(err, sessions.ErrEnded) {
		t.Errorf("after Reset: %v", err)
	}
}

// The key that signs what browsers keep is no part of the program: each file has
// one of its own, and keeps it. ASVS 13.3.1
func TestTheKeyIsMadeWithTheFile(t *testing.T) {
	keyOf := func(path string) [32]byte {
		t.Helper()
		db := open(t, path, limits)
		defer db.Close()
		key, err := db.Accounts().Key()
		if err != nil {
			t.Fatal(err)
		}
		return key
	}
	one, other := temp(t), temp(t)
	first, second := keyOf(one), keyOf(other)
	if first == second || first == ([32]byte{}) || second == ([32]byte{}) {
		t.Errorf("two files have the keys %x and %x", first[:4], second[:4])
	}
	if keyOf(one) != first {
		t.Error("the key has changed")
	}
	// A copy of the folder without the file makes another.
	if err := os.Remove(one); err != nil {
		t.Fatal(err)
	}
	if keyOf(one) == first {
		t.Error("the key is not in the file alone")
	}
}

// An id that leads nowhere lies between those of others, and so does the id of an
// account that is gone: nobody is taken for their neighbour, and nothing is called
// damaged.
func TestWhatIsNotThereIsNotDamaged(t *testing.T) {
	db := open(t, temp(t), limits)
	now := time.Now()
	for i := range 8 {
		if err := db.Begin(newID(), "", begun(t, db, fmt.Sprint("someone ", i), now), nil); err != nil {
			t.Fatal(err)
		}
	}
	for at := range 4 {
		// Before all of theirs, and after.
		id := sessions.NewID(now.Add(time.Duration(at-2) * time.Hour))
		if s, err := db.Read(id); !errors.Is(err, sessions.ErrEnded) || errors.Is(err, sessions.ErrDamaged) || s != (sessions.Session{}) {
			t.Errorf("no session: %+v, %v", s, err)
		}
		if err := db.Change(id, []byte("data")); !errors.Is(err, sessions.ErrEnded) || errors.Is(err, sessions.ErrDamaged) {
			t.Errorf("a change of no session: %v", err)
		}
		gone := sessions.Session{Account: sessions.Account{byte(at), 1}, Password: now, Began: now, Seen: now}
		if err := db.Begin(newID(), "", gone, nil); !errors.Is(err, sessions.ErrEnded) || errors.Is(err, bolt.ErrDamaged) {
			t.Errorf("a session of no account: %v", err)
		}
	}
	if r, err := db.List(sessions.Account{0, 1}, 10); err != nil || len(r) != 0 {
		t.Errorf("listed: %v, %v", r, err)
	}
}
