package accounts

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
)

// SignUp creates an account for a visitor. It returns ErrTaken or an *Error of
// kind Invalid (name or password, or both joined), TooMany (for the address network) or Busy.
// ErrTaken reveals that a name exists; the limit bounds that to a few names an
// hour.
func (a *Accounts) SignUp(ctx context.Context, name, password string, from netip.Addr) (Account, error) {
	n, wrongName := ParseName(name)
	chosen, err := a.checkPassword(ctx, password, n)
	if err = errors.Join(wrongName, err); err != nil {
		return Account{}, err
	}
	try, err := a.throttle.signUp(from)
	if err != nil {
		return Account{}, err
	}
	// Create makes the final decision. This lookup only avoids a useless hash.
	if _, err := a.store.ByName(ctx, n.Folded()); err == nil {
		return Account{}, ErrTaken
	} else if !errors.Is(err, ErrNotFound) {
		try.undo()
		return Account{}, fmt.Errorf("accounts: sign up: %w", err)
	}
	account := a.newAccount(n)
	if err := a.hashing.do(ctx, func() { account.Hash = newPHC(chosen, a.cost).String() }); err != nil {
		try.undo()
		return Account{}, err
	}
	account.PasswordChanged, account.PasswordVersion, account.LastLogin = account.Created, firstPassword, account.Created
	if err := a.store.Create(ctx, account); err != nil {
		return Account{}, fmt.Errorf("accounts: sign up: %w", err)
	}
	return account, nil
}

// firstPassword is the PasswordVersion of an account created with a password.
// Without a password it is 0.
const firstPassword = 1

// newAccount returns a new account without a password. It is not stored yet.
func (a *Accounts) newAccount(n Name) Account {
	return Account{ID: NewID(), Name: n, Created: a.now()}
}
