package storetest

import (
	"errors"
	"testing"

	"latchkey/app/accounts"
)

// ASVS 2.3.3: the last enabled administrator cannot be removed.
func testLastAdmin(t *testing.T, s accounts.Store) {
	last := create(t, s, "alice", admin)
	off := create(t, s, "bob", admin, disabled) // does not count
	plain := create(t, s, "carol")
	refused := func(what string, err error) {
		t.Helper()
		if !errors.Is(err, accounts.ErrLastAdmin) {
			t.Errorf("%s: %v, want ErrLastAdmin", what, err)
		}
		same(t, read(t, s, last), last)
	}
	done := func(what string, err error) {
		t.Helper()
		if err != nil {
			t.Fatalf("%s: %v", what, err)
		}
	}
	refused("unmake", s.SetAdmin(t.Context(), last.ID, false))
	refused("disable", s.SetDisabled(t.Context(), last.ID, true))
	refused("delete", s.Delete(t.Context(), last.ID))

	done("make again", s.SetAdmin(t.Context(), last.ID, true))
	done("enable again", s.SetDisabled(t.Context(), last.ID, false))
	done("unmake a plain one", s.SetAdmin(t.Context(), plain.ID, false))
	done("disable a plain one", s.SetDisabled(t.Context(), plain.ID, true))
	done("disable it again", s.SetDisabled(t.Context(), plain.ID, true))
	done("unmake one that is disabled", s.SetAdmin(t.Context(), off.ID, false))
	done("make it again", s.SetAdmin(t.Context(), off.ID, true))
	refused("unmake, after that", s.SetAdmin(t.Context(), last.ID, false))

	done("enable the other", s.SetDisabled(t.Context(), off.ID, false))
	done("unmake, with another left", s.SetAdmin(t.Context(), last.ID, false))
	last, off = off, last
	last.Disabled, off.Admin = false, false
	same(t, read(t, s, off), off)
	refused("delete", s.Delete(t.Context(), last.ID))

	done("make the first again", s.SetAdmin(t.Context(), off.ID, true))
	done("delete, with another left", s.Delete(t.Context(), last.ID))
	last, off.Admin = off, true
	last.Admin = true
	refused("delete", s.Delete(t.Context(), last.ID))
}

func testLastAdminAtOnce(t *testing.T, s accounts.Store) {
	a, b := create(t, s, "alice", admin), create(t, s, "bob", admin)
	won := atOnce(t, 2, accounts.ErrLastAdmin, func(i int) error {
		if i == 0 {
			return s.SetDisabled(t.Context(), a.ID, true)
		}
		return s.SetAdmin(t.Context(), b.ID, false)
	})
	left := read(t, s, []accounts.Account{b, a}[won])
	if !left.Admin || left.Disabled {
		t.Errorf("who is left: %#v, want an enabled administrator", left)
	}
}

// Without an enabled administrator, ErrLastAdmin is never returned.
func testNoAdmin(t *testing.T, s accounts.Store) {
	a, off := create(t, s, "alice"), create(t, s, "bob", admin, disabled)
	for what, err := range map[string]error{
		"disable":             s.SetDisabled(t.Context(), a.ID, true),
		"unmake":              s.SetAdmin(t.Context(), a.ID, false),
		"unmake disabled":     s.SetAdmin(t.Context(), off.ID, false),
		"delete":              s.Delete(t.Context(), a.ID),
		"delete the disabled": s.Delete(t.Context(), off.ID),
	} {
		if err != nil {
			t.Errorf("%s: %v", what, err)
		}
	}
}

func testDelete(t *testing.T, s accounts.Store) {
	a, other := create(t, s, "alice"), create(t, s, "alice2")
	if err := s.Delete(t.Context(), a.ID); err != nil {
		t.Fatal(err)
	}
	if _, err := s.ByID(t.Context(), a.ID); !errors.Is(err, accounts.ErrNotFound) {
		t.Errorf("ByID: %v, want ErrNotFound", err)
	}
	if _, err := s.ByName(t.Context(), "alice"); !errors.Is(err, accounts.ErrNotFound) {
		t.Errorf("ByName: %v, want ErrNotFound", err)
	}
	if err := s.Delete(t.Context(), a.ID); !errors.Is(err, accounts.ErrNotFound) {
		t.Errorf("Delete again: %v, want ErrNotFound", err)
	}
	same(t, read(t, s, other), other)
	again := create(t, s, "ALICE")
	same(t, read(t, s, again), again)
}
