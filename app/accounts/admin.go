package accounts

import (
	"context"
	"fmt"

	"latchkey/app/internal/text"
)

// These methods are for the operator and the back office. They do not check
// permissions; the caller must.

// PageSize is the number of accounts on a page of the back office.
const PageSize = 50

// Page is one page of the list of accounts, in order of their folded names.
type Page struct {
	Accounts []Account
	Next     string // cursor for the next page; empty on the last one
}

// List returns the accounts whose folded name begins with the folded input, at
// most PageSize of them. after is Page.Next of the previous page, or empty.
func (a *Accounts) List(ctx context.Context, typed, after string) (Page, error) {
	prefix := ""
	if typed != "" {
		name, err := ParseName(typed)
		if err != nil {
			return Page{}, nil // no account can have such a name
		}
		prefix = name.Folded()
	}
	found, err := a.store.List(ctx, prefix, text.Clean(after, maxFolded), PageSize+1)
	if err != nil {
		return Page{}, fmt.Errorf("accounts: list: %w", err)
	}
	if len(found) <= PageSize {
		return Page{Accounts: found}, nil
	}
	found = found[:PageSize]
	return Page{Accounts: found, Next: found[PageSize-1].Name.Folded()}, nil
}

// Get returns the account with this id, or ErrNotFound.
func (a *Accounts) Get(ctx context.Context, id ID) (Account, error) {
	account, err := a.store.ByID(ctx, id)
	if err != nil {
		return Account{}, fmt.Errorf("accounts: get: %w", err)
	}
	return account, nil
}

// Find returns the account with this name, or ErrNotFound.
func (a *Accounts) Find(ctx context.Context, name string) (Account, error) {
	account, err := a.store.ByName(ctx, foldedOrNot(name))
	if err != nil {
		return Account{}, fmt.Errorf("accounts: find: %w", err)
	}
	return account, nil
}

// Add creates an account without a password. Nobody can log in to it until a
// reset has set a password, see StartReset (ASVS 6.4.1). It returns an *Error
// of kind Invalid for the name, or ErrTaken.
func (a *Accounts) Add(ctx context.Context, name string) (Account, error) {
	n, err := ParseName(name)
	if err != nil {
		return Account{}, err
	}
	account := a.newAccount(n)
	if err := a.store.Create(ctx, account); err != nil {
		return Account{}, fmt.Errorf("accounts: add: %w", err)
	}
	return account, nil
}

// SetAdmin grants or revokes administrator rights, effective at the account's
// next request. Sessions continue, because rights are read at each request. It
// returns ErrNotFound or ErrLastAdmin.
func (a *Accounts) SetAdmin(ctx context.Context, id ID, admin bool) error {
	if err := a.store.SetAdmin(ctx, id, admin); err != nil {
		return fmt.Errorf("accounts: set administrator: %w", err)
	}
	return nil
}

// SetDisabled enables the account, or disables it and ends its sessions. It
// returns ErrNotFound or ErrLastAdmin.
func (a *Accounts) SetDisabled(ctx context.Context, id ID, disabled bool) error {
	if err := a.store.SetDisabled(ctx, id, disabled); err != nil {
		return fmt.Errorf("accounts: set disabled: %w", err)
	}
	return nil
}

// Remove deletes the account and everything it owns. It returns ErrNotFound or
// ErrLastAdmin.
func (a *Accounts) Remove(ctx context.Context, id ID) error {
	if err := a.store.Delete(ctx, id); err != nil {
		return fmt.Errorf("accounts: remove: %w", err)
	}
	return nil
}
