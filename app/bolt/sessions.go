package bolt

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"time"

	"go.etcd.io/bbolt"

	"latchkey/app/sessions"
)

// key returns what a session is kept under. Only the hash of the id is on disk,
// so a stolen copy of the file logs nobody in. The id has 256 random bits, so
// the hash needs neither salt nor stretching.
func key(id string) [sha256.Size]byte { return sha256.Sum256([]byte(id)) }

// live returns the record under k if it has not expired. The record shares the
// memory of the transaction.
func (db *DB) live(tx *bbolt.Tx, k []byte) (record, error) {
	value := tx.Bucket(bucketSessions).Get(k)
	if value == nil {
		return record{}, sessions.ErrEnded
	}
	r, err := decode(k, value)
	if err != nil {
		return record{}, err
	}
	if db.expired(r) {
		return record{}, sessions.ErrEnded
	}
	return r, nil
}

// expired reports whether r has passed what it was written with, or the limits
// of today: an operator who shortens them means the sessions there are, too.
func (db *DB) expired(r record) bool {
	now := db.now()
	return !now.Before(r.expires) || !now.Before(db.limits.End(r.session()))
}

// Read returns the session with that id, or sessions.ErrEnded.
func (db *DB) Read(id string) (sessions.Session, error) {
	k := key(id)
	var s sessions.Session
	err := db.view(func(tx *bbolt.Tx) error {
		r, err := db.live(tx, k[:])
		if err == nil {
			s = r.session()
		}
		return err
	})
	return s, err
}

// Begin writes a new session and removes the one it replaces, in one
// transaction. It is on disk when Begin returns nil.
func (db *DB) Begin(id, replaces string, s sessions.Session, data []byte) error {
	k, old := key(id), key(replaces)
	r := record{
		name:    []byte(s.Name),
		began:   s.Began,
		seen:    s.Seen,
		expires: db.limits.End(s),
		data:    data,
	}
	value := encode(k[:], r)
	return db.writes.do(func(tx *bbolt.Tx) error {
		b := tx.Bucket(bucketSessions)
		if replaces != "" {
			if err := b.Delete(old[:]); err != nil {
				return err
			}
		}
		return b.Put(k[:], value)
	})
}

// Change replaces the data of a session, or returns sessions.ErrEnded.
func (db *DB) Change(id string, data []byte) error {
	k := key(id)
	return db.writes.do(func(tx *bbolt.Tx) error {
		r, err := db.live(tx, k[:])
		if err != nil {
			return err
		}
		r.data = data
		return tx.Bucket(bucketSessions).Put(k[:], encode(k[:], r))
	})
}

// Get returns a copy of the data of a session, or nil if there is none, as
// fiber.Storage wants it.
func (db *DB) Get(id string) ([]byte, error) {
	if id == "" {
		return nil, nil
	}
	k := key(id)
	var data []byte
	err := db.view(func(tx *bbolt.Tx) error {
		r, err := db.live(tx, k[:])
		if err == nil {
			data = bytes.Clone(r.data)
		}
		return err
	})
	if errors.Is(err, sessions.ErrEnded) {
		return nil, nil
	}
	return data, err
}

// Set keeps data for exp, or as long as the limits allow when exp is zero, as
// fiber.Storage wants it. It replaces the data of a session that is there, and
// otherwise begins one without a name.
func (db *DB) Set(id string, data []byte, exp time.Duration) error {
	if id == "" || len(data) == 0 {
		return nil
	}
	k := key(id)
	data = bytes.Clone(data)
	return db.writes.do(func(tx *bbolt.Tx) error {
		now := db.now()
		r, err := db.live(tx, k[:])
		if errors.Is(err, sessions.ErrEnded) {
			r, err = record{began: now, seen: now}, nil
		}
		if err != nil {
			return err
		}
		r.data = data
		r.expires = db.limits.End(r.session())
		if end := now.Add(exp); exp > 0 && end.Before(r.expires) {
			r.expires = end
		}
		return tx.Bucket(bucketSessions).Put(k[:], encode(k[:], r))
	})
}

// Delete ends a session. That there is none is no error, and costs no commit.
func (db *DB) Delete(id string) error {
	k := key(id)
	var found bool
	err := db.view(func(tx *bbolt.Tx) error {
		found = tx.Bucket(bucketSessions).Get(k[:]) != nil
		return nil
	})
	if err != nil || !found {
		return err
	}
	return db.writes.do(func(tx *bbolt.Tx) error {
		return tx.Bucket(bucketSessions).Delete(k[:])
	})
}

// Reset ends every session.
func (db *DB) Reset() error {
	return db.writes.do(func(tx *bbolt.Tx) error {
		if err := tx.DeleteBucket(bucketSessions); err != nil {
			return err
		}
		_, err := tx.CreateBucket(bucketSessions)
		return err
	})
}
