package kv

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
)

// Owned implements Table.

var _ Table = Owned[struct{ ID, Owner ID }]{}

func (t Owned[T]) buckets() []bucket {
	return []bucket{{name: t.records(), count: t.Name}, {name: t.ids()}, {name: t.unique()}}
}

func (t Owned[T]) validate(o Options) {
	if t.Name == "" {
		panic("kv: a table without a name")
	}
	if o.Owner == nil {
		panic("kv: table " + t.Name + " has owners, and Options.Owner is nil")
	}
	t.layout()
}

// layout holds the indexes of the fields ID and Owner in a struct.
type layout struct{ id, owner int }

// layout returns the positions of the fields ID and Owner in T. It panics if one is
// missing or is not an array of 16 bytes.
func (t Owned[T]) layout() (l layout) {
	of := reflect.TypeFor[T]()
	for name, index := range map[string]*int{"ID": &l.id, "Owner": &l.owner} {
		f, ok := reflect.StructField{}, of.Kind() == reflect.Struct
		if ok {
			f, ok = of.FieldByName(name)
		}
		if !ok || len(f.Index) != 1 || f.Type.Kind() != reflect.Array || f.Type.Len() != len(ID{}) || f.Type.Elem().Kind() != reflect.Uint8 {
			panic(fmt.Sprintf("kv: table %s: %s has no field %s of 16 bytes", t.Name, of, name))
		}
		*index = f.Index[0]
	}
	return l
}

func (t Owned[T]) addLayout(to map[string]layout) { to[t.Name] = t.layout() }

// layouts returns the layouts of all Owned tables by name. They are computed
// once, because finding fields by name is slow.
func (o Options) layouts() map[string]layout {
	layouts := map[string]layout{}
	for _, t := range o.Tables {
		if owned, ok := t.(interface{ addLayout(map[string]layout) }); ok {
			owned.addLayout(layouts)
		}
	}
	return layouts
}

func (t Owned[T]) dropOwner(tx *Tx, owner ID) error {
	records, ids := tx.Bucket(t.records()), tx.Bucket(t.ids())
	for _, key := range keysWith(tx, t.records(), owner[:]) {
		if len(key) >= 2*len(ID{}) {
			if err := ids.Delete(key[len(key)-len(ID{}):]); err != nil {
				return err
			}
		}
		if err := records.Delete(key); err != nil {
			return err
		}
	}
	for _, key := range keysWith(tx, t.unique(), owner[:]) {
		if err := tx.Bucket(t.unique()).Delete(key); err != nil {
			return err
		}
	}
	return nil
}

// keysWith returns copies of the keys that begin with prefix. Deleting while
// iterating could make bbolt's cursor skip keys.
func keysWith(tx *Tx, bucket string, prefix []byte) (keys [][]byte) {
	c := tx.Bucket(bucket).Cursor()
	for key, _ := c.Seek(prefix); bytes.HasPrefix(key, prefix); key, _ = c.Next() {
		keys = append(keys, bytes.Clone(key))
	}
	return keys
}

func (t Owned[T]) verify(tx *Tx, bucket string, key, value []byte) (describe any, err error) {
	switch bucket {
	case t.ids():
		if len(key) != len(ID{}) {
			return nil, errKeyLength
		}
		_, err := t.Get(tx, ID(key))
		return nil, err
	case t.unique():
		return nil, t.verifyUnique(tx, key, value)
	}
	return t.verifyRecord(tx, key, value)
}

var errKeyLength = errors.New("its key has the wrong length")

func (t Owned[T]) verifyRecord(tx *Tx, key, value []byte) (describe any, err error) {
	r, err := t.decode(tx, key, value)
	if err != nil {
		return nil, err
	}
	owner, id := t.keysOf(tx, &r)
	d := described{record: r, id: id, owner: owner}
	if !bytes.Equal(key, t.key(owner, id, &r)) {
		return d, errors.New("it is stored under a wrong key")
	}
	if !bytes.Equal(tx.Get(t.ids(), id[:]), key) {
		return d, errors.New("the index of ids does not lead to it")
	}
	if t.Unique != nil && !bytes.Equal(tx.Get(t.unique(), t.uniqueKey(owner, &r)), id[:]) {
		return d, errors.New("the index of unique values does not lead to it")
	}
	return d, tx.db.options.Owner(tx, owner)
}

// described is what Check prints of a record: its fields, with ID and Owner in
// hexadecimal digits.
type described struct {
	record    any
	id, owner ID
}

func (d described) MarshalJSON() ([]byte, error) {
	fields := map[string]any{}
	text, err := json.Marshal(d.record)
	if err == nil {
		err = json.Unmarshal(text, &fields)
	}
	fields["ID"], fields["Owner"] = hex.EncodeToString(d.id[:]), hex.EncodeToString(d.owner[:])
	if err != nil {
		return nil, err
	}
	return json.Marshal(fields)
}

func (t Owned[T]) verifyUnique(tx *Tx, key, value []byte) error {
	if len(value) != len(ID{}) {
		return errors.New("the index entry is not an id")
	}
	r, err := t.Get(tx, ID(value))
	if err != nil {
		return err
	}
	if owner, _ := t.keysOf(tx, &r); t.Unique == nil || !bytes.Equal(key, t.uniqueKey(owner, &r)) {
		return errors.New("the index entry leads to a record with another value")
	}
	return nil
}
