package bolt

import (
	"bytes"
	"encoding/binary"
	"errors"
	"slices"

	"go.etcd.io/bbolt"

	"latchkey/app/accounts"
)

var _ accounts.EventStore = Accounts{}

// Note keeps an event, in a while.
func (s Accounts) Note(e accounts.Event) { s.db.events.add(e) }

// note writes events, and removes the oldest of an account that has too many.
func (db *DB) note(events []accounts.Event) error {
	events = newest(events, accounts.EventsKept)
	return db.inSlices(len(events), func(tx *bbolt.Tx, from, to int) error {
		b := tx.Bucket(bucketEvents)
		noted := map[accounts.ID]bool{}
		for _, e := range events[from:to] {
			if tx.Bucket(bucketAccounts).Get(e.Account[:]) == nil {
				continue
			}
			n, err := b.NextSequence() // tells events of one millisecond apart
			if err != nil {
				return err
			}
			k := binary.BigEndian.AppendUint64(bytes.Clone(e.Account[:]), uint64(e.At.UnixMilli()))
			k = binary.BigEndian.AppendUint64(k, n)
			if err := b.Put(k, encodeEvent(k, e)); err != nil {
				return err
			}
			noted[e.Account] = true
		}
		for account := range noted {
			if err := dropOldest(b, account[:], accounts.EventsKept); err != nil {
				return err
			}
		}
		return nil
	})
}

// newest leaves the last keep events of each account, for the others would be
// removed again at once.
func newest(events []accounts.Event, keep int) []accounts.Event {
	left := make([]accounts.Event, 0, len(events))
	count := map[accounts.ID]int{}
	for _, e := range slices.Backward(events) {
		if count[e.Account]++; count[e.Account] <= keep {
			left = append(left, e)
		}
	}
	slices.Reverse(left)
	return left
}

// dropOldest removes what lies under prefix but the last keep keys.
func dropOldest(b *bbolt.Bucket, prefix []byte, keep int) error {
	var keys [][]byte
	c := b.Cursor()
	for k, _ := c.Seek(prefix); bytes.HasPrefix(k, prefix); k, _ = c.Next() {
		keys = append(keys, bytes.Clone(k))
	}
	for _, k := range keys[:max(0, len(keys)-keep)] {
		if err := b.Delete(k); err != nil {
			return err
		}
	}
	return nil
}

// Events returns the events of an account, the newest first.
func (s Accounts) Events(id accounts.ID) (events []accounts.Event, err error) {
	oldest := s.db.now().Add(-accounts.EventsFor)
	err = s.db.view(func(tx *bbolt.Tx) error {
		c := tx.Bucket(bucketEvents).Cursor()
		for k, value := c.Seek(id[:]); bytes.HasPrefix(k, id[:]); k, value = c.Next() {
			e, err := decodeEvent(k, value)
			if err != nil {
				return err
			}
			if e.At.After(oldest) {
				events = append(events, e)
			}
		}
		return nil
	})
	slices.Reverse(events)
	return events, err
}

const eventKey = 16 + 8 + 8 // account's id, milliseconds since 1970, a number

// encodeEvent returns e as bytes to keep under key, which holds the account and
// the time: version and checksum as in record, then four texts, each after its
// length in two bytes.
func encodeEvent(key []byte, e accounts.Event) []byte {
	b := make([]byte, 5)
	for _, text := range []string{e.What, e.Outcome, e.Agent, e.Address} {
		b = binary.BigEndian.AppendUint16(b, uint16(len(text)))
		b = append(b, text...)
	}
	return seal(key, b)
}

// decodeEvent reads what encodeEvent wrote.
func decodeEvent(key, value []byte) (accounts.Event, error) {
	if err := whole("an event", key, value, 5); err != nil {
		return accounts.Event{}, err
	}
	if len(key) != eventKey {
		return accounts.Event{}, errors.Join(ErrDamaged, errors.New("an event with a wrong key"))
	}
	e := accounts.Event{Account: accounts.ID(key[:16]), At: fromMilliseconds(key[16:])}
	rest := value[5:]
	for _, text := range []*string{&e.What, &e.Outcome, &e.Agent, &e.Address} {
		var err error
		if *text, rest, err = nextText(rest); err != nil {
			return accounts.Event{}, err
		}
	}
	return e, nil
}

// oldEvent reports whether the event under k has been kept long enough.
func (db *DB) oldEvent(k, _ []byte) bool {
	return len(k) == eventKey && fromMilliseconds(k[16:]).Before(db.now().Add(-accounts.EventsFor))
}
