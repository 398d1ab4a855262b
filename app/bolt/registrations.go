package bolt

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"

	"go.etcd.io/bbolt"

	"latchkey/app/accounts"
	"latchkey/app/registrations"
)

// Both buckets are removed from by dropRegistrations when an account is deleted.
var (
	bucketRegistrations   = []byte("registrations")    // owner's id, sport → record, see encodeRegistration
	bucketRegistrationIDs = []byte("registration ids") // id → owner's id, sport
)

// Registrations keeps registrations in the file of a DB.
type Registrations struct{ db *DB }

var _ registrations.Store = Registrations{}

// Registrations returns the registrations in the file.
func (db *DB) Registrations() Registrations { return Registrations{db} }

// registrationKey begins with the owner's id, whose length is fixed, so that no
// sport, whatever it is called, can reach into another's (OWASP ASVS 1.2.4).
func registrationKey(owner accounts.ID, sport string) []byte {
	return append(append(make([]byte, 0, len(owner)+len(sport)), owner[:]...), sport...)
}

// registrationSize is version and checksum as in record, 16 bytes of id, and the
// time in nanoseconds. Owner and sport are the key, which the checksum covers.
const registrationSize = 1 + 4 + 16 + 8

func encodeRegistration(key []byte, r registrations.Registration) []byte {
	value := append(make([]byte, 5, registrationSize), r.ID[:]...)
	return seal(key, binary.BigEndian.AppendUint64(value, nanoseconds(r.At)))
}

func decodeRegistration(key, value []byte) (registrations.Registration, error) {
	if err := whole("a registration", key, value, registrationSize); err != nil {
		return registrations.Registration{}, err
	}
	// The account itself has a key that begins alike, and a checksum over it.
	if len(value) != registrationSize || len(key) <= 16 {
		return registrations.Registration{}, fmt.Errorf("%w: a registration of another form", ErrDamaged)
	}
	return registrations.Registration{
		ID:    registrations.ID(value[5:21]),
		Owner: accounts.ID(key[:16]),
		Sport: string(key[16:]),
		At:    fromNanoseconds(value[21:]),
	}, nil
}

// registration returns a registration and its key, or registrations.ErrNotFound.
// What the index leads to must bear the id, or it would be another's.
func registration(tx *bbolt.Tx, id registrations.ID) (registrations.Registration, []byte, error) {
	key := tx.Bucket(bucketRegistrationIDs).Get(id[:])
	if key == nil {
		return registrations.Registration{}, nil, registrations.ErrNotFound
	}
	value := tx.Bucket(bucketRegistrations).Get(key)
	if value == nil || len(key) < 16 {
		return registrations.Registration{}, nil, fmt.Errorf("%w: a registration is missing", ErrDamaged)
	}
	r, err := decodeRegistration(key, value)
	if err == nil && r.ID != id {
		err = fmt.Errorf("%w: a registration of another id", ErrDamaged)
	}
	if err != nil {
		return registrations.Registration{}, nil, err
	}
	return r, key, nil
}

// Create keeps a new registration of an account that is there.
func (s Registrations) Create(r registrations.Registration) error {
	key := registrationKey(r.Owner, r.Sport)
	return s.db.writes.do(func(tx *bbolt.Tx) error {
		if _, err := account(tx, r.Owner[:]); err != nil {
			return err
		}
		all, ids := tx.Bucket(bucketRegistrations), tx.Bucket(bucketRegistrationIDs)
		if all.Get(key) != nil {
			return registrations.ErrRegistered
		}
		if ids.Get(r.ID[:]) != nil {
			return errors.New("a registration with this id exists")
		}
		return errors.Join(all.Put(key, encodeRegistration(key, r)), ids.Put(r.ID[:], key))
	})
}

// Get returns a registration, or registrations.ErrNotFound.
func (s Registrations) Get(id registrations.ID) (r registrations.Registration, err error) {
	err = s.db.view(func(tx *bbolt.Tx) error {
		r, _, err = registration(tx, id)
		return err
	})
	return r, err
}

// ListOf returns the registrations of an account.
func (s Registrations) ListOf(owner accounts.ID) (list []registrations.Registration, err error) {
	err = s.db.view(func(tx *bbolt.Tx) error {
		c := tx.Bucket(bucketRegistrations).Cursor()
		for key, value := c.Seek(owner[:]); bytes.HasPrefix(key, owner[:]); key, value = c.Next() {
			r, err := decodeRegistration(key, value)
			if err != nil {
				return err
			}
			list = append(list, r)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return list, nil
}

// Delete removes a registration, or returns registrations.ErrNotFound.
func (s Registrations) Delete(id registrations.ID) error {
	return s.db.writes.do(func(tx *bbolt.Tx) error {
		_, key, err := registration(tx, id)
		if err != nil {
			return err
		}
		return errors.Join(tx.Bucket(bucketRegistrations).Delete(key), tx.Bucket(bucketRegistrationIDs).Delete(id[:]))
	})
}

// dropRegistrations removes every registration of an account.
func dropRegistrations(tx *bbolt.Tx, owner accounts.ID) error {
	all, ids := tx.Bucket(bucketRegistrations), tx.Bucket(bucketRegistrationIDs)
	var keys [][]byte // collected first: a cursor may not be trusted after a removal
	c := all.Cursor()
	for key, value := c.Seek(owner[:]); bytes.HasPrefix(key, owner[:]); key, value = c.Next() {
		keys = append(keys, bytes.Clone(key))
		// A damaged one must not keep the account from being removed.
		if r, err := decodeRegistration(key, value); err == nil {
			if err := ids.Delete(r.ID[:]); err != nil {
				return err
			}
		}
	}
	for _, key := range keys {
		if err := all.Delete(key); err != nil {
			return err
		}
	}
	return nil
}
