// Package sessions manages login sessions. All code that begins, reads or ends
// sessions, or uses Fiber's session middleware, is here.
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

// Sessions begins, reads and ends visitors' sessions.
type Sessions struct {
	store  Store
	fiber  session.Store
	cookie fiber.Cookie // template of the session cookie, without a value
	limits Limits
	now    func() time.Time
	noData []byte // an empty session, as Fiber's middleware encodes it

	// Address returns the client address of a request, for the list of sessions.
	// It may be replaced before the first request.
	Address func(*fiber.Ctx) string
}

// New returns Sessions that keeps sessions in store. The store must enforce the
// same limits. The cookie expires after limits.Lifetime.
//
// A secure cookie is named __Host-session. Browsers accept that prefix only over
// HTTPS and without a Domain attribute, so a sibling subdomain cannot set it. In dev
// mode, which has no HTTPS, the name is session.
func New(store Store, limits Limits, secure bool) *Sessions {
	name := "session"
	if secure {
		name = "__Host-session"
	}
	return &Sessions{
		store: store,
		fiber: *session.New(session.Config{
			Storage:        new(Storage), // Open sets one for each request
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

// NewID returns the id of a session that begins now: 256 random bits followed by the
// time, which KeyOf reads. Fiber's default ids are UUIDs, which have fewer random
// bits and are not meant to be secret (OWASP ASVS 7.2.3, 11.5.1).
func NewID(now time.Time) string {
	var bits [32]byte
	rand.Read(bits[:]) // never fails; see its documentation
	at := binary.BigEndian.AppendUint64(nil, uint64(now.UnixMilli()))
	id := base64.RawURLEncoding.AppendEncode(make([]byte, 0, idLength), bits[:])
	return string(base64.RawURLEncoding.AppendEncode(id, at[8-timeSize:]))
}

// id returns the session id from the cookie, or "" if its length is wrong, which
// saves a store lookup. The string is valid only during the request.
func (s *Sessions) id(c *fiber.Ctx) string {
	id := c.Cookies(s.cookie.Name)
	if len(id) != idLength {
		return ""
	}
	return id
}

// Read returns the visitor's session, or ErrEnded. It neither decodes the session
// data nor writes to the store. If the session is damaged, Read clears the cookie,
// because retrying cannot succeed.
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

// Due reports whether the last recorded activity is old enough to call Renew.
func (s *Sessions) Due(noted time.Time) bool { return s.now().Sub(noted) >= s.limits.Renewal() }

// Renew records activity in the visitor's session. It does not wait for the write.
func (s *Sessions) Renew(c *fiber.Ctx) {
	s.store.Renew(c.UserContext(), s.Key(c), storedTime(s.now()))
}

// storedTime rounds t to the precision of a store, so that a time is unchanged when
// it is read back.
func storedTime(t time.Time) time.Time { return t.UTC().Truncate(time.Millisecond) }

// Key returns the key of the visitor's session, which identifies it in List.
func (s *Sessions) Key(c *fiber.Ctx) Key { return KeyOf(s.id(c)) }

// Here reports whether key is that of the visitor's session. It also accepts the key
// from before a rotation by Reauthenticate in the same request.
func (s *Sessions) Here(c *fiber.Ctx, key Key) bool {
	reissued, ok := c.Locals(reissued{}).(reissued)
	return key == s.Key(c) || ok && key == reissued.before
}

// Begin logs the visitor in to account. version is the version of the password they
// authenticated with. The session gets a new id and no data from the browser's
// previous session, which is removed in the same write. This prevents session
// fixation (OWASP ASVS 7.2.4). If Begin returns nil, the session is durable;
// otherwise nothing has changed.
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
	c.Request().Header.SetCookie(s.cookie.Name, id) // the rest of the request uses the new id
	return nil
}

// noData encodes an empty session as Fiber's middleware does. New calls it once,
// because encoding at every login would be slow.
func noData() []byte {
	var b bytes.Buffer
	if err := gob.NewEncoder(&b).Encode(map[string]any{}); err != nil {
		panic(err) // cannot fail for an empty map
	}
	return b.Bytes()
}

// lasting returns a cookie that holds id and expires after the session lifetime.
func (s *Sessions) lasting(id string) fiber.Cookie {
	cookie := s.cookie
	cookie.Value = id
	cookie.MaxAge = int(s.limits.Lifetime / time.Second)
	return cookie
}

// longestAgent is the maximum length of a stored User-Agent, in bytes.
const longestAgent = 256

// Agent returns the User-Agent header, cleaned and truncated for storage.
func Agent(c *fiber.Ctx) string {
	return text.Clean(string(c.Request().Header.UserAgent()), longestAgent)
}

// Reauthenticate records that the visitor has just re-authenticated, or returns
// ErrEnded. It rotates the session id, because the session gains privileges (OWASP
// ASVS 7.2.4, 7.5.1). The rest of the request uses the new id.
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

// reissued holds the cookie set by Reauthenticate. It is stored in the request's Locals.
type reissued struct {
	before Key // the session's key before the rotation
	cookie fiber.Cookie
}

// ReissueCookie sets the cookie of Reauthenticate again after the response was reset.
// It does nothing if Reauthenticate was not called. Without the cookie the visitor
// would be logged out, because the old id is no longer valid.
func (s *Sessions) ReissueCookie(c *fiber.Ctx) {
	if reissued, ok := c.Locals(reissued{}).(reissued); ok {
		c.Cookie(&reissued.cookie)
	}
}

// Open returns the visitor's session with its data, for reading and writing. A visitor
// without a session gets a new anonymous one, which is stored by Save. Save returns
// ErrEnded if the session has ended since. Save also returns the session to Fiber's
// pool: do not use it afterwards, even if Save failed.
func (s *Sessions) Open(c *fiber.Ctx) (*session.Session, error) {
	// Each request needs its own Storage. Fiber calls Set both for new and for existing
	// sessions, and Storage tells them apart by whether Get found one.
	store := s.fiber
	store.Storage = newStorage(c.UserContext(), s.store, s.limits, s.now())
	return store.Get(c)
}

// End logs the visitor out. It removes the session from the store, then clears the
// cookie (OWASP ASVS 7.4.1). It is not an error if there is no session.
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

// List returns up to limit active sessions of an account, newest first. The caller
// must check that the visitor is authorized.
func (s *Sessions) List(ctx context.Context, account Account, limit int) ([]Session, error) {
	list, err := s.store.List(ctx, account, limit)
	if err != nil {
		return nil, fmt.Errorf("list sessions: %w", err)
	}
	return list, nil
}

// EndAll ends all sessions of an account (OWASP ASVS 7.4.5). The caller must check
// that the visitor is authorized.
func (s *Sessions) EndAll(ctx context.Context, account Account) error {
	if err := s.store.EndAll(ctx, account); err != nil {
		return fmt.Errorf("end sessions: %w", err)
	}
	return nil
}

// EndOthers ends all sessions of an account except but (OWASP ASVS 7.4.3).
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
