package registrations

import (
	"context"

	"latchkey/app/accounts"
)

// Store keeps registrations. Package storetest holds the tests that every store
// must pass.
//
// Each method is one transaction, durable when it returns, and may be called at
// the same time as others. The refusals are store.ErrNotFound, store.ErrTaken and
// accounts.ErrNotFound, possibly wrapped; any other error is a fault. Times are
// kept to the microsecond and come back in UTC. Deleting an account removes its
// registrations in the same transaction.
type Store interface {
	// Insert keeps a new registration. store.ErrTaken if its owner has one for the
	// same sport; accounts.ErrNotFound if there is no such account, for it may
	// have been deleted since the request began.
	Insert(ctx context.Context, r Registration) error

	// Get returns a registration, or store.ErrNotFound.
	Get(ctx context.Context, id ID) (Registration, error)

	// ListByOwner returns at most limit registrations of an account, in the byte
	// order of their sports. after is the next of the page before, empty for the
	// first page. next is empty if there is no other page. An after that is none
	// of ours is store.ErrNotFound.
	ListByOwner(ctx context.Context, owner accounts.ID, after string, limit int) (page []Registration, next string, err error)

	// Delete removes a registration, or returns store.ErrNotFound.
	Delete(ctx context.Context, id ID) error
}

// The refusals, fit to be shown. ErrNotFound is also the answer for what belongs
// to somebody else: whoever may not touch it need not know that it exists (OWASP
// ASVS 8.2.2).
var (
	ErrNotFound   error = &accounts.Error{Kind: accounts.NotFound, Message: "There is no such registration."}
	ErrRegistered error = &accounts.Error{Kind: accounts.Invalid, Message: "You are registered for this sport already."}
	ErrSport      error = &accounts.Error{Kind: accounts.Invalid, Message: "Please choose a sport from the list."}
)
