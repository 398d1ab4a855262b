package registrations_test

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"latchkey/app/accounts"
	"latchkey/app/registrations"
)

// one is a store that holds one registration at most, and fails once it is told.
type one struct {
	held  registrations.Registration
	fault error
}

func (o *one) Create(r registrations.Registration) error {
	if o.fault == nil {
		o.held = r
	}
	return o.fault
}

func (o *one) Get(id registrations.ID) (registrations.Registration, error) {
	if o.fault == nil && o.held.ID != id {
		return registrations.Registration{}, registrations.ErrNotFound
	}
	return o.held, o.fault
}

func (o *one) ListOf(accounts.ID) ([]registrations.Registration, error) {
	return []registrations.Registration{o.held}, o.fault
}

func (o *one) Delete(id registrations.ID) error {
	if o.fault == nil && o.held.ID == id {
		o.held = registrations.Registration{}
	}
	return o.fault
}

var ann, bob = accounts.ID{1}, accounts.ID{2}

// ASVS 2.2.1: by a list of what is right.
func TestRegister(t *testing.T) {
	for _, sport := range registrations.Sports() {
		store := &one{}
		r, err := registrations.New(store, nil).Register(ann, sport)
		if err != nil || r != store.held || r.Owner != ann || r.Sport != sport || r.ID == (registrations.ID{}) || r.At.IsZero() {
			t.Errorf("%s: %+v, %v", sport, r, err)
		}
	}
	for _, sport := range []string{"", " ", "football", "Football ", "Football\x00", "Chess", strings.Repeat("x", 100_000)} {
		store := &one{}
		if _, err := registrations.New(store, nil).Register(ann, sport); !errors.Is(err, registrations.ErrSport) || store.held.Sport != "" {
			t.Errorf("%.20q: %v, kept %+v", sport, err, store.held)
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
		store := &one{}
		all := registrations.New(store, nil)
		r, err := all.Register(ann, "Football")
		if err != nil {
			t.Fatal(err)
		}
		want := error(nil)
		if !test.may {
			want = registrations.ErrNotFound
		}
		if got, err := all.Get(r.ID, test.by, test.admin); !errors.Is(err, want) || got != r {
			t.Errorf("Get by %s: %+v, %v, want %v", name, got, err, want)
		}
		if got, err := all.Deregister(r.ID, test.by, test.admin); !errors.Is(err, want) || got != r {
			t.Errorf("Deregister by %s: %+v, %v, want %v", name, got, err, want)
		}
		if gone := store.held.Sport == ""; gone != test.may {
			t.Errorf("by %s: gone %t", name, gone)
		}
		if _, err := all.Deregister(registrations.ID{9}, test.by, test.admin); !errors.Is(err, registrations.ErrNotFound) {
			t.Errorf("of nothing, by %s: %v", name, err)
		}
	}
}

// A fault is no refusal: it must not be shown.
func TestFaults(t *testing.T) {
	store := &one{}
	all := registrations.New(store, nil)
	r, err := all.Register(ann, "Football")
	if err != nil {
		t.Fatal(err)
	}
	store.fault = errors.New("no disk")
	_, register := all.Register(ann, "Football")
	_, list := all.ListOf(ann)
	_, get := all.Get(r.ID, ann, false)
	_, deregister := all.Deregister(r.ID, ann, false)
	for _, err := range []error{register, list, get, deregister} {
		var refusal *accounts.Error
		if !errors.Is(err, store.fault) || errors.As(err, &refusal) {
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
