// Package storetest holds what every sessions.Store must do, as tests.
package storetest

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"sync"
	"testing"
	"time"

	"latchkey/app/accounts"
	"latchkey/app/sessions"
)

// Stores are the two stores of one engine: sessions belong to accounts.
type Stores struct {
	Sessions sessions.Store
	Accounts accounts.Store
	Close    func() error
}

// Open opens the stores that are kept in dir, which a first call makes. They hold
// sessions to the limits, by the time that now says. To open dir again after Close
// is a restart. The tests close what they open.
type Open func(t *testing.T, dir string, limits sessions.Limits, now func() time.Time) Stores

// Test runs all tests, each in a folder of its own.
func Test(t *testing.T, open Open) {
	for _, test := range []struct {
		name string
		run  func(*testing.T, *house)
	}{
		{"Begin", testBegin},
		{"UnknownKeys", testUnknownKeys},
		{"NothingIsShared", testNothingIsShared},
		{"BeginReplaces", testBeginReplaces},
		{"BeginsReplaceAtOnce", testBeginsReplaceAtOnce},
		{"BeginLooksAtTheAccount", testBeginLooksAtTheAccount},
		{"PowersAreReadEachTime", testPowersAreReadEachTime},
		{"SessionsEndWithTheirRight", testSessionsEndWithTheirRight},
		{"RefusedChangesEndNothing", testRefusedChangesEndNothing},
		{"AnotherVersionHasEnded", testAnotherVersion},
		{"Anonymous", testAnonymous},
		{"Change", testChange},
		{"EndedStaysEnded", testEndedStaysEnded},
		{"Limits", testLimits},
		{"ShorterLimits", testShorterLimits},
		{"Renew", testRenew},
		{"RenewNeverPassesTheLifetime", testRenewLifetime},
		{"RenewDoesNotRevive", testRenewDoesNotRevive},
		{"Rotate", testRotate},
		{"RotateKeepsTheLimits", testRotateLimits},
		{"RotateOfNothing", testRotateOfNothing},
		{"AliasEnds", testAliasEnds},
		{"AliasOpensNothing", testAliasOpensNothing},
		{"LogoutMeetsRotation", testLogoutMeetsRotation},
		{"List", testList},
		{"EndAll", testEndAll},
		{"EndOthers", testEndOthers},
		{"EndOthersWhileOthersLogIn", testEndOthersAtOnce},
		{"EndOne", testEndOne},
		{"EndedContext", testEndedContext},
	} {
		t.Run(test.name, func(t *testing.T) {
			h := &house{
				t: t, open: open, dir: t.TempDir(), limits: limits,
				clock: &clock{now: time.Date(2026, 3, 1, 12, 0, 0, 123_000_000, time.UTC)},
			}
			h.start()
			defer h.stop()
			test.run(t, h)
		})
	}
}

var limits = sessions.Limits{Idle: time.Hour, Lifetime: 24 * time.Hour}

// clock stands until it is moved.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) Add(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// house is a pair of stores in a folder, and their clock.
type house struct {
	Stores
	t      *testing.T
	open   Open
	dir    string
	limits sessions.Limits
	clock  *clock
}

func (h *house) start() { h.Stores = h.open(h.t, h.dir, h.limits, h.clock.Now) }

func (h *house) stop() {
	h.t.Helper()
	h.must(h.Close())
}

func (h *house) restart() {
	h.t.Helper()
	h.stop()
	h.start()
}

func (h *house) must(errs ...error) {
	h.t.Helper()
	if err := errors.Join(errs...); err != nil {
		h.t.Fatal(err)
	}
}

func (h *house) ctx() context.Context { return h.t.Context() }

// account keeps a new account with a password.
func (h *house) account(name string) accounts.Account {
	h.t.Helper()
	n, err := accounts.ParseName(name)
	h.must(err)
	at := h.clock.Now()
	a := accounts.Account{Name: n, Hash: "hash", Created: at, PasswordChanged: at, PasswordVersion: 1}
	rand.Read(a.ID[:])
	h.must(h.Accounts.Create(h.ctx(), a))
	return a
}

// key returns the key of a new id that is made now.
func (h *house) key() sessions.Key { return keyAt(h.clock.Now()) }

func keyAt(at time.Time) sessions.Key { return sessions.KeyOf(sessions.NewID(at)) }

// session returns what a login of the account that was read makes now.
func (h *house) session(a accounts.Account) sessions.Session {
	now := h.clock.Now()
	return sessions.Session{
		Account: sessions.Account(a.ID), PasswordVersion: a.PasswordVersion,
		Began: now, Seen: now, Reauthenticated: now, Agent: "agent", Address: "192.0.2.1",
	}
}

var data = []byte("data\x00\xff of a session")

// begin begins a session of the account.
func (h *house) begin(a accounts.Account) sessions.Key {
	h.t.Helper()
	k := h.key()
	h.must(h.Sessions.Begin(h.ctx(), k, sessions.Key{}, h.session(a), data))
	return k
}

// lives fails unless the session is there and is one of that account. Nobody's
// account is the zero one.
func (h *house) lives(what string, k sessions.Key, a accounts.Account) sessions.Session {
	h.t.Helper()
	s, err := h.Sessions.Read(h.ctx(), k)
	if err != nil || s.Account != sessions.Account(a.ID) || s.Name != a.Name.String() {
		h.t.Errorf("%s: Read: %+v, %v, want a session of %q", what, s, err, a.Name)
	}
	if _, err := h.Sessions.Data(h.ctx(), k); err != nil {
		h.t.Errorf("%s: Data: %v", what, err)
	}
	return s
}

// ended fails unless the session is gone for every method. It changes nothing.
func (h *house) ended(what string, keys ...sessions.Key) {
	h.t.Helper()
	for _, k := range keys {
		s, read := h.Sessions.Read(h.ctx(), k)
		got, read2 := h.Sessions.Data(h.ctx(), k)
		if s != (sessions.Session{}) || got != nil {
			h.t.Errorf("%s: a session that has ended gives %+v and the data %q", what, s, got)
		}
		for method, err := range map[string]error{
			"Read":   read,
			"Data":   read2,
			"Change": h.Sessions.Change(h.ctx(), k, []byte("late")),
			"Rotate": h.Sessions.Rotate(h.ctx(), h.key(), k, h.clock.Now()),
		} {
			if !errors.Is(err, sessions.ErrEnded) || errors.Is(err, sessions.ErrDamaged) {
				h.t.Errorf("%s: %s: %v, want ErrEnded", what, method, err)
			}
		}
	}
}

// alive reports whether the session can be read.
func (h *house) alive(k sessions.Key) bool {
	h.t.Helper()
	_, err := h.Sessions.Read(h.ctx(), k)
	if err != nil && !errors.Is(err, sessions.ErrEnded) {
		h.t.Fatal(err)
	}
	return err == nil
}

// dataOf returns the data of a session.
func (h *house) dataOf(k sessions.Key) []byte {
	h.t.Helper()
	got, err := h.Sessions.Data(h.ctx(), k)
	h.must(err)
	return got
}

// listed fails unless the list of the account has these sessions, in this order.
func (h *house) listed(what string, a accounts.Account, want ...sessions.Key) []sessions.Session {
	h.t.Helper()
	list, err := h.Sessions.List(h.ctx(), sessions.Account(a.ID), 1000)
	h.must(err)
	right := len(list) == len(want)
	for i := range list {
		right = right && list[i].Key == want[i] && list[i].Account == sessions.Account(a.ID)
	}
	if !right {
		h.t.Errorf("%s: the list has %d sessions, want %d in another order or of another account: %+v", what, len(list), len(want), list)
	}
	return list
}

// await polls until done says so.
func (h *house) await(what string, done func() bool) {
	h.t.Helper()
	for deadline := time.Now().Add(30 * time.Second); !done(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(deadline) {
			h.t.Fatalf("waited in vain for %s", what)
		}
	}
}

func testBegin(t *testing.T, h *house) {
	ann, bob := h.account("Ann Smith"), h.account("Bob")
	want := h.session(ann)
	want.Seen, want.Reauthenticated = want.Seen.Add(time.Millisecond), want.Reauthenticated.Add(2*time.Millisecond)
	k := h.key()
	h.must(h.Sessions.Begin(t.Context(), k, sessions.Key{}, want, data))
	bobs := h.begin(bob)
	want.Name, want.Agent, want.Address = "Ann Smith", "", "" // as Read returns it
	for range 2 {
		got, err := h.Sessions.Read(t.Context(), k)
		if err != nil || got != want {
			t.Errorf("Read: %+v, %v, want %+v", got, err, want)
		}
		if got := h.dataOf(k); !bytes.Equal(got, data) {
			t.Errorf("Data: %q", got)
		}
		h.lives("Bob's", bobs, bob)
		h.restart()
	}
	// Data of every size, and none.
	for _, size := range []int{0, 1, 4096, 60_000} {
		k, some := h.key(), make([]byte, size)
		rand.Read(some)
		h.must(h.Sessions.Begin(t.Context(), k, sessions.Key{}, h.session(ann), some))
		if got := h.dataOf(k); !bytes.Equal(got, some) {
			t.Errorf("%d bytes of data come back as %d", size, len(got))
		}
	}
	k = h.key()
	h.must(h.Sessions.Begin(t.Context(), k, sessions.Key{}, h.session(ann), nil))
	if got := h.dataOf(k); len(got) != 0 {
		t.Errorf("no data come back as %q", got)
	}
}

// Nobody is taken for their neighbour, and nothing is called damaged.
func testUnknownKeys(t *testing.T, h *house) {
	now := h.clock.Now()
	for range 8 {
		h.begin(h.account(rand.Text()))
	}
	ann := h.account("Ann")
	k := h.begin(ann)
	next, before := k, k
	next[len(next)-1]++
	before[len(before)-1]--
	unknown := []sessions.Key{{}, sessions.KeyOf(""), sessions.KeyOf("x"), next, before}
	for _, away := range []time.Duration{-time.Hour, 0, time.Hour} {
		unknown = append(unknown, keyAt(now.Add(away)))
	}
	h.ended("a key of no session", unknown...)
	for _, k := range unknown {
		h.must(h.Sessions.End(t.Context(), k)) // no error
		h.Sessions.Renew(t.Context(), k, now)
		if err := h.Sessions.EndOne(t.Context(), sessions.Account(ann.ID), k); !errors.Is(err, sessions.ErrEnded) {
			t.Errorf("EndOne: %v, want ErrEnded", err)
		}
	}
	h.lives("the session between them", k, ann)
	h.restart()
	h.ended("a key of no session, after a restart", unknown...)
	h.lives("the session between them", k, ann)
}

// Whoever changes what they gave, or got, changes only their own.
func testNothingIsShared(t *testing.T, h *house) {
	ann := h.account("Ann")
	k, given := h.key(), bytes.Clone(data)
	h.must(h.Sessions.Begin(t.Context(), k, sessions.Key{}, h.session(ann), given))
	clear(given)
	if got := h.dataOf(k); !bytes.Equal(got, data) {
		t.Errorf("after Begin: %q", got)
	}
	given = []byte("changed")
	h.must(h.Sessions.Change(t.Context(), k, given))
	clear(given)
	for range 2 {
		got := h.dataOf(k)
		if string(got) != "changed" {
			t.Errorf("after Change: %q", got)
		}
		clear(got)
		_ = append(got, "more"...)
	}
	one := h.listed("one", ann, k)
	one[0].Key, one[0].Account = sessions.Key{}, sessions.Account{}
	h.listed("again", ann, k)
	h.restart()
	if got := h.dataOf(k); string(got) != "changed" {
		t.Errorf("after a restart: %q", got)
	}
}

// ASVS 7.2.4
func testBeginReplaces(t *testing.T, h *house) {
	ann, bob := h.account("Ann"), h.account("Bob")
	first, other := h.begin(ann), h.begin(ann)
	second := h.key()
	h.must(h.Sessions.Begin(t.Context(), second, first, h.session(bob), nil))
	h.ended("the one that was replaced", first)
	h.lives("the new one", second, bob)
	h.lives("another", other, ann)
	h.listed("of Ann", ann, other)
	h.listed("of Bob", bob, second)
	// None of its data passes into the new one.
	if got := h.dataOf(second); len(got) != 0 {
		t.Errorf("the new one has the data %q", got)
	}
	// There need not be one to replace.
	for _, replaces := range []sessions.Key{{}, first, h.key()} {
		k := h.key()
		h.must(h.Sessions.Begin(t.Context(), k, replaces, h.session(ann), nil))
		h.lives("in the place of nothing", k, ann)
	}
	h.restart()
	h.ended("the one that was replaced, after a restart", first)
	h.lives("the new one, after a restart", second, bob)
}

// Many logins at once with one cookie: each gets a session, and the old one is
// gone.
func testBeginsReplaceAtOnce(t *testing.T, h *house) {
	ann := h.account("Ann")
	old, other := h.begin(ann), h.begin(ann)
	keys := make([]sessions.Key, 16)
	var all sync.WaitGroup
	for i := range keys {
		keys[i] = h.key()
		all.Go(func() {
			if err := h.Sessions.Begin(t.Context(), keys[i], old, h.session(ann), data); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	h.ended("the one that was replaced", old)
	for _, k := range append(keys, other) {
		h.lives("a new one", k, ann)
	}
	if list, err := h.Sessions.List(t.Context(), sessions.Account(ann.ID), 100); err != nil || len(list) != len(keys)+1 {
		t.Errorf("%d are listed, %v, want %d", len(list), err, len(keys)+1)
	}
}
