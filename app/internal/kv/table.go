package kv

import (
	"fmt"
	"slices"
)

// Table is a table of the file: an Owned or a Raw. Options.Tables determines
// which buckets Open creates, what DropOwner deletes, and what Check verifies
// and counts.
type Table interface {
	buckets() []bucket
	validate(o Options)
	// dropOwner deletes the owner's records.
	dropOwner(tx *Tx, owner ID) error
	// verify checks a record in one of the table's buckets. describe is a
	// printable description for Check, nil for an index.
	verify(tx *Tx, bucket string, key, value []byte) (describe any, err error)
}

// bucket is a bucket of a table.
type bucket struct {
	name     string
	count    string // the name under which Check counts its records; empty for an index
	keysOnly bool   // its values are empty, see boltcheck
}

// Raw is a table of one bucket whose record format is up to the caller.
type Raw struct {
	Name     string
	Index    bool // an index of another table, which keeps it consistent
	KeysOnly bool // all values are empty

	// DropOwner deletes the owner's records. It may be nil for an index.
	DropOwner func(tx *Tx, owner ID) error
	// Verify checks a record and returns a printable description without secrets
	// for Check, or nil if the record is not to be printed or counted.
	Verify func(tx *Tx, key, value []byte) (describe any, err error)
}

func (r Raw) buckets() []bucket {
	if r.Index {
		return []bucket{{name: r.Name, keysOnly: r.KeysOnly}}
	}
	return []bucket{{name: r.Name, count: r.Name, keysOnly: r.KeysOnly}}
}

func (r Raw) validate(Options) {
	if r.Name == "" || r.Verify == nil || r.DropOwner == nil && !r.Index {
		panic(fmt.Sprintf("kv: table %q does not say how it is verified, or what happens when an owner goes", r.Name))
	}
}

func (r Raw) dropOwner(tx *Tx, owner ID) error {
	if r.DropOwner == nil {
		return nil
	}
	return r.DropOwner(tx, owner)
}

func (r Raw) verify(tx *Tx, _ string, key, value []byte) (any, error) {
	return r.Verify(tx, key, value)
}

// DropOwner deletes the owner's records from every table.
func (tx *Tx) DropOwner(owner ID) error {
	for _, t := range tx.db.options.Tables {
		if err := t.dropOwner(tx, owner); err != nil {
			return err
		}
	}
	return nil
}

func (o Options) buckets() (names []string) {
	for _, t := range o.Tables {
		for _, b := range t.buckets() {
			names = append(names, b.name)
		}
	}
	return names
}

// keysOnly returns the names of buckets whose values are empty.
func (o Options) keysOnly() (names []string) {
	for _, t := range o.Tables {
		for _, b := range t.buckets() {
			if b.keysOnly {
				names = append(names, b.name)
			}
		}
	}
	return names
}

func (o Options) verifyFirst() int64 {
	if o.VerifyFirst != 0 {
		return o.VerifyFirst
	}
	return defaultVerifyFirst
}

func (o Options) validate() {
	for _, t := range o.Tables {
		t.validate(o)
	}
	names := append(o.buckets(), metaBucket)
	if o.Legacy.Bucket != "" {
		names = append(names, o.Legacy.Bucket)
	}
	slices.Sort(names)
	for i, name := range names {
		if i > 0 && name == names[i-1] {
			panic("kv: two tables have the bucket " + name)
		}
	}
	for _, e := range o.Expiry {
		if !slices.Contains(names, e.Bucket) || e.Expired == nil || e.Remove == nil {
			panic("kv: the expiry of " + e.Bucket + " names no bucket of a table, or not what is removed and how")
		}
	}
}
