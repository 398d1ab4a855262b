package accounts_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"latchkey/app/accounts"
	"latchkey/app/accounts/storetest"
)

const (
	good    = "green bicycles sing at noon"
	another = "seven foxes paint the harbour"
)

var home = netip.MustParseAddr("192.0.2.1")

// clock is a clock that the test moves.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

// Stored returns the time as a store keeps it.
func (c *clock) Stored() time.Time { return c.Now().UTC().Truncate(time.Microsecond) }

func (c *clock) Add(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

var cheap = accounts.Cost{Memory: 64, Passes: 1, Lanes: 1}

// open returns the service on an empty store, with cheap hashes.
func open(t testing.TB, change ...func(*accounts.Settings)) (*accounts.Accounts, *memory, *clock) {
	t.Helper()
	store, now := newMemory(), &clock{now: time.Date(2026, 3, 1, 12, 0, 0, 987654321, time.FixedZone("", 3600))}
	return serve(t, store, now, change...), store, now
}

func serve(t testing.TB, store accounts.Store, now *clock, change ...func(*accounts.Settings)) *accounts.Accounts {
	t.Helper()
	settings := accounts.Settings{Title: "store", Cost: cheap, HashWait: time.Minute, SignUps: 3600}
	for _, f := range change {
		f(&settings)
	}
	s, err := accounts.New(t.Context(), storetest.Strict(t, store), settings, now.Now)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func signUp(t testing.TB, s *accounts.Accounts, name string) accounts.Account {
	t.Helper()
	a, err := s.SignUp(t.Context(), name, good, home)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// logIn logs in from the address home, in a browser that is not known.
func logIn(t testing.TB, s *accounts.Accounts, name, password string) (accounts.Account, error) {
	t.Helper()
	return s.LogIn(t.Context(), accounts.Attempt{Name: name, Password: password, From: home})
}

// refused fails the test unless err is an *Error with this kind and message.
func refused(t *testing.T, what string, err error, kind accounts.Kind, message string) {
	t.Helper()
	var refusal *accounts.Error
	if !errors.As(err, &refusal) || refusal.Kind != kind || refusal.Message != message {
		t.Errorf("%s: %v, want %q", what, err, message)
	}
}

const (
	wrong         = "The name or the password is not right."
	wrongPassword = "The password is not right."
	taken         = "This name is taken. Please choose another."
	usedLink      = "This link has been used or is too old. Please ask for a new one."
)

func TestNew(t *testing.T) {
	for _, settings := range []accounts.Settings{
		{MinPassword: 7}, {MinPassword: -1}, {MinPassword: 129}, {Cost: accounts.Cost{Memory: 64}},
		{Cost: accounts.Cost{Memory: 1 << 20, Passes: 1, Lanes: 1}}, {Hashes: -1}, {HashWait: -1}, {SignUps: -1},
	} {
		if _, err := accounts.New(t.Context(), newMemory(), settings, nil); err == nil {
			t.Errorf("%+v: no error", settings)
		}
	}
	if _, err := accounts.New(t.Context(), newMemory(), accounts.Settings{}, nil); err != nil {
		t.Errorf("zero settings: %v", err)
	}
}

// ASVS 16.2.5: no secrets in a log.
func TestAccountPrinted(t *testing.T) {
	a := accounts.Account{Name: accounts.StoredName("Alice", "alice"), Hash: "$argon2id$"}
	var log strings.Builder
	slog.New(slog.NewJSONHandler(&log, nil)).Info("test", "account", a)
	for _, printed := range []string{fmt.Sprint(a), fmt.Sprintf("%v %+v %s %q", a, a, a, a), log.String()} {
		if strings.Contains(printed, "argon2id") || !strings.Contains(printed, "Alice") {
			t.Error(printed)
		}
	}
}

func TestSignUpAndLogIn(t *testing.T) {
	s, store, now := open(t)
	a := signUp(t, s, " Alice ")
	if a.Name.String() != "Alice" || a.Admin || a.Disabled || !a.Created.Equal(now.Stored()) || a.Created.Location() != time.UTC || a.ID == (accounts.ID{}) {
		t.Errorf("signed up: %#v", a)
	}
	if !strings.HasPrefix(a.Hash, "$argon2id$v=19$m=64,t=1,p=1$") {
		t.Errorf("hash %q", a.Hash)
	}
	now.Add(time.Hour)
	got, err := logIn(t, s, "ALICE", good)
	if err != nil || got.ID != a.ID || !got.LastLogin.Equal(now.Stored()) || !got.PasswordChanged.Equal(a.PasswordChanged) {
		t.Errorf("logged in: %#v, %v", got, err)
	}
	if kept, _ := store.ByID(t.Context(), a.ID); kept != got {
		t.Errorf("on file: %#v, want %#v", kept, got)
	}
	id, err := accounts.ParseID(a.ID.String())
	if err != nil || id != a.ID || len(a.ID.String()) != 32 {
		t.Errorf("ParseID(%s): %v, %v", a.ID, id, err)
	}
	for _, s := range []string{"", "0", strings.Repeat("g", 32), strings.Repeat("A", 32), strings.Repeat("a", 33)} {
		if _, err := accounts.ParseID(s); err == nil {
			t.Errorf("ParseID(%q): no error", s)
		}
	}
}

// ASVS 6.3.2: a new store has no default accounts.
func TestNoDefaultAccounts(t *testing.T) {
	s, _, _ := open(t)
	for _, name := range []string{"admin", "root", "administrator", "test", "", "\x00"} {
		for _, password := range []string{"", "admin", good} {
			if _, err := s.LogIn(t.Context(), accounts.Attempt{Name: name, Password: password, From: home}); err == nil {
				t.Errorf("%q, %q: logged in", name, password)
			}
		}
	}
}

// ASVS 2.2.3, 2.3.4.
func TestSignUpRefused(t *testing.T) {
	s, store, _ := open(t)
	signUp(t, s, "Alice")
	for _, test := range []struct{ name, password, message string }{
		{"alice", good, taken},
		{"", good, "Please type a name."},
		{"bob", "", "Please type a password."},
		{"bob", "short", "The password is too short: 15 characters at least."},
		{"bob", "storestorestore", "The password is too easy to guess. Please take a few words that have nothing to do with each other."},
		{"bob wyklocz", "wyklocz wyklocz", "The password is made of the name or of this site's title. Please take other words."},
	} {
		_, err := s.SignUp(t.Context(), test.name, test.password, home)
		refused(t, test.name+", "+test.password, err, accounts.Invalid, test.message)
	}
	if len(store.accounts) != 1 {
		t.Errorf("%d accounts on file, want 1", len(store.accounts))
	}
	store.fault = errors.New("disk full")
	_, err := s.SignUp(t.Context(), "bob", good, home)
	if !errors.Is(err, store.fault) || errors.As(err, new(*accounts.Error)) {
		t.Errorf("with a broken store: %v", err)
	}
}

func TestSignUpAtOnce(t *testing.T) {
	s, store, _ := open(t)
	var mu sync.Mutex
	var done sync.WaitGroup
	won := 0
	for i := range 8 {
		done.Go(func() {
			_, err := s.SignUp(t.Context(), []string{"alice", "ALICE"}[i%2], good, home)
			mu.Lock()
			defer mu.Unlock()
			if err == nil {
				won++
			} else {
				refused(t, "the other", err, accounts.Invalid, taken)
			}
		})
	}
	done.Wait()
	if won != 1 || len(store.accounts) != 1 {
		t.Errorf("%d have won, %d accounts, want one", won, len(store.accounts))
	}
}

func TestSignUpThrottled(t *testing.T) {
	s, _, now := open(t, func(s *accounts.Settings) { s.SignUps = 3 })
	signUp(t, s, "a1")
	signUp(t, s, "a2")
	s.SignUp(t.Context(), "a1", good, home) // a taken name counts: the answer reveals that it exists
	_, err := s.SignUp(t.Context(), "a3", good, home)
	refused(t, "the fourth", err, accounts.TooMany, "Too many tries. Please wait 20 minutes.")
	now.Add(20 * time.Minute)
	signUp(t, s, "a3")
}

// ASVS 6.3.8: every failed login gets the same answer. ASVS 11.2.5: a corrupt
// hash is answered like a wrong password.
func TestLogInRefused(t *testing.T) {
	s, store, _ := open(t)
	signUp(t, s, "alice")
	set := func(name string, change func(*accounts.Account)) {
		a := signUp(t, s, name)
		change(&a)
		store.accounts[a.ID] = a
	}
	set("disabled", func(a *accounts.Account) { a.Disabled = true })
	set("nothing", func(a *accounts.Account) { a.Hash = "" })
	set("corrupt", func(a *accounts.Account) { a.Hash = a.Hash[:len(a.Hash)-1] })
	set("greedy", func(a *accounts.Account) { a.Hash = strings.Replace(a.Hash, "m=64", "m=4294967295", 1) })
	set("plain", func(a *accounts.Account) { a.Hash = good })
	for _, test := range [][2]string{
		{"nobody", good}, {"alice", "wrong"}, {"disabled", good}, {"nothing", good}, {"nothing", ""}, {"corrupt", good},
		{"greedy", good}, {"plain", good}, {"", good}, {"alice\x00", good}, {"\x00alice", good}, {strings.Repeat("x", 5000), good},
	} {
		a, err := logIn(t, s, test[0], test[1])
		refused(t, fmt.Sprintf("%.20q, %q", test[0], test[1]), err, accounts.Wrong, wrong)
		if a != (accounts.Account{}) {
			t.Errorf("%q: %#v", test[0], a)
		}
	}
}

// ASVS 6.2.8: the whole password is compared, case-sensitively. Composed and
// decomposed letters are equal (RFC 8265).
func TestLogInPassword(t *testing.T) {
	s, _, now := open(t)
	long := strings.Repeat("xqzvbmtrwplkjhdf", 8)
	if _, err := s.SignUp(t.Context(), "long", long, home); err != nil {
		t.Fatal(err)
	}
	if _, err := s.SignUp(t.Context(), "åsa", "blåbär växer på  hösten", home); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		name, password string
		fits           bool
	}{
		{"long", long, true}, {"long", long[:127], false}, {"long", long + "x", false}, {"long", strings.ToUpper(long), false},
		{"long", long[:127] + "g", false}, {"long", " " + long, false},
		{"åsa", "blåbär växer på  hösten", true}, {"åsa", "bla\u030abär va\u0308xer på\u00a0 hösten", true},
		{"åsa", "blåbär växer på hösten", false}, {"åsa", "Blåbär växer på  hösten", false}, {"åsa", "blabar vaxer pa  hosten", false},
	} {
		if _, err := logIn(t, s, test.name, test.password); (err == nil) != test.fits {
			t.Errorf("%s, %q: %v, want it to fit: %t", test.name, test.password, err, test.fits)
		}
		now.Add(time.Hour)
	}
}

// ASVS 11.2.2: the hash is renewed if, and only if, the cost has risen.
func TestRehash(t *testing.T) {
	s, store, now := open(t)
	a := signUp(t, s, "alice")
	costlier := serve(t, store, now, func(s *accounts.Settings) { s.Cost.Memory = 128 })
	if _, err := logIn(t, costlier, "alice", "wrong"); err == nil || store.accounts[a.ID].Hash != a.Hash {
		t.Errorf("a wrong password: %v, hash %s", err, store.accounts[a.ID].Hash)
	}
	got, err := logIn(t, costlier, "alice", good)
	if err != nil || !strings.HasPrefix(got.Hash, "$argon2id$v=19$m=128,t=1,p=1$") || store.accounts[a.ID] != got {
		t.Errorf("%v, hash %s", err, got.Hash)
	}
	if !got.PasswordChanged.Equal(a.PasswordChanged) {
		t.Error("making a hash anew is no change of the password")
	}
	for _, service := range []*accounts.Accounts{costlier, s} { // the cost stays, or falls
		if again, err := logIn(t, service, "alice", good); err != nil || again.Hash != got.Hash {
			t.Errorf("again: %v, hash %s", err, again.Hash)
		}
	}
}

// changing is a store that calls before between the check of a password and the
// write that follows.
type changing struct {
	*memory
	before func()
}

func (c changing) LoggedIn(ctx context.Context, a accounts.Account, at time.Time, rehash string) (accounts.Account, error) {
	c.before()
	return c.memory.LoggedIn(ctx, a, at, rehash)
}

func (c changing) SetPassword(ctx context.Context, a accounts.Account, hash string, at time.Time) (accounts.Account, error) {
	c.before()
	return c.memory.SetPassword(ctx, a, hash, at)
}

// ASVS 15.4.2.
func TestChangedMeanwhile(t *testing.T) {
	for what, change := range map[string]func(*memory, accounts.Account) error{
		"disabled": func(m *memory, a accounts.Account) error { return m.SetDisabled(t.Context(), a.ID, true) },
		"deleted":  func(m *memory, a accounts.Account) error { return m.Delete(t.Context(), a.ID) },
		"changed": func(m *memory, a accounts.Account) error {
			_, err := m.SetPassword(t.Context(), a, "x", a.Created)
			return err
		},
	} {
		plain, store, now := open(t)
		a := signUp(t, plain, "alice")
		s := serve(t, changing{store, func() {
			if err := change(store, a); err != nil {
				t.Error(err)
			}
		}}, now)
		_, err := logIn(t, s, "alice", good)
		refused(t, what, err, accounts.Wrong, wrong)
	}
	plain, store, now := open(t)
	a := signUp(t, plain, "alice")
	s := serve(t, changing{store, func() { store.SetPassword(t.Context(), a, "x", a.Created) }}, now)
	_, err := s.ChangePassword(t.Context(), a.ID, good, another, home)
	refused(t, "change", err, accounts.Wrong, wrongPassword)
}

// ASVS 6.3.1, for names that exist and for others.
func TestLogInThrottled(t *testing.T) {
	for _, name := range []string{"alice", "nobody", "not\x00a name"} {
		s, _, now := open(t)
		a := signUp(t, s, "alice")
		known := s.Known(a)
		for range 5 {
			_, err := logIn(t, s, name, "wrong")
			refused(t, name, err, accounts.Wrong, wrong)
		}
		_, err := logIn(t, s, name, good)
		refused(t, name, err, accounts.TooMany, "Too many tries. Please wait 15 seconds.")
		if _, err := s.LogIn(t.Context(), accounts.Attempt{Name: "alice", Password: good, From: home, Known: known}); err != nil {
			t.Errorf("a known browser: %v", err)
		}
		now.Add(15 * time.Second)
		_, err = logIn(t, s, name, good)
		if (err == nil) != (name == "alice") {
			t.Errorf("%q after the wait: %v", name, err)
		}
	}
}

func TestLogInAtOnce(t *testing.T) {
	s, _, _ := open(t)
	signUp(t, s, "alice")
	var mu sync.Mutex
	var done sync.WaitGroup
	tried := 0
	for range 100 {
		done.Go(func() {
			_, err := logIn(t, s, "alice", "wrong")
			mu.Lock()
			defer mu.Unlock()
			var refusal *accounts.Error
			if errors.As(err, &refusal) && refusal.Kind == accounts.Wrong {
				tried++
			}
		})
	}
	done.Wait()
	if tried != 5 {
		t.Errorf("%d of 100 guesses at once were checked, want 5", tried)
	}
}

// An attempt that was not checked, or that failed because of the store, does
// not count.
func TestLogInFaults(t *testing.T) {
	s, store, _ := open(t)
	signUp(t, s, "alice")
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	for range 20 {
		if _, err := s.LogIn(gone, accounts.Attempt{Name: "alice", Password: "wrong", From: home}); !errors.Is(err, context.Canceled) {
			t.Fatal(err)
		}
	}
	store.fault = errors.New("disk full")
	for range 20 {
		if _, err := logIn(t, s, "alice", good); !errors.Is(err, store.fault) || errors.As(err, new(*accounts.Error)) {
			t.Fatal(err)
		}
	}
	store.fault = nil
	if _, err := logIn(t, s, "alice", good); err != nil {
		t.Error(err)
	}
}

func TestKnown(t *testing.T) {
	s, store, now := open(t)
	a, other := signUp(t, s, "alice"), signUp(t, s, "bob")
	known := s.Known(a)
	if strings.Contains(known, a.ID.String()) || strings.Contains(known, "alice") {
		t.Errorf("%q says who it is about", known)
	}
	foreign, _, _ := open(t)
	flipped := []byte(known)
	flipped[20] ^= 1
	held := func(value string) bool {
		_, err := s.LogIn(t.Context(), accounts.Attempt{Name: "alice", Password: "wrong", From: home, Known: value})
		var refusal *accounts.Error
		return errors.As(err, &refusal) && refusal.Kind == accounts.TooMany
	}
	for range 5 {
		held("")
	}
	for what, value := range map[string]string{
		"none": "", "junk": "junk", "of another account": s.Known(other), "by another key": foreign.Known(a),
		"changed": string(flipped), "cut": known[:len(known)-1], "longer": known + "A", "spelled otherwise": known + "=", "huge": strings.Repeat("A", 1<<20),
	} {
		if !held(value) {
			t.Errorf("%s: taken for a known browser", what)
		}
	}
	if held(known) {
		t.Error("the known browser is held")
	}

	// A new password invalidates the cookie.
	changed, err := s.ChangePassword(t.Context(), a.ID, good, another, home)
	if err != nil {
		t.Fatal(err)
	}
	if !held(known) {
		t.Error("known after a change of the password")
	}
	known = s.Known(changed)
	if held(known) {
		t.Error("the new one is held")
	}

	// The cookie expires after 180 days. A date in the future is rejected.
	future := func(d time.Duration) *accounts.Accounts {
		return serve(t, store, &clock{now: now.Now().Add(d)})
	}
	for d, want := range map[time.Duration]bool{accounts.KnownFor - 1: false, accounts.KnownFor: true, -1: true} {
		s = future(d)
		for range 5 {
			held("")
		}
		if held(known) != want {
			t.Errorf("after %v: held %t", d, !want)
		}
	}
}

func TestLogInDev(t *testing.T) {
	s, store, _ := open(t)
	if _, err := s.LogInDev(t.Context(), "alice"); err == nil || errors.As(err, new(*accounts.Error)) || len(store.accounts) != 0 {
		t.Errorf("without Dev: %v, %d accounts", err, len(store.accounts))
	}
	s, store, _ = open(t, func(s *accounts.Settings) { s.Dev = true })
	a, err := s.LogInDev(t.Context(), "Alice")
	if err != nil || a.Hash != "" || a.Admin {
		t.Fatalf("%#v, %v", a, err)
	}
	if again, err := s.LogInDev(t.Context(), "alice"); err != nil || again != a {
		t.Errorf("again: %#v, %v", again, err)
	}
	_, err = s.LogInDev(t.Context(), " ")
	refused(t, "no name", err, accounts.Invalid, "Please type a name.")

	// An account without a password re-authenticates with the empty one.
	if err := s.Reauthenticate(t.Context(), a.ID, "", home); err != nil {
		t.Error(err)
	}
	refused(t, "a password", s.Reauthenticate(t.Context(), a.ID, "x", home), accounts.Wrong, wrongPassword)
	withPassword := signUp(t, s, "bob")
	refused(t, "no password", s.Reauthenticate(t.Context(), withPassword.ID, "", home), accounts.Wrong, wrongPassword)
	_, err = logIn(t, s, "alice", "")
	refused(t, "the other way in", err, accounts.Wrong, wrong)

	if err := s.SetDisabled(t.Context(), a.ID, true); err != nil {
		t.Fatal(err)
	}
	_, err = s.LogInDev(t.Context(), "alice")
	refused(t, "disabled", err, accounts.Wrong, wrong)

	var done sync.WaitGroup
	for range 8 {
		done.Go(func() {
			if _, err := s.LogInDev(t.Context(), "carol"); err != nil {
				t.Error(err)
			}
		})
	}
	done.Wait()
	if len(store.accounts) != 3 {
		t.Errorf("%d accounts, want 3", len(store.accounts))
	}
}
