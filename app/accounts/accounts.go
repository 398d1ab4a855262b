package accounts

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// Settings configures Accounts. The zero value is safe for a public server.
type Settings struct {
	Title       string        // the site's title; passwords may not be made of it
	MinPassword int           // shortest password in code points, 8 to 128; zero: 15
	Cost        Cost          // of one password hash; zero: DefaultCost
	Hashes      int           // passwords hashed in parallel; zero: GOMAXPROCS-1, but at least 1 and at most 2
	HashWait    time.Duration // longest wait for a free hashing slot; zero: 3 s
	SignUps     int           // sign-ups allowed per hour and address network; zero: 10
	Dev         bool          // development mode: enables LogInDev
}

// Accounts applies the rules for accounts, names and passwords on top of a
// Store. Its methods are safe for concurrent use. Errors that may be shown to
// the visitor are of type *Error, possibly wrapped (use errors.As). Any other
// error is an internal failure or a context error.
type Accounts struct {
	store     Store
	clock     func() time.Time
	cost      Cost
	dev       bool
	key       [32]byte
	passwords passwords
	hashing   *hashLimiter
	throttle  *throttle
}

// New returns an error if a setting is out of range or the store's key cannot
// be read. A nil clock means time.Now.
func New(ctx context.Context, store Store, settings Settings, clock func() time.Time) (*Accounts, error) {
	if clock == nil {
		clock = time.Now
	}
	s := settings
	if s.MinPassword == 0 {
		s.MinPassword = MinPassword
	}
	if s.Cost == (Cost{}) {
		s.Cost = DefaultCost()
	}
	if s.HashWait == 0 {
		s.HashWait = defaultHashWait
	}
	if s.SignUps == 0 {
		s.SignUps = 10
	}
	switch {
	case s.MinPassword < LowestMinPassword || s.MinPassword > MaxPassword:
		return nil, fmt.Errorf("accounts: shortest password %d: must be %d to %d", s.MinPassword, LowestMinPassword, MaxPassword)
	case !s.Cost.valid():
		return nil, fmt.Errorf("accounts: cost of a hash %+v: out of bounds", s.Cost)
	case s.Hashes < 0 || s.HashWait < 0 || s.SignUps < 0 || s.SignUps > 3600:
		return nil, errors.New("accounts: a limit is out of bounds")
	}
	secret, err := store.Key(ctx)
	if err != nil {
		return nil, fmt.Errorf("accounts: key: %w", err)
	}
	return &Accounts{
		store:     store,
		clock:     clock,
		cost:      s.Cost,
		dev:       s.Dev,
		key:       secret,
		passwords: passwords{min: s.MinPassword, title: s.Title},
		hashing:   newHashLimiter(s.Hashes, s.HashWait),
		throttle:  newThrottle(clock, s.SignUps),
	}, nil
}

// now returns the current time with the precision of a store, so that a value
// survives the round trip unchanged.
func (a *Accounts) now() time.Time { return a.clock().UTC().Truncate(time.Microsecond) }

// checkPassword applies the rules for new passwords and returns the normalised
// password. The check costs milliseconds of CPU, so it waits for a hashing
// slot.
func (a *Accounts) checkPassword(ctx context.Context, typed string, name Name) (password string, err error) {
	if turn := a.hashing.do(ctx, func() { password, err = a.passwords.check(typed, name) }); turn != nil {
		return "", turn
	}
	return password, err
}

// verifyPassword reports whether the typed password is that of the account, and
// returns a new hash if the stored one is weaker than the configured cost. If
// the stored hash is missing or unreadable, verifyPassword does the same work
// and reports false, so that the response time reveals nothing.
func (a *Accounts) verifyPassword(ctx context.Context, account Account, typed string) (proved bool, rehash string, err error) {
	stored, parseErr := parsePHC(account.Hash)
	if parseErr != nil {
		stored = dummyPHC(a.cost)
	}
	// Invalid input is hashed as well, to take the same time.
	password, refused := normalise(typed)
	err = a.hashing.do(ctx, func() {
		fits := stored.matches(password)
		proved = fits && parseErr == nil && refused == nil && !account.Disabled
		if proved && stored.weakerThan(a.cost) {
			rehash = newPHC(password, a.cost).String()
		}
	})
	return proved, rehash, err
}
