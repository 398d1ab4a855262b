package registrations_test

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"latchkey/app/accounts"
	"latchkey/app/registrations"
)

var ann = accounts.ID{1}

// What New returns is what a store gives back: microseconds, in UTC.
func TestNew(t *testing.T) {
	a, b := registrations.New(ann), registrations.New(ann)
	if a.ID == b.ID || a.ID == (registrations.ID{}) || a.Owner != ann || a.Sport+a.Note != "" {
		t.Errorf("%+v, %+v", a, b)
	}
	if a.At.Location() != time.UTC || a.At != a.At.Truncate(time.Microsecond) || time.Since(a.At) > time.Minute {
		t.Errorf("at %v", a.At)
	}
}

// ASVS 2.2.1: by a list of what is right.
func TestSport(t *testing.T) {
	for _, sport := range registrations.Sports() {
		r := registrations.New(ann)
		if err := r.Set(sport, ""); err != nil || r.Sport != sport || r.Owner != ann {
			t.Errorf("%s: %+v, %v", sport, r, err)
		}
	}
	for _, sport := range []string{"", " ", "football", "Football ", "Football\x00", "Chess", strings.Repeat("x", 100_000)} {
		r := registrations.New(ann)
		before := r
		if err := r.Set(sport, "note"); !errors.Is(err, registrations.ErrSport) || r != before {
			t.Errorf("%.20q: %v, %+v", sport, err, r)
		}
	}
	// One that was taken off the list stays.
	r := registrations.New(ann)
	r.Sport = "Croquet"
	if err := r.Set("Croquet", "note"); err != nil || r.Note != "note" {
		t.Errorf("%+v, %v", r, err)
	}
}

func TestNote(t *testing.T) {
	longest := strings.Repeat("🏀", registrations.MaxNote)
	for typed, want := range map[string]string{"": "", " a\r\nb\rc ": "a\nb\nc", "a\x00b\xff": "a\uFFFDb\uFFFD", longest: longest, longest + "\n": longest} {
		r := registrations.New(ann)
		if err := r.Set("Football", typed); err != nil || r.Note != want {
			t.Errorf("%.20q: %.20q, %v, want %.20q", typed, r.Note, err, want)
		}
	}
	for _, typed := range []string{longest + "x", strings.Repeat("x", 100_000), longest[:4] + "\n" + longest} {
		r := registrations.New(ann)
		before := r
		if err := r.Set("Football", typed); !errors.Is(err, registrations.ErrNote) || r != before {
			t.Errorf("%.20q: %v, %+v", typed, err, r)
		}
		if err := r.Set("Chess", typed); !errors.Is(err, registrations.ErrNote) || !errors.Is(err, registrations.ErrSport) || r != before {
			t.Errorf("two mistakes: %v, %+v", err, r)
		}
	}
}

// Every refusal may be shown, beside the field it belongs to.
func TestRefusalsHaveAField(t *testing.T) {
	for err, field := range map[error]string{registrations.ErrSport: "sport", registrations.ErrTaken: "sport", registrations.ErrNote: "note"} {
		var refusal *accounts.Error
		if !errors.As(err, &refusal) || refusal.Kind != accounts.Invalid || refusal.Field != field || refusal.Message == "" {
			t.Errorf("%+v", err)
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
