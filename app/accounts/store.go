package accounts

import (
	"context"
	"errors"
	"time"
)

// Store keeps accounts. Package storetest holds the tests that every store
// must pass.
//
// Each method is one transaction: it does all that it says or, when it returns
// an error, nothing. What has returned is durable and seen by every later call.
// Methods may be called at the same time, and nothing they take or return is
// shared with the store afterwards. The refusals are the errors below, possibly
// wrapped (use errors.Is). Any other error is a fault: package internal/store
// names those that callers tell apart. When ctx ends before the store has begun
// to write, nothing is written and the error wraps ctx's.
//
// Texts are valid UTF-8 without NUL. Times are UTC in whole microseconds and come
// back so; the zero time comes back as zero.
//
// PasswordVersion tells the passwords of an account apart: each new password has
// a greater one. A method that takes an Account as it was read looks at its ID
// and PasswordVersion only, and returns ErrChanged if the account on file has
// another PasswordVersion.
//
// "Ends its sessions" means that, in the same transaction, no session of the
// account is left that is logged in. Only disabling, deleting and another
// password do so.
type Store interface {
	// Create keeps a new account. ErrTaken if an account, disabled or not, has
	// the same folded name.
	Create(ctx context.Context, a Account) error

	// ByID returns an account, or ErrNotFound.
	ByID(ctx context.Context, id ID) (Account, error)

	// ByName returns the account with this folded name, or ErrNotFound.
	ByName(ctx context.Context, folded string) (Account, error)

	// List returns at most limit accounts whose folded name begins with prefix
	// and is greater than after, in ascending byte order of the folded name.
	// Its cost depends on limit, not on how many accounts there are.
	List(ctx context.Context, prefix, after string, limit int) ([]Account, error)

	// LoggedIn records a login of the account, provided it has not changed since
	// it was read: LastLogin becomes at, and Hash becomes rehash unless that is
	// empty. PasswordChanged and PasswordVersion stay and no session ends. It
	// returns the account as it is now. ErrNotFound; ErrChanged also if the
	// account is disabled.
	LoggedIn(ctx context.Context, read Account, at time.Time, rehash string) (Account, error)

	// SetPassword gives the account another hash, provided it has not changed
	// since it was read: Hash and PasswordChanged change, PasswordVersion grows,
	// its reset is void, and it ends its sessions. It returns the account as it
	// is now. ErrNotFound, ErrChanged.
	SetPassword(ctx context.Context, read Account, hash string, at time.Time) (Account, error)

	// SetAdmin makes the account an administrator or not. Its sessions go on:
	// powers are read at each request, so the change counts at the next one
	// (ASVS 8.3.2). ErrNotFound; ErrLastAdmin if no enabled administrator would
	// be left of those there were.
	SetAdmin(ctx context.Context, id ID, admin bool) error

	// SetDisabled disables the account or enables it again. Disabling voids its
	// reset and ends its sessions. ErrNotFound; ErrLastAdmin as above.
	SetDisabled(ctx context.Context, id ID, disabled bool) error

	// Delete removes the account with everything it owns: its reset, its
	// sessions, its events and every resource whose owner it is. The name is
	// free again. ErrNotFound; ErrLastAdmin as above.
	Delete(ctx context.Context, id ID) error

	// StartReset keeps the SHA-256 of a secret that may set the account's
	// password until expires. It replaces a former one. ErrNotFound.
	StartReset(ctx context.Context, id ID, sum [32]byte, expires time.Time) error

	// ByReset returns the account whose reset has this sum, or ErrReset if
	// there is none, if now is not before its expiry, or if the account is
	// disabled. It changes nothing.
	ByReset(ctx context.Context, sum [32]byte, now time.Time) (Account, error)

	// Reset sets the password of the account that ByReset would return, as
	// SetPassword does; the reset is gone. Of two calls at once with one sum,
	// one gets ErrReset. It returns the account as it is now.
	Reset(ctx context.Context, sum [32]byte, hash string, at time.Time) (Account, error)

	// Key returns 32 bytes from crypto/rand, made once and the same ever after.
	// They sign what a browser keeps.
	Key(ctx context.Context) ([32]byte, error)
}

// The refusals of a store. All but ErrChanged are fit to be shown.
var (
	ErrTaken     error = &Error{Kind: Invalid, Field: FieldName, Message: "This name is taken. Please choose another."}
	ErrNotFound  error = &Error{Kind: NotFound, Message: "There is no such account."}
	ErrLastAdmin error = &Error{Kind: Invalid, Message: "This is the last administrator. Please make another account an administrator first."}
	ErrReset     error = &Error{Kind: NotFound, Message: "This link has been used or is too old. Please ask for a new one."}
	ErrChanged         = errors.New("accounts: the account has changed since it was read")
)
