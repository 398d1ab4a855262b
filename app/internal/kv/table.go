package kv

import (
	"fmt"
	"slices"
)

// Table is one kind of thing in the file: an Owned or a Raw. The list of tables is
// what Open makes, what DropOwner empties, and what Check verifies and counts.
type Table interface {
	buckets() []bucket
	mustBeValid(o Options)
	// dropOwner removes what belongs to the owner.
	dropOwner(tx *Tx, owner ID) error
	// verify checks the record of one of its buckets. describe is what Check prints
	// of it, nil for an index.
	verify(tx *Tx, bucket string, key, value []byte) (describe any, err error)
}

// bucket is one of a table.
type bucket struct {
	name     string
	count    string // what Check counts its records as; empty for an index
	keysOnly bool   // its records have no value, see boltcheck
}

// Raw is a table of one bucket whose records its user lays out.
type Raw struct {
	Name     string
	Index    bool // it leads to the records of another table, which keeps it in step
	KeysOnly bool // its values are empty

	// DropOwner removes what belongs to the owner. An index needs none.
	DropOwner func(tx *Tx, owner ID) error
	// Verify checks a record and returns what Check may print of it, without
	// secrets; or nil if there is nothing to print or count.
	Verify func(tx *Tx, key, value []byte) (describe any, err error)
}

func (r Raw) buckets() []bucket {
	if r.Index {
		return []bucket{{name: r.Name, keysOnly: r.KeysOnly}}
	}
	return []bucket{{name: r.Name, count: r.Name, keysOnly: r.KeysOnly}}
}

func (r Raw) mustBeValid(Options) {
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

// DropOwner removes what belongs to an owner from every table.
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

// keysOnly returns the buckets whose records have no value.
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

func (o Options) mustBeValid() {
	for _, t := range o.Tables {
		t.mustBeValid(o)
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
