// Package sessions says who is logged in here. It is the only place where a
// session is begun, read and ended, and the only one that knows Fiber's session
// middleware.
package sessions

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/binary"
	"encoding/gob"
	"errors"
	"fmt"
	"time"

	"github.com/gofiber/fiber/v2"
	"github.com/gofiber/fiber/v2/middleware/session"

	"latchkey/app/internal/text"
)

// Sessions begins, reads and ends the sessions of visitors.
type Sessions struct {
	store  Store
	fiber  session.Store
	cookie fiber.Cookie // how the cookie looks, without a value
	limits Limits
	now    func() time.Time
	noData []byte // what Fiber's middleware reads as a session without data

	// Address returns where a request comes from, for the list of sessions. It
	// may be set before the first request.
	Address func(*fiber.Ctx) string
}

// New returns the sessions kept in store, which holds them to the limits. Their
// cookie lasts as long as the lifetime.
//
// A secure cookie is called __Host-session, which browsers keep only over https
// and without a domain, so that no neighbouring site can plant one. In dev mode
// there is no https and it is called session.
func New(store Store, limits Limits, secure bool) *Sessions {
	name := "session"
	if secure {
		name = "__Host-session"
	}
	return &Sessions{
		store: store,
		fiber: *session.New(session.Config{
			Storage:        new(Storage), // Open gives each request its own
			Expiration:     limits.Lifetime,
			KeyLookup:      "cookie:" + name,
			KeyGenerator:   func() string { return NewID(time.Now()) },
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
		limits:  limits,
		now:     time.Now,
		noData:  noData(),
		Address: func(c *fiber.Ctx) string { return c.Context().RemoteIP().String() },
	}
}

const (
	secretLength = 43 // 256 bits in base64url
	timeSize     = 6
	idLength     = secretLength + 8
)

// NewID returns the id of a session that begins now: 256 random bits, and after
// them the time, for Key. Fiber's own ids are UUIDs: fewer bits, and not meant to
// be secret (OWASP ASVS 7.2.3, 11.5.1).
func NewID(now time.Time) string {
	var bits [32]byte
	rand.Read(bits[:]) // never fails; see its documentation
	at := binary.BigEndian.AppendUint64(nil, uint64(now.UnixMilli()))
	id := base64.RawURLEncoding.AppendEncode(make([]byte, 0, idLength), bits[:])
	return string(base64.RawURLEncoding.AppendEncode(id, at[8-timeSize:]))
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

// Read returns the visitor's session, or ErrEnded. It decodes no data and writes
// nothing. A browser whose session is damaged is told to forget it, for the
// damage stays.
func (s *Sessions) Read(c *fiber.Ctx) (session Session, err error) {
	id := s.id(c)
	if id == "" {
		return session, ErrEnded
	}
	session, err = s.store.Read(c.UserContext(), KeyOf(id))
	if errors.Is(err, ErrDamaged) {
		s.forget(c)
	}
	return session, err
}

// Due reports whether it was noted so long ago that the visitor was here that it
// should be noted anew.
func (s *Sessions) Due(noted time.Time) bool { return s.now().Sub(noted) >= s.limits.Renewal() }

// Renew notes that the visitor is here. It waits for no write.
func (s *Sessions) Renew(c *fiber.Ctx) {
	s.store.Renew(c.UserContext(), s.Key(c), storedTime(s.now()))
}

// storedTime returns a time as a store keeps it, so that what is written equals
// what is read back.
func storedTime(t time.Time) time.Time { return t.UTC().Truncate(time.Millisecond) }

// Key returns what the visitor's session is called in lists.
func (s *Sessions) Key(c *fiber.Ctx) Key { return KeyOf(s.id(c)) }

// Here reports whether a list called the visitor's session so: now, or before
// Reauthenticate gave it another id in this request.
func (s *Sessions) Here(c *fiber.Ctx, key Key) bool {
	reissued, ok := c.Locals(reissued{}).(reissued)
	return key == s.Key(c) || ok && key == reissued.before
}

// Begin logs the visitor in to the account, which was authenticated with the password
// of that version. The session always gets a new id, and the one that the browser
// had before is removed in the same write, so that an id which somebody planted or
// watched leads nowhere (OWASP ASVS 7.2.4). None of its data passes into the new
// one. When Begin returns nil the session is on disk; otherwise nothing has changed.
func (s *Sessions) Begin(c *fiber.Ctx, account Account, version uint64) error {
	now := storedTime(s.now())
	id := NewID(now)
	var replaces Key
	if old := s.id(c); old != "" {
		replaces = KeyOf(old)
	}
	err := s.store.Begin(c.UserContext(), KeyOf(id), replaces, Session{
		Account:         account,
		PasswordVersion: version,
		Began:           now,
		Seen:            now,
		Reauthenticated: now,
		Agent:           Agent(c),
		Address:         s.Address(c),
	}, s.noData)
	if err != nil {
		return fmt.Errorf("begin session: %w", err)
	}
	cookie := s.lasting(id)
	c.Cookie(&cookie)
	c.Request().Header.SetCookie(s.cookie.Name, id) // the rest of the request goes on under it
	return nil
}

// noData encodes an empty session as Fiber's middleware does. To have it do so at
// each login would take as long as to find the account.
func noData() []byte {
	var b bytes.Buffer
	if err := gob.NewEncoder(&b).Encode(map[string]any{}); err != nil {
		panic(err) // it never fails on such a map
	}
	return b.Bytes()
}

// lasting returns the cookie that holds id, for as long as a session may last.
func (s *Sessions) lasting(id string) fiber.Cookie {
	cookie := s.cookie
	cookie.Value = id
	cookie.MaxAge = int(s.limits.Lifetime / time.Second)
	return cookie
}

// longestAgent is as much of a User-Agent as a list needs, in bytes.
const longestAgent = 256

// Agent returns the browser's own words about itself, as stores keep them.
func Agent(c *fiber.Ctx) string {
	return text.Clean(string(c.Request().Header.UserAgent()), longestAgent)
}

// Reauthenticate notes that the visitor has just re-authenticated, or returns ErrEnded. The session gets another id, for its powers have grown
// (OWASP ASVS 7.2.4, 7.5.1); the rest of the request goes on under the new one.
func (s *Sessions) Reauthenticate(c *fiber.Ctx) error {
	now := storedTime(s.now())
	id := NewID(now)
	if err := s.store.Rotate(c.UserContext(), KeyOf(id), s.Key(c), now); err != nil {
		return fmt.Errorf("re-authenticate session: %w", err)
	}
	c.Locals(reissued{}, reissued{before: s.Key(c), cookie: s.lasting(id)})
	c.Request().Header.SetCookie(s.cookie.Name, id)
	s.ReissueCookie(c)
	return nil
}

// reissued is the cookie that Reauthenticate has put into an answer, kept with the request.
type reissued struct {
	before Key // what the session was called
	cookie fiber.Cookie
}

// ReissueCookie puts the cookie of Reauthenticate into an answer that was begun anew, if it was
// called: the old id is dead, and without it the visitor would be logged out and
// the session be nobody's.
func (s *Sessions) ReissueCookie(c *fiber.Ctx) {
	if reissued, ok := c.Locals(reissued{}).(reissued); ok {
		c.Cookie(&reissued.cookie)
	}
}

// Open returns the visitor's session with its data, to read and to change; for
// a visitor without one, a new anonymous session that is kept once it is saved.
// Save fails with ErrEnded if the session was ended meanwhile. After Save the
// session belongs to Fiber's pool again: do not touch it, whatever Save said.
func (s *Sessions) Open(c *fiber.Ctx) (*session.Session, error) {
	// Fiber's middleware gets a storage of this one request's own, because its Set
	// says what to write, but not whether a session is begun or changed.
	store := s.fiber
	store.Storage = newStorage(c.UserContext(), s.store, s.limits, s.now())
	return store.Get(c)
}

// End logs the visitor out: the session is gone from the store before the
// cookie is cleared (OWASP ASVS 7.4.1). Ending no session is no error.
func (s *Sessions) End(c *fiber.Ctx) error {
	if id := s.id(c); id != "" {
		if err := s.store.End(c.UserContext(), KeyOf(id)); err != nil {
			return fmt.Errorf("end session: %w", err)
		}
	}
	s.forget(c)
	return nil
}

// forget clears the cookie.
func (s *Sessions) forget(c *fiber.Ctx) {
	gone := s.cookie
	gone.Expires = time.Unix(1, 0)
	gone.MaxAge = -1
	c.Cookie(&gone)
}

// List returns the sessions of an account that have not ended, the newest first,
// and at most limit of them. Whoever calls it has checked that the visitor may.
func (s *Sessions) List(ctx context.Context, account Account, limit int) ([]Session, error) {
	list, err := s.store.List(ctx, account, limit)
	if err != nil {
		return nil, fmt.Errorf("list sessions: %w", err)
	}
	return list, nil
}

// EndAll logs an account out everywhere (OWASP ASVS 7.4.5). Whoever calls it has
// checked that the visitor may.
func (s *Sessions) EndAll(ctx context.Context, account Account) error {
	if err := s.store.EndAll(ctx, account); err != nil {
		return fmt.Errorf("end sessions: %w", err)
	}
	return nil
}

// EndOthers ends every session of an account but one (OWASP ASVS 7.4.3).
func (s *Sessions) EndOthers(ctx context.Context, account Account, but Key) error {
	if err := s.store.EndOthers(ctx, account, but); err != nil {
		return fmt.Errorf("end other sessions: %w", err)
	}
	return nil
}

// EndOne ends one session of an account, or returns ErrEnded (OWASP ASVS 7.5.2).
func (s *Sessions) EndOne(ctx context.Context, account Account, session Key) error {
	if err := s.store.EndOne(ctx, account, session); err != nil {
		return fmt.Errorf("end session: %w", err)
	}
	return nil
}
