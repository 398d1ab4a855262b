package bolt

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"time"

	"latchkey/app/internal/kv"
	"latchkey/app/internal/store"
	"latchkey/app/sessions"
)

// bucketSessions: sessions.Key → record, see session_record.go. Only hashes of ids
// are in the file, so a stolen copy logs nobody in. An id has 256 random bits, so
// its hash needs neither salt nor stretching.
const bucketSessions = "sessions"

type sessionStore struct{ *DB }

var _ sessions.Store = sessionStore{}

// find reads into s what a page asks of the session under k, and returns its
// record. If the session has expired, or its account does not let it be, the error
// is sessions.ErrEnded; if either cannot be read, sessions.ErrDamaged.
func (db *DB) find(tx *kv.Tx, k []byte, s *sessions.Session) (record []byte, err error) {
	record = tx.Get(bucketSessions, k)
	if record == nil || isAlias(record) {
		return nil, sessions.ErrEnded
	}
	expires, _, err := decodeSessionHead(k, record, s)
	if err != nil {
		return nil, unreadable(err)
	}
	if db.hasExpired(s, expires) {
		return nil, sessions.ErrEnded
	}
	owner, err := owner(tx, s)
	if err != nil {
		return nil, unreadable(err)
	}
	s.Name, s.Admin = owner.name, owner.admin
	return record, nil
}

// read is find for the whole record, whose data share the memory of the
// transaction.
func (db *DB) read(tx *kv.Tx, k []byte) (sessionRecord, error) {
	var s sessions.Session
	record, err := db.find(tx, k, &s)
	if err != nil {
		return sessionRecord{}, err
	}
	r, err := decodeSession(k, record)
	return r, unreadable(err)
}

// unreadable makes damage to a record a sessions.ErrDamaged.
func unreadable(err error) error {
	if errors.Is(err, store.ErrDamaged) {
		return fmt.Errorf("%w: %w", sessions.ErrDamaged, err)
	}
	return err
}

// owner returns the head of a session's account if the account lets the session
// be, and otherwise sessions.ErrEnded. An anonymous session needs none.
func owner(tx *kv.Tx, s *sessions.Session) (accountHead, error) {
	if s.Account == (sessions.Account{}) {
		return accountHead{}, nil
	}
	record := tx.Get(bucketAccounts, s.Account[:])
	if record == nil {
		return accountHead{}, sessions.ErrEnded
	}
	h, _, err := decodeAccountHead(s.Account[:], record)
	if err == nil && (h.disabled || h.passwordVersion != s.PasswordVersion) {
		err = sessions.ErrEnded
	}
	return h, err
}

// hasExpired reports whether s has passed what it was written with, or the limits
// of today: an operator who shortens them means the sessions there are, too.
func (db *DB) hasExpired(s *sessions.Session, expires time.Time) bool {
	now := db.now()
	return !now.Before(expires) || !now.Before(db.limits.End(s.Began, s.Seen))
}

// sessionExpired is for the sweeper. What cannot be decoded logs nobody in, but may
// be of use to whoever repairs the file: it stays.
func (db *DB) sessionExpired(key, record []byte) bool {
	if isAlias(record) {
		a, err := decodeAlias(key, record)
		return err == nil && !db.now().Before(a.expires)
	}
	var s sessions.Session
	expires, _, err := decodeSessionHead(key, record, &s)
	return err == nil && db.hasExpired(&s, expires)
}

// putSession writes a session.
func putSession(tx *kv.Tx, k, record []byte) error {
	b := tx.Bucket(bucketSessions)
	b.FillPercent = 0.9 // sessions are added at the end, where half full pages would stay so
	return b.Put(k, record)
}

func (s sessionStore) Read(ctx context.Context, k sessions.Key) (out sessions.Session, err error) {
	err = s.kv.View(ctx, func(tx *kv.Tx) error {
		_, err := s.find(tx, k[:], &out)
		return err
	})
	if err != nil { // out may be half filled
		return sessions.Session{}, err
	}
	return out, nil
}

func (s sessionStore) Data(ctx context.Context, k sessions.Key) (data []byte, err error) {
	err = s.kv.View(ctx, func(tx *kv.Tx) error {
		r, err := s.read(tx, k[:])
		data = bytes.Clone(r.data)
		return err
	})
	return data, err
}

func (s sessionStore) Begin(ctx context.Context, k, replaces sessions.Key, begun sessions.Session, data []byte) error {
	record := encodeSession(k[:], sessionRecord{Session: begun, expires: s.limits.End(begun.Began, begun.Seen), data: data})
	return s.add(ctx, func(tx *kv.Tx) error {
		if _, err := owner(tx, &begun); err != nil {
			return unreadable(err)
		}
		if err := s.endSession(tx, replaces); err != nil {
			return err
		}
		return addSession(tx, k[:], kv.ID(begun.Account), record)
	})
}

func (s sessionStore) Change(ctx context.Context, k sessions.Key, data []byte) error {
	return s.kv.Update(ctx, func(tx *kv.Tx) error {
		r, err := s.read(tx, k[:])
		if err != nil {
			return err
		}
		r.data = data
		return putSession(tx, k[:], encodeSession(k[:], r))
	})
}

func (s sessionStore) Rotate(ctx context.Context, k, replaces sessions.Key, at time.Time) error {
	return s.add(ctx, func(tx *kv.Tx) error {
		r, err := s.read(tx, replaces[:])
		if err != nil {
			return err
		}
		r.Seen, r.Reauthenticated = at, at
		r.expires = s.limits.End(r.Began, r.Seen)
		record := encodeSession(k[:], r) // before the removal: the data share its memory
		if err := dropSession(tx, replaces[:]); err != nil {
			return err
		}
		until := alias{k, s.now().Add(sessions.AliasFor)}
		if err := putSession(tx, replaces[:], encodeAlias(replaces[:], until)); err != nil {
			return err
		}
		return addSession(tx, k[:], kv.ID(r.Account), record)
	})
}
