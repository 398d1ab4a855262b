// Package sessions says who is logged in here. It is the only place where a
// session is begun, read and ended, and the only one that knows Fiber's session
// middleware.
package sessions

import (
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"time"

	"github.com/gofiber/fiber/v2"
	"github.com/gofiber/fiber/v2/middleware/session"
)

// ErrEnded means that a session is not there: never begun, logged out, or past
// one of its limits.
var ErrEnded = errors.New("the session has ended")

// ErrFull means that the store has no room for a write, of whatever kind.
// Nothing was written, reading goes on, and the next write may succeed.
var ErrFull = errors.New("the store has no room")

// Session is what is known of a session without decoding its data. The store
// keeps it beside the data, so that a page which only asks who is there pays
// one read and no decoding.
type Session struct {
	Account  Account   // zero while nobody is logged in
	Name     string    // of the account, as typed
	Admin    bool      // whether the account is an administrator now
	Password time.Time // when the password was set that proved the account
	Began    time.Time // when the visitor logged in; the absolute limit counts from here
	Seen     time.Time // the last activity; the idle limit counts from here
}

// Account is the id of the account that a session belongs to.
type Account [16]byte

// Limits say how long a session may last (OWASP ASVS 7.3.1 and 7.3.2).
type Limits struct {
	Idle     time.Duration // since it was last seen
	Lifetime time.Duration // since it began, whatever the activity
}

// End returns the moment at which s ends if nothing more happens.
func (l Limits) End(s Session) time.Time {
	idle, lifetime := s.Seen.Add(l.Idle), s.Began.Add(l.Lifetime)
	if idle.Before(lifetime) {
		return idle
	}
	return lifetime
}

// Store keeps sessions on disk, under a hash of their ids, and lets none out
// that has passed its limits. Every write is on disk when the call returns. Its
// methods may be called from many goroutines at once.
//
// The embedded fiber.Storage is what Fiber's middleware asks for. Its Set makes
// nobody logged in: a session that it creates has no name.
type Store interface {
	fiber.Storage

	// Read returns the session with that id, or ErrEnded. Name and Admin are
	// those of the account at this moment: what an account may do is never
	// remembered (OWASP ASVS 8.3.2). A session has ended if its account is gone,
	// disabled, or has another password.
	Read(id string) (Session, error)
	// Begin writes a new session and removes the one it replaces, both or
	// neither. There need not be one to replace. It looks at the account in the
	// same transaction, and returns ErrEnded if the session would have ended
	// already: the account may have changed since it was proved.
	Begin(id, replaces string, s Session, data []byte) error
	// Change replaces the data of a session, or returns ErrEnded: a request
	// that saves after a logout must not bring the session back.
	Change(id string, data []byte) error
}

// Sessions begins, reads and ends the sessions of visitors.
type Sessions struct {
	store  Store
	fiber  session.Store
	cookie fiber.Cookie // how the cookie looks, without a value
	now    func() time.Time
}

// New returns the sessions kept in store. Their cookie lasts as long as the
// lifetime; the store holds them to both limits.
//
// A secure cookie is called __Host-session, which browsers keep only over https
// and without a domain, so that no neighbouring site can plant one. In dev mode
// there is no https and it is called session.
func New(store Store, lifetime time.Duration, secure bool) *Sessions {
	name := "session"
	if secure {
		name = "__Host-session"
	}
	return &Sessions{
		store: store,
		fiber: *session.New(session.Config{
			Storage:        store,
			Expiration:     lifetime,
			KeyLookup:      "cookie:" + name,
			KeyGenerator:   newID,
			CookiePath:     "/",
			CookieSecure:   secure,
			CookieHTTPOnly: true,
			CookieSameSite: fiber.CookieSameSiteLaxMode,
		}),
		cookie: fiber.Cookie{
			Name:     name,
			Path:     "/",
			Secure:   secure,
			HTTPOnly: true,
			SameSite: fiber.CookieSameSiteLaxMode,
		},
		now: time.Now,
	}
}

const idLength = 43 // 256 bits in base64url

// newID returns 256 random bits as text. Fiber's own ids are UUIDs: fewer bits,
// and not meant to be secret (OWASP ASVS 7.2.3, 11.5.1).
func newID() string {
	var bits [32]byte
	rand.Read(bits[:]) // never fails; see its documentation
	return base64.RawURLEncoding.EncodeToString(bits[:])
}

// id returns the id that the visitor's cookie holds, or "" if it cannot be one
// of ours: what has another form is not worth a look into the store. The text
// lives only as long as the request.
func (s *Sessions) id(c *fiber.Ctx) string {
	id := c.Cookies(s.cookie.Name)
	if len(id) != idLength {
		return ""
	}
	return id
}

// Read returns the visitor's session, or ErrEnded. It decodes no data.
func (s *Sessions) Read(c *fiber.Ctx) (Session, error) {
	id := s.id(c)
	if id == "" {
		return Session{}, ErrEnded
	}
	return s.store.Read(id)
}

// Begin logs the visitor in to the account, which was proved with the password
// set at that time. The session always gets a new id and the
// one the browser had before is removed in the same write, so that an id which
// somebody planted or watched leads nowhere (OWASP ASVS 7.2.4). When Begin
// returns nil the session is on disk; otherwise nothing has changed.
func (s *Sessions) Begin(c *fiber.Ctx, account Account, name string, password time.Time) error {
	now := s.now()
	sess, err := s.open(c, &beginning{
		Store:    s.store,
		replaces: s.id(c),
		session:  Session{Account: account, Name: name, Password: password, Began: now, Seen: now},
	})
	if err != nil {
		return fmt.Errorf("begin session: %w", err)
	}
	sess.Set("name", name)
	if err := sess.Save(); err != nil {
		// Save sets the cookie before it writes. Without this the visitor would
		// leave with the id of a session that does not exist.
		c.Response().Header.DelCookie(s.cookie.Name)
		return fmt.Errorf("begin session: %w", err)
	}
	return nil
}

// Open returns the visitor's session with its data, to read and to change; for
// a visitor without one, a new anonymous session that is kept once it is saved.
// Save fails with ErrEnded if the session was ended meanwhile. After Save the
// session belongs to Fiber's pool again: do not touch it, whatever Save said.
func (s *Sessions) Open(c *fiber.Ctx) (*session.Session, error) {
	return s.open(c, &changing{Store: s.store, now: s.now()})
}

// open gives Fiber's middleware a storage of this one request's own, because
// the middleware's Set says what to write, but not whether a session is begun
// or changed, nor what belongs beside the data.
func (s *Sessions) open(c *fiber.Ctx, storage fiber.Storage) (*session.Session, error) {
	store := s.fiber
	store.Storage = storage
	return store.Get(c)
}

// End logs the visitor out: the session is gone from the store before the
// cookie is cleared (OWASP ASVS 7.4.1). Ending no session is no error.
func (s *Sessions) End(c *fiber.Ctx) error {
	if id := s.id(c); id != "" {
		if err := s.store.Delete(id); err != nil {
			return fmt.Errorf("end session: %w", err)
		}
	}
	gone := s.cookie
	gone.Expires = time.Unix(1, 0)
	gone.MaxAge = -1
	c.Cookie(&gone)
	return nil
}

// beginning is the storage of a request that begins a session. It has no former
// data, so that nothing of the old session passes into the new one.
type beginning struct {
	Store
	replaces string
	session  Session
}

func (b *beginning) Get(string) ([]byte, error) { return nil, nil }

func (b *beginning) Set(id string, data []byte, _ time.Duration) error {
	return b.Begin(id, b.replaces, b.session, data)
}

// changing is the storage of a request that changes a session's data.
type changing struct {
	Store
	found bool // the session existed when the request read it
	now   time.Time
}

func (s *changing) Get(id string) ([]byte, error) {
	data, err := s.Store.Get(id)
	s.found = data != nil
	return data, err
}

func (s *changing) Set(id string, data []byte, _ time.Duration) error {
	if s.found {
		return s.Change(id, data)
	}
	return s.Begin(id, "", Session{Began: s.now, Seen: s.now}, data)
}
