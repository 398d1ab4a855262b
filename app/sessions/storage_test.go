package sessions_test

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/gofiber/fiber/v2"

	"latchkey/app/accounts"
	"latchkey/app/bolt"
	"latchkey/app/internal/store"
	"latchkey/app/sessions"
	"latchkey/app/sessions/storetest"
)

// kept is a store in a real file, with an account.
type kept struct {
	sessions.Store
	ann accounts.Account
}

func newKept(t *testing.T) kept {
	t.Helper()
	db, err := bolt.Open(filepath.Join(t.TempDir(), "latchkey.db"), bolt.Options{Limits: limits})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	n, err := accounts.ParseName("Ann")
	if err != nil {
		t.Fatal(err)
	}
	ann := accounts.Account{ID: accounts.ID{1}, Name: n, Hash: "hash", PasswordVersion: 1}
	if err := db.Accounts().Create(t.Context(), ann); err != nil {
		t.Fatal(err)
	}
	return kept{storetest.Strict(t, db.Sessions()), ann}
}

// begin begins a session of Ann and returns its id.
func (k kept) begin(t *testing.T, data []byte) string {
	t.Helper()
	now := time.Now().UTC().Truncate(time.Millisecond)
	id := sessions.NewID(now)
	s := sessions.Session{Account: sessions.Account(k.ann.ID), PasswordVersion: 1, Began: now, Seen: now, Reauthenticated: now}
	if err := k.Begin(t.Context(), sessions.KeyOf(id), sessions.Key{}, s, data); err != nil {
		t.Fatal(err)
	}
	return id
}

// storage returns that of a request.
func (k kept) storage(t *testing.T) fiber.Storage {
	return sessions.NewStorage(t.Context(), k, limits)
}

func (k kept) mustHave(t *testing.T, id, name, data string) {
	t.Helper()
	s, err := k.Read(t.Context(), sessions.KeyOf(id))
	if err != nil || s.Name != name {
		t.Errorf("session of %q, %v, want %q", s.Name, err, name)
	}
	if got, err := k.Data(t.Context(), sessions.KeyOf(id)); err != nil || string(got) != data {
		t.Errorf("data %q, %v, want %q", got, err, data)
	}
}

func (k kept) mustNotBe(t *testing.T, id string) {
	t.Helper()
	if s, err := k.Read(t.Context(), sessions.KeyOf(id)); !errors.Is(err, sessions.ErrEnded) {
		t.Errorf("there is %+v, %v", s, err)
	}
}

func TestStorageGet(t *testing.T) {
	k := newKept(t)
	id := k.begin(t, []byte("data"))
	s := k.storage(t)
	for range 2 {
		got, err := s.Get(id)
		if err != nil || string(got) != "data" {
			t.Fatalf("%q, %v", got, err)
		}
		clear(got) // it is the caller's own
	}
	for what, id := range map[string]string{"none": "", "unknown": sessions.NewID(time.Now()), "no id of ours": "x"} {
		if got, err := s.Get(id); got != nil || err != nil {
			t.Errorf("%s: %q, %v, want nil and no error", what, got, err)
		}
	}
	if err := k.End(t.Context(), sessions.KeyOf(id)); err != nil {
		t.Fatal(err)
	}
	if got, err := s.Get(id); got != nil || err != nil {
		t.Errorf("ended: %q, %v, want nil and no error", got, err)
	}
}

// A session that Get has found is changed, and stays whose it was. Otherwise Set
// begins one of nobody (ASVS 8.3.1).
func TestStorageSet(t *testing.T) {
	k := newKept(t)
	id := k.begin(t, []byte("data"))
	s := k.storage(t)
	if _, err := s.Get(id); err != nil {
		t.Fatal(err)
	}
	data := []byte("changed")
	if err := s.Set(id, data, limits.Lifetime); err != nil {
		t.Fatal(err)
	}
	clear(data) // Fiber uses its buffers again
	k.mustHave(t, id, "Ann", "changed")

	fresh := sessions.NewID(time.Now())
	s = k.storage(t)
	if got, err := s.Get(fresh); got != nil || err != nil {
		t.Fatalf("%q, %v", got, err)
	}
	data = []byte("begun")
	if err := s.Set(fresh, data, 0); err != nil {
		t.Fatal(err)
	}
	clear(data)
	k.mustHave(t, fresh, "", "begun")
	k.mustHave(t, id, "Ann", "changed")

	// As fiber.Storage wants it, what is empty is ignored.
	if err := errors.Join(s.Set("", []byte("x"), 0), s.Set(id, nil, 0), s.Set(id, []byte{}, 0)); err != nil {
		t.Error(err)
	}
	k.mustNotBe(t, "")
	k.mustHave(t, id, "Ann", "changed")
}

// ASVS 7.4.1: a request that saves after the logout does not bring the session back.
func TestStorageSetAfterTheEnd(t *testing.T) {
	k := newKept(t)
	id := k.begin(t, []byte("data"))
	s := k.storage(t)
	if _, err := s.Get(id); err != nil {
		t.Fatal(err)
	}
	if err := k.storage(t).Delete(id); err != nil {
		t.Fatal(err)
	}
	if err := s.Set(id, []byte("late"), limits.Lifetime); !errors.Is(err, sessions.ErrEnded) {
		t.Errorf("%v, want ErrEnded", err)
	}
	k.mustNotBe(t, id)
	// A later request finds none. What it begins is nobody's.
	s = k.storage(t)
	if got, err := s.Get(id); got != nil || err != nil {
		t.Fatalf("%q, %v", got, err)
	}
	if err := s.Set(id, []byte("later"), limits.Lifetime); err != nil {
		t.Fatal(err)
	}
	k.mustHave(t, id, "", "later")
}

// No session is kept for longer than it was to be: the store knows only its own
// limits.
func TestStorageRefusesAShorterExpiry(t *testing.T) {
	k := newKept(t)
	id, fresh := k.begin(t, []byte("data")), sessions.NewID(time.Now())
	for _, expires := range []time.Duration{time.Nanosecond, time.Minute, limits.Lifetime - 1} {
		s := k.storage(t)
		if _, err := s.Get(id); err != nil {
			t.Fatal(err)
		}
		changed, begun := s.Set(id, []byte("x"), expires), k.storage(t).Set(fresh, []byte("x"), expires)
		if changed == nil || begun == nil {
			t.Errorf("%s: Set: %v and %v", expires, changed, begun)
		}
	}
	k.mustHave(t, id, "Ann", "data")
	k.mustNotBe(t, fresh)
	if err := k.storage(t).Set(fresh, []byte("x"), 2*limits.Lifetime); err != nil { // ends sooner by itself
		t.Error(err)
	}
}

func TestStorageDelete(t *testing.T) {
	k := newKept(t)
	id, other := k.begin(t, []byte("data")), k.begin(t, []byte("other"))
	s := k.storage(t)
	for _, id := range []string{id, id, "", "x"} { // that there is none is no error
		if err := s.Delete(id); err != nil {
			t.Errorf("%q: %v", id, err)
		}
	}
	k.mustNotBe(t, id)
	k.mustHave(t, other, "Ann", "other")
}

// Nothing in one request may end everybody's sessions, or the store.
func TestStorageLeavesOthersAlone(t *testing.T) {
	k := newKept(t)
	id := k.begin(t, []byte("data"))
	s := k.storage(t)
	if err := s.Reset(); err == nil {
		t.Error("Reset is not refused")
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	k.mustHave(t, id, "Ann", "data")
}

// faulty answers everything with one error.
type faulty struct {
	sessions.Store
	err   error
	begun int
}

func (f *faulty) Data(context.Context, sessions.Key) ([]byte, error) { return []byte("half"), f.err }
func (f *faulty) End(context.Context, sessions.Key) error            { return f.err }
func (f *faulty) Begin(context.Context, sessions.Key, sessions.Key, sessions.Session, []byte) error {
	f.begun++
	return f.err
}

// A fault is no session that has ended, and is passed on as it is.
func TestStorageFaults(t *testing.T) {
	id := sessions.NewID(time.Now())
	for _, fault := range []error{store.ErrBusy, store.ErrFull, context.DeadlineExceeded, errors.New("no disk")} {
		s := sessions.NewStorage(t.Context(), &faulty{err: fault}, limits)
		_, get := s.Get(id)
		for what, err := range map[string]error{"Get": get, "Set": s.Set(id, []byte("x"), 0), "Delete": s.Delete(id)} {
			if !errors.Is(err, fault) || errors.Is(err, sessions.ErrEnded) {
				t.Errorf("%s with %v: %v", what, fault, err)
			}
		}
	}
	// What cannot be read is not there, and is not written over.
	broken := &faulty{err: fmt.Errorf("%w: %w", sessions.ErrDamaged, store.ErrDamaged)}
	s := sessions.NewStorage(t.Context(), broken, limits)
	if data, err := s.Get(id); data != nil || err != nil {
		t.Errorf("Get of a damaged session: %q, %v", data, err)
	}
	if err := s.Set(id, []byte("x"), 0); !errors.Is(err, sessions.ErrDamaged) || broken.begun != 0 {
		t.Errorf("Set of a damaged session: %v, begun %d", err, broken.begun)
	}
}

// The storage does all in the context of its request.
func TestStorageContext(t *testing.T) {
	k := newKept(t)
	id := k.begin(t, []byte("data"))
	ctx, cancel := context.WithCancel(t.Context())
	s := sessions.NewStorage(ctx, k, limits)
	if _, err := s.Get(id); err != nil {
		t.Fatal(err)
	}
	cancel()
	fresh := sessions.NewID(time.Now())
	begun := sessions.NewStorage(ctx, k, limits).Set(fresh, []byte("x"), 0)
	for what, err := range map[string]error{"Set": s.Set(id, []byte("x"), 0), "Set of a new one": begun, "Delete": s.Delete(id)} {
		if !errors.Is(err, context.Canceled) {
			t.Errorf("%s: %v", what, err)
		}
	}
	k.mustHave(t, id, "Ann", "data")
	k.mustNotBe(t, fresh)
}

// What a browser says of itself is kept as valid text (ASVS 1.2.4).
func TestAgentIsText(t *testing.T) {
	s := newSite(t) // whose store refuses others
	for agent, want := range map[string]string{
		"Firefox":                        "Firefox",
		"a\xffb":                         "a\uFFFDb",
		strings.Repeat("é", 200):         strings.Repeat("é", 128),
		"x" + strings.Repeat("é", 200):   "x" + strings.Repeat("é", 127), // not half of one
		strings.Repeat("\xff\xfe", 5000): "\uFFFD",
		"":                               "",
	} {
		var got string
		s.app.Get("/agent", func(c *fiber.Ctx) error {
			c.Request().Header.SetUserAgent(agent)
			got = sessions.Agent(c)
			return s.begin(c, "Ann")
		})
		if a := s.get("/agent", ""); a.status != 200 {
			t.Errorf("%.20q: %d %s", agent, a.status, a.body)
		}
		ann, err := s.db.Accounts().ByName(t.Context(), "ann")
		if err != nil {
			t.Fatal(err)
		}
		list, err := s.List(t.Context(), sessions.Account(ann.ID), 1)
		if err != nil || len(list) != 1 || got != want {
			t.Errorf("%.20q: kept %q, %+v, %v, want %q", agent, got, list, err, want)
		}
		if err := s.EndAll(t.Context(), sessions.Account(ann.ID)); err != nil || len(list) == 1 && list[0].Agent != want {
			t.Errorf("%.20q: listed %+v, %v", agent, list, err)
		}
		s.app = serve(t, s.db, s.Sessions).app
	}
}
