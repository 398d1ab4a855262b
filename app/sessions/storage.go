package sessions

import (
	"bytes"
	"context"
	"errors"
	"time"

	"github.com/gofiber/fiber/v2"
)

// Storage adapts a Store to Fiber's session middleware for one request. It copies the
// data it takes and returns. Sessions it creates are anonymous.
type Storage struct {
	ctx      context.Context
	store    Store
	lifetime time.Duration
	now      time.Time
	found    bool  // Get found the session, so Set updates it
	damaged  error // why Get could not read the session under key; Set must not overwrite it
	key      Key
}

var _ fiber.Storage = (*Storage)(nil)

// NewStorage returns a Storage for one request. Store calls use ctx. The limits must
// be those of the store.
func NewStorage(ctx context.Context, store Store, limits Limits) *Storage {
	return newStorage(ctx, store, limits, time.Now())
}

func newStorage(ctx context.Context, store Store, limits Limits, now time.Time) *Storage {
	return &Storage{ctx: ctx, store: store, lifetime: limits.Lifetime, now: storedTime(now)}
}

// Get returns the data of a session, or nil if there is no such session.
func (s *Storage) Get(id string) ([]byte, error) {
	if id == "" {
		return nil, nil
	}
	s.key = KeyOf(id)
	data, err := s.store.Data(s.ctx, s.key)
	s.found, s.damaged = err == nil, nil
	switch {
	case errors.Is(err, ErrDamaged):
		s.damaged = err
		return nil, nil
	case errors.Is(err, ErrEnded):
		return nil, nil
	}
	return bytes.Clone(data), err
}

// Set replaces the data of a session that Get found. It returns ErrEnded if that
// session has ended since, so that a late save cannot undo a logout. If Get found no
// session, Set begins an anonymous one; it never overwrites a damaged session. It
// ignores an empty id and empty data.
//
// Only the store's limits decide how long a session lasts. Set therefore refuses an
// expiry shorter than the lifetime.
func (s *Storage) Set(id string, data []byte, expires time.Duration) error {
	switch {
	case id == "" || len(data) == 0:
		return nil
	case expires > 0 && expires < s.lifetime:
		return errExpiry
	case s.damaged != nil && s.key == KeyOf(id):
		return s.damaged
	case s.found:
		return s.store.Change(s.ctx, KeyOf(id), bytes.Clone(data))
	}
	return s.store.Begin(s.ctx, KeyOf(id), Key{}, Session{Began: s.now, Seen: s.now}, bytes.Clone(data))
}

// Delete ends a session. It is not an error if there is none.
func (s *Storage) Delete(id string) error {
	if id == "" {
		return nil
	}
	return s.store.End(s.ctx, KeyOf(id))
}

// Reset always fails: no request may end all sessions.
func (s *Storage) Reset() error { return errReset }

// Close does nothing: the store outlives the request.
func (s *Storage) Close() error { return nil }

var (
	errExpiry = errors.New("sessions: a session has the limits of the store, not a shorter expiry")
	errReset  = errors.New("sessions: a request cannot end all sessions")
)
