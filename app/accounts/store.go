package accounts

import (
	"context"
	"errors"
	"time"
)

// Store keeps accounts. Package storetest holds the tests that every store must
// pass.
//
// Each method is one transaction: if it returns an error, it has changed
// nothing. When a method returns without error, its effect is durable and
// visible to every later call. Methods are safe for concurrent use and keep no
// reference to their arguments or results. Methods return the sentinel errors
// documented here, possibly wrapped (use errors.Is). Treat any other error as
// an internal failure; package internal/store names those that callers
// distinguish. If ctx ends before the store has begun to write, nothing is
// written and the error wraps ctx's.
//
// Strings are valid UTF-8 without NUL. Times are UTC in whole microseconds and
// are read back unchanged, the zero time included.
//
// PasswordVersion identifies the password of an account and grows with each new
// one. A method with the parameter read, an Account returned earlier, uses only
// its ID and PasswordVersion. It returns ErrChanged if the stored
// PasswordVersion differs.
//
// "Ends its sessions" means that the same transaction ends all sessions that
// are logged in to the account. Only SetPassword, SetDisabled, Delete and Reset
// do so.
type Store interface {
	// Create stores a new account. It returns ErrTaken if another account, even a
	// disabled one, has the same folded name.
	Create(ctx context.Context, a Account) error

	// ByID returns the account with this id, or ErrNotFound.
	ByID(ctx context.Context, id ID) (Account, error)

	// ByName returns the account with this folded name, or ErrNotFound.
	ByName(ctx context.Context, folded string) (Account, error)

	// List returns at most limit accounts whose folded name begins with prefix and
	// is greater than after, in byte order of the folded name. Its cost grows with
	// limit, not with the number of accounts.
	List(ctx context.Context, prefix, after string, limit int) ([]Account, error)

	// LoggedIn records a login for the account, provided it is unchanged since
	// read was loaded. LastLogin becomes at; Hash becomes rehash unless rehash is
	// empty. PasswordChanged, PasswordVersion and sessions stay as they are. It
	// returns the updated account, ErrNotFound, or ErrChanged, also if the account
	// is disabled.
	LoggedIn(ctx context.Context, read Account, at time.Time, rehash string) (Account, error)

	// SetPassword replaces the password hash, provided the account is unchanged
	// since read was loaded. PasswordChanged becomes at, PasswordVersion grows, a
	// pending reset is deleted, and the account's sessions end. It returns the
	// updated account, ErrNotFound or ErrChanged.
	SetPassword(ctx context.Context, read Account, hash string, at time.Time) (Account, error)

	// SetAdmin grants or revokes administrator rights. Sessions continue: rights
	// are read at each request, so the change takes effect at the next one (ASVS
	// 8.3.2). It returns ErrNotFound, or ErrLastAdmin if the last enabled
	// administrator would lose the rights.
	SetAdmin(ctx context.Context, id ID, admin bool) error

	// SetDisabled enables the account, or disables it, deletes its pending reset
	// and ends its sessions. It returns ErrNotFound, or ErrLastAdmin for the last
	// enabled administrator.
	SetDisabled(ctx context.Context, id ID, disabled bool) error

	// Delete deletes the account with everything it owns: its reset, its sessions,
	// its events and every resource it owns. The name becomes available again. It
	// returns ErrNotFound, or ErrLastAdmin for the last enabled administrator.
	Delete(ctx context.Context, id ID) error

	// StartReset stores the SHA-256 of a secret that may set the account's
	// password until expires. It replaces an earlier one. It returns ErrNotFound.
	StartReset(ctx context.Context, id ID, sum [32]byte, expires time.Time) error

	// ByReset returns the account whose pending reset has this SHA-256. It returns
	// ErrReset if there is none, if now is not before its expiry, or if the
	// account is disabled. It changes nothing.
	ByReset(ctx context.Context, sum [32]byte, now time.Time) (Account, error)

	// Reset sets the password of the account that ByReset returns for sum, as
	// SetPassword does, and deletes the reset. Of concurrent calls with the same
	// sum, only one succeeds; the others return ErrReset. It returns the updated
	// account.
	Reset(ctx context.Context, sum [32]byte, hash string, at time.Time) (Account, error)

	// Key returns a signing key of 32 bytes. The first call creates it with
	// crypto/rand; later calls, also after a restart, return the same.
	Key(ctx context.Context) ([32]byte, error)
}

// Errors of a Store. All but ErrChanged may be shown to the visitor.
var (
	ErrTaken     error = &Error{Kind: Invalid, Field: FieldName, Message: "This name is taken. Please choose another."}
	ErrNotFound  error = &Error{Kind: NotFound, Message: "There is no such account."}
	ErrLastAdmin error = &Error{Kind: Invalid, Message: "This is the last administrator. Please make another account an administrator first."}
	ErrReset     error = &Error{Kind: NotFound, Message: "This link has been used or is too old. Please ask for a new one."}
	ErrChanged         = errors.New("accounts: the account has changed since it was read")
)
