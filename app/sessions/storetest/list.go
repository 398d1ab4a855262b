package storetest

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"time"

	"latchkey/app/sessions"
)

// Those that began last come first, whenever their ids were made.
func testList(t *testing.T, h *house) {
	ann, bob := h.account("Ann"), h.account("Bob")
	h.listed("before", ann)
	start := h.clock.Now()
	var want []sessions.Key // the newest first
	for i, made := range []time.Duration{0, time.Hour, -time.Hour, 10 * time.Millisecond, -24 * time.Hour} {
		s := h.session(ann)
		s.Began = start.Add(time.Duration(i) * time.Second)
		s.Seen = s.Began
		s.Agent, s.Address = "Mozilla/5.0 (é山🔑; 'x')", "2001:db8::1"
		k := keyAt(start.Add(made))
		h.must(h.Sessions.Begin(t.Context(), k, sessions.Key{}, s, data))
		want = slices.Insert(want, 0, k)
	}
	h.clock.Add(10 * time.Second)
	bobs := h.begin(bob)
	h.begin(h.account("Cid"))
	for range 2 {
		list := h.listed("all of Ann's", ann, want...)
		for _, s := range list {
			if s.Name != "" || s.Admin || s.Agent != "Mozilla/5.0 (é山🔑; 'x')" || s.Address != "2001:db8::1" || s.PasswordVersion != 1 || s.Began.Location() != time.UTC || s.Seen != s.Began {
				t.Errorf("%+v", s)
			}
		}
		for limit := range len(want) + 2 {
			list, err := h.Sessions.List(t.Context(), sessions.Account(ann.ID), limit)
			if err != nil || len(list) != min(limit, len(want)) {
				t.Fatalf("limit %d: %d sessions, %v", limit, len(list), err)
			}
			for i := range list {
				if list[i].Key != want[i] {
					t.Errorf("limit %d: session %d is another", limit, i)
				}
			}
		}
		h.listed("all of Bob's", bob, bobs)
		if list, err := h.Sessions.List(t.Context(), sessions.Account{7}, 10); err != nil || len(list) > 0 {
			t.Errorf("of a stranger: %+v, %v", list, err)
		}
		h.restart()
	}
	// A rotation gives a new id to an old session, which stays in its place.
	rotated := h.key()
	h.must(h.Sessions.Rotate(t.Context(), rotated, want[2], h.clock.Now()))
	want[2] = rotated
	h.listed("after a rotation", ann, want...)
	h.must(h.Sessions.End(t.Context(), want[0]))
	h.listed("after a logout", ann, want[1:]...)
	// None that has ended is there, also if nothing has removed it yet.
	h.clock.Add(limits.Idle - 10*time.Second) // all but the rotated one, which was seen last
	h.clock.Add(5 * time.Second)
	h.listed("when the others were idle for too long", ann, rotated)
}

// ASVS 7.4.5
func testEndAll(t *testing.T, h *house) {
	ann, bob := h.account("Ann"), h.account("Bob")
	first, bobs := h.begin(ann), h.begin(bob)
	h.restart() // so that some are on file for long, and some are new
	early := keyAt(h.clock.Now().Add(-2 * time.Hour))
	h.must(h.Sessions.Begin(t.Context(), early, sessions.Key{}, h.session(ann), nil))
	last := h.begin(ann)
	h.must(h.Sessions.EndAll(t.Context(), sessions.Account(ann.ID)))
	h.ended("after EndAll", first, early, last)
	h.listed("after EndAll", ann)
	h.lives("Bob's", bobs, bob)
	for _, id := range []sessions.Account{sessions.Account(ann.ID), {7}} { // there is none, which is no error
		h.must(h.Sessions.EndAll(t.Context(), id))
	}
	h.lives("a new one", h.begin(ann), ann)
	h.restart()
	h.ended("after a restart", first, early, last)
	h.lives("Bob's, after a restart", bobs, bob)
}

// ASVS 7.4.3
func testEndOthers(t *testing.T, h *house) {
	ann, bob := h.account("Ann"), h.account("Bob")
	first, bobs := h.begin(ann), h.begin(bob)
	h.restart()
	here, last := h.begin(ann), h.begin(ann)
	h.must(h.Sessions.EndOthers(t.Context(), sessions.Account(ann.ID), here))
	h.ended("others", first, last)
	h.lives("the one that asks", here, ann)
	h.listed("after it", ann, here)
	h.lives("Bob's", bobs, bob)
	h.must(h.Sessions.EndOthers(t.Context(), sessions.Account(ann.ID), here)) // there are none
	h.lives("the one that asks", here, ann)
	// To spare another's session spares none of one's own, and touches none of theirs.
	h.must(h.Sessions.EndOthers(t.Context(), sessions.Account(ann.ID), bobs))
	h.ended("with a key of another", here)
	h.lives("Bob's", bobs, bob)
}

// A login during "end all others" ends up on one side or the other (ASVS 7.4.3,
// 15.4.1).
func testEndOthersAtOnce(t *testing.T, h *house) {
	ann := h.account("Ann")
	here := h.begin(ann)
	keys := make([]sessions.Key, 60)
	var all sync.WaitGroup
	for i := range keys {
		keys[i] = h.key()
		all.Go(func() {
			if err := h.Sessions.Begin(t.Context(), keys[i], sessions.Key{}, h.session(ann), nil); err != nil {
				t.Error(err)
			}
		})
		if i%10 == 5 {
			all.Go(func() {
				if err := h.Sessions.EndOthers(t.Context(), sessions.Account(ann.ID), here); err != nil {
					t.Error(err)
				}
			})
		}
	}
	all.Wait()
	want := map[sessions.Key]bool{here: true}
	for _, k := range keys {
		if h.alive(k) {
			want[k] = true
		}
	}
	for range 2 {
		list, err := h.Sessions.List(t.Context(), sessions.Account(ann.ID), 1000)
		if err != nil || len(list) != len(want) {
			t.Errorf("%d can be read, %d are listed, %v", len(want), len(list), err)
		}
		for _, s := range list {
			if !want[s.Key] {
				t.Error("one is listed and cannot be read")
			}
		}
		h.restart()
	}
	h.lives("the one that asks", here, ann)
	h.must(h.Sessions.EndOthers(t.Context(), sessions.Account(ann.ID), here))
	h.listed("at last", ann, here)
}

// ASVS 7.5.2, 8.2.2
func testEndOne(t *testing.T, h *house) {
	ann, bob := h.account("Ann"), h.account("Bob")
	k, other, bobs, nobodys := h.begin(ann), h.begin(ann), h.begin(bob), h.key()
	now := h.clock.Now()
	h.must(h.Sessions.Begin(t.Context(), nobodys, sessions.Key{}, sessions.Session{Began: now, Seen: now}, nil))
	for what, test := range map[string]struct {
		by  sessions.Account
		key sessions.Key
	}{
		"another's":       {sessions.Account(bob.ID), k},
		"nobody's":        {sessions.Account(bob.ID), nobodys},
		"by a stranger":   {sessions.Account{7}, k},
		"an unknown key":  {sessions.Account(ann.ID), h.key()},
		"no key":          {sessions.Account(ann.ID), sessions.Key{}},
		"by nobody":       {sessions.Account{}, k},
		"Bob's, by Ann":   {sessions.Account(ann.ID), bobs},
		"as before, last": {sessions.Account(bob.ID), other},
	} {
		if err := h.Sessions.EndOne(t.Context(), test.by, test.key); !errors.Is(err, sessions.ErrEnded) {
			t.Errorf("%s: %v, want ErrEnded", what, err)
		}
	}
	h.lives("Ann's", k, ann)
	h.lives("Ann's", other, ann)
	h.lives("Bob's", bobs, bob)
	if !h.alive(nobodys) {
		t.Error("nobody's has ended")
	}
	h.must(h.Sessions.EndOne(t.Context(), sessions.Account(ann.ID), k))
	h.ended("after EndOne", k)
	h.listed("after EndOne", ann, other)
	if err := h.Sessions.EndOne(t.Context(), sessions.Account(ann.ID), k); !errors.Is(err, sessions.ErrEnded) {
		t.Errorf("a second time: %v, want ErrEnded", err)
	}
	h.restart()
	h.ended("after a restart", k)
	h.lives("another, after a restart", other, ann)
}

// A context that has ended before a write begins: nothing is written, and the error
// says so.
func testEndedContext(t *testing.T, h *house) {
	ann := h.account("Ann")
	k, other := h.begin(ann), h.begin(ann)
	before := h.lives("before", k, ann)
	canceled, cancel := context.WithCancel(t.Context())
	cancel()
	late, stop := context.WithDeadline(t.Context(), time.Now().Add(-time.Second))
	defer stop()
	for ctx, want := range map[context.Context]error{canceled: context.Canceled, late: context.DeadlineExceeded} {
		begun, rotated := h.key(), h.key()
		for method, err := range map[string]error{
			"Begin":     h.Sessions.Begin(ctx, begun, k, h.session(ann), nil),
			"Change":    h.Sessions.Change(ctx, k, []byte("changed")),
			"Rotate":    h.Sessions.Rotate(ctx, rotated, k, h.clock.Now()),
			"End":       h.Sessions.End(ctx, k),
			"EndAll":    h.Sessions.EndAll(ctx, sessions.Account(ann.ID)),
			"EndOthers": h.Sessions.EndOthers(ctx, sessions.Account(ann.ID), other),
			"EndOne":    h.Sessions.EndOne(ctx, sessions.Account(ann.ID), k),
		} {
			if !errors.Is(err, want) || errors.Is(err, sessions.ErrEnded) {
				t.Errorf("%s: %v, want %v", method, err, want)
			}
		}
		h.ended("not begun", begun, rotated)
		if got := h.lives("as before", k, ann); got != before {
			t.Errorf("%+v, want %+v", got, before)
		}
		if got := h.dataOf(k); string(got) != string(data) {
			t.Errorf("data %q", got)
		}
		h.lives("as before", other, ann)
	}
	// A rotation that was not carried out makes no alias.
	h.must(h.Sessions.Change(t.Context(), k, data))
	h.restart()
	h.lives("after a restart", k, ann)
	h.lives("after a restart", other, ann)
}
