package bolt

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"slices"
	"time"

	"latchkey/app/accounts"
	"latchkey/app/internal/kv"
	"latchkey/app/internal/store"
)

// bucketEvents: account id, milliseconds since 1970, sequence number → sealed
// record of four texts.
const (
	bucketEvents = "events"

	eventVersion = 1
	eventKeySize = 16 + 8 + 8
)

type eventStore struct{ db *DB }

var _ accounts.EventStore = eventStore{}

func (s eventStore) Note(_ context.Context, e accounts.Event) { s.db.events.Add(e) }

// noteEvents writes events and deletes the oldest of each account beyond
// accounts.EventsKept.
func (db *DB) noteEvents(tx *kv.Tx, events []accounts.Event) error {
	b := tx.Bucket(bucketEvents)
	noted := map[accounts.ID]bool{}
	for _, e := range newestEvents(events, accounts.EventsKept) {
		if tx.Get(bucketAccounts, e.Account[:]) == nil {
			continue
		}
		n, err := b.NextSequence() // distinguishes events of the same millisecond
		if err != nil {
			return err
		}
		key := binary.BigEndian.AppendUint64(bytes.Clone(e.Account[:]), uint64(e.At.UnixMilli()))
		key = binary.BigEndian.AppendUint64(key, n)
		if err := b.Put(key, encodeEvent(key, e)); err != nil {
			return err
		}
		noted[e.Account] = true
	}
	for id := range noted {
		if err := dropOldestEvents(tx, kv.ID(id), accounts.EventsKept); err != nil {
			return err
		}
	}
	return nil
}

// newestEvents returns the last keep events of each account. The others would
// be deleted immediately.
func newestEvents(events []accounts.Event, keep int) []accounts.Event {
	kept := make([]accounts.Event, 0, len(events))
	count := map[accounts.ID]int{}
	for _, e := range slices.Backward(events) {
		if count[e.Account]++; count[e.Account] <= keep {
			kept = append(kept, e)
		}
	}
	slices.Reverse(kept)
	return kept
}

// dropOldestEvents deletes all but the newest keep events of an account.
func dropOldestEvents(tx *kv.Tx, id kv.ID, keep int) error {
	b := tx.Bucket(bucketEvents)
	var keys [][]byte
	c := b.Cursor()
	for key, _ := c.Seek(id[:]); bytes.HasPrefix(key, id[:]); key, _ = c.Next() {
		keys = append(keys, bytes.Clone(key))
	}
	for _, key := range keys[:max(0, len(keys)-keep)] {
		if err := b.Delete(key); err != nil {
			return err
		}
	}
	return nil
}

func dropEvents(tx *kv.Tx, id kv.ID) error { return dropOldestEvents(tx, id, 0) }

func dropEvent(tx *kv.Tx, key []byte) error { return tx.Bucket(bucketEvents).Delete(key) }

func (s eventStore) Events(ctx context.Context, id accounts.ID) (events []accounts.Event, err error) {
	err = s.db.kv.View(ctx, func(tx *kv.Tx) error {
		c := tx.Bucket(bucketEvents).Cursor()
		for key, record := c.Seek(id[:]); bytes.HasPrefix(key, id[:]); key, record = c.Next() {
			if s.db.eventExpired(key, record) {
				continue
			}
			e, err := decodeEvent(key, record)
			if err != nil {
				return err
			}
			events = append(events, e)
		}
		return nil
	})
	slices.Reverse(events)
	return events, err
}

func encodeEvent(key []byte, e accounts.Event) []byte {
	b := make([]byte, kv.SealSize)
	for _, text := range []string{e.What, e.Outcome, e.Agent, e.Address} {
		b = appendText(b, text)
	}
	return kv.Seal(eventVersion, key, b)
}

func decodeEvent(key, record []byte) (e accounts.Event, err error) {
	rest, err := kv.Unseal("an event", eventVersion, key, record)
	if err == nil && len(key) != eventKeySize {
		err = fmt.Errorf("%w: an event with a wrong key", store.ErrDamaged)
	}
	if err != nil {
		return e, err
	}
	e.Account, e.At = accounts.ID(key), fromMilliseconds(key[16:])
	for _, text := range []*string{&e.What, &e.Outcome, &e.Agent, &e.Address} {
		if *text, rest, err = nextText(rest); err != nil {
			return accounts.Event{}, err
		}
	}
	return e, nil
}

func (db *DB) eventExpired(key, _ []byte) bool {
	return len(key) == eventKeySize && !fromMilliseconds(key[16:]).After(db.now().Add(-accounts.EventsFor))
}

func fromMilliseconds(b []byte) time.Time {
	return time.UnixMilli(int64(binary.BigEndian.Uint64(b))).UTC()
}
