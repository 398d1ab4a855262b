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

// Owned is a table of records that have an owner. T is a struct with the fields
// ID and Owner, both arrays of 16 bytes. The other exported fields are stored
// in CBOR by name, so a field added later is zero in older records. Times have
// nanosecond precision and are read back in UTC.
//
//	var noteTable = kv.Owned[notes.Note]{Name: "notes"}
//
// Insert and Update return an error for a record that could not be decoded
// again, for example with invalid UTF-8 or a year beyond four digits.
//
// Changing Order or Unique requires an Upgrade that calls Update for each
// record.
//
// The table has three buckets: the records, sorted by owner, order and id; an
// index of ids; and an index of unique values.
type Owned[T any] struct {
	Name string
	// Unique returns a value that is unique among the records of an owner. Nil
	// means no such rule.
	Unique func(*T) string
	// Order returns the sort key of a record among those of its owner, compared
	// bytewise. Records with equal keys, or all if Order is nil, are sorted by id.
	Order func(*T) []byte
}

const ownedVersion = 1

var (
	// Sorted, so that equal records have equal bytes.
	encoding = must(cbor.EncOptions{Time: cbor.TimeRFC3339NanoUTC, Sort: cbor.SortBytewiseLexical}.EncMode())
	decoding = must(cbor.DecOptions{FieldNameMatching: cbor.FieldNameMatchingCaseSensitive}.DecMode())
)

func must[M any](mode M, err error) M {
	if err != nil {
		panic(err) // contradictory options above
	}
	return mode
}

func (t Owned[T]) records() string { return t.Name + "/records" }
func (t Owned[T]) ids() string     { return t.Name + "/ids" }
func (t Owned[T]) unique() string  { return t.Name + "/unique" }

// Insert stores a new record. It returns store.ErrTaken if the id or the unique
// value exists, and the error of Options.Owner if the owner does not. If Insert
// returns one of these, it has written nothing, and the change may continue.
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

// Get returns the record, or store.ErrNotFound.
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

// Update replaces the record with the same ID. It returns store.ErrNotFound if
// there is none or if it has another owner, and store.ErrTaken if the unique
// value exists. If Update returns one of these, it has written nothing.
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

// Delete deletes the record, even a damaged one, or returns store.ErrNotFound.
func (t Owned[T]) Delete(tx *Tx, id ID) error {
	key := bytes.Clone(tx.Bucket(t.ids()).Get(id[:]))
	if key == nil {
		return store.ErrNotFound
	}
	if !bytes.HasSuffix(key, id[:]) || tx.Bucket(t.records()).Get(key) == nil {
		// The index entry is damaged: it leads nowhere or to another record.
		key = t.scanForID(tx, id)
	}
	if key != nil {
		if err := t.remove(tx, ID(key), id, key); err != nil {
			return err
		}
	}
	return tx.Bucket(t.ids()).Delete(id[:])
}

// scanForID searches all records for the id.
func (t Owned[T]) scanForID(tx *Tx, id ID) []byte {
	c := tx.Bucket(t.records()).Cursor()
	for key, _ := c.First(); key != nil; key, _ = c.Next() {
		if len(key) >= 2*len(ID{}) && bytes.HasSuffix(key, id[:]) {
			return bytes.Clone(key)
		}
	}
	return nil
}

// remove deletes a record and its unique value.
func (t Owned[T]) remove(tx *Tx, owner, id ID, key []byte) error {
	if err := t.removeUnique(tx, owner, id, key); err != nil {
		return err
	}
	return tx.Bucket(t.records()).Delete(key)
}

// ListByOwner returns at most limit records of an owner. after is the cursor
// next of the previous page, or empty for the first page. next is empty on the
// last page. A cursor stays valid when its record is deleted. An invalid cursor
// is store.ErrNotFound. limit must be at least 1.
//
// If a record of the page is damaged, the error is store.ErrDamaged.
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

// position decodes a cursor into the part of a key after the owner: order and
// id.
func (t Owned[T]) position(cursor string) (position []byte, ok bool) {
	if cursor == "" {
		return nil, true
	}
	position, err := base64.RawURLEncoding.Strict().DecodeString(cursor)
	n := len(position) - len(ID{})
	return position, err == nil && n >= 0 && (t.Order == nil && n == 0 || t.Order != nil && bytes.HasSuffix(position[:n], orderEnd))
}

// orderEnd terminates an order. NUL bytes inside an order are escaped as 0x00
// 0xff.
var orderEnd = []byte{0, 0}

// key returns the key of a record: owner, order, id. Owner and id have a fixed
// length, and the order is escaped and terminated, so an order cannot reach the
// records of another owner (OWASP ASVS 1.2.4).
func (t Owned[T]) key(owner, id ID, r *T) []byte {
	key := bytes.Clone(owner[:])
	if t.Order != nil {
		key = append(key, bytes.ReplaceAll(t.Order(r), []byte{0}, []byte{0, 0xff})...)
		key = append(key, orderEnd...)
	}
	return append(key, id[:]...)
}

func (t Owned[T]) uniqueKey(owner ID, r *T) []byte { return append(owner[:], t.Unique(r)...) }

// put inserts a record or replaces the one with the same id. It makes all
// checks before the first write.
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

// encode encodes a record without ID and Owner, which are in the key.
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

// removeUnique deletes the unique value of a record. If the record is damaged,
// it searches the owner's unique values for the id.
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
