package bolt

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"time"

	"latchkey/app/accounts"
	"latchkey/app/internal/kv"
	"latchkey/app/sessions"
)

// These functions verify records for Check and return their printable
// descriptions: see kv.Raw.

var (
	errKeyLength  = errors.New("its key has a wrong length")
	errWrongIndex = errors.New("the index leads elsewhere")
)

// leadsTo returns an error unless the index has this value under key.
func leadsTo(tx *kv.Tx, index string, key, value []byte) error {
	if !bytes.Equal(tx.Get(index, key), value) {
		return fmt.Errorf("%w: %s", errWrongIndex, index)
	}
	return nil
}

func verifyAccount(tx *kv.Tx, id, record []byte) (any, error) {
	if len(id) != len(accounts.ID{}) {
		return nil, errKeyLength
	}
	a, err := decodeAccount(id, record)
	if err != nil {
		return nil, err
	}
	// Use a cursor: Get does not distinguish an empty value from a missing key.
	admin, _ := tx.Bucket(bucketAdmins).Cursor().Seek(id)
	if bytes.Equal(admin, id) != (a.Admin && !a.Disabled) {
		err = errors.New("the administrators and its flags differ")
	}
	return describeAccount(a), errors.Join(err, leadsTo(tx, bucketNames, []byte(a.Name.Folded()), id))
}

func verifyName(tx *kv.Tx, name, id []byte) (any, error) {
	a, err := account(tx, id)
	if err == nil && a.Name.Folded() != string(name) {
		err = errors.New("it leads to an account of another name")
	}
	return nil, err
}

func verifyAdmin(tx *kv.Tx, id, _ []byte) (any, error) {
	a, err := account(tx, id)
	if err == nil && (!a.Admin || a.Disabled) {
		err = errors.New("the account is none")
	}
	return hex.EncodeToString(id), err
}

// describedSession is the description of a session for Check. The key and the
// data are secret.
type describedSession struct {
	Account              string
	Began, Seen, Expires time.Time
	Agent, Address       string
}

func verifySession(tx *kv.Tx, key, record []byte) (any, error) {
	if isAlias(record) {
		_, err := decodeAlias(key, record)
		return nil, err
	}
	r, err := decodeSession(key, record)
	if err != nil {
		return nil, err
	}
	d := describedSession{hex.EncodeToString(r.Account[:]), r.Began, r.Seen, r.expires, r.Agent, r.Address}
	if r.Account == (sessions.Account{}) {
		return d, nil
	}
	if _, err := account(tx, r.Account[:]); err != nil {
		return d, fmt.Errorf("of the account %x: %w", r.Account, err)
	}
	if bytes.Compare(key, indexedUpTo(tx)) >= 0 {
		return d, nil
	}
	return d, leadsTo(tx, bucketSessionIndex, indexKey(kv.ID(r.Account), key), []byte{1})
}

func verifySessionIndex(tx *kv.Tx, key, _ []byte) (any, error) {
	if len(key) != len(kv.ID{})+len(sessions.Key{}) {
		return nil, errKeyLength
	}
	account, k := kv.ID(key), key[len(kv.ID{}):]
	record := tx.Get(bucketSessions, k)
	if record == nil {
		return nil, errors.New("there is no such session")
	}
	r, err := decodeSession(k, record)
	if err == nil && kv.ID(r.Account) != account {
		err = errors.New("the session is of another account")
	}
	return nil, err
}

type describedReset struct {
	Account string
	Expires time.Time
}

func verifyReset(tx *kv.Tx, sum, record []byte) (any, error) {
	r, err := decodeReset(sum, record)
	if err != nil {
		return nil, err
	}
	_, err = account(tx, r.account[:])
	return describedReset{hex.EncodeToString(r.account[:]), r.expires}, errors.Join(err, leadsTo(tx, bucketAccountResets, r.account[:], sum))
}

func verifyAccountReset(tx *kv.Tx, id, sum []byte) (any, error) {
	r, err := decodeReset(sum, tx.Get(bucketResets, sum))
	if err == nil && !bytes.Equal(r.account[:], id) {
		err = errors.New("the reset is of another account")
	}
	return nil, err
}

type describedEvent struct {
	Account                       string
	At                            time.Time
	What, Outcome, Agent, Address string
}

func verifyEvent(tx *kv.Tx, key, record []byte) (any, error) {
	e, err := decodeEvent(key, record)
	if err != nil {
		return nil, err
	}
	_, err = account(tx, e.Account[:])
	return describedEvent{hex.EncodeToString(e.Account[:]), e.At, e.What, e.Outcome, e.Agent, e.Address}, err
}
