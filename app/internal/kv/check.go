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

// Report is what Check has found.
type Report struct {
	Counts   []Count
	Problems []string // a line each, at most maxProblems
	More     int      // problems beyond those
}

// Count is how many records of a kind there are, those that have expired and are
// not swept yet included.
type Count struct {
	Name    string
	Records int
}

// OK reports whether no problem was found.
func (r Report) OK() bool { return len(r.Problems) == 0 }

// Count returns the count of that name.
func (r Report) Count(name string) int {
	for _, c := range r.Counts {
		if c.Name == name {
			return c.Records
		}
	}
	return 0
}

// maxProblems is how many problems a report lists. Where there are so many, the
// rest tells nothing new.
const maxProblems = 100

// Check reads the file at path, changes nothing, and reports whether it is whole:
// its pages, every record, and every index, both ways. visit, unless it is nil, is
// given what may be printed of each record, without secrets, table by table.
//
// It needs a few bytes of memory for each page and none for each record. The error
// is one line that says why the file could not be checked; while a server has it
// open, that wraps ErrInUse.
func Check(ctx context.Context, path string, o Options, visit func(table string, record any) error) (r Report, err error) {
	o.mustBeValid()
	r.Problems = []string{}
	info, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return r, fmt.Errorf("database %s does not exist; name the one you mean with --database", path)
	case err != nil:
		return r, explain(path, err)
	case info.IsDir():
		return r, explain(path, errFolder)
	case info.Size() < 2*pageSize:
		return r, explain(path, errForeign)
	}
	err = openReadOnly(path, o, func(tx *bbolt.Tx) error {
		if err := verifyFile(ctx, path, o, true); err != nil {
			return err
		}
		if err := isOurs(tx, o); err != nil {
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
		r.problem("%v", err) // no page or bucket can be trusted
	case errors.Is(err, errVisit):
		return r, err
	case err != nil:
		return r, explain(path, err)
	}
	return r, nil
}

// errVisit marks an error of visit, which says nothing of the file.
var errVisit = errors.New("write")

func (r *Report) problem(format string, args ...any) {
	if len(r.Problems) == maxProblems {
		r.More++
		return
	}
	r.Problems = append(r.Problems, fmt.Sprintf(format, args...))
}

// checker checks the tables of one transaction.
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
	// bbolt's own check comes last and is safe here: boltcheck has verified that no
	// page leads to itself, which bbolt would follow for ever.
	for err := range c.tx.Check() {
		c.report.problem("%v", err)
	}
	return nil
}

func (c *checker) bucket(t Table, b bucket) error {
	found := c.tx.Tx.Bucket([]byte(b.name))
	if found == nil {
		return nil // a kill before the first start was done; the next one makes it
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
