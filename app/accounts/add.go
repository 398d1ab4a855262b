package accounts

import (
	"context"
	"errors"
	"fmt"
)

// Accounts that the operator adds are exempt from the sign-up limit. Their
// LastLogin is zero.

// AddWithPassword creates an account with a password that the operator typed.
// The rules of SignUp apply to name and password. It returns an *Error of kind
// Invalid or Busy, or ErrTaken.
func (a *Accounts) AddWithPassword(ctx context.Context, name, password string, admin bool) (Account, error) {
	n, err := ParseName(name)
	if err != nil {
		return Account{}, err
	}
	chosen, err := a.checkPassword(ctx, password, n)
	if err != nil {
		return Account{}, err
	}
	// Create makes the final decision. This lookup only avoids a useless hash.
	if _, err := a.store.ByName(ctx, n.Folded()); err == nil {
		return Account{}, ErrTaken
	} else if !errors.Is(err, ErrNotFound) {
		return Account{}, fmt.Errorf("accounts: add: %w", err)
	}
	account := a.newAccount(n)
	account.Admin, account.PasswordChanged, account.PasswordVersion = admin, account.Created, firstPassword
	if account.Hash, err = a.hash(ctx, chosen); err != nil {
		return Account{}, err
	}
	if err := a.store.Create(ctx, account); err != nil {
		return Account{}, fmt.Errorf("accounts: add: %w", err)
	}
	return account, nil
}

// AddWithReset creates an account without a password and returns the secret of
// a reset, as StartReset does. Nobody can log in to the account until the reset
// has set a password. It returns an *Error of kind Invalid for the name, or
// ErrTaken.
func (a *Accounts) AddWithReset(ctx context.Context, name string, admin bool) (account Account, secret string, err error) {
	n, err := ParseName(name)
	if err != nil {
		return Account{}, "", err
	}
	account = a.newAccount(n)
	account.Admin = admin
	if err := a.store.Create(ctx, account); err != nil {
		return Account{}, "", fmt.Errorf("accounts: add: %w", err)
	}
	secret, err = a.StartReset(ctx, account.ID)
	return account, secret, err
}
