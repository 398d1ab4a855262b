package registrations_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"latchkey/app/accounts"
	"latchkey/app/internal/store"
	"latchkey/app/registrations"
)

// one is a store that holds one registration at most, and fails once it is told.
type one struct {
	held  registrations.Registration
	fault error
}

func (o *one) Insert(_ context.Context, r registrations.Registration) error {
	if o.fault == nil {
		o.held = r
	}
	return o.fault
}

func (o *one) Get(_ context.Context, id registrations.ID) (registrations.Registration, error) {
	if o.fault == nil && o.held.ID != id {
		return registrations.Registration{}, fmt.Errorf("of the test: %w", store.ErrNotFound)
	}
	return o.held, o.fault
}

func (o *one) ListByOwner(context.Context, accounts.ID, string, int) ([]registrations.Registration, string, error) {
	return []registrations.Registration{o.held}, "", o.fault
}

func (o *one) Delete(_ context.Context, id registrations.ID) error {
	if o.fault == nil && o.held.ID == id {
		o.held = registrations.Registration{}
	}
	return o.fault
}

var ann, bob = accounts.ID{1}, accounts.ID{2}

// ASVS 2.2.1: by a list of what is right.
func TestRegister(t *testing.T) {
	for _, sport := range registrations.Sports() {
		kept := &one{}
		r, err := registrations.New(kept, nil).Register(t.Context(), ann, sport)
		if err != nil || r != kept.held || r.Owner != ann || r.Sport != sport || r.ID == (registrations.ID{}) || r.At.IsZero() {
			t.Errorf("%s: %+v, %v", sport, r, err)
		}
	}
	for _, sport := range []string{"", " ", "football", "Football ", "Football\x00", "Chess", strings.Repeat("x", 100_000)} {
		kept := &one{}
		if _, err := registrations.New(kept, nil).Register(t.Context(), ann, sport); !errors.Is(err, registrations.ErrSport) || kept.held.Sport != "" {
			t.Errorf("%.20q: %v, kept %+v", sport, err, kept.held)
		}
	}
}

// ASVS 8.2.2: by its owner or an administrator.
func TestDeregister(t *testing.T) {
	for name, test := range map[string]struct {
		by    accounts.ID
		admin bool
		may   bool
	}{
		"its owner":                {ann, false, true},
		"another":                  {bob, false, false},
		"nobody":                   {accounts.ID{}, false, false},
		"an administrator":         {bob, true, true},
		"its owner, administrator": {ann, true, true},
	} {
		kept := &one{}
		all := registrations.New(kept, nil)
		r, err := all.Register(t.Context(), ann, "Football")
		if err != nil {
			t.Fatal(err)
		}
		want := error(nil)
		if !test.may {
			want = registrations.ErrNotFound
		}
		if got, err := all.Get(t.Context(), r.ID, test.by, test.admin); !errors.Is(err, want) || got != r {
			t.Errorf("Get by %s: %+v, %v, want %v", name, got, err, want)
		}
		if got, err := all.Deregister(t.Context(), r.ID, test.by, test.admin); !errors.Is(err, want) || got != r {
			t.Errorf("Deregister by %s: %+v, %v, want %v", name, got, err, want)
		}
		if gone := kept.held.Sport == ""; gone != test.may {
			t.Errorf("by %s: gone %t", name, gone)
		}
		if _, err := all.Deregister(t.Context(), registrations.ID{9}, test.by, test.admin); !errors.Is(err, registrations.ErrNotFound) {
			t.Errorf("of nothing, by %s: %v", name, err)
		}
	}
}

// A fault is no refusal: it must not be shown.
func TestFaults(t *testing.T) {
	kept := &one{}
	all := registrations.New(kept, nil)
	r, err := all.Register(t.Context(), ann, "Football")
	if err != nil {
		t.Fatal(err)
	}
	kept.fault = errors.New("no disk")
	_, register := all.Register(t.Context(), ann, "Football")
	_, list := all.ListOf(t.Context(), ann)
	_, get := all.Get(t.Context(), r.ID, ann, false)
	_, deregister := all.Deregister(t.Context(), r.ID, ann, false)
	for _, err := range []error{register, list, get, deregister} {
		var refusal *accounts.Error
		if !errors.Is(err, kept.fault) || errors.As(err, &refusal) {
			t.Errorf("%v", err)
		}
	}
}

func TestSportsOpen(t *testing.T) {
	all := registrations.Sports()
	open := registrations.Open([]registrations.Registration{{Sport: all[0]}, {Sport: "no longer on the list"}})
	if !slices.Equal(open, all[1:]) {
		t.Errorf("open: %q, want %q", open, all[1:])
	}
	// The list is a copy: whoever changes it changes only their own.
	all[0] = "changed"
	if slices.Contains(registrations.Sports(), "changed") {
		t.Error("the list of sports can be changed")
	}
}

func TestParseID(t *testing.T) {
	id := registrations.ID{0xab, 15: 1}
	if got, err := registrations.ParseID(id.String()); err != nil || got != id {
		t.Errorf("%s is read as %s, %v", id, got, err)
	}
	for _, s := range []string{"", "ab", strings.ToUpper(id.String()), id.String() + "0", id.String()[:31] + "g", id.String()[:30] + "é"} {
		if _, err := registrations.ParseID(s); !errors.Is(err, registrations.ErrNotFound) {
			t.Errorf("%q: %v, want ErrNotFound", s, err)
		}
	}
}

// What a store refuses in its own words, the visitor reads in ours.
func TestRefusals(t *testing.T) {
	id := registrations.ID{1}
	for _, test := range []struct{ fault, want error }{
		{store.ErrTaken, registrations.ErrRegistered},
		{store.ErrNotFound, registrations.ErrNotFound},
		{accounts.ErrNotFound, accounts.ErrNotFound},
	} {
		all := registrations.New(&one{fault: fmt.Errorf("of the test: %w", test.fault)}, nil)
		_, register := all.Register(t.Context(), ann, "Football")
		_, get := all.Get(t.Context(), id, ann, true)
		_, deregister := all.Deregister(t.Context(), id, ann, true)
		for what, err := range map[string]error{"Register": register, "Get": get, "Deregister": deregister} {
			var refusal *accounts.Error
			if !errors.Is(err, test.want) || !errors.As(err, &refusal) {
				t.Errorf("%s with %v: %v, want %v", what, test.fault, err, test.want)
			}
		}
	}
	// A fault that any engine may have stays what it is.
	for _, fault := range []error{store.ErrBusy, store.ErrFull, store.ErrDamaged, context.DeadlineExceeded} {
		var refusal *accounts.Error
		_, err := registrations.New(&one{fault: fault}, nil).Register(t.Context(), ann, "Football")
		if !errors.Is(err, fault) || errors.As(err, &refusal) {
			t.Errorf("Register with %v: %v", fault, err)
		}
	}
}

// paged is a store whose lists have many pages.
type paged struct {
	one
	pages  [][]registrations.Registration
	asked  []string
	failed error // of the last page
}

func (p *paged) ListByOwner(_ context.Context, owner accounts.ID, after string, limit int) ([]registrations.Registration, string, error) {
	if limit < 1 {
		return nil, "", errors.New("a page without room")
	}
	i := len(p.asked)
	p.asked = append(p.asked, after)
	if i == len(p.pages)-1 {
		return p.pages[i], "", p.failed
	}
	return p.pages[i], fmt.Sprint("cursor ", i), nil
}

func TestListOfReadsAllPages(t *testing.T) {
	sports := func(list []registrations.Registration) (sports []string) {
		for _, r := range list {
			sports = append(sports, r.Sport)
		}
		return sports
	}
	kept := &paged{pages: [][]registrations.Registration{{{Sport: "a"}, {Sport: "b"}}, {{Sport: "c"}}, {}}}
	list, err := registrations.New(kept, nil).ListOf(t.Context(), ann)
	if err != nil || !slices.Equal(sports(list), []string{"a", "b", "c"}) || !slices.Equal(kept.asked, []string{"", "cursor 0", "cursor 1"}) {
		t.Errorf("%q, %v, asked after %q", sports(list), err, kept.asked)
	}
	// A part of the list must not pass for the list.
	broken := errors.New("no disk")
	kept = &paged{pages: kept.pages, failed: broken}
	if list, err := registrations.New(kept, nil).ListOf(t.Context(), ann); !errors.Is(err, broken) || list != nil {
		t.Errorf("%q, %v", sports(list), err)
	}
}

// What Register returns is what a store gives back: microseconds, in UTC.
func TestTimesAreThoseOfAStore(t *testing.T) {
	clock := func() time.Time { return time.Date(2026, 3, 1, 12, 0, 0, 123456789, time.FixedZone("", 3600)) }
	r, err := registrations.New(&one{}, clock).Register(t.Context(), ann, "Football")
	if want := time.Date(2026, 3, 1, 11, 0, 0, 123456000, time.UTC); err != nil || r.At != want {
		t.Errorf("%v, %v, want %v", r.At, err, want)
	}
}
