package kv

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"reflect"

	"github.com/fxamacker/cbor/v2"
	"go.etcd.io/bbolt"
	bbolterrors "go.etcd.io/bbolt/errors"

	"latchkey/app/internal/store"
)

// Owned is a table of records that belong to owners. T is a struct with fields ID
// and Owner, both arrays of 16 bytes; its other exported fields are kept in CBOR by
// their names, so a field that is added later is zero in records from before. Times
// are kept to the nanosecond and come back in UTC.
//
//	var noteTable = kv.Owned[notes.Note]{Name: "notes"}
//
// A record that could not be read again is refused: strings must be valid UTF-8,
// and the year of a time must have four digits.
//
// A change of Order or Unique needs an Upgrade that updates each record: see
// Update.
//
// It keeps three buckets: records by owner, order and id; ids, which lead to
// those; and what is unique.
type Owned[T any] struct {
	Name string
	// Unique returns what no two records of an owner share. nil: there is no such
	// thing.
	Unique func(*T) string
	// Order returns what the list of an owner is ordered by, in byte order. Equal
	// ones, and all if it is nil, come in the order of their ids.
	Order func(*T) []byte
}

const ownedVersion = 1

var (
	// The order of the fields says nothing, but the same record has the same bytes.
	encoding = must(cbor.EncOptions{Time: cbor.TimeRFC3339NanoUTC, Sort: cbor.SortBytewiseLexical}.EncMode())
	decoding = must(cbor.DecOptions{FieldNameMatching: cbor.FieldNameMatchingCaseSensitive}.DecMode())
)

func must[M any](mode M, err error) M {
	if err != nil {
		panic(err) // the options above contradict each other
	}
	return mode
}

func (t Owned[T]) records() string { return t.Name + "/records" }
func (t Owned[T]) ids() string     { return t.Name + "/ids" }
func (t Owned[T]) unique() string  { return t.Name + "/unique" }

// Insert keeps a new record. The refusals are store.ErrTaken, and whatever
// Options.Owner returns for an owner that is not there. A record that is refused
// leaves nothing behind, so the change may go on.
func (t Owned[T]) Insert(tx *Tx, r T) error {
	owner, id := t.keysOf(tx, &r)
	if err := tx.db.options.Owner(tx, owner); err != nil {
		return err
	}
	if tx.Bucket(t.ids()).Get(id[:]) != nil {
		return fmt.Errorf("%w: the id of a record in %s", store.ErrTaken, t.Name)
	}
	return t.put(tx, owner, id, &r)
}

// Get returns a record, or store.ErrNotFound.
func (t Owned[T]) Get(tx *Tx, id ID) (T, error) {
	var zero T
	key := tx.Get(t.ids(), id[:])
	if key == nil {
		return zero, store.ErrNotFound
	}
	value := tx.Get(t.records(), key)
	if value == nil || !bytes.HasSuffix(key, id[:]) {
		return zero, damagedf("an id in " + t.Name + " leads to no record")
	}
	return t.decode(tx, key, value)
}

// Update replaces the record with the same ID, or returns store.ErrNotFound. Its
// owner may not change. store.ErrTaken is as in Insert, and so is that a refused
// record leaves everything as it was.
func (t Owned[T]) Update(tx *Tx, r T) error {
	owner, id := t.keysOf(tx, &r)
	before, err := t.Get(tx, id)
	if err != nil {
		return err
	}
	if was, _ := t.keysOf(tx, &before); was != owner {
		return fmt.Errorf("%w: a record of that owner in %s", store.ErrNotFound, t.Name)
	}
	return t.put(tx, owner, id, &r)
}

// Delete removes a record, or returns store.ErrNotFound. It removes a damaged one,
// too.
func (t Owned[T]) Delete(tx *Tx, id ID) error {
	key := bytes.Clone(tx.Bucket(t.ids()).Get(id[:]))
	if key == nil {
		return store.ErrNotFound
	}
	if !bytes.HasSuffix(key, id[:]) || tx.Bucket(t.records()).Get(key) == nil {
		// The id is damaged and leads nowhere, or to the record of somebody else.
		key = t.find(tx, id)
	}
	if key != nil {
		if err := t.remove(tx, ID(key), id, key); err != nil {
			return err
		}
	}
	return tx.Bucket(t.ids()).Delete(id[:])
}

// find looks for a record among all of them.
func (t Owned[T]) find(tx *Tx, id ID) []byte {
	c := tx.Bucket(t.records()).Cursor()
	for key, _ := c.First(); key != nil; key, _ = c.Next() {
		if len(key) >= 2*len(ID{}) && bytes.HasSuffix(key, id[:]) {
			return bytes.Clone(key)
		}
	}
	return nil
}

// remove removes a record and what is unique of it.
func (t Owned[T]) remove(tx *Tx, owner, id ID, key []byte) error {
	if err := t.removeUnique(tx, owner, id, key); err != nil {
		return err
	}
	return tx.Bucket(t.records()).Delete(key)
}

// ListByOwner returns at most limit records of an owner. after is the next of the
// page before, empty for the first page; next is empty on the last page. after is a
// place in the order: the record that was there may be gone by now. If it is not in
// the form of a next, the error is store.ErrNotFound. limit is at least 1.
//
// A damaged record makes the page with it store.ErrDamaged.
func (t Owned[T]) ListByOwner(tx *Tx, owner ID, after string, limit int) (page []T, next string, err error) {
	position, ok := t.position(after)
	if !ok {
		return nil, "", fmt.Errorf("%w: a page of %s after %.20q", store.ErrNotFound, t.Name, after)
	}
	if limit < 1 {
		panic(fmt.Sprintf("kv: a page of %d records of %s", limit, t.Name))
	}
	start := append(owner[:], position...)
	c := tx.Bucket(t.records()).Cursor()
	key, value := c.Seek(start)
	if after != "" && bytes.Equal(key, start) {
		key, value = c.Next()
	}
	last := start
	for ; bytes.HasPrefix(key, owner[:]); key, value = c.Next() {
		// A damaged leaf that is not verified yet may have its keys in another order,
		// and pages would lead back to earlier ones.
		if bytes.Compare(key, last) <= 0 {
			return nil, "", damagedf("the records of " + t.Name + " are not in order")
		}
		if len(page) == limit {
			return page, base64.RawURLEncoding.EncodeToString(last[len(owner):]), nil
		}
		r, err := t.decode(tx, key, value)
		if err != nil {
			return nil, "", err
		}
		page = append(page, r)
		last = key
	}
	return page, "", nil
}

// position returns the part of a key that a cursor stands for: order and id.
func (t Owned[T]) position(cursor string) (position []byte, ok bool) {
	if cursor == "" {
		return nil, true
	}
	position, err := base64.RawURLEncoding.Strict().DecodeString(cursor)
	n := len(position) - len(ID{})
	return position, err == nil && n >= 0 && (t.Order == nil && n == 0 || t.Order != nil && bytes.HasSuffix(position[:n], orderEnd))
}

// orderEnd stands after an order. A NUL in an order is followed by 0xff.
var orderEnd = []byte{0, 0}

// key returns what a record is kept under: owner, order, id. Owner and id have a
// fixed length and the order has an end that it cannot contain, so no order
// reaches into another owner's records (OWASP ASVS 1.2.4).
func (t Owned[T]) key(owner, id ID, r *T) []byte {
	key := bytes.Clone(owner[:])
	if t.Order != nil {
		key = append(key, bytes.ReplaceAll(t.Order(r), []byte{0}, []byte{0, 0xff})...)
		key = append(key, orderEnd...)
	}
	return append(key, id[:]...)
}

func (t Owned[T]) uniqueKey(owner ID, r *T) []byte { return append(owner[:], t.Unique(r)...) }

// put keeps a record in the place of the one with its id, if there is one. It
// writes nothing before it is sure that the record can be kept.
func (t Owned[T]) put(tx *Tx, owner, id ID, r *T) error {
	key := t.key(owner, id, r)
	value, err := t.encode(tx, key, r)
	if err != nil {
		return err
	}
	var unique []byte
	if t.Unique != nil {
		unique = t.uniqueKey(owner, r)
		if holder := tx.Bucket(t.unique()).Get(unique); holder != nil && !bytes.Equal(holder, id[:]) {
			return fmt.Errorf("%w: in %s", store.ErrTaken, t.Name)
		}
	}
	if max(len(key), len(unique)) > bbolt.MaxKeySize {
		return fmt.Errorf("a record of %s: %w", t.Name, bbolterrors.ErrKeyTooLarge)
	}
	if before := bytes.Clone(tx.Bucket(t.ids()).Get(id[:])); before != nil {
		if err := t.remove(tx, owner, id, before); err != nil {
			return err
		}
	}
	if unique != nil {
		if err := tx.Bucket(t.unique()).Put(unique, id[:]); err != nil {
			return err
		}
	}
	if err := tx.Bucket(t.records()).Put(key, value); err != nil {
		return err
	}
	return tx.Bucket(t.ids()).Put(id[:], key)
}

// encode leaves ID and Owner out, which the key has.
func (t Owned[T]) encode(tx *Tx, key []byte, r *T) ([]byte, error) {
	content, err := encoding.Marshal(r)
	if err != nil {
		return nil, fmt.Errorf("encode a record of %s: %w", t.Name, err)
	}
	var fields map[string]cbor.RawMessage
	if err := decoding.Unmarshal(content, &fields); err != nil {
		return nil, fmt.Errorf("encode a record of %s: %w", t.Name, err)
	}
	delete(fields, "ID")
	delete(fields, "Owner")
	if content, err = encoding.Marshal(fields); err != nil {
		return nil, fmt.Errorf("encode a record of %s: %w", t.Name, err)
	}
	value := Seal(ownedVersion, key, append(make([]byte, SealSize, SealSize+len(content)), content...))
	if _, err := t.decode(tx, key, value); err != nil {
		return nil, fmt.Errorf("a record of %s could not be read again: %s", t.Name, err.(*damage).what)
	}
	return value, nil
}

func (t Owned[T]) decode(tx *Tx, key, value []byte) (r T, err error) {
	var zero T
	content, err := Unseal("a record of "+t.Name, ownedVersion, key, value)
	if err != nil {
		return zero, err
	}
	if len(key) < 2*len(ID{}) {
		return zero, damagedf("a record of " + t.Name + " under a short key")
	}
	if err := decoding.Unmarshal(content, &r); err != nil {
		return zero, damagedf("a record of " + t.Name + ": " + err.Error())
	}
	l, v := tx.layout(t.Name), reflect.ValueOf(&r).Elem()
	copy(v.Field(l.owner).Bytes(), key)
	copy(v.Field(l.id).Bytes(), key[len(key)-len(ID{}):])
	return r, nil
}

// removeUnique removes what is unique of a record. If the record is damaged, it
// looks for the id among all that is unique of the owner.
func (t Owned[T]) removeUnique(tx *Tx, owner, id ID, key []byte) error {
	b := tx.Bucket(t.unique())
	if t.Unique != nil {
		if r, err := t.decode(tx, key, tx.Bucket(t.records()).Get(key)); err == nil {
			if unique := t.uniqueKey(owner, &r); bytes.Equal(b.Get(unique), id[:]) {
				return b.Delete(unique)
			}
		}
	}
	c := b.Cursor()
	for key, value := c.Seek(owner[:]); bytes.HasPrefix(key, owner[:]); key, value = c.Next() {
		if bytes.Equal(value, id[:]) {
			return b.Delete(bytes.Clone(key))
		}
	}
	return nil
}

// keysOf returns the fields Owner and ID of a record.
func (t Owned[T]) keysOf(tx *Tx, r *T) (owner, id ID) {
	l, v := tx.layout(t.Name), reflect.ValueOf(r).Elem()
	return ID(v.Field(l.owner).Bytes()), ID(v.Field(l.id).Bytes())
}

func (tx *Tx) layout(table string) layout {
	l, ok := tx.db.layouts[table]
	if !ok {
		panic("kv: table " + table + " is not in Options.Tables")
	}
	return l
}
