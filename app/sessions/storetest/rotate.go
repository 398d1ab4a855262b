package storetest

import (
	"errors"
	"slices"
	"sync"
	"testing"
	"time"

	"latchkey/app/accounts"
	"latchkey/app/sessions"
)

// ASVS 7.2.4: the data move, the old key is dead.
func testRotate(t *testing.T, h *house) {
	ann, bob := h.account("Ann"), h.account("Bob")
	first, other, bobs := h.begin(ann), h.begin(ann), h.begin(bob)
	want := h.lives("before", first, ann)
	h.clock.Add(20 * time.Minute)
	second := h.key()
	at := h.clock.Now()
	h.must(h.Sessions.Rotate(t.Context(), second, first, at))
	check := func(when string) {
		t.Helper()
		h.ended(when+": the old key", first)
		got := h.lives(when+": the new key", second, ann)
		if got.Reauthenticated != at || got.Began != want.Began || got.PasswordVersion != want.PasswordVersion || got.Admin != want.Admin {
			t.Errorf("%s: %+v", when, got)
		}
		if got := h.dataOf(second); string(got) != string(data) {
			t.Errorf("%s: data %q", when, got)
		}
		h.lives(when+": another", other, ann)
		h.lives(when+": Bob's", bobs, bob)
		list, err := h.Sessions.List(t.Context(), sessions.Account(ann.ID), 10)
		i := slices.IndexFunc(list, func(s sessions.Session) bool { return s.Key == second })
		if err != nil || len(list) != 2 || i < 0 || list[i].Agent != "agent" || list[i].Address != "192.0.2.1" || list[i].Reauthenticated != at {
			t.Errorf("%s: List: %+v, %v", when, list, err)
		}
	}
	check("at once")
	h.restart()
	check("after a restart")
	h.must(h.Sessions.Change(t.Context(), second, []byte("changed")))
	if got := h.dataOf(second); string(got) != "changed" {
		t.Errorf("data %q", got)
	}
	// Of two at once, one is too late.
	var won []sessions.Key
	var mu sync.Mutex
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			k := h.key()
			err := h.Sessions.Rotate(t.Context(), k, second, at)
			mu.Lock()
			defer mu.Unlock()
			if err == nil {
				won = append(won, k)
			} else if !errors.Is(err, sessions.ErrEnded) {
				t.Error(err)
			}
		})
	}
	all.Wait()
	if len(won) != 1 {
		t.Fatalf("%d have won", len(won))
	}
	h.lives("the one that won", won[0], ann)
	h.ended("the one before", second)
	if list, err := h.Sessions.List(t.Context(), sessions.Account(ann.ID), 10); err != nil || len(list) != 2 {
		t.Errorf("List: %+v, %v", list, err)
	}
	// What ends the account's sessions ends it, too.
	h.must(h.Sessions.EndAll(t.Context(), sessions.Account(ann.ID)))
	h.ended("after EndAll", won[0], other)
}

// A re-authentication moves the idle limit as any activity, and never the absolute one.
func testRotateLimits(t *testing.T, h *house) {
	ann := h.account("Ann")
	idle, old := h.begin(ann), h.key()
	h.clock.Add(50 * time.Minute)
	rotated := h.key()
	h.must(h.Sessions.Rotate(t.Context(), rotated, idle, h.clock.Now()))
	h.clock.Add(limits.Idle - time.Millisecond)
	h.lives("rotated", rotated, ann)
	h.clock.Add(time.Millisecond)
	h.ended("rotated, at the idle limit", rotated)

	s := h.session(ann)
	h.clock.Add(limits.Lifetime - time.Minute)
	s.Seen = h.clock.Now()
	h.must(h.Sessions.Begin(t.Context(), old, sessions.Key{}, s, nil))
	rotated = h.key()
	h.must(h.Sessions.Rotate(t.Context(), rotated, old, h.clock.Now()))
	h.clock.Add(time.Minute - time.Millisecond)
	h.lives("before the absolute limit", rotated, ann)
	h.clock.Add(time.Millisecond)
	h.ended("at the absolute limit", rotated)
	h.restart()
	h.ended("after a restart", rotated)
}

func testRotateOfNothing(t *testing.T, h *house) {
	ann := h.account("Ann")
	gone, off := h.begin(ann), h.account("off")
	offs := h.begin(off)
	h.must(h.Sessions.End(t.Context(), gone), h.Accounts.SetDisabled(t.Context(), off.ID, true))
	for what, old := range map[string]sessions.Key{"ended": gone, "disabled": offs, "none": {}, "unknown": h.key()} {
		k := h.key()
		if err := h.Sessions.Rotate(t.Context(), k, old, h.clock.Now()); !errors.Is(err, sessions.ErrEnded) {
			t.Errorf("%s: %v, want ErrEnded", what, err)
		}
		h.ended(what, k)
	}
	h.listed("after all", ann)
	// The old key of a rotation that was refused is no alias.
	k := h.begin(ann)
	h.must(h.Sessions.End(t.Context(), gone))
	h.lives("after another logout", k, ann)
}

// A logout that was on its way with the old key ends the session, for AliasFor
// (ASVS 7.4.1).
func testAliasEnds(t *testing.T, h *house) {
	const aliasFor = time.Minute // in figures, for it is a promise
	ann := h.account("Ann")
	for _, rotations := range []int{1, 2, 3} {
		for _, restart := range []bool{false, true} {
			for wait, ends := range map[time.Duration]bool{0: true, aliasFor - time.Millisecond: true, aliasFor + time.Millisecond: false} {
				for by := range rotations { // logout with each of the old keys
					keys, other := []sessions.Key{h.begin(ann)}, h.begin(ann)
					for range rotations {
						k := h.key()
						h.must(h.Sessions.Rotate(t.Context(), k, keys[len(keys)-1], h.clock.Now()))
						keys = append(keys, k)
					}
					last := keys[len(keys)-1]
					h.clock.Add(wait)
					if restart {
						h.restart()
					}
					h.lives("before the logout", last, ann)
					h.must(h.Sessions.End(t.Context(), keys[by]))
					if h.alive(last) == ends {
						t.Errorf("%d rotations, restart %t, %s later: a logout with key %d ends the session: %t, want %t", rotations, restart, wait, by, !ends, ends)
					}
					h.ended("the old keys", keys[:rotations]...)
					h.lives("another session", other, ann)
					h.must(h.Sessions.End(t.Context(), last), h.Sessions.End(t.Context(), other))
					h.ended("after their own logouts", last, other)
				}
			}
		}
	}
	h.listed("after all", ann)
}

// An alias ends a session and opens nothing.
func testAliasOpensNothing(t *testing.T, h *house) {
	ann, bob := h.account("Ann"), h.account("Bob")
	old, k := h.begin(ann), h.key()
	h.clock.Add(10 * time.Minute)
	h.must(h.Sessions.Rotate(t.Context(), k, old, h.clock.Now()))
	h.clock.Add(30 * time.Second)
	before := h.lives("before", k, ann)
	h.ended("by the alias", old) // Read, Data, Change, Rotate
	for _, a := range []accounts.Account{ann, bob} {
		if err := h.Sessions.EndOne(t.Context(), sessions.Account(a.ID), old); !errors.Is(err, sessions.ErrEnded) {
			t.Errorf("EndOne by the alias: %v, want ErrEnded", err)
		}
	}
	h.clock.Add(20 * time.Second)
	h.Sessions.Renew(t.Context(), old, h.clock.Now())
	h.restart() // which finishes renewals
	if after := h.lives("after", k, ann); after != before {
		t.Errorf("the alias has changed the session: %+v, want %+v", after, before)
	}
	if got := h.dataOf(k); string(got) != string(data) {
		t.Errorf("data %q", got)
	}
	h.listed("after", ann, k)
	// To spare the alias spares nothing.
	h.must(h.Sessions.EndOthers(t.Context(), sessions.Account(ann.ID), old))
	h.ended("after EndOthers", k)
	h.listed("after EndOthers", ann)
}

// In whichever order a logout and a rotation are carried out: whoever is told that
// they are logged out is (ASVS 7.4.1, 15.4.1).
func testLogoutMeetsRotation(t *testing.T, h *house) {
	ann := h.account("Ann")
	const rounds, atOnce = 25, 8
	other := h.begin(ann)
	for range rounds {
		var all sync.WaitGroup
		var keys []sessions.Key
		for range atOnce {
			old, one, two, next := h.begin(ann), h.key(), h.key(), h.key()
			keys = append(keys, old, one, two, next)
			rotate := func(k, from sessions.Key) {
				if err := h.Sessions.Rotate(t.Context(), k, from, h.clock.Now()); err != nil && !errors.Is(err, sessions.ErrEnded) {
					t.Error(err)
				}
			}
			all.Go(func() { rotate(one, old); rotate(next, one) }) // and again
			all.Go(func() { rotate(two, old) })                    // of which one is too late
			all.Go(func() {
				if err := h.Sessions.End(t.Context(), old); err != nil {
					t.Error(err)
				}
			})
		}
		all.Wait()
		for _, k := range keys {
			if h.alive(k) {
				t.Fatal("a session lives after its logout")
			}
		}
		h.listed("after the logouts", ann, other)
	}
	h.lives("another session", other, ann)
}
