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

// bucketSessions: sessions.Key → record, see session_record.go. Keys contain
// only hashes of session ids, so nobody can log in with a stolen copy of the
// file. Ids have 256 random bits, so the hash needs no salt or stretching.
const bucketSessions = "sessions"

type sessionStore struct{ *DB }

var _ sessions.Store = sessionStore{}

// find decodes into s what every page needs of the session under k, and returns
// the record. It returns sessions.ErrEnded if the session has expired or its
// account no longer allows it, and sessions.ErrDamaged if either record is
// damaged.
func (db *DB) find(tx *kv.Tx, k []byte, s *sessions.Session) (record []byte, err error) {
	record = tx.Get(bucketSessions, k)
	if record == nil || isAlias(record) {
		return nil, sessions.ErrEnded
	}
	expires, _, err := decodeSessionHeader(k, record, s)
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

// read returns the whole session under k, as find does. Its data is valid only
// during the transaction.
func (db *DB) read(tx *kv.Tx, k []byte) (sessionRecord, error) {
	var s sessions.Session
	record, err := db.find(tx, k, &s)
	if err != nil {
		return sessionRecord{}, err
	}
	r, err := decodeSession(k, record)
	return r, unreadable(err)
}

// unreadable turns store.ErrDamaged into sessions.ErrDamaged.
func unreadable(err error) error {
	if errors.Is(err, store.ErrDamaged) {
		return fmt.Errorf("%w: %w", sessions.ErrDamaged, err)
	}
	return err
}

// owner returns the header of the session's account. It returns
// sessions.ErrEnded if the account is missing or disabled or has a new
// password. For an anonymous session it returns an empty header.
func owner(tx *kv.Tx, s *sessions.Session) (accountHeader, error) {
	if s.Account == (sessions.Account{}) {
		return accountHeader{}, nil
	}
	record := tx.Get(bucketAccounts, s.Account[:])
	if record == nil {
		return accountHeader{}, sessions.ErrEnded
	}
	h, _, err := decodeAccountHeader(s.Account[:], record)
	if err == nil && (h.disabled || h.passwordVersion != s.PasswordVersion) {
		err = sessions.ErrEnded
	}
	return h, err
}

// hasExpired reports whether s has passed its stored expiry or the configured
// limits. Shorter limits thus apply to existing sessions, too.
func (db *DB) hasExpired(s *sessions.Session, expires time.Time) bool {
	now := db.now()
	return !now.Before(expires) || !now.Before(db.limits.End(s.Began, s.Seen))
}

// sessionExpired tells the sweep what to delete. Damaged sessions stay, because
// they may help to repair the file.
func (db *DB) sessionExpired(key, record []byte) bool {
	if isAlias(record) {
		a, err := decodeAlias(key, record)
		return err == nil && !db.now().Before(a.expires)
	}
	var s sessions.Session
	expires, _, err := decodeSessionHeader(key, record, &s)
	return err == nil && db.hasExpired(&s, expires)
}

func putSession(tx *kv.Tx, k, record []byte) error {
	b := tx.Bucket(bucketSessions)
	b.FillPercent = 0.9 // sessions are appended, so split pages would never be filled up
	return b.Put(k, record)
}

func (ss sessionStore) Read(ctx context.Context, k sessions.Key) (out sessions.Session, err error) {
	err = ss.kv.View(ctx, func(tx *kv.Tx) error {
		_, err := ss.find(tx, k[:], &out)
		return err
	})
	if err != nil { // out may be partly filled
		return sessions.Session{}, err
	}
	return out, nil
}

func (ss sessionStore) Data(ctx context.Context, k sessions.Key) (data []byte, err error) {
	err = ss.kv.View(ctx, func(tx *kv.Tx) error {
		r, err := ss.read(tx, k[:])
		data = bytes.Clone(r.data)
		return err
	})
	return data, err
}

func (ss sessionStore) Begin(ctx context.Context, k, replaces sessions.Key, begun sessions.Session, data []byte) error {
	record := encodeSession(k[:], sessionRecord{Session: begun, expires: ss.limits.End(begun.Began, begun.Seen), data: data})
	return ss.add(ctx, func(tx *kv.Tx) error {
		if _, err := owner(tx, &begun); err != nil {
			return unreadable(err)
		}
		if err := ss.endSession(tx, replaces); err != nil {
			return err
		}
		return addSession(tx, k[:], kv.ID(begun.Account), record)
	})
}

func (ss sessionStore) Change(ctx context.Context, k sessions.Key, data []byte) error {
	return ss.kv.Update(ctx, func(tx *kv.Tx) error {
		r, err := ss.read(tx, k[:])
		if err != nil {
			return err
		}
		r.data = data
		return putSession(tx, k[:], encodeSession(k[:], r))
	})
}

func (ss sessionStore) Rotate(ctx context.Context, k, replaces sessions.Key, at time.Time) error {
	return ss.add(ctx, func(tx *kv.Tx) error {
		r, err := ss.read(tx, replaces[:])
		if err != nil {
			return err
		}
		r.Seen, r.Reauthenticated = at, at
		r.expires = ss.limits.End(r.Began, r.Seen)
		record := encodeSession(k[:], r) // before dropSession: the data shares the record's memory
		if err := dropSession(tx, replaces[:]); err != nil {
			return err
		}
		until := alias{k, ss.now().Add(sessions.AliasFor)}
		if err := putSession(tx, replaces[:], encodeAlias(replaces[:], until)); err != nil {
			return err
		}
		return addSession(tx, k[:], kv.ID(r.Account), record)
	})
}
