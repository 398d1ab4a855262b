package accounts

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
)

// Reauthenticate checks the password of an account that is logged in, before a critical
// step (ASVS 7.5.1). It returns ErrNotFound or an *Error of kind Wrong, TooMany
// or Busy.
//
// With Settings.Dev, the empty password is right for an account without a
// password.
func (a *Accounts) Reauthenticate(ctx context.Context, id ID, password string, from netip.Addr) error {
	_, err := a.reauthenticate(ctx, id, password, from)
	return err
}

func (a *Accounts) reauthenticate(ctx context.Context, id ID, password string, from netip.Addr) (Account, error) {
	account, err := a.store.ByID(ctx, id)
	if err != nil {
		return Account{}, fmt.Errorf("accounts: re-authenticate: %w", err)
	}
	if a.dev && account.Hash == "" && password == "" && !account.Disabled {
		return account, nil
	}
	try, err := a.throttle.reauthenticate(id, from)
	if err != nil {
		return Account{}, err
	}
	proved, _, err := a.verifyPassword(ctx, account, password)
	if err != nil {
		try.undo()
		return Account{}, err
	}
	if !proved {
		return Account{}, errWrongPassword
	}
	try.succeeded()
	return account, nil
}

// ChangePassword replaces the password (ASVS 6.2.3) and ends all sessions of
// the account. The caller begins a new session for the browser that made the
// request. It returns the updated account. Errors are those of Reauthenticate, and an
// *Error of kind Invalid for the new password.
func (a *Accounts) ChangePassword(ctx context.Context, id ID, old, chosen string, from netip.Addr) (Account, error) {
	account, err := a.store.ByID(ctx, id)
	if err != nil {
		return Account{}, fmt.Errorf("accounts: change password: %w", err)
	}
	password, err := a.checkPassword(ctx, chosen, account.Name)
	if err != nil {
		return Account{}, err
	}
	if account, err = a.reauthenticate(ctx, id, old, from); err != nil {
		return Account{}, err
	}
	// Compare only after the check of the old password: earlier, this message
	// would confirm a correct guess.
	if same, err := normalise(old); err == nil && same == password {
		return Account{}, invalid(FieldPassword, "The new password is the old one. Please take another.")
	}
	hash, err := a.hash(ctx, password)
	if err != nil {
		return Account{}, err
	}
	account, err = a.store.SetPassword(ctx, account, hash, a.now())
	switch {
	case errors.Is(err, ErrChanged): // by a concurrent request: the old password is no longer valid
		return Account{}, errWrongPassword
	case err != nil:
		return Account{}, fmt.Errorf("accounts: change password: %w", err)
	}
	return account, nil
}

func (a *Accounts) hash(ctx context.Context, password string) (hash string, err error) {
	err = a.hashing.do(ctx, func() { hash = newPHC(password, a.cost).String() })
	return hash, err
}

// Delete checks the password and deletes the account with everything it owns.
// Errors are those of Reauthenticate, and ErrLastAdmin.
func (a *Accounts) Delete(ctx context.Context, id ID, password string, from netip.Addr) error {
	if _, err := a.reauthenticate(ctx, id, password, from); err != nil {
		return err
	}
	return a.Remove(ctx, id)
}
