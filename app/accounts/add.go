package accounts

import (
	"context"
	"errors"
	"fmt"
)

// What the operator adds is not held to the limit of sign-ups, which is there
// for strangers. It has not logged in yet.

// AddWithPassword makes an account whose password the operator has typed, an
// administrator or not. The password is held to the rules of SignUp. The
// refusals are Invalid for name or password, ErrTaken and Busy.
func (s *Accounts) AddWithPassword(ctx context.Context, name, password string, admin bool) (Account, error) {
	n, err := ParseName(name)
	if err != nil {
		return Account{}, err
	}
	chosen, err := s.checkPassword(ctx, password, n)
	if err != nil {
		return Account{}, err
	}
	// Create decides; asking first saves the hash.
	if _, err := s.store.ByName(ctx, n.Folded()); err == nil {
		return Account{}, ErrTaken
	} else if !errors.Is(err, ErrNotFound) {
		return Account{}, fmt.Errorf("accounts: add: %w", err)
	}
	a := s.newAccount(n)
	a.Admin, a.PasswordChanged, a.PasswordVersion = admin, a.Created, firstPassword
	if a.Hash, err = s.hash(ctx, chosen); err != nil {
		return Account{}, err
	}
	if err := s.store.Create(ctx, a); err != nil {
		return Account{}, fmt.Errorf("accounts: add: %w", err)
	}
	return a, nil
}

// AddWithReset makes an account without a password, an administrator or not, and
// returns the secret with which its owner chooses one, as StartReset does. Until
// then nobody can log in to it. The refusals are Invalid for the name, and
// ErrTaken.
func (s *Accounts) AddWithReset(ctx context.Context, name string, admin bool) (a Account, secret string, err error) {
	n, err := ParseName(name)
	if err != nil {
		return Account{}, "", err
	}
	a = s.newAccount(n)
	a.Admin = admin
	if err := s.store.Create(ctx, a); err != nil {
		return Account{}, "", fmt.Errorf("accounts: add: %w", err)
	}
	secret, err = s.StartReset(ctx, a.ID)
	return a, secret, err
}
