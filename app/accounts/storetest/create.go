package storetest

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"latchkey/app/accounts"
)

func testCreate(t *testing.T, s accounts.Store) {
	for i, name := range []string{
		"alice", "Bob Builder", "ÅSA", "山田 太郎", `x/../%00\`, "'; DROP TABLE accounts--",
		strings.Repeat("ﷺ", 14), // each folds to 18 code points
	} {
		a := create(t, s, name, func(a *accounts.Account) {
			a.Admin, a.Disabled = i%2 == 0, i%3 == 0
			if i%2 == 1 {
				a.LastLogin = noon.Add(time.Hour)
			}
			if i == 3 {
				a.Hash, a.PasswordChanged, a.PasswordVersion = "", time.Time{}, 0
			}
		})
		same(t, read(t, s, a), a)
	}
}

func testCreateTaken(t *testing.T, s accounts.Store) {
	first := create(t, s, "Alice", disabled)
	for _, name := range []string{"Alice", "alice", "ALICE", "Ａlice"} {
		if err := s.Create(t.Context(), account(t, name)); !errors.Is(err, accounts.ErrTaken) {
			t.Errorf("Create(%q): %v, want ErrTaken", name, err)
		}
	}
	same(t, read(t, s, first), first)
	if found, err := s.List(t.Context(), "", "", 10); err != nil || len(found) != 1 {
		t.Errorf("List: %v, %v, want one account", found, err)
	}
	create(t, s, "Alice2")
}

// ASVS 2.3.4: of concurrent calls only one succeeds.
func testCreateAtOnce(t *testing.T, s accounts.Store) {
	const n = 16
	tries := make([]accounts.Account, n)
	for i := range tries {
		tries[i] = account(t, "alice")
		tries[i].Hash = fmt.Sprint(i)
	}
	won := atOnce(t, n, accounts.ErrTaken, func(i int) error { return s.Create(t.Context(), tries[i]) })
	same(t, read(t, s, tries[won]), tries[won])
	for i := range tries {
		if _, err := s.ByID(t.Context(), tries[i].ID); i != won && !errors.Is(err, accounts.ErrNotFound) {
			t.Errorf("the account that lost is there: %v", err)
		}
	}
}

// atOnce calls f n times concurrently and returns the index of the only call
// that succeeded. All others must return refusal.
func atOnce(t *testing.T, n int, refusal error, f func(i int) error) int {
	t.Helper()
	errs := make([]error, n)
	start := make(chan struct{})
	var done sync.WaitGroup
	for i := range n {
		done.Go(func() {
			<-start
			errs[i] = f(i)
		})
	}
	close(start)
	done.Wait()
	won := -1
	for i, err := range errs {
		switch {
		case err == nil && won < 0:
			won = i
		case err == nil:
			t.Fatal("two have won")
		case !errors.Is(err, refusal):
			t.Errorf("call %d: %v, want %v", i, err, refusal)
		}
	}
	if won < 0 {
		t.Fatal("nobody has won")
	}
	return won
}

func testNotFound(t *testing.T, s accounts.Store) {
	create(t, s, "alice")
	a := account(t, "nobody")
	_, byID := s.ByID(t.Context(), a.ID)
	_, byName := s.ByName(t.Context(), "nobody")
	_, byEmpty := s.ByName(t.Context(), "")
	_, bySpace := s.ByName(t.Context(), " ")
	_, byNext := s.ByName(t.Context(), "alicf")
	_, byPart := s.ByName(t.Context(), "alic")
	_, byLong := s.ByName(t.Context(), strings.Repeat("x", 100_000))
	_, loggedIn := s.LoggedIn(t.Context(), a, noon, "hash")
	_, setPassword := s.SetPassword(t.Context(), a, "hash", noon)
	for name, err := range map[string]error{
		"ByID": byID, "ByName": byName, "ByName empty": byEmpty, "ByName space": bySpace, "ByName next": byNext,
		"ByName part": byPart, "ByName long": byLong,
		"LoggedIn": loggedIn, "SetPassword": setPassword,
		"SetAdmin": s.SetAdmin(t.Context(), a.ID, true), "SetDisabled": s.SetDisabled(t.Context(), a.ID, true),
		"Delete": s.Delete(t.Context(), a.ID), "StartReset": s.StartReset(t.Context(), a.ID, [32]byte{1}, noon),
	} {
		if !errors.Is(err, accounts.ErrNotFound) {
			t.Errorf("%s: %v, want ErrNotFound", name, err)
		}
	}
	if _, err := s.ByID(t.Context(), a.ID); !errors.Is(err, accounts.ErrNotFound) {
		t.Errorf("a refusal has made an account: %v", err)
	}
}

func testList(t *testing.T, s accounts.Store) {
	for _, name := range []string{"bob", "Anna", "ann", "annabel", "ANNB", "Zoë", "ä", "anna 2"} {
		create(t, s, name)
	}
	gone := create(t, s, "annaz")
	if err := s.Delete(t.Context(), gone.ID); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		prefix, after string
		limit         int
		want          string
	}{
		{"", "", 50, "ann anna anna 2 annabel annb bob zoë ä"},
		{"", "", 3, "ann anna anna 2"},
		{"", "anna 2", 3, "annabel annb bob"},
		{"", "annac", 2, "annb bob"}, // after need not exist
		{"", "ä", 50, ""},
		{"", "", 0, ""},
		{"ann", "", 50, "ann anna anna 2 annabel annb"},
		{"anna", "", 2, "anna anna 2"},
		{"anna", "anna 2", 50, "annabel"},
		{"anna", "a", 50, "anna anna 2 annabel"}, // after sorts before the prefix
		{"anna", "b", 50, ""},
		{"ANNA", "", 50, ""}, // the store does not fold
		{"annabelle", "", 50, ""},
		{"zo", "", 50, "zoë"},
		{"ä", "", 50, "ä"},
	} {
		found, err := s.List(t.Context(), test.prefix, test.after, test.limit)
		if err != nil {
			t.Fatalf("List(%q, %q, %d): %v", test.prefix, test.after, test.limit, err)
		}
		var names []string
		for _, a := range found {
			names = append(names, a.Name.Folded())
			same(t, a, read(t, s, a))
		}
		if got := strings.Join(names, " "); got != test.want {
			t.Errorf("List(%q, %q, %d): %q, want %q", test.prefix, test.after, test.limit, got, test.want)
		}
	}
}
