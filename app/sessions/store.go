package sessions

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"time"
)

// ErrEnded means that there is no such active session: it never existed, was logged
// out, or has expired.
var ErrEnded = errors.New("the session has ended")

// ErrDamaged means that the record of a session or of its account cannot be read. It
// wraps ErrEnded, so visitors are treated as logged out, and should be logged for the
// operator.
var ErrDamaged = fmt.Errorf("%w, for its record cannot be read", ErrEnded)

// Session is the metadata of a session. The store keeps it beside the session data, so
// that identifying the visitor takes one read and no decoding.
type Session struct {
	Account         Account   // zero if the session is anonymous
	Name            string    // of the account, as typed
	Admin           bool      // whether the account is an administrator now
	PasswordVersion uint64    // version of the password used to log in, see accounts.Store
	Began           time.Time // time of the login; the absolute limit counts from here
	Seen            time.Time // last recorded activity, see Limits.Renewal; the idle limit counts from here
	Reauthenticated time.Time // when the visitor last entered the password

	// The remaining fields are returned only by List.
	Key     Key    // identifies the session where its id must stay secret
	Agent   string // User-Agent at login, valid UTF-8
	Address string // client address at login
}

// Key is the key of a session in the store: the creation time of its id (milliseconds
// since 1970, big-endian) followed by the SHA-256 of the id. A key cannot be used to
// log in. Sessions that begin together have adjacent keys, so an ordered store writes
// few pages for many logins.
type Key [timeSize + sha256.Size]byte

// KeyOf returns the key of an id. If the id is not in the format of NewID, the time in
// the key is zero.
func KeyOf(id string) (k Key) {
	if len(id) == idLength {
		var at [timeSize]byte
		if n, err := base64.RawURLEncoding.Decode(at[:], []byte(id[secretLength:])); err == nil && n == timeSize {
			copy(k[:], at[:])
		}
	}
	sum := sha256.Sum256([]byte(id))
	copy(k[timeSize:], sum[:])
	return k
}

// Account is the id of the account that a session belongs to.
type Account [16]byte

// Limits are the session timeouts (OWASP ASVS 7.3.1 and 7.3.2).
type Limits struct {
	Idle     time.Duration // since the last activity
	Lifetime time.Duration // since the login, regardless of activity
}

// Renewal returns the interval at which activity is recorded: one minute, or a tenth
// of the idle limit if that is shorter.
func (l Limits) Renewal() time.Duration { return min(time.Minute, l.Idle/10) }

// End returns when a session expires if there is no further activity.
func (l Limits) End(began, seen time.Time) time.Time {
	idle, lifetime := seen.Add(l.Idle), began.Add(l.Lifetime)
	if idle.Before(lifetime) {
		return idle
	}
	return lifetime
}

// Store keeps sessions by Key and never returns one that has expired. Every store must
// pass the tests in package storetest.
//
// All writes except Renew are durable when the method returns. Methods are safe for
// concurrent use, and the store retains nothing they take or return. They return the
// errors documented here, possibly wrapped (use errors.Is). Any other error is an
// internal failure and does not mean that the session has ended. Times are UTC in whole
// milliseconds. If ctx ends before a write has begun, nothing is written and the error
// wraps that of ctx.
//
// A session has ended if it does not exist, has passed a limit, or if its account was
// removed, is disabled, or has another PasswordVersion.
type Store interface {
	// Read returns the session, or ErrEnded, possibly as ErrDamaged. Name and Admin are
	// read from the account, never cached in the session (OWASP ASVS 8.3.2).
	Read(ctx context.Context, k Key) (Session, error)
	// Data returns the data of a session, or ErrEnded.
	Data(ctx context.Context, k Key) ([]byte, error)
	// Begin stores a new session and removes the one it replaces, atomically. replaces
	// may be zero or the key of no session. The account may have changed since the
	// visitor authenticated, so Begin checks it in the same transaction and returns
	// ErrEnded if the session would already have ended.
	Begin(ctx context.Context, k, replaces Key, s Session, data []byte) error
	// Change replaces the data of a session. It returns ErrEnded if the session has
	// ended, so that a late save cannot undo a logout.
	Change(ctx context.Context, k Key, data []byte) error
	// Renew records activity in a session. It neither waits for the write nor reports
	// its failure; a later request will try again. It never restores an ended session.
	Renew(ctx context.Context, k Key, seen time.Time)
	// Rotate moves a session and its data from the key old to the key k, and records at
	// as the time of the re-authentication. The session's limits still count from its
	// beginning. The key old is an alias of k for AliasFor. ErrEnded if the session has
	// ended.
	Rotate(ctx context.Context, k, old Key, at time.Time) error
	// End ends a session, also by an alias: a logout may have been on its way when
	// the session was rotated. That there is none is no error.
	End(ctx context.Context, k Key) error

	// List returns up to limit active sessions of an account, newest first, without
	// Name and Admin.
	List(ctx context.Context, account Account, limit int) ([]Session, error)
	// EndAll ends all sessions of an account. It is not an error if there are none.
	EndAll(ctx context.Context, account Account) error
	// EndOthers ends all sessions of an account except but.
	EndOthers(ctx context.Context, account Account, but Key) error
	// EndOne ends one session of an account, or returns ErrEnded if the account
	// has no such session.
	EndOne(ctx context.Context, account Account, k Key) error
}

// AliasFor is how long End accepts the old key of a rotated session. It is longer than
// any request. No other method accepts the old key.
const AliasFor = time.Minute
