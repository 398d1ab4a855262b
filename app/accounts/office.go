package accounts

import (
	"context"
	"fmt"

	"latchkey/app/internal/text"
)

// What follows is for the operator and the back office. Whoever calls it has
// checked that the visitor may.

// PageSize is how many accounts a page of the back office has.
const PageSize = 50

// Page is a part of the list of accounts, in the order of their folded names.
type Page struct {
	Accounts []Account
	Next     string // for the next page; empty: there is none
}

// List returns the accounts whose name begins with what was typed, compared
// folded, PageSize at a time. after is the Next of the page before, or empty.
func (s *Accounts) List(ctx context.Context, typed, after string) (Page, error) {
	prefix := ""
	if typed != "" {
		name, err := ParseName(typed)
		if err != nil {
			return Page{}, nil // no account is called so
		}
		prefix = name.Folded()
	}
	found, err := s.store.List(ctx, prefix, text.Clean(after, maxFolded), PageSize+1)
	if err != nil {
		return Page{}, fmt.Errorf("accounts: list: %w", err)
	}
	if len(found) <= PageSize {
		return Page{Accounts: found}, nil
	}
	found = found[:PageSize]
	return Page{Accounts: found, Next: found[PageSize-1].Name.Folded()}, nil
}

// Get returns an account, or ErrNotFound.
func (s *Accounts) Get(ctx context.Context, id ID) (Account, error) {
	a, err := s.store.ByID(ctx, id)
	if err != nil {
		return Account{}, fmt.Errorf("accounts: get: %w", err)
	}
	return a, nil
}

// Find returns the account of that name, or ErrNotFound.
func (s *Accounts) Find(ctx context.Context, name string) (Account, error) {
	a, err := s.store.ByName(ctx, foldedOrNot(name))
	if err != nil {
		return Account{}, fmt.Errorf("accounts: find: %w", err)
	}
	return a, nil
}

// Add makes an account that has no password yet, so that nobody can log in to
// it; StartReset gives its owner a way to choose one (ASVS 6.4.1). The refusals
// are Invalid for the name, and ErrTaken.
func (s *Accounts) Add(ctx context.Context, name string) (Account, error) {
	n, err := ParseName(name)
	if err != nil {
		return Account{}, err
	}
	a := s.newAccount(n)
	if err := s.store.Create(ctx, a); err != nil {
		return Account{}, fmt.Errorf("accounts: add: %w", err)
	}
	return a, nil
}

// SetAdmin makes the account an administrator or not, which counts at its next
// request: powers are read each time, so its sessions may go on. The refusals
// are ErrNotFound and ErrLastAdmin.
func (s *Accounts) SetAdmin(ctx context.Context, id ID, admin bool) error {
	if err := s.store.SetAdmin(ctx, id, admin); err != nil {
		return fmt.Errorf("accounts: set administrator: %w", err)
	}
	return nil
}

// SetDisabled disables the account, which ends its sessions, or enables it
// again. The refusals are ErrNotFound and ErrLastAdmin.
func (s *Accounts) SetDisabled(ctx context.Context, id ID, disabled bool) error {
	if err := s.store.SetDisabled(ctx, id, disabled); err != nil {
		return fmt.Errorf("accounts: set disabled: %w", err)
	}
	return nil
}

// Remove removes the account and everything it owns. The refusals are
// ErrNotFound and ErrLastAdmin.
func (s *Accounts) Remove(ctx context.Context, id ID) error {
	if err := s.store.Delete(ctx, id); err != nil {
		return fmt.Errorf("accounts: remove: %w", err)
	}
	return nil
}
