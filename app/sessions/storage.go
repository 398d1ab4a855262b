package sessions

import (
	"bytes"
	"context"
	"errors"
	"time"

	"github.com/gofiber/fiber/v2"
)

// Storage lets Fiber's session middleware keep the data of sessions in a Store,
// during one request. It copies data in and out. It makes nobody logged in: a
// session that it begins is anonymous.
type Storage struct {
	ctx      context.Context
	store    Store
	lifetime time.Duration
	now      time.Time
	found    bool  // Get has found the session, so Set changes it
	damaged  error // why Get could not read the session under key, so that Set leaves it
	key      Key
}

var _ fiber.Storage = (*Storage)(nil)

// NewStorage returns the storage of one request, which ends with ctx. The limits
// are those of the store.
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

// Set replaces the data of a session that Get has found, or returns ErrEnded: a
// request that saves after a logout must not bring the session back. Without one
// it begins an anonymous session, but not in the place of one that cannot be read.
// It ignores an empty id, and empty data.
//
// The store keeps a session for as long as its limits say. Set refuses an expiry
// that is shorter than the lifetime, because the session would outlive it.
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

// Delete ends a session. That there is none is no error.
func (s *Storage) Delete(id string) error {
	if id == "" {
		return nil
	}
	return s.store.End(s.ctx, KeyOf(id))
}

// Reset is refused: no request may end the sessions of everybody.
func (s *Storage) Reset() error { return errReset }

// Close does nothing: the store outlives the request.
func (s *Storage) Close() error { return nil }

var (
	errExpiry = errors.New("sessions: a session has the limits of the store, not a shorter expiry")
	errReset  = errors.New("sessions: a request cannot end all sessions")
)
