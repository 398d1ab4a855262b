package accounts

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
)

// SignUp makes an account for a visitor. Of two at once with one name, one gets
// ErrTaken. The others of its refusals are Invalid for name or password, or for both
// joined, TooMany
// for the address network, which tells at most a few names an hour that are
// taken, and Busy.
func (s *Accounts) SignUp(ctx context.Context, name, password string, from netip.Addr) (Account, error) {
	n, wrongName := ParseName(name)
	chosen, err := s.checkPassword(ctx, password, n)
	if err = errors.Join(wrongName, err); err != nil {
		return Account{}, err
	}
	try, err := s.throttle.signUp(from)
	if err != nil {
		return Account{}, err
	}
	// Create decides; asking first saves the hash.
	if _, err := s.store.ByName(ctx, n.Folded()); err == nil {
		return Account{}, ErrTaken
	} else if !errors.Is(err, ErrNotFound) {
		try.undo()
		return Account{}, fmt.Errorf("accounts: sign up: %w", err)
	}
	a := s.newAccount(n)
	if err := s.hashing.do(ctx, func() { a.Hash = newPHC(chosen, s.cost).String() }); err != nil {
		try.undo()
		return Account{}, err
	}
	a.PasswordChanged, a.PasswordVersion, a.LastLogin = a.Created, firstPassword, a.Created
	if err := s.store.Create(ctx, a); err != nil {
		return Account{}, fmt.Errorf("accounts: sign up: %w", err)
	}
	return a, nil
}

// firstPassword is the PasswordVersion of an account that is made with a password.
// Without one it has 0.
const firstPassword = 1

// newAccount returns an account without a password.
func (s *Accounts) newAccount(n Name) Account {
	return Account{ID: NewID(), Name: n, Created: s.now()}
}
