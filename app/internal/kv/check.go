package kv

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"go.etcd.io/bbolt"
	bbolterrors "go.etcd.io/bbolt/errors"

	"latchkey/app/internal/store"
)

// Report is the result of Check.
type Report struct {
	Counts   []Count
	Problems []string // one line each, at most maxProblems
	More     int      // number of further problems
}

// Count is the number of records in a table, including expired records that are
// not swept yet.
type Count struct {
	Name    string
	Records int
}

// OK reports whether no problem was found.
func (r Report) OK() bool { return len(r.Problems) == 0 }

// Count returns the number of records of that name, or 0.
func (r Report) Count(name string) int {
	for _, c := range r.Counts {
		if c.Name == name {
			return c.Records
		}
	}
	return 0
}

// maxProblems limits the problems listed in a report.
const maxProblems = 100

// Check verifies the file at path without changing it: pages, records and, in
// both directions, indexes. If visit is not nil, Check calls it for each record
// with a printable description without secrets, table by table.
//
// Check needs a few bytes of memory for each page and none for each record. An
// error means that the file could not be checked; it is one line for the
// operator. It wraps ErrInUse while a server has the file open.
func Check(ctx context.Context, path string, o Options, visit func(table string, record any) error) (r Report, err error) {
	o.validate()
	r.Problems = []string{}
	info, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return r, fmt.Errorf("database %s does not exist; choose an existing one with --database", path)
	case err != nil:
		return r, operatorError(path, err)
	case info.IsDir():
		return r, operatorError(path, errDirectory)
	case info.Size() < 2*pageSize:
		return r, operatorError(path, errForeign)
	}
	err = openReadOnly(path, o, func(tx *bbolt.Tx) error {
		if err := verifyFile(ctx, path, o, true); err != nil {
			return err
		}
		if err := checkFormat(tx, o); err != nil {
			return err
		}
		if meta(tx, o) != nil && !isReady(tx, o) {
			return errOlder
		}
		c := checker{ctx: ctx, tx: &Tx{Tx: tx, db: &DB{options: o, layouts: o.layouts()}}, report: &r, visit: visit}
		return c.all(o)
	})
	switch {
	case ctx.Err() != nil:
		return r, context.Cause(ctx)
	case errors.Is(err, bbolterrors.ErrTimeout):
		return r, fmt.Errorf("database %s %w, or check a copy of the file", path, ErrInUse)
	case errors.Is(err, store.ErrDamaged), errors.Is(err, errDamaged):
		r.problem("%v", err) // the pages are damaged, so the records were not checked
	case errors.Is(err, errVisit):
		return r, err
	case err != nil:
		return r, operatorError(path, err)
	}
	return r, nil
}

// errVisit wraps an error that the visit callback returned, to tell it from an error
// of the file.
var errVisit = errors.New("visit a record")

func (r *Report) problem(format string, args ...any) {
	if len(r.Problems) == maxProblems {
		r.More++
		return
	}
	r.Problems = append(r.Problems, fmt.Sprintf(format, args...))
}

// checker checks the tables in one transaction.
type checker struct {
	ctx    context.Context
	tx     *Tx
	report *Report
	visit  func(table string, record any) error
}

func (c *checker) all(o Options) error {
	for _, t := range o.Tables {
		for _, b := range t.buckets() {
			if err := c.bucket(t, b); err != nil {
				return err
			}
		}
	}
	// bbolt's own check would follow a page that leads to itself for ever. It is
	// safe here because boltcheck has verified the pages.
	for err := range c.tx.Check() {
		c.report.problem("%v", err)
	}
	return nil
}

func (c *checker) bucket(t Table, b bucket) error {
	found := c.tx.Tx.Bucket([]byte(b.name))
	if found == nil {
		return nil // the process was killed during the first start; the next start creates it
	}
	count := Count{Name: b.count}
	cursor := found.Cursor()
	n := 0
	for key, value := cursor.First(); key != nil; key, value = cursor.Next() {
		if n++; n%1000 == 0 && c.ctx.Err() != nil {
			return c.ctx.Err()
		}
		record, err := t.verify(c.tx, b.name, key, value)
		if err != nil {
			c.report.problem("%s, %s: %v", b.name, hex.EncodeToString(key), err)
		}
		if record == nil && err == nil {
			continue
		}
		count.Records++
		if c.visit != nil && record != nil && b.count != "" {
			if err := c.visit(b.count, record); err != nil {
				return fmt.Errorf("%w: %w", errVisit, err)
			}
		}
	}
	if b.count != "" {
		c.report.Counts = append(c.report.Counts, count)
	}
	return nil
}
