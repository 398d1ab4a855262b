package storetest

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"latchkey/app/sessions"
)

// A change of a session's data leaves whose it is, and its times.
func testChange(t *testing.T, h *house) {
	ann := h.account("Ann")
	k, other := h.begin(ann), h.begin(ann)
	before := h.lives("before", k, ann)
	h.clock.Add(time.Minute)
	for _, want := range []string{"a", "", "longer than it was before\x00", "b"} {
		h.must(h.Sessions.Change(t.Context(), k, []byte(want)))
		if got := h.dataOf(k); string(got) != want {
			t.Errorf("data %q, want %q", got, want)
		}
		if s := h.lives("changed", k, ann); s != before {
			t.Errorf("%+v, want %+v", s, before)
		}
	}
	if got := h.dataOf(other); string(got) != string(data) {
		t.Errorf("another has the data %q", got)
	}
	list, err := h.Sessions.List(t.Context(), sessions.Account(ann.ID), 10)
	if err != nil || len(list) != 2 {
		t.Errorf("List: %+v, %v", list, err)
	}
	for _, s := range list {
		if s.Agent != "agent" || s.Address != "192.0.2.1" {
			t.Errorf("%+v", s)
		}
	}
}

// ASVS 7.4.1
func testEndedStaysEnded(t *testing.T, h *house) {
	ann := h.account("Ann")
	k, other := h.begin(ann), h.begin(ann)
	for range 2 { // the second time there is none, which is no error
		h.must(h.Sessions.End(t.Context(), k))
		h.ended("after End", k) // which tries to change and to rotate it
	}
	h.listed("after End", ann, other)
	h.restart()
	h.ended("after a restart", k)
	h.lives("another", other, ann)
	// Whoever saves when the session has ended meanwhile does not bring it back.
	for range 20 {
		k := h.begin(ann)
		var both sync.WaitGroup
		both.Go(func() {
			if err := h.Sessions.Change(t.Context(), k, []byte("late")); err != nil && !errors.Is(err, sessions.ErrEnded) {
				t.Error(err)
			}
		})
		both.Go(func() {
			if err := h.Sessions.End(t.Context(), k); err != nil {
				t.Error(err)
			}
		})
		both.Wait()
		h.ended("a change that met the end", k)
	}
	h.listed("after all", ann, other)
}

// ASVS 7.3.1, 7.3.2: to the millisecond, by the clock of the store, and across a
// restart.
func testLimits(t *testing.T, h *house) {
	for what, test := range map[string]struct {
		seen  time.Duration // after it began
		lasts time.Duration // from then on
	}{
		"never seen again":   {0, limits.Idle},
		"seen in between":    {30 * time.Minute, limits.Idle},
		"seen near the end":  {limits.Lifetime - time.Minute, time.Minute},
		"seen late, in time": {limits.Lifetime - limits.Idle, limits.Idle},
	} {
		for _, restart := range []bool{false, true} {
			what := fmt.Sprintf("%s, restart %t", what, restart)
			ann := h.account(what)
			s := h.session(ann)
			s.Seen = s.Began.Add(test.seen)
			h.clock.Add(test.seen)
			k := h.key()
			h.must(h.Sessions.Begin(t.Context(), k, sessions.Key{}, s, data))
			h.clock.Add(test.lasts - time.Millisecond)
			if restart {
				h.restart()
			}
			h.lives(what+", before the limit", k, ann)
			h.listed(what+", before the limit", ann, k)
			h.clock.Add(time.Millisecond)
			if restart {
				h.restart()
			}
			h.ended(what+", at the limit", k)
			h.listed(what+", at the limit", ann)
			if err := h.Sessions.EndOne(t.Context(), sessions.Account(ann.ID), k); err != nil && !errors.Is(err, sessions.ErrEnded) {
				t.Errorf("%s: EndOne: %v", what, err)
			}
			h.must(h.Sessions.End(t.Context(), k))
		}
	}
}

// Shorter limits hold for the sessions that are there. Longer ones revive none
// that has been refused.
func testShorterLimits(t *testing.T, h *house) {
	ann := h.account("Ann")
	idle := h.begin(ann)
	s := h.session(ann)
	h.clock.Add(20 * time.Minute)
	s.Seen = h.clock.Now()
	old := h.key()
	h.must(h.Sessions.Begin(t.Context(), old, sessions.Key{}, s, data))
	fresh := h.begin(ann)
	h.lives("before", idle, ann)
	h.lives("before", old, ann)
	h.limits = sessions.Limits{Idle: 10 * time.Minute, Lifetime: 15 * time.Minute}
	h.restart()
	h.ended("idle for too long", idle)
	h.ended("too old", old)
	h.lives("fresh", fresh, ann)
	h.listed("with shorter limits", ann, fresh)
	h.clock.Add(10*time.Minute - time.Millisecond)
	h.lives("before the shorter limit", fresh, ann)
	h.clock.Add(time.Millisecond)
	h.ended("at the shorter limit", fresh)
	h.listed("at the shorter limit", ann)
}

// ASVS 7.3.1, 7.3.2: activity moves the idle limit.
func testRenew(t *testing.T, h *house) {
	ann := h.account("Ann")
	k, other := h.begin(ann), h.begin(ann)
	before := h.lives("before", k, ann)
	h.clock.Add(50 * time.Minute)
	ctx, cancel := context.WithCancel(t.Context())
	h.Sessions.Renew(ctx, k, h.clock.Now())
	cancel() // as the request that saw it does
	want := before
	want.Seen = h.clock.Now()
	h.await("the renewal", func() bool { s, err := h.Sessions.Read(t.Context(), k); return err == nil && s == want })
	if got := h.dataOf(k); string(got) != string(data) {
		t.Errorf("data %q", got)
	}
	h.clock.Add(limits.Idle - time.Millisecond)
	h.ended("the one that was not renewed", other)
	for range 2 {
		if s := h.lives("renewed", k, ann); s != want {
			t.Errorf("%+v, want %+v", s, want)
		}
		for _, s := range h.listed("renewed", ann, k) {
			if !s.Seen.Equal(want.Seen) || s.Agent != "agent" {
				t.Errorf("%+v", s)
			}
		}
		h.restart()
	}
	h.clock.Add(time.Millisecond)
	h.ended("at the new limit", k)
}

// Activity never passes the absolute limit.
func testRenewLifetime(t *testing.T, h *house) {
	ann := h.account("Ann")
	s := h.session(ann)
	h.clock.Add(limits.Lifetime - time.Minute)
	s.Seen = h.clock.Now().Add(-2 * time.Minute) // a renewal is due
	k := h.key()
	h.must(h.Sessions.Begin(t.Context(), k, sessions.Key{}, s, data))
	h.Sessions.Renew(t.Context(), k, h.clock.Now())
	h.await("the renewal", func() bool {
		s, err := h.Sessions.Read(t.Context(), k)
		return err == nil && s.Seen.Equal(h.clock.Now())
	})
	h.clock.Add(time.Minute - time.Millisecond)
	h.lives("before the absolute limit", k, ann)
	h.clock.Add(time.Millisecond)
	h.ended("at the absolute limit", k)
	h.restart()
	h.ended("after a restart", k)
}

// ASVS 7.4.1: a renewal that meets a logout, or comes after a limit, loses.
func testRenewDoesNotRevive(t *testing.T, h *house) {
	ann, gone := h.account("Ann"), h.account("gone")
	late, stays, goners := h.begin(ann), h.begin(ann), h.begin(gone)
	began := h.clock.Now()
	h.clock.Add(10 * time.Minute)
	var keys []sessions.Key
	for range 30 {
		s := h.session(ann)
		s.Began, s.Seen = began, began
		k := h.key()
		keys = append(keys, k)
		h.must(h.Sessions.Begin(t.Context(), k, sessions.Key{}, s, nil))
		var both sync.WaitGroup
		both.Go(func() { h.Sessions.Renew(t.Context(), k, h.clock.Now()) })
		both.Go(func() {
			if err := h.Sessions.End(t.Context(), k); err != nil {
				t.Error(err)
			}
		})
		both.Wait()
		h.Sessions.Renew(t.Context(), k, h.clock.Now())
	}
	h.Sessions.Renew(t.Context(), goners, h.clock.Now())
	h.must(h.Accounts.SetDisabled(t.Context(), gone.ID, true))
	h.Sessions.Renew(t.Context(), goners, h.clock.Now())
	h.Sessions.Renew(t.Context(), stays, h.clock.Now())
	h.await("the other renewals", func() bool {
		s, err := h.Sessions.Read(t.Context(), stays)
		return err == nil && s.Seen.Equal(h.clock.Now())
	})
	h.ended("renewed after its end", keys...)
	h.ended("renewed after its account was disabled", goners)
	h.clock.Add(limits.Idle - 10*time.Minute) // "late" has been idle for too long now
	h.Sessions.Renew(t.Context(), late, h.clock.Now())
	h.restart() // which finishes renewals
	h.must(h.Accounts.SetDisabled(t.Context(), gone.ID, false))
	h.ended("renewed after its end", keys...)
	h.ended("renewed after its account was disabled", goners)
	h.ended("renewed too late", late)
	h.lives("the other one", stays, ann)
	h.listed("after all", ann, stays)
}
