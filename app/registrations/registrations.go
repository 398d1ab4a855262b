package registrations

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"latchkey/app/accounts"
	"latchkey/app/internal/store"
)

// Registrations applies the rules to what a store keeps. Its methods may be
// called at the same time. A refusal that is fit to be shown is an
// *accounts.Error; every other error is a fault of ours.
type Registrations struct {
	store Store
	clock func() time.Time
}

// New returns the registrations kept in store. A nil clock is time.Now.
func New(store Store, clock func() time.Time) *Registrations {
	if clock == nil {
		clock = time.Now
	}
	return &Registrations{store: store, clock: clock}
}

// Register registers an account for a sport. The refusals are ErrSport,
// ErrRegistered, and accounts.ErrNotFound.
func (s *Registrations) Register(ctx context.Context, owner accounts.ID, sport string) (Registration, error) {
	if !slices.Contains(Sports(), sport) {
		return Registration{}, ErrSport // by a list of what is right (ASVS 2.2.1)
	}
	r := Registration{ID: ID(accounts.NewID()), Owner: owner, Sport: sport, At: s.clock().UTC().Truncate(time.Microsecond)}
	if err := s.store.Insert(ctx, r); err != nil {
		return Registration{}, fmt.Errorf("registrations: register: %w", refusal(err))
	}
	return r, nil
}

// pageSize is how many registrations ListOf reads in one transaction.
const pageSize = 100

// ListOf returns the registrations of an account in the order of their sports.
func (s *Registrations) ListOf(ctx context.Context, owner accounts.ID) (list []Registration, err error) {
	for after := ""; ; {
		page, next, err := s.store.ListByOwner(ctx, owner, after, pageSize)
		if err != nil {
			return nil, fmt.Errorf("registrations: list: %w", err)
		}
		list = append(list, page...)
		if next == "" {
			return list, nil
		}
		after = next
	}
}

// Get returns a registration to its owner or to an administrator. For anybody
// else the refusal is ErrNotFound, as if it were not there; the registration
// comes with it all the same, for the log and not for the visitor.
func (s *Registrations) Get(ctx context.Context, id ID, by accounts.ID, admin bool) (Registration, error) {
	r, err := s.store.Get(ctx, id)
	if err != nil {
		return Registration{}, fmt.Errorf("registrations: get: %w", refusal(err))
	}
	if r.Owner != by && !admin {
		return r, ErrNotFound
	}
	return r, nil
}

// Deregister removes a registration for its owner or an administrator, and
// returns what it was. The refusals are those of Get. Between the look and the
// removal it may go, but not change its owner.
func (s *Registrations) Deregister(ctx context.Context, id ID, by accounts.ID, admin bool) (Registration, error) {
	r, err := s.Get(ctx, id, by, admin)
	if err != nil {
		return r, err
	}
	if err := s.store.Delete(ctx, id); err != nil {
		return r, fmt.Errorf("registrations: deregister: %w", refusal(err))
	}
	return r, nil
}

// refusal returns the sentence for the visitor if err is a refusal of the store,
// and err itself if not.
func refusal(err error) error {
	switch {
	case errors.Is(err, store.ErrNotFound):
		return ErrNotFound
	case errors.Is(err, store.ErrTaken):
		return ErrRegistered
	}
	return err
}
