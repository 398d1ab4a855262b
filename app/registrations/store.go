package registrations

import "latchkey/app/accounts"

// Store keeps registrations. Package storetest holds the tests that every store
// must pass.
//
// Each method is one transaction, on disk when it returns, and may be called at
// the same time as others. The refusals are those named here, alone or wrapped;
// every other error is a fault. Times are kept to the nanosecond and come back
// in UTC. Deleting an account removes its registrations in the same transaction.
type Store interface {
	// Create keeps a new registration. ErrRegistered if its owner has one for
	// the same sport; accounts.ErrNotFound if there is no such account, for it
	// may have been deleted since the request began.
	Create(Registration) error

	// Get returns a registration, or ErrNotFound.
	Get(ID) (Registration, error)

	// ListOf returns the registrations of an account in the byte order of
	// their sports.
	ListOf(owner accounts.ID) ([]Registration, error)

	// Delete removes a registration, or returns ErrNotFound.
	Delete(ID) error
}

// The refusals. All are fit to be shown. ErrNotFound is also the answer for what
// belongs to somebody else: whoever may not touch it need not know that it
// exists (OWASP ASVS 8.2.2).
var (
	ErrNotFound   error = &accounts.Error{Kind: accounts.NotFound, Message: "There is no such registration."}
	ErrRegistered error = &accounts.Error{Kind: accounts.Invalid, Message: "You are registered for this sport already."}
	ErrSport      error = &accounts.Error{Kind: accounts.Invalid, Message: "Please choose a sport from the list."}
)
