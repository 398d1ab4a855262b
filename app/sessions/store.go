package sessions

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"time"
)

// ErrEnded means that a session is not there: never begun, logged out, or past
// one of its limits.
var ErrEnded = errors.New("the session has ended")

// ErrDamaged means that a session has ended because its record, or that of its
// account, cannot be read: nobody can tell any more who is logged in. It is an
// ErrEnded that the operator should hear of.
var ErrDamaged = fmt.Errorf("%w, for its record cannot be read", ErrEnded)

// Session is what is known of a session without decoding its data. The store
// keeps it beside the data, so that a page which only asks who is there pays
// one read and no decoding.
type Session struct {
	Account         Account   // zero while nobody is logged in
	Name            string    // of the account, as typed
	Admin           bool      // whether the account is an administrator now
	PasswordVersion uint64    // of the password that the account logged in with, see accounts.Store
	Began           time.Time // when the visitor logged in; the absolute limit counts from here
	Seen            time.Time // the last activity, a minute old at most; the idle limit counts from here
	Reauthenticated time.Time // when the visitor last typed the password

	// The rest is filled by List alone.
	Key     Key    // what the session is called where its id must not be known
	Agent   string // the browser's own words about itself, valid UTF-8
	Address string // where it logged in from
}

// Key is what a session is kept under: the time at which its id was made, in
// milliseconds since 1970, big-endian, and the SHA-256 of the id. It logs nobody
// in. Sessions that began together have keys that lie together, so that a store
// which keeps them in the order of their keys writes few places for many logins.
type Key [timeSize + sha256.Size]byte

// KeyOf returns the key of an id. One that NewID did not make has no time.
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

// Limits say how long a session may last (OWASP ASVS 7.3.1 and 7.3.2).
type Limits struct {
	Idle     time.Duration // since it was last seen
	Lifetime time.Duration // since it began, whatever the activity
}

// Renewal returns how often activity is written: once a minute, or oftener if
// the idle limit is so short that a minute would matter.
func (l Limits) Renewal() time.Duration { return min(time.Minute, l.Idle/10) }

// End returns the moment at which a session ends if nothing more happens.
func (l Limits) End(began, seen time.Time) time.Time {
	idle, lifetime := seen.Add(l.Idle), began.Add(l.Lifetime)
	if idle.Before(lifetime) {
		return idle
	}
	return lifetime
}

// Store keeps sessions under the keys of their ids, and lets none out that has
// passed its limits. Package storetest holds the tests that every store must
// pass.
//
// Every write but Renew is durable when the call returns. Methods may be called
// at the same time, and nothing they take or return is shared with the store
// afterwards. They return the errors named here, possibly wrapped (use errors.Is);
// any other error is a fault, which ends no session. Times are UTC in whole
// milliseconds. When ctx ends before the store has begun to write, nothing is
// written and the error wraps ctx's.
//
// A session has ended if it is not there, if it has passed a limit, or if its
// account is gone, disabled, or has another PasswordVersion.
type Store interface {
	// Read returns the session, or ErrEnded, which ErrDamaged is too. Name and
	// Admin are those of the account at this moment: what an account may do is
	// never remembered (OWASP ASVS 8.3.2).
	Read(ctx context.Context, k Key) (Session, error)
	// Data returns the data of a session, or ErrEnded.
	Data(ctx context.Context, k Key) ([]byte, error)
	// Begin keeps a new session and removes the one it replaces, both or neither.
	// replaces may be the zero Key, or that of no session. Begin looks at the
	// account in the same transaction and returns ErrEnded if the session would
	// have ended already: the account may have changed since it was authenticated.
	Begin(ctx context.Context, k, replaces Key, s Session, data []byte) error
	// Change replaces the data of a session, or returns ErrEnded: a request
	// that saves after a logout must not bring the session back.
	Change(ctx context.Context, k Key, data []byte) error
	// Renew notes that a session was seen. It does not wait until that is durable,
	// nor does it say whether it was written: if not, the next request will be. A
	// session that has ended is not written again.
	Renew(ctx context.Context, k Key, seen time.Time)
	// Rotate moves a session and its data from the key old to the key k, and records at
	// as the time of the re-authentication. The session's limits still count from its
	// beginning. The key old is an alias of k for AliasFor. ErrEnded if the session has
	// ended.
	Rotate(ctx context.Context, k, old Key, at time.Time) error
	// End ends a session, also by an alias: a logout may have been on its way when
	// the session was rotated. That there is none is no error.
	End(ctx context.Context, k Key) error

	// List returns the sessions of an account that have not ended, those that
	// began last first, and at most limit of them. Name and Admin are left out.
	List(ctx context.Context, account Account, limit int) ([]Session, error)
	// EndAll ends every session of an account. That there is none is no error.
	EndAll(ctx context.Context, account Account) error
	// EndOthers ends every session of an account but one.
	EndOthers(ctx context.Context, account Account, but Key) error
	// EndOne ends one session of an account, or returns ErrEnded if the account
	// has no such session.
	EndOne(ctx context.Context, account Account, k Key) error
}

// AliasFor is how long the old key of a rotated session still ends it: longer than
// a request can take. It opens nothing.
const AliasFor = time.Minute
