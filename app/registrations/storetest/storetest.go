// Package storetest holds what every registrations.Store must do, as tests.
package storetest

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"latchkey/app/accounts"
	"latchkey/app/internal/store"
	"latchkey/app/registrations"
)

// Stores are the two stores of one engine: registrations belong to accounts.
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
		{"Insert", testInsert},
		{"InsertTwice", testInsertTwice},
		{"InsertAtOnce", testInsertAtOnce},
		{"InsertForNobody", testInsertForNobody},
		{"Pages", testPages},
		{"PagesGoOn", testPagesGoOn},
		{"Cursors", testCursors},
		{"NotFound", testNotFound},
		{"Update", testUpdate},
		{"UpdateRefused", testUpdateRefused},
		{"Delete", testDelete},
		{"DeleteAccount", testDeleteAccount},
		{"EndedContext", testEndedContext},
	} {
		t.Run(test.name, func(t *testing.T) { test.run(t, open(t)) })
	}
}

// noon has microseconds, which a store must keep.
var noon = time.Date(2026, 3, 1, 12, 0, 0, 123456000, time.UTC)

// owner keeps a new account.
func (s Stores) owner(t *testing.T, name string) accounts.ID {
	t.Helper()
	n, err := accounts.ParseName(name)
	if err != nil {
		t.Fatal(err)
	}
	a := accounts.Account{Name: n, Hash: "hash", Created: noon, PasswordChanged: noon, PasswordVersion: 1}
	rand.Read(a.ID[:])
	if err := s.Accounts.Create(t.Context(), a); err != nil {
		t.Fatal(err)
	}
	return a.ID
}

func registration(owner accounts.ID, sport string) registrations.Registration {
	r := registrations.Registration{Owner: owner, Sport: sport, At: noon}
	rand.Read(r.ID[:])
	return r
}

// insert keeps a new registration.
func (s Stores) insert(t *testing.T, owner accounts.ID, sport string) registrations.Registration {
	t.Helper()
	r := registration(owner, sport)
	if err := s.Insert(t.Context(), r); err != nil {
		t.Fatalf("Insert(%q): %v", sport, err)
	}
	return r
}

// page returns a page of the list of an owner.
func (s Stores) page(t *testing.T, owner accounts.ID, after string, limit int) (page []registrations.Registration, next string) {
	t.Helper()
	page, next, err := s.ListByOwner(t.Context(), owner, after, limit)
	if err != nil {
		t.Fatalf("ListByOwner(%q, %d): %v", after, limit, err)
	}
	if len(page) > limit {
		t.Fatalf("ListByOwner(%q, %d): %d registrations", after, limit, len(page))
	}
	return page, next
}

// has fails unless these, in this order, are all that the owner has, and Get
// agrees.
func (s Stores) has(t *testing.T, owner accounts.ID, want ...registrations.Registration) {
	t.Helper()
	list, next := s.page(t, owner, "", 1000)
	if len(list) != len(want) || next != "" {
		t.Fatalf("ListByOwner: %+v, next %q, want %+v", list, next, want)
	}
	for i, r := range want {
		if list[i] != r || list[i].At.Location() != time.UTC {
			t.Errorf("ListByOwner: %+v, want %+v", list[i], r)
		}
		if got, err := s.Get(t.Context(), r.ID); err != nil || got != r {
			t.Errorf("Get: %+v, %v, want %+v", got, err, r)
		}
	}
}

// ASVS 1.2.4: no sport crosses into what belongs to another.
func testInsert(t *testing.T, s Stores) {
	ann, bob := s.owner(t, "ann"), s.owner(t, "bob")
	// In the order of their bytes, which is the order they come back in.
	sports := []string{"\x01", "'; DROP TABLE registrations; --", "/", "Football", "Football ", "Football/" + bob.String(), "Foötball", "football", "é", "ﷺ", "Ｆ", "🏀"}
	var anns, bobs []registrations.Registration
	for _, sport := range sports {
		anns, bobs = append(anns, s.insert(t, ann, sport)), append(bobs, s.insert(t, bob, sport))
	}
	s.has(t, ann, anns...)
	s.has(t, bob, bobs...)
}

func testInsertTwice(t *testing.T, s Stores) {
	ann, bob := s.owner(t, "ann"), s.owner(t, "bob")
	first := s.insert(t, ann, "Football")
	again := registration(ann, "Football")
	if err := s.Insert(t.Context(), again); !errors.Is(err, store.ErrTaken) {
		t.Errorf("Insert again: %v, want store.ErrTaken", err)
	}
	if _, err := s.Get(t.Context(), again.ID); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("the registration that was refused is there: %v", err)
	}
	s.has(t, ann, first)
	s.has(t, bob, s.insert(t, bob, "Football"))

	// An id that exists is a fault, and takes nothing from whoever has it.
	stolen := registration(bob, "Swimming")
	stolen.ID = first.ID
	if err := s.Insert(t.Context(), stolen); err == nil {
		t.Error("an id was used twice")
	}
	s.has(t, ann, first)
}

// ASVS 2.3.4: no double winners.
func testInsertAtOnce(t *testing.T, s Stores) {
	ann := s.owner(t, "ann")
	var done sync.WaitGroup
	won := make(chan registrations.Registration, 16)
	for range cap(won) {
		done.Go(func() {
			r := registration(ann, "Football")
			switch err := s.Insert(t.Context(), r); {
			case err == nil:
				won <- r
			case !errors.Is(err, store.ErrTaken):
				t.Errorf("Insert: %v, want store.ErrTaken", err)
			}
		})
	}
	done.Wait()
	if len(won) != 1 {
		t.Fatalf("%d have won", len(won))
	}
	s.has(t, ann, <-won)
}

func testInsertForNobody(t *testing.T, s Stores) {
	gone := s.owner(t, "gone")
	if err := s.Accounts.Delete(t.Context(), gone); err != nil {
		t.Fatal(err)
	}
	for _, owner := range []accounts.ID{gone, {}, {1}} {
		r := registration(owner, "Football")
		if err := s.Insert(t.Context(), r); !errors.Is(err, accounts.ErrNotFound) {
			t.Errorf("Insert: %v, want accounts.ErrNotFound", err)
		}
		s.has(t, owner)
		if _, err := s.Get(t.Context(), r.ID); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("a registration of nobody: %v", err)
		}
	}
}

func testNotFound(t *testing.T, s Stores) {
	ann := s.owner(t, "ann")
	r := s.insert(t, ann, "Football")
	near := r.ID
	near[15]++
	for _, id := range []registrations.ID{{}, near, registrations.ID(ann)} {
		if _, err := s.Get(t.Context(), id); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("Get: %v, want store.ErrNotFound", err)
		}
		if err := s.Update(t.Context(), registrations.Registration{ID: id, Owner: ann, Sport: "Climbing", At: noon}); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("Update: %v, want store.ErrNotFound", err)
		}
		if err := s.Delete(t.Context(), id); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("Delete: %v, want store.ErrNotFound", err)
		}
	}
	s.has(t, ann, r)
}

// Whatever changes, the list follows, and the sport that was left is free again.
func testUpdate(t *testing.T, s Stores) {
	ann, bob := s.owner(t, "ann"), s.owner(t, "bob")
	r, other := s.insert(t, ann, "Football"), s.insert(t, ann, "Swimming")
	bobs := s.insert(t, bob, "Climbing")
	update := func() {
		t.Helper()
		if err := s.Update(t.Context(), r); err != nil {
			t.Fatal(err)
		}
	}
	for _, note := range []string{"one line", "many\n\n\tlines", "<b>é ﷺ 🏀</b>", strings.Repeat("🏀", registrations.MaxNote), ""} {
		r.Note = note
		update()
		s.has(t, ann, r, other)
	}
	r.Note, r.Sport, r.At = "kept", "Tennis", noon.Add(time.Hour)
	update()
	s.has(t, ann, other, r)
	update() // the same again
	s.has(t, ann, other, r)
	again := s.insert(t, ann, "Football")
	s.has(t, ann, again, other, r)
	s.has(t, bob, bobs)
	if err := s.Delete(t.Context(), r.ID); err != nil {
		t.Fatal(err)
	}
	s.has(t, ann, again, other, s.insert(t, ann, "Tennis"))
}

// A refused Update changes nothing.
func testUpdateRefused(t *testing.T, s Stores) {
	ann, bob := s.owner(t, "ann"), s.owner(t, "bob")
	r, other := s.insert(t, ann, "Football"), s.insert(t, ann, "Swimming")
	taken := r
	taken.Sport, taken.Note = other.Sport, "lost"
	if err := s.Update(t.Context(), taken); !errors.Is(err, store.ErrTaken) {
		t.Errorf("a sport that the owner has: %v, want store.ErrTaken", err)
	}
	stolen := r
	stolen.Owner = bob
	if err := s.Update(t.Context(), stolen); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("another owner: %v, want store.ErrNotFound", err)
	}
	s.has(t, ann, r, other)
	s.has(t, bob)
	r.Sport = "Climbing"
	if err := s.Delete(t.Context(), r.ID); err != nil {
		t.Fatal(err)
	}
	if err := s.Update(t.Context(), r); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("a registration that is gone: %v, want store.ErrNotFound", err)
	}
	s.has(t, ann, other)
}

func testDelete(t *testing.T, s Stores) {
	ann, bob := s.owner(t, "ann"), s.owner(t, "bob")
	football, swimming, bobs := s.insert(t, ann, "Football"), s.insert(t, ann, "Swimming"), s.insert(t, bob, "Football")
	if err := s.Delete(t.Context(), football.ID); err != nil {
		t.Fatal(err)
	}
	if err := s.Delete(t.Context(), football.ID); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("Delete again: %v, want store.ErrNotFound", err)
	}
	if _, err := s.Get(t.Context(), football.ID); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("Get: %v, want store.ErrNotFound", err)
	}
	s.has(t, ann, swimming)
	s.has(t, bob, bobs)
	s.has(t, ann, s.insert(t, ann, "Football"), swimming)
}

// Whoever takes the name later gets nothing of what was there.
func testDeleteAccount(t *testing.T, s Stores) {
	ann, bob := s.owner(t, "ann"), s.owner(t, "bob")
	gone := []registrations.Registration{s.insert(t, ann, "Football"), s.insert(t, ann, "Swimming")}
	bobs := s.insert(t, bob, "Football")
	if err := s.Accounts.Delete(t.Context(), ann); err != nil {
		t.Fatal(err)
	}
	s.has(t, ann)
	for _, r := range gone {
		if _, err := s.Get(t.Context(), r.ID); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("%s is there after the account: %v", r.Sport, err)
		}
	}
	s.has(t, bob, bobs)
	s.has(t, s.owner(t, "ann"))
}

// named keeps n registrations of an account, in the byte order of their sports.
func (s Stores) named(t *testing.T, owner accounts.ID, n int) (all []registrations.Registration) {
	t.Helper()
	for i := range n {
		all = append(all, s.insert(t, owner, fmt.Sprintf("Sport %03d", i)))
	}
	return all
}

// Pages of every size add up to the whole list, each registration once, and there
// is no empty page at the end.
func testPages(t *testing.T, s Stores) {
	ann, bob := s.owner(t, "ann"), s.owner(t, "bob")
	const n = 12
	want := s.named(t, ann, n)
	s.named(t, bob, n)
	for limit := 1; limit <= n+1; limit++ {
		var got []registrations.Registration
		pages := 0
		for after := ""; ; {
			page, next := s.page(t, ann, after, limit)
			got = append(got, page...)
			if pages++; next == "" {
				break
			}
			if len(page) != limit || next == after || pages > n {
				t.Fatalf("limit %d: a page of %d, next %q after %q", limit, len(page), next, after)
			}
			after = next
		}
		if !slices.Equal(got, want) || pages != (n+limit-1)/limit {
			t.Errorf("limit %d: %d registrations on %d pages", limit, len(got), pages)
		}
	}
	if page, next := s.page(t, s.owner(t, "cid"), "", 1); len(page) != 0 || next != "" {
		t.Errorf("of an account without any: %+v, next %q", page, next)
	}
}

// A cursor goes on behind a registration that was removed, and what is added
// meanwhile is there or not by its place.
func testPagesGoOn(t *testing.T, s Stores) {
	ann := s.owner(t, "ann")
	all := s.named(t, ann, 6)
	first, next := s.page(t, ann, "", 2)
	if !slices.Equal(first, all[:2]) || next == "" {
		t.Fatalf("the first page: %+v, next %q", first, next)
	}
	for _, r := range all[1:3] { // the last of that page, and the first of the next
		if err := s.Delete(t.Context(), r.ID); err != nil {
			t.Fatal(err)
		}
	}
	s.insert(t, ann, "Sport 000 and before the cursor")
	behind := s.insert(t, ann, "Sport 001 and behind the cursor")
	second, last := s.page(t, ann, next, 2)
	if !slices.Equal(second, []registrations.Registration{behind, all[3]}) || last == "" {
		t.Errorf("the second page: %+v, next %q", second, last)
	}
	for _, r := range all[3:] {
		if err := s.Delete(t.Context(), r.ID); err != nil {
			t.Fatal(err)
		}
	}
	if page, next := s.page(t, ann, last, 2); len(page) != 0 || next != "" {
		t.Errorf("with none left: %+v, next %q", page, next)
	}
}

// A cursor comes back from a browser, so it may be anything. It never shows what
// belongs to another (ASVS 8.2.2).
func testCursors(t *testing.T, s Stores) {
	ann, bob := s.owner(t, "ann"), s.owner(t, "bob")
	anns := s.named(t, ann, 4)
	s.named(t, bob, 4)
	_, bobs := s.page(t, bob, "", 2)
	page, next, err := s.ListByOwner(t.Context(), ann, bobs, 10)
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		t.Errorf("a cursor of another: %v", err)
	}
	for _, r := range page {
		if r.Owner != ann || !slices.Contains(anns, r) {
			t.Errorf("a cursor of another shows %+v", r)
		}
	}
	if err != nil && (len(page) > 0 || next != "") {
		t.Errorf("a page with an error: %+v, next %q, %v", page, next, err)
	}
	for _, after := range []string{" ", "0", "zz", "nonsense", "%00", "é", "../..", "'; --", "Sport 001", anns[0].ID.String() + "0", strings.Repeat("x", 10_000)} {
		page, next, err := s.ListByOwner(t.Context(), ann, after, 10)
		if !errors.Is(err, store.ErrNotFound) || len(page) > 0 || next != "" {
			t.Errorf("after %.20q: %+v, next %q, %v, want store.ErrNotFound", after, page, next, err)
		}
	}
	s.has(t, ann, anns...)
}

// A context that has ended before a write begins: nothing is written.
func testEndedContext(t *testing.T, s Stores) {
	ann := s.owner(t, "ann")
	kept := s.insert(t, ann, "Football")
	canceled, cancel := context.WithCancel(t.Context())
	cancel()
	late, stop := context.WithDeadline(t.Context(), time.Now().Add(-time.Second))
	defer stop()
	for ctx, want := range map[context.Context]error{canceled: context.Canceled, late: context.DeadlineExceeded} {
		if err := s.Insert(ctx, registration(ann, "Swimming")); !errors.Is(err, want) {
			t.Errorf("Insert: %v, want %v", err, want)
		}
		changed := kept
		changed.Note = "lost"
		if err := s.Update(ctx, changed); !errors.Is(err, want) {
			t.Errorf("Update: %v, want %v", err, want)
		}
		if err := s.Store.Delete(ctx, kept.ID); !errors.Is(err, want) {
			t.Errorf("Delete: %v, want %v", err, want)
		}
		s.has(t, ann, kept)
	}
}
