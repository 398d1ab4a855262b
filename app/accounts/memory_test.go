package accounts_test

import (
	"context"
	"crypto/rand"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"latchkey/app/accounts"
	"latchkey/app/accounts/storetest"
)

// memory is a minimal Store in memory.
type memory struct {
	mu       sync.Mutex
	accounts map[accounts.ID]accounts.Account
	resets   map[accounts.ID]reset
	key      [32]byte
	fault    error // what LoggedIn and Create return, if set
}

type reset struct {
	sum     [32]byte
	expires time.Time
}

var _ accounts.Store = (*memory)(nil)

func newMemory() *memory {
	m := &memory{accounts: make(map[accounts.ID]accounts.Account), resets: make(map[accounts.ID]reset)}
	rand.Read(m.key[:])
	return m
}

func TestStore(t *testing.T) {
	storetest.Test(t, func(*testing.T) accounts.Store { return newMemory() })
}

func (m *memory) Key(context.Context) ([32]byte, error) { return m.key, nil }

func (m *memory) Create(ctx context.Context, a accounts.Account) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.fault != nil {
		return m.fault
	}
	if _, err := m.byName(a.Name.Folded()); err == nil {
		return accounts.ErrTaken
	}
	m.accounts[a.ID] = a
	return nil
}

func (m *memory) ByID(ctx context.Context, id accounts.ID) (accounts.Account, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.byID(id)
}

func (m *memory) byID(id accounts.ID) (accounts.Account, error) {
	a, ok := m.accounts[id]
	if !ok {
		return accounts.Account{}, accounts.ErrNotFound
	}
	return a, nil
}

func (m *memory) ByName(ctx context.Context, folded string) (accounts.Account, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.byName(folded)
}

func (m *memory) byName(folded string) (accounts.Account, error) {
	for _, a := range m.accounts {
		if a.Name.Folded() == folded {
			return a, nil
		}
	}
	return accounts.Account{}, accounts.ErrNotFound
}

func (m *memory) List(ctx context.Context, prefix, after string, limit int) ([]accounts.Account, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	var found []accounts.Account
	for _, a := range m.accounts {
		if f := a.Name.Folded(); strings.HasPrefix(f, prefix) && f > after {
			found = append(found, a)
		}
	}
	slices.SortFunc(found, func(a, b accounts.Account) int { return strings.Compare(a.Name.Folded(), b.Name.Folded()) })
	return found[:min(limit, len(found))], nil
}

// current returns the stored account, or ErrChanged if read has another
// password version.
func (m *memory) current(read accounts.Account) (accounts.Account, error) {
	a, err := m.byID(read.ID)
	if err == nil && a.PasswordVersion != read.PasswordVersion {
		return accounts.Account{}, accounts.ErrChanged
	}
	return a, err
}

func (m *memory) LoggedIn(ctx context.Context, read accounts.Account, at time.Time, rehash string) (accounts.Account, error) {
	if err := ctx.Err(); err != nil {
		return accounts.Account{}, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	a, err := m.current(read)
	switch {
	case err != nil:
		return accounts.Account{}, err
	case m.fault != nil:
		return accounts.Account{}, m.fault
	case a.Disabled:
		return accounts.Account{}, accounts.ErrChanged
	}
	a.LastLogin = at
	if rehash != "" {
		a.Hash = rehash
	}
	m.accounts[a.ID] = a
	return a, nil
}

func (m *memory) SetPassword(ctx context.Context, read accounts.Account, hash string, at time.Time) (accounts.Account, error) {
	if err := ctx.Err(); err != nil {
		return accounts.Account{}, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	a, err := m.current(read)
	if err != nil {
		return accounts.Account{}, err
	}
	return m.setPassword(a, hash, at), nil
}

func (m *memory) setPassword(a accounts.Account, hash string, at time.Time) accounts.Account {
	a.Hash, a.PasswordChanged = hash, at
	a.PasswordVersion++
	m.accounts[a.ID] = a
	delete(m.resets, a.ID)
	return a
}

// change updates the stored account unless that removes the last administrator.
func (m *memory) change(id accounts.ID, f func(*accounts.Account)) error {
	a, err := m.byID(id)
	if err != nil {
		return err
	}
	was := a
	f(&a)
	if enabledAdmin(was) && !enabledAdmin(a) {
		others := 0
		for _, other := range m.accounts {
			if other.ID != id && enabledAdmin(other) {
				others++
			}
		}
		if others == 0 {
			return accounts.ErrLastAdmin
		}
	}
	m.accounts[id] = a
	if a.Disabled {
		delete(m.resets, id)
	}
	return nil
}

func enabledAdmin(a accounts.Account) bool { return a.Admin && !a.Disabled }

func (m *memory) SetAdmin(ctx context.Context, id accounts.ID, admin bool) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.change(id, func(a *accounts.Account) { a.Admin = admin })
}

func (m *memory) SetDisabled(ctx context.Context, id accounts.ID, disabled bool) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.change(id, func(a *accounts.Account) { a.Disabled = disabled })
}

func (m *memory) Delete(ctx context.Context, id accounts.ID) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.change(id, func(a *accounts.Account) { a.Disabled = true }); err != nil {
		return err
	}
	delete(m.accounts, id)
	return nil
}

func (m *memory) StartReset(ctx context.Context, id accounts.ID, sum [32]byte, expires time.Time) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if _, err := m.byID(id); err != nil {
		return err
	}
	m.resets[id] = reset{sum, expires}
	return nil
}

func (m *memory) ByReset(ctx context.Context, sum [32]byte, now time.Time) (accounts.Account, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.byReset(sum, now)
}

func (m *memory) byReset(sum [32]byte, now time.Time) (accounts.Account, error) {
	for id, r := range m.resets {
		if a := m.accounts[id]; r.sum == sum && now.Before(r.expires) && !a.Disabled {
			return a, nil
		}
	}
	return accounts.Account{}, accounts.ErrReset
}

func (m *memory) Reset(ctx context.Context, sum [32]byte, hash string, at time.Time) (accounts.Account, error) {
	if err := ctx.Err(); err != nil {
		return accounts.Account{}, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	a, err := m.byReset(sum, at)
	if err != nil {
		return accounts.Account{}, err
	}
	return m.setPassword(a, hash, at), nil
}
