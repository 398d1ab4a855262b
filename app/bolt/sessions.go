package bolt

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"time"

	"go.etcd.io/bbolt"

	"latchkey/app/sessions"
)

// Sessions are kept under sessions.KeyOf their ids. Only the hash of an id is on
// disk, so a stolen copy of the file logs nobody in. The id has 256 random bits,
// so the hash needs neither salt nor stretching.

// live returns the record under k. Its data share the memory of the transaction.
// Otherwise it is as find.
func (db *DB) live(tx *bbolt.Tx, k []byte) (record, error) {
	var s sessions.Session
	value, err := db.find(tx.Bucket(bucketSessions).Cursor(), tx.Bucket(bucketAccounts).Cursor(), k, &s)
	if err != nil {
		return record{}, err
	}
	r, err := decode(k, value)
	return r, unreadable(err)
}

// unreadable says in the words of sessions that a record is damaged, if err does.
func unreadable(err error) error {
	if errors.Is(err, ErrDamaged) {
		return fmt.Errorf("%w: %w", sessions.ErrDamaged, err)
	}
	return err
}

// find puts what a page asks of the session under k into s, and returns its
// record. If the session has expired, or its account does not let it be, that is
// sessions.ErrEnded; if either cannot be read, sessions.ErrDamaged.
//
// Every page comes here. So nothing is copied that it does not ask for, and the
// cursors may be those of the page before: a new one allocates.
func (db *DB) find(inSessions, inAccounts *bbolt.Cursor, k []byte, s *sessions.Session) (value []byte, err error) {
	if value = lookUp(inSessions, k); value == nil {
		return nil, sessions.ErrEnded
	}
	expires, err := decodeSession(k, value, s)
	if err == nil && db.expired(s, expires) {
		return nil, sessions.ErrEnded
	}
	if err == nil {
		var owner head
		owner, err = standing(inAccounts, accountOf(value), s.Password)
		s.Name, s.Admin = owner.name, owner.admin
	}
	return value, unreadable(err)
}

// lookUp is what a bucket's Get does, with a cursor that can be used again.
func lookUp(in *bbolt.Cursor, k []byte) []byte {
	found, value := in.Seek(k)
	if !bytes.Equal(found, k) {
		return nil
	}
	return value
}

// standing returns the account that a session belongs to if it still lets the
// session be: it is there, enabled, and has the password, set at that time, that
// proved it. Otherwise sessions.ErrEnded. A session of nobody stands by itself.
func standing(inAccounts *bbolt.Cursor, account []byte, password time.Time) (head, error) {
	if sessions.Account(account) == (sessions.Account{}) {
		return head{}, nil
	}
	value := lookUp(inAccounts, account)
	if value == nil {
		return head{}, sessions.ErrEnded
	}
	owner, err := decodeHead(account, value)
	if err == nil && (owner.disabled || !owner.password.Equal(password)) {
		err = sessions.ErrEnded
	}
	return owner, err
}

// putSession writes a session that is there already.
func putSession(tx *bbolt.Tx, k []byte, r record) error {
	return putEncoded(tx, k, encode(k, r))
}

func putEncoded(tx *bbolt.Tx, k, value []byte) error {
	b := tx.Bucket(bucketSessions)
	// Sessions are added at the end, where half full pages would stay so.
	b.FillPercent = 0.9
	return b.Put(k, value)
}

// dropSession removes a session, if it is there.
func dropSession(tx *bbolt.Tx, k []byte) error {
	b := tx.Bucket(bucketSessions)
	value := b.Get(k)
	if value == nil {
		return nil
	}
	if r, err := decode(k, value); err == nil && r.Account != (sessions.Account{}) {
		if err := tx.Bucket(bucketOwned).Delete(owned(r.Account[:], k)); err != nil {
			return err
		}
	}
	return b.Delete(k)
}

// dropSessions ends every session of an account.
func dropSessions(tx *bbolt.Tx, account []byte) error { return dropSessionsBut(tx, account, nil) }

func dropSessionsBut(tx *bbolt.Tx, account, but []byte) error {
	keys, err := sessionsOf(tx, account)
	if err != nil {
		return err
	}
	for _, k := range keys {
		if bytes.Equal(k, but) {
			continue
		}
		if err := tx.Bucket(bucketOwned).Delete(owned(account, k)); err != nil {
			return err
		}
		if err := tx.Bucket(bucketSessions).Delete(k); err != nil {
			return err
		}
	}
	return nil
}

// expired reports whether s has passed what it was written with, or the limits
// of today: an operator who shortens them means the sessions there are, too.
func (db *DB) expired(s *sessions.Session, expires time.Time) bool {
	now := db.now()
	return !now.Before(expires) || !now.Before(db.limits.End(s.Began, s.Seen))
}

// Read returns the session with that id, or sessions.ErrEnded.
func (db *DB) Read(id string) (sessions.Session, error) {
	var s sessions.Session
	err := db.read(func(in *reader) error {
		in.key = sessions.KeyOf(id)
		_, err := db.find(in.sessions, in.accounts, in.key[:], &s)
		return err
	})
	if err != nil { // s may be half filled
		return sessions.Session{}, err
	}
	return s, nil
}

// Begin writes a new session and removes the one it replaces, in one
// transaction. It is on disk when Begin returns nil.
func (db *DB) Begin(id, replaces string, s sessions.Session, data []byte) error {
	k, old := sessions.KeyOf(id), sessions.KeyOf(replaces)
	value := encode(k[:], record{Session: s, expires: db.limits.End(s.Began, s.Seen), data: data})
	return db.begin(func(tx *bbolt.Tx) error {
		if _, err := standing(tx.Bucket(bucketAccounts).Cursor(), s.Account[:], s.Password); err != nil {
			return err
		}
		if replaces != "" {
			if err := dropSession(tx, old[:]); err != nil {
				return err
			}
		}
		return addSession(tx, k[:], s.Account, value)
	})
}

// Change replaces the data of a session, or returns sessions.ErrEnded.
func (db *DB) Change(id string, data []byte) error {
	k := sessions.KeyOf(id)
	return db.writes.do(func(tx *bbolt.Tx) error {
		r, err := db.live(tx, k[:])
		if err != nil {
			return err
		}
		r.data = data
		return putSession(tx, k[:], r)
	})
}

// listMost is how many sessions of one account are looked at to list them.
const listMost = 10_000

// List returns at most limit sessions of an account, the newest first. They are
// found in the order in which their ids were made, and a proof makes another id
// for an older session: they are sorted by when they began. Of an account with
// more than listMost, those whose ids are the newest are looked at.
func (db *DB) List(account sessions.Account, limit int) (list []sessions.Session, err error) {
	err = db.view(func(tx *bbolt.Tx) error {
		keys, err := sessionsOf(tx, account[:])
		if err != nil {
			return err
		}
		for _, k := range keys[max(0, len(keys)-listMost):] {
			r, err := db.live(tx, k)
			if errors.Is(err, sessions.ErrEnded) {
				continue // not swept yet, or damaged, which Read and Check tell
			}
			if err == nil && r.Account != account {
				err = fmt.Errorf("%w: a session among those of another account", ErrDamaged)
			}
			if err != nil {
				return err
			}
			r.Key = sessions.Key(k)
			list = append(list, r.Session)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	slices.SortFunc(list, func(a, b sessions.Session) int { return b.Began.Compare(a.Began) })
	return list[:min(limit, len(list))], nil
}

// EndAll ends every session of an account.
func (db *DB) EndAll(account sessions.Account) error {
	return db.writes.do(func(tx *bbolt.Tx) error { return dropSessions(tx, account[:]) })
}

// EndOthers ends every session of an account but one.
func (db *DB) EndOthers(account sessions.Account, but sessions.Key) error {
	return db.writes.do(func(tx *bbolt.Tx) error { return dropSessionsBut(tx, account[:], but[:]) })
}

// EndOne ends one session of an account, or returns sessions.ErrEnded.
func (db *DB) EndOne(account sessions.Account, session sessions.Key) error {
	return db.writes.do(func(tx *bbolt.Tx) error {
		if !belongs(tx, account[:], session[:]) {
			return sessions.ErrEnded
		}
		return dropSession(tx, session[:])
	})
}

// Rotate gives a session another id and notes when the visitor proved
// themselves, or returns sessions.ErrEnded.
func (db *DB) Rotate(id, replaces string, proved time.Time) error {
	k, old := sessions.KeyOf(id), sessions.KeyOf(replaces)
	db.moved.note(old, k, db.now())
	err := db.begin(func(tx *bbolt.Tx) error {
		r, err := db.live(tx, old[:])
		if err != nil {
			return err
		}
		r.Seen, r.Proved = proved, proved
		r.expires = db.limits.End(r.Began, r.Seen)
		value := encode(k[:], r) // before the removal, for the data share its memory
		if err := dropSession(tx, old[:]); err != nil {
			return err
		}
		return addSession(tx, k[:], r.Account, value)
	})
	if err != nil {
		db.moved.forget(k)
	}
	return err
}

// renewal is a session that was seen.
type renewal struct {
	key  sessions.Key
	seen time.Time
}

// Renew notes that a session was seen, in a while.
func (db *DB) Renew(id string, seen time.Time) { db.renewals.add(renewal{sessions.KeyOf(id), seen}) }

// renew writes renewals. One that comes after a logout finds no session, and one
// that another has come before finds nothing to do.
func (db *DB) renew(due []renewal) error {
	return db.inSlices(len(due), func(tx *bbolt.Tx, from, to int) error {
		for _, d := range due[from:to] {
			r, err := db.live(tx, d.key[:])
			if err != nil || d.seen.Sub(r.Seen) < db.limits.Renewal() {
				continue
			}
			r.Seen = d.seen
			r.expires = db.limits.End(r.Began, r.Seen)
			if err := putSession(tx, d.key[:], r); err != nil {
				return err
			}
		}
		return nil
	})
}

// Get returns a copy of the data of a session, or nil if there is none, as
// fiber.Storage wants it.
func (db *DB) Get(id string) ([]byte, error) {
	if id == "" {
		return nil, nil
	}
	k := sessions.KeyOf(id)
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
	k := sessions.KeyOf(id)
	data = bytes.Clone(data)
	return db.begin(func(tx *bbolt.Tx) error {
		now := db.now()
		r, err := db.live(tx, k[:])
		if errors.Is(err, sessions.ErrEnded) && !errors.Is(err, sessions.ErrDamaged) {
			r, err = record{Session: sessions.Session{Began: now, Seen: now}}, nil
		}
		if err != nil {
			return err
		}
		r.data = data
		r.expires = db.limits.End(r.Began, r.Seen)
		if end := now.Add(exp); exp > 0 && end.Before(r.expires) {
			r.expires = end
		}
		return putSession(tx, k[:], r)
	})
}

// Delete ends a session, also if it goes on under another id since a moment ago.
// That there is none is no error, and costs no commit.
func (db *DB) Delete(id string) error {
	k := sessions.KeyOf(id)
	var found bool
	err := db.view(func(tx *bbolt.Tx) error {
		for _, k := range db.moved.chain(k) {
			found = found || tx.Bucket(bucketSessions).Get(k[:]) != nil
		}
		return nil
	})
	if err != nil || !found {
		return err
	}
	return db.writes.do(func(tx *bbolt.Tx) error {
		for _, k := range db.moved.chain(k) { // anew, for it may have moved since
			if err := dropSession(tx, k[:]); err != nil {
				return err
			}
		}
		return nil
	})
}

// Reset ends every session.
func (db *DB) Reset() error { return db.writes.do(dropAll) }

func dropAll(tx *bbolt.Tx) error {
	for _, name := range [][]byte{bucketSessions, bucketOwned} {
		if err := tx.DeleteBucket(name); err != nil {
			return err
		}
		if _, err := tx.CreateBucket(name); err != nil {
			return err
		}
	}
	return nil
}
