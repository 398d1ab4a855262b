package accounts

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"
)

// Settings are the figures of the rules. The zero value is right for a public
// server.
type Settings struct {
	Title       string        // of the site; no part of a password
	MinPassword int           // code points, 8 to 128; zero: 15
	Cost        Cost          // of a password hash; zero: DefaultCost
	Hashes      int           // passwords worked on at once; zero: one less than cores, 2 at most
	HashWait    time.Duration // longest wait for a turn; zero: 3 s
	SignUps     int           // an hour from one address network; zero: 10
	Dev         bool          // one's own machine: LogInDev works
}

// Accounts applies the rules about who may log in to what a store keeps. Its
// methods may be called at the same time. A refusal that is fit to be shown is
// an *Error; every other error is a fault of ours or the end of a context.
type Accounts struct {
	store     Store
	clock     func() time.Time
	cost      Cost
	dev       bool
	key       [32]byte
	macs      sync.Pool // of hash.Hash, with key: to make one takes longer than to use it
	passwords passwords
	hashing   *hashing
	throttle  *throttle
}

// New checks the settings and reads the store's key. A nil clock is time.Now.
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
		s.HashWait = defaultQueue
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
		hashing:   newHashing(s.Hashes, s.HashWait),
		throttle:  newThrottle(clock, s.SignUps),
	}, nil
}

// now is the time as a store keeps it, so that what is written equals what is read
// back.
func (s *Accounts) now() time.Time { return s.clock().UTC().Truncate(time.Microsecond) }

// checkPassword applies the rules for a password that is chosen, at its turn:
// guessing takes milliseconds, and anybody may ask for it.
func (s *Accounts) checkPassword(ctx context.Context, typed string, name Name) (password string, err error) {
	if turn := s.hashing.do(ctx, func() { password, err = s.passwords.check(typed, name) }); turn != nil {
		return "", turn
	}
	return password, err
}

// verify checks a password that was typed against the account's hash, at its turn.
// It returns another hash if the stored one is below today's cost. Without a
// readable hash it does the same work and answers no.
func (s *Accounts) verify(ctx context.Context, a Account, typed string) (ok bool, rehash string, err error) {
	stored, parseErr := parsePHC(a.Hash)
	if parseErr != nil {
		stored = dummyPHC(s.cost)
	}
	// What cannot be a password fits nothing, at the same price.
	password, refused := normalise(typed)
	err = s.hashing.do(ctx, func() {
		fits := stored.fits(password)
		ok = fits && parseErr == nil && refused == nil && !a.Disabled
		if ok && stored.below(s.cost) {
			rehash = newPHC(password, s.cost).String()
		}
	})
	return ok, rehash, err
}
