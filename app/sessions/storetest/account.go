package storetest

import (
	"errors"
	"testing"
	"time"

	"latchkey/app/accounts"
	"latchkey/app/sessions"
)

// ASVS 7.4.2, 15.4.2: Begin looks at the account in its own transaction.
func testBeginLooksAtTheAccount(t *testing.T, h *house) {
	ann, off, gone, changed := h.account("Ann"), h.account("off"), h.account("gone"), h.account("changed")
	before := h.begin(ann)
	h.must(h.Accounts.SetDisabled(t.Context(), off.ID, true), h.Accounts.Delete(t.Context(), gone.ID))
	now, err := h.Accounts.SetPassword(t.Context(), changed, "other", changed.PasswordChanged) // at the same moment
	h.must(err)
	later, none := ann, ann
	later.PasswordVersion++
	none.PasswordVersion = 0
	for what, a := range map[string]accounts.Account{
		"disabled": off, "deleted": gone, "never there": {ID: accounts.ID{7}, PasswordVersion: 1},
		"the former password": changed, "a later version": later, "no version": none,
	} {
		k := h.key()
		if err := h.Sessions.Begin(t.Context(), k, before, h.session(a), data); !errors.Is(err, sessions.ErrEnded) || errors.Is(err, sessions.ErrDamaged) {
			t.Errorf("%s: %v, want ErrEnded", what, err)
		}
		h.ended(what+": the session that was refused", k)
		h.lives(what+": the session that it would have replaced", before, ann)
		h.listed(what+": of Ann", ann, before)
		if list, err := h.Sessions.List(t.Context(), sessions.Account(a.ID), 10); a.ID != ann.ID && (err != nil || len(list) > 0) {
			t.Errorf("%s: %+v, %v", what, list, err)
		}
	}
	h.lives("the present password", h.begin(now), now)
	// Enabled again, they may come back.
	h.must(h.Accounts.SetDisabled(t.Context(), off.ID, false))
	h.lives("enabled again", h.begin(off), off)
	h.restart()
	h.lives("after a restart: the session that stayed", before, ann)
	h.listed("after a restart: of Ann", ann, before)
}

// ASVS 8.3.2: what an account may do is what it may do now, in sessions that began
// before.
func testPowersAreReadEachTime(t *testing.T, h *house) {
	ann, bob := h.account("Ann"), h.account("Bob")
	anns, bobs := h.begin(ann), h.begin(bob)
	h.must(h.Accounts.SetAdmin(t.Context(), bob.ID, true)) // so that Ann is not the last
	for _, admin := range []bool{true, false, true, false} {
		h.must(h.Accounts.SetAdmin(t.Context(), ann.ID, admin))
		if s := h.lives("Ann", anns, ann); s.Admin != admin {
			t.Errorf("after SetAdmin(%t): %+v", admin, s)
		}
		if s := h.lives("Bob", bobs, bob); !s.Admin {
			t.Errorf("Bob: %+v", s)
		}
	}
	// A later session of an administrator is no different.
	if s := h.lives("Bob again", h.begin(bob), bob); !s.Admin {
		t.Errorf("Bob again: %+v", s)
	}
}

// ASVS 7.4.2, 7.4.3: what takes the right to be logged in away ends the sessions of
// the account, and nothing else does.
func testSessionsEndWithTheirRight(t *testing.T, h *house) {
	sum := [32]byte{1}
	for what, test := range map[string]struct {
		do   func(a accounts.Account) error
		ends bool
	}{
		"disabled": {func(a accounts.Account) error { return h.Accounts.SetDisabled(t.Context(), a.ID, true) }, true},
		"disabled and enabled": {func(a accounts.Account) error {
			return errors.Join(h.Accounts.SetDisabled(t.Context(), a.ID, true), h.Accounts.SetDisabled(t.Context(), a.ID, false))
		}, true},
		"deleted": {func(a accounts.Account) error { return h.Accounts.Delete(t.Context(), a.ID) }, true},
		"another password": {func(a accounts.Account) error {
			_, err := h.Accounts.SetPassword(t.Context(), a, "other", h.clock.Now().Add(time.Second))
			return err
		}, true},
		"another password at the same moment": {func(a accounts.Account) error {
			_, err := h.Accounts.SetPassword(t.Context(), a, "other", a.PasswordChanged)
			return err
		}, true},
		"the same password again": {func(a accounts.Account) error {
			_, err := h.Accounts.SetPassword(t.Context(), a, a.Hash, a.PasswordChanged)
			return err
		}, true},
		"a reset": {func(a accounts.Account) error {
			if err := h.Accounts.StartReset(t.Context(), a.ID, sum, h.clock.Now().Add(time.Hour)); err != nil {
				return err
			}
			_, err := h.Accounts.Reset(t.Context(), sum, "other", h.clock.Now())
			return err
		}, true},

		"a reset that was begun": {func(a accounts.Account) error {
			return h.Accounts.StartReset(t.Context(), a.ID, [32]byte{2}, h.clock.Now().Add(time.Hour))
		}, false},
		"made an administrator, and unmade": {func(a accounts.Account) error {
			return errors.Join(h.Accounts.SetAdmin(t.Context(), a.ID, true), h.Accounts.SetAdmin(t.Context(), a.ID, false))
		}, false},
		"enabled": {func(a accounts.Account) error { return h.Accounts.SetDisabled(t.Context(), a.ID, false) }, false},
		"a login with another hash of the same password": {func(a accounts.Account) error {
			_, err := h.Accounts.LoggedIn(t.Context(), a, h.clock.Now(), "rehash")
			return err
		}, false},
	} {
		t.Run(what, func(t *testing.T) {
			ann, bob := h.account(what), h.account("Bob, "+what)
			admin := h.account("admin, " + what)
			h.must(h.Accounts.SetAdmin(t.Context(), admin.ID, true))
			first, bobs, nobodys := h.begin(ann), h.begin(bob), h.begin(accounts.Account{})
			h.clock.Add(time.Minute)
			second := h.begin(ann)
			h.must(test.do(ann))
			check := func(when string) {
				t.Helper()
				if test.ends {
					h.ended(when, first, second)
					h.listed(when, ann)
				} else {
					h.lives(when, first, ann)
					h.lives(when, second, ann)
					h.listed(when, ann, second, first)
				}
				h.lives(when+": Bob's", bobs, bob)
				h.listed(when+": Bob's", bob, bobs)
				h.lives(when+": nobody's", nobodys, accounts.Account{})
			}
			check("at once")
			h.restart()
			check("after a restart")
		})
	}
}

// What is refused ends nothing (ASVS 2.3.3).
func testRefusedChangesEndNothing(t *testing.T, h *house) {
	ann := h.account("Ann")
	h.must(h.Accounts.SetAdmin(t.Context(), ann.ID, true))
	k := h.begin(ann)
	stale := ann
	stale.PasswordVersion--
	_, changed := h.Accounts.SetPassword(t.Context(), stale, "other", h.clock.Now())
	_, reset := h.Accounts.Reset(t.Context(), [32]byte{1}, "other", h.clock.Now())
	for what, test := range map[string]struct{ got, want error }{
		"a former password":      {changed, accounts.ErrChanged},
		"no such reset":          {reset, accounts.ErrReset},
		"disable the last":       {h.Accounts.SetDisabled(t.Context(), ann.ID, true), accounts.ErrLastAdmin},
		"delete the last":        {h.Accounts.Delete(t.Context(), ann.ID), accounts.ErrLastAdmin},
		"delete nobody":          {h.Accounts.Delete(t.Context(), accounts.ID{1}), accounts.ErrNotFound},
		"an account of the name": {h.Accounts.Create(t.Context(), accounts.Account{ID: accounts.ID{2}, Name: ann.Name, Hash: "hash", PasswordVersion: 1}), accounts.ErrTaken},
	} {
		if !errors.Is(test.got, test.want) {
			t.Errorf("%s: %v, want %v", what, test.got, test.want)
		}
	}
	h.lives("after all", k, ann)
	h.listed("after all", ann, k)
}

// A session belongs to one password, whichever way versions differ.
func testAnotherVersion(t *testing.T, h *house) {
	// As large as a file has that was converted.
	const large = uint64(1_764_000_000_123_456_789)
	n, err := accounts.ParseName("Ann")
	h.must(err)
	ann := accounts.Account{ID: accounts.ID{1}, Name: n, Hash: "hash", PasswordVersion: large}
	h.must(h.Accounts.Create(t.Context(), ann))
	k := h.begin(ann)
	if s := h.lives("a large version", k, ann); s.PasswordVersion != large {
		t.Errorf("PasswordVersion %d, want %d", s.PasswordVersion, large)
	}
	for _, version := range []uint64{0, 1, large - 1, large + 1} {
		other := ann
		other.PasswordVersion = version
		if err := h.Sessions.Begin(t.Context(), h.key(), k, h.session(other), nil); !errors.Is(err, sessions.ErrEnded) {
			t.Errorf("version %d: %v, want ErrEnded", version, err)
		}
	}
	h.lives("after those", k, ann)
	// An account without a password may be logged in to, too, in dev mode.
	n, err = accounts.ParseName("Dev")
	h.must(err)
	dev := accounts.Account{ID: accounts.ID{2}, Name: n}
	h.must(h.Accounts.Create(t.Context(), dev))
	devs := h.begin(dev)
	h.lives("without a password", devs, dev)
	dev, err = h.Accounts.SetPassword(t.Context(), dev, "first", h.clock.Now())
	h.must(err)
	h.ended("before the first password", devs)
	h.lives("with the first password", h.begin(dev), dev)
	h.lives("Ann's", k, ann)
}

// A session of nobody stands by itself. It is in nobody's list.
func testAnonymous(t *testing.T, h *house) {
	ann, nobody := h.account("Ann"), accounts.Account{}
	now := h.clock.Now()
	k, anns := h.key(), h.begin(ann)
	h.must(h.Sessions.Begin(t.Context(), k, sessions.Key{}, sessions.Session{Began: now, Seen: now}, data))
	s := h.lives("nobody's", k, nobody)
	if s.Admin || s.PasswordVersion != 0 || !s.Reauthenticated.IsZero() || !s.Began.Equal(now) || !s.Seen.Equal(now) {
		t.Errorf("%+v", s)
	}
	h.must(h.Sessions.Change(t.Context(), k, []byte("changed")))
	if got := h.dataOf(k); string(got) != "changed" {
		t.Errorf("data %q", got)
	}
	h.restart()
	h.lives("nobody's, after a restart", k, nobody)
	h.listed("of Ann", ann, anns)
	// What is done to the sessions of an account is not done to those of nobody.
	h.must(h.Sessions.EndAll(t.Context(), sessions.Account(ann.ID)), h.Accounts.Delete(t.Context(), ann.ID))
	h.lives("nobody's, without Ann", k, nobody)
	// A login replaces it, and takes none of its data along.
	bob, in := h.account("Bob"), h.key()
	h.must(h.Sessions.Begin(t.Context(), in, k, h.session(bob), nil))
	h.ended("nobody's, after the login", k)
	h.lives("Bob's", in, bob)
	if got := h.dataOf(in); len(got) > 0 {
		t.Errorf("Bob has the data %q", got)
	}
	h.begin(nobody)
	last := h.begin(nobody)
	h.must(h.Sessions.End(t.Context(), last))
	h.ended("after its end", last)
}
