package registrations

import (
	"context"

	"latchkey/app/accounts"
)

// Store keeps registrations; package storetest tests any. Each method is one durable
// transaction, safe for concurrent use. Errors are those named here, possibly
// wrapped; any other is an internal failure.
type Store interface {
	// Insert keeps a new registration. store.ErrTaken if its owner has one for the
	// same sport; accounts.ErrNotFound if the account is gone.
	Insert(ctx context.Context, r Registration) error
	// Get returns a registration, or store.ErrNotFound.
	Get(ctx context.Context, id ID) (Registration, error)
	// Update replaces the registration with the same id and owner, or returns
	// store.ErrNotFound; store.ErrTaken is as in Insert.
	Update(ctx context.Context, r Registration) error
	// ListByOwner returns at most limit registrations in the byte order of their
	// sports. after is the next of the page before; both are empty at the ends. An
	// after of another form is store.ErrNotFound.
	ListByOwner(ctx context.Context, owner accounts.ID, after string, limit int) (page []Registration, next string, err error)
	// Delete removes a registration, or returns store.ErrNotFound.
	Delete(ctx context.Context, id ID) error
}

// The refusals, fit to be shown. ErrTaken is for store.ErrTaken.
var (
	ErrTaken error = &accounts.Error{Kind: accounts.Invalid, Field: "sport", Message: "You are registered for this sport already."}
	ErrSport error = &accounts.Error{Kind: accounts.Invalid, Field: "sport", Message: "Please choose a sport from the list."}
	ErrNote  error = &accounts.Error{Kind: accounts.Invalid, Field: "note", Message: "The note is too long: 280 characters at most."}
)
