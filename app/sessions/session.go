// Package sessions says who is logged in here. It is the only place where a
// session is begun, read and ended, and the only one that knows Fiber's session
// middleware.
package sessions

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/gob"
	"errors"
	"fmt"
	"time"

	"github.com/gofiber/fiber/v2"
	"github.com/gofiber/fiber/v2/middleware/session"
)

// ErrEnded means that a session is not there: never begun, logged out, or past
// one of its limits.
var ErrEnded = errors.New("the session has ended")

// ErrDamaged means that a session has ended because its record, or that of its
// account, cannot be read: nobody can tell any more who is logged in. It is an
// ErrEnded that the operator should hear of.
var ErrDamaged = fmt.Errorf("%w, for its record cannot be read", ErrEnded)

// ErrFull means that the store has no room for a write, of whatever kind.
// Nothing was written, reading goes on, and the next write may succeed.
var ErrFull = errors.New("the store has no room")

// ErrBusy means that the store takes no writes yet. Nothing was written, reading
// goes on, and the next write may succeed.
var ErrBusy = errors.New("the store takes no writes yet")

// Session is what is known of a session without decoding its data. The store
// keeps it beside the data, so that a page which only asks who is there pays
// one read and no decoding.
type Session struct {
	Account  Account   // zero while nobody is logged in
	Name     string    // of the account, as typed
	Admin    bool      // whether the account is an administrator now
	Password time.Time // when the password was set that proved the account
	Began    time.Time // when the visitor logged in; the absolute limit counts from here
	Seen     time.Time // the last activity, a minute old at most; the idle limit counts from here
	Proved   time.Time // when the visitor last proved that they are the account

	// What follows is there in lists only, a page does not pay for it.
	Key     Key    // what the session is called where its id must not be known
	Agent   string // the browser's own words about itself
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
	sum := sha256.Sum256(append(make([]byte, 0, idLength), id...)) // to convert it would allocate
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

// Store keeps sessions on disk, under a hash of their ids, and lets none out
// that has passed its limits. Every write is on disk when the call returns. Its
// methods may be called from many goroutines at once.
//
// The embedded fiber.Storage is what Fiber's middleware asks for. Its Set makes
// nobody logged in: a session that it creates has no name.
type Store interface {
	fiber.Storage

	// Read returns the session with that id, or ErrEnded, which ErrDamaged is too.
	// Any other error is a fault of the store and ends nothing. Name and Admin are
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

	// Renew notes that a session was seen. It does not wait for the disk, nor
	// says whether it was written: if not, the next request will be. A session
	// that has ended is not written again.
	Renew(id string, seen time.Time)
	// Rotate gives a session, with its data, another id, and notes when the
	// visitor proved themselves; or returns ErrEnded. Its limits stay those of
	// its beginning. Delete with the old id ends it for some time yet: a logout
	// may be on its way.
	Rotate(id, replaces string, proved time.Time) error

	// List returns the sessions of an account that have not ended, those that
	// began last first, and at most limit of them. Name and Admin are left out.
	List(account Account, limit int) ([]Session, error)
	// EndAll ends every session of an account. That there is none is no error.
	EndAll(account Account) error
	// EndOthers ends every session of an account but one.
	EndOthers(account Account, but Key) error
	// EndOne ends one session of an account, or returns ErrEnded if the account
	// has no such session.
	EndOne(account Account, session Key) error
}

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
			Storage:        store,
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
	session, err = s.store.Read(id)
	if errors.Is(err, ErrDamaged) {
		s.forget(c)
	}
	return session, err
}

// Due reports whether it was noted so long ago that the visitor was here that it
// should be noted anew.
func (s *Sessions) Due(noted time.Time) bool { return s.now().Sub(noted) >= s.limits.Renewal() }

// Renew notes that the visitor is here. It waits for no write.
func (s *Sessions) Renew(c *fiber.Ctx) { s.store.Renew(s.id(c), s.now()) }

// Key returns what the visitor's session is called in lists.
func (s *Sessions) Key(c *fiber.Ctx) Key { return KeyOf(s.id(c)) }

// Here reports whether a list called the visitor's session so: now, or before
// Prove gave it another id in this request.
func (s *Sessions) Here(c *fiber.Ctx, key Key) bool {
	given, ok := c.Locals(given{}).(given)
	return key == s.Key(c) || ok && key == given.before
}

// Begin logs the visitor in to the account, which was proved with the password
// set at that time. The session always gets a new id, and the one that the browser
// had before is removed in the same write, so that an id which somebody planted or
// watched leads nowhere (OWASP ASVS 7.2.4). None of its data passes into the new
// one. When Begin returns nil the session is on disk; otherwise nothing has changed.
func (s *Sessions) Begin(c *fiber.Ctx, account Account, password time.Time) error {
	now := s.now()
	id := NewID(now)
	err := s.store.Begin(id, s.id(c), Session{
		Account:  account,
		Password: password,
		Began:    now,
		Seen:     now,
		Proved:   now,
		Agent:    agent(c),
		Address:  s.Address(c),
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

// agent returns the browser's own words about itself, cut to what a list needs.
func agent(c *fiber.Ctx) string {
	const longest = 256
	words := c.Request().Header.UserAgent()
	return string(words[:min(longest, len(words))])
}

// Prove notes that the visitor has just proved that they are the account, or
// returns ErrEnded. The session gets another id, for its powers have grown
// (OWASP ASVS 7.2.4, 7.5.1); the rest of the request goes on under the new one.
func (s *Sessions) Prove(c *fiber.Ctx) error {
	now := s.now()
	id, old := NewID(now), s.id(c)
	if err := s.store.Rotate(id, old, now); err != nil {
		return fmt.Errorf("prove session: %w", err)
	}
	c.Locals(given{}, given{before: s.Key(c), cookie: s.lasting(id)})
	c.Request().Header.SetCookie(s.cookie.Name, id)
	s.Give(c)
	return nil
}

// given is the cookie that Prove has put into an answer, kept with the request.
type given struct {
	before Key // what the session was called
	cookie fiber.Cookie
}

// Give puts the cookie of Prove into an answer that was begun anew, if there was a
// Prove: the old id is dead, and without it the visitor would be logged out and
// the session be nobody's.
func (s *Sessions) Give(c *fiber.Ctx) {
	if given, ok := c.Locals(given{}).(given); ok {
		c.Cookie(&given.cookie)
	}
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
func (s *Sessions) List(account Account, limit int) ([]Session, error) {
	list, err := s.store.List(account, limit)
	if err != nil {
		return nil, fmt.Errorf("list sessions: %w", err)
	}
	return list, nil
}

// EndAll logs an account out everywhere (OWASP ASVS 7.4.5). Whoever calls it has
// checked that the visitor may.
func (s *Sessions) EndAll(account Account) error {
	if err := s.store.EndAll(account); err != nil {
		return fmt.Errorf("end sessions: %w", err)
	}
	return nil
}

// EndOthers ends every session of an account but one (OWASP ASVS 7.4.3).
func (s *Sessions) EndOthers(account Account, but Key) error {
	if err := s.store.EndOthers(account, but); err != nil {
		return fmt.Errorf("end other sessions: %w", err)
	}
	return nil
}

// EndOne ends one session of an account, or returns ErrEnded (OWASP ASVS 7.5.2).
func (s *Sessions) EndOne(account Account, session Key) error {
	if err := s.store.EndOne(account, session); err != nil {
		return fmt.Errorf("end session: %w", err)
	}
	return nil
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
