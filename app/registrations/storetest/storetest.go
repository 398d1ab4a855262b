// Package storetest holds what every registrations.Store must do, as tests.
package storetest

import (
	"crypto/rand"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"latchkey/app/accounts"
	"latchkey/app/registrations"
)

// Stores are the two stores of one file: registrations belong to accounts.
type Stores struct {
	registrations.Store
	Accounts accounts.Store
}

// Test runs all tests, each on empty stores of its own that open returns. open
// closes them with t.Cleanup.
func Test(t *testing.T, open func(t *testing.T) Stores) {
	for _, test := range []struct {
		name string
		run  func(*testing.T, Stores)
	}{
		{"Create", testCreate},
		{"CreateTwice", testCreateTwice},
		{"CreateAtOnce", testCreateAtOnce},
		{"CreateForNobody", testCreateForNobody},
		{"NotFound", testNotFound},
		{"Delete", testDelete},
		{"DeleteAccount", testDeleteAccount},
	} {
		t.Run(test.name, func(t *testing.T) { test.run(t, open(t)) })
	}
}

// noon has nanoseconds, which a store must keep.
var noon = time.Date(2026, 3, 1, 12, 0, 0, 123456789, time.UTC)

// owner keeps a new account.
func (s Stores) owner(t *testing.T, name string) accounts.ID {
	t.Helper()
	n, err := accounts.ParseName(name)
	if err != nil {
		t.Fatal(err)
	}
	a := accounts.Account{Name: n, Hash: "hash", Created: noon, PasswordChanged: noon}
	rand.Read(a.ID[:])
	if err := s.Accounts.Create(a); err != nil {
		t.Fatal(err)
	}
	return a.ID
}

func registration(owner accounts.ID, sport string) registrations.Registration {
	r := registrations.Registration{Owner: owner, Sport: sport, At: noon}
	rand.Read(r.ID[:])
	return r
}

// create keeps a new registration.
func (s Stores) create(t *testing.T, owner accounts.ID, sport string) registrations.Registration {
	t.Helper()
	r := registration(owner, sport)
	if err := s.Create(r); err != nil {
		t.Fatalf("Create(%q): %v", sport, err)
	}
	return r
}

// has fails unless these, in this order, are all that the owner has, and Get
// agrees.
func (s Stores) has(t *testing.T, owner accounts.ID, want ...registrations.Registration) {
	t.Helper()
	list, err := s.ListOf(owner)
	if err != nil || len(list) != len(want) {
		t.Fatalf("ListOf: %+v, %v, want %+v", list, err, want)
	}
	for i, r := range want {
		if list[i] != r || list[i].At.Location() != time.UTC {
			t.Errorf("ListOf: %+v, want %+v", list[i], r)
		}
		if got, err := s.Get(r.ID); err != nil || got != r {
			t.Errorf("Get: %+v, %v, want %+v", got, err, r)
		}
	}
}

// ASVS 1.2.4: no sport crosses into what belongs to another.
func testCreate(t *testing.T, s Stores) {
	ann, bob := s.owner(t, "ann"), s.owner(t, "bob")
	// In the order of their bytes, which is the order they come back in.
	sports := []string{"\x00", "/", "Football", "Football\x00", "Football\x00" + string(bob[:]), strings.Repeat("ﷺ", 1000), "Ｆ"}
	var anns, bobs []registrations.Registration
	for _, sport := range sports {
		anns, bobs = append(anns, s.create(t, ann, sport)), append(bobs, s.create(t, bob, sport))
	}
	s.has(t, ann, anns...)
	s.has(t, bob, bobs...)
}

func testCreateTwice(t *testing.T, s Stores) {
	ann, bob := s.owner(t, "ann"), s.owner(t, "bob")
	first := s.create(t, ann, "Football")
	again := registration(ann, "Football")
	if err := s.Create(again); !errors.Is(err, registrations.ErrRegistered) {
		t.Errorf("Create again: %v, want ErrRegistered", err)
	}
	if _, err := s.Get(again.ID); !errors.Is(err, registrations.ErrNotFound) {
		t.Errorf("the registration that was refused is there: %v", err)
	}
	s.has(t, ann, first)
	s.has(t, bob, s.create(t, bob, "Football"))

	// An id that exists is a fault, and takes nothing from whoever has it.
	stolen := registration(bob, "Swimming")
	stolen.ID = first.ID
	if err := s.Create(stolen); err == nil {
		t.Error("an id was used twice")
	}
	s.has(t, ann, first)
}

// ASVS 2.3.4: no double winners.
func testCreateAtOnce(t *testing.T, s Stores) {
	ann := s.owner(t, "ann")
	var done sync.WaitGroup
	won := make(chan registrations.Registration, 16)
	for range cap(won) {
		done.Go(func() {
			r := registration(ann, "Football")
			switch err := s.Create(r); {
			case err == nil:
				won <- r
			case !errors.Is(err, registrations.ErrRegistered):
				t.Errorf("Create: %v, want ErrRegistered", err)
			}
		})
	}
	done.Wait()
	if len(won) != 1 {
		t.Fatalf("%d have won", len(won))
	}
	s.has(t, ann, <-won)
}

func testCreateForNobody(t *testing.T, s Stores) {
	gone := s.owner(t, "gone")
	if err := s.Accounts.Delete(gone); err != nil {
		t.Fatal(err)
	}
	for _, owner := range []accounts.ID{gone, {}, {1}} {
		r := registration(owner, "Football")
		if err := s.Create(r); !errors.Is(err, accounts.ErrNotFound) {
			t.Errorf("Create: %v, want accounts.ErrNotFound", err)
		}
		s.has(t, owner)
		if _, err := s.Get(r.ID); !errors.Is(err, registrations.ErrNotFound) {
			t.Errorf("a registration of nobody: %v", err)
		}
	}
}

func testNotFound(t *testing.T, s Stores) {
	ann := s.owner(t, "ann")
	r := s.create(t, ann, "Football")
	near := r.ID
	near[15]++
	for _, id := range []registrations.ID{{}, near, registrations.ID(ann)} {
		if _, err := s.Get(id); !errors.Is(err, registrations.ErrNotFound) {
			t.Errorf("Get: %v, want ErrNotFound", err)
		}
		if err := s.Delete(id); !errors.Is(err, registrations.ErrNotFound) {
			t.Errorf("Delete: %v, want ErrNotFound", err)
		}
	}
	s.has(t, ann, r)
}

func testDelete(t *testing.T, s Stores) {
	ann, bob := s.owner(t, "ann"), s.owner(t, "bob")
	football, swimming, bobs := s.create(t, ann, "Football"), s.create(t, ann, "Swimming"), s.create(t, bob, "Football")
	if err := s.Delete(football.ID); err != nil {
		t.Fatal(err)
	}
	if err := s.Delete(football.ID); !errors.Is(err, registrations.ErrNotFound) {
		t.Errorf("Delete again: %v, want ErrNotFound", err)
	}
	if _, err := s.Get(football.ID); !errors.Is(err, registrations.ErrNotFound) {
		t.Errorf("Get: %v, want ErrNotFound", err)
	}
	s.has(t, ann, swimming)
	s.has(t, bob, bobs)
	s.has(t, ann, s.create(t, ann, "Football"), swimming)
}

// Whoever takes the name later gets nothing of what was there.
func testDeleteAccount(t *testing.T, s Stores) {
	ann, bob := s.owner(t, "ann"), s.owner(t, "bob")
	gone := []registrations.Registration{s.create(t, ann, "Football"), s.create(t, ann, "Swimming")}
	bobs := s.create(t, bob, "Football")
	if err := s.Accounts.Delete(ann); err != nil {
		t.Fatal(err)
	}
	s.has(t, ann)
	for _, r := range gone {
		if _, err := s.Get(r.ID); !errors.Is(err, registrations.ErrNotFound) {
			t.Errorf("%s is there after the account: %v", r.Sport, err)
		}
	}
	s.has(t, bob, bobs)
	s.has(t, s.owner(t, "ann"))
}
