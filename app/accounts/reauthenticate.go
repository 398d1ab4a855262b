package accounts

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
)

// Reauthenticate checks the password of somebody who is logged in, before a step that
// matters (ASVS 7.5.1). Its refusals are Wrong, TooMany, Busy and ErrNotFound.
//
// With Settings.Dev an account without a password needs none.
func (s *Accounts) Reauthenticate(ctx context.Context, id ID, password string, from netip.Addr) error {
	_, err := s.reauthenticate(ctx, id, password, from)
	return err
}

func (s *Accounts) reauthenticate(ctx context.Context, id ID, password string, from netip.Addr) (Account, error) {
	a, err := s.store.ByID(ctx, id)
	if err != nil {
		return Account{}, fmt.Errorf("accounts: re-authenticate: %w", err)
	}
	if s.dev && a.Hash == "" && password == "" && !a.Disabled {
		return a, nil
	}
	try, err := s.throttle.reauthenticate(id, from)
	if err != nil {
		return Account{}, err
	}
	ok, _, err := s.verify(ctx, a, password)
	if err != nil {
		try.undo()
		return Account{}, err
	}
	if !ok {
		return Account{}, errWrongPassword
	}
	try.passed()
	return a, nil
}

// ChangePassword puts another password in the place of the old one (ASVS 6.2.3)
// and ends all sessions of the account; the one who asked begins a new one. It
// returns the account as it is now. Its refusals are those of Reauthenticate, and Invalid
// for the new password.
func (s *Accounts) ChangePassword(ctx context.Context, id ID, old, chosen string, from netip.Addr) (Account, error) {
	a, err := s.store.ByID(ctx, id)
	if err != nil {
		return Account{}, fmt.Errorf("accounts: change password: %w", err)
	}
	password, err := s.checkPassword(ctx, chosen, a.Name)
	if err != nil {
		return Account{}, err
	}
	if a, err = s.reauthenticate(ctx, id, old, from); err != nil {
		return Account{}, err
	}
	// Only now: to others it would tell that they have guessed right.
	if same, err := normalise(old); err == nil && same == password {
		return Account{}, invalid(FieldPassword, "The new password is the old one. Please take another.")
	}
	hash, err := s.hash(ctx, password)
	if err != nil {
		return Account{}, err
	}
	a, err = s.store.SetPassword(ctx, a, hash, s.now())
	switch {
	case errors.Is(err, ErrChanged): // by another browser, since: the old one no longer fits
		return Account{}, errWrongPassword
	case err != nil:
		return Account{}, fmt.Errorf("accounts: change password: %w", err)
	}
	return a, nil
}

func (s *Accounts) hash(ctx context.Context, password string) (hash string, err error) {
	err = s.hashing.do(ctx, func() { hash = newPHC(password, s.cost).String() })
	return hash, err
}

// Delete removes the account and everything it owns, if the password fits. Its
// refusals are those of Reauthenticate, and ErrLastAdmin.
func (s *Accounts) Delete(ctx context.Context, id ID, password string, from netip.Addr) error {
	if _, err := s.reauthenticate(ctx, id, password, from); err != nil {
		return err
	}
	return s.Remove(ctx, id)
}
