// Package kv makes a bbolt file safe, and fast enough to serve web pages.
//
// bbolt trusts its file, returns memory that is only valid during the
// transaction, and waits for the disk in each commit. This package verifies the
// file before using it, turns bbolt's panics on damaged pages into errors, lets
// concurrent writers share a commit (20 times the writes at 64 writers) and
// consecutive readers share a transaction (a third less time for a page), and
// adds typed tables, write-behind, sweeping, format upgrades, backup and check.
//
// Guarantees: when Update returns nil, the change is durable; when it returns
// an error, the change is rolled back. View sees every change whose Update
// returned before View was called.
package kv

import (
	"context"
	"errors"
	"os"
	"sync"
	"time"

	"go.etcd.io/bbolt"

	"latchkey/app/internal/store"
)

// ID identifies a record or its owner.
type ID [16]byte

// Options describes the contents of the file.
type Options struct {
	Tables []Table
	Expiry []Expiry
	Format int // format number of the file; for each incompatible change, increment it and add an Upgrade

	Upgrades []Upgrade
	Legacy   Legacy              // format of files older than this package
	Init     func(tx *Tx) error  // writes the initial records of a new file; may be nil
	Owner    func(*Tx, ID) error // returns nil if the owner exists; called by Insert

	Report func(error)       // receives background write errors; may be nil
	Swept  func(removed int) // receives the number of records removed by a sweep; may be nil

	// VerifyFirst is the file size in bytes up to which Open verifies all pages
	// before it returns; zero means 64 MiB. In a larger file, Open verifies the
	// branch pages, so that reading is safe. It verifies the leaf pages in the
	// background, and writers wait.
	VerifyFirst int64
}

// DB is an open file. Its methods are safe for concurrent use.
type DB struct {
	path         string
	bolt         *bbolt.DB
	options      Options
	readers      readers
	writers      writers
	writeBehinds []interface{ close() }
	layouts      map[string]layout // field positions of the Owned tables, by table name

	closing      sync.Once
	verifying    sync.WaitGroup
	cancelVerify context.CancelCauseFunc
	damaged      chan error // receives the error that Run returns
}

const defaultVerifyFirst = 64 << 20

// lockWait is how long Open waits for another process to release the file.
const lockWait = time.Second

// Open opens the file at path. It creates a missing file (0600) and directory
// (0700). It returns an error for a damaged file or one of another app, before
// writing to it. It upgrades a file of an older format. The error is one line
// for the operator: what is wrong and what to do.
//
// The adapter gofiber/storage/bbolt is not used: it creates the file with mode
// 0666, panics on errors, and commits before the pages can be verified.
func Open(path string, o Options) (*DB, error) {
	o.validate()
	if err := create(path); err != nil {
		return nil, explain(path, err)
	}
	found, err := inspect(path, o)
	if err != nil {
		return nil, explain(path, err)
	}
	if err := protect(path); err != nil {
		return nil, explain(path, err)
	}
	var b *bbolt.DB
	err = guard(func() (err error) {
		b, err = bbolt.Open(path, 0o600, &bbolt.Options{Timeout: lockWait})
		return err
	})
	if err != nil {
		return nil, explain(path, err)
	}
	db := &DB{path: path, bolt: b, options: o, layouts: o.layouts(), damaged: make(chan error, 1)}
	db.readers.init(db)
	db.writers.init(db)
	ctx, cancel := context.WithCancelCause(context.Background())
	db.cancelVerify = cancel
	if !found.ready {
		if err := db.prepare(); err != nil {
			return nil, errors.Join(explain(path, err), b.Close())
		}
	}
	if !found.verified {
		db.verifying.Go(func() { db.verifyRest(ctx) })
		return db, nil
	}
	db.writers.admit(nil)
	return db, nil
}

// verifyRest verifies the leaf pages in the background and then admits writers.
func (db *DB) verifyRest(ctx context.Context) {
	err := verifyFile(ctx, db.path, db.options, true)
	if err != nil && !errors.Is(err, errClosed) {
		err = db.reportDamage(err)
	}
	db.writers.admit(err)
}

// reportDamage makes Run return err, and returns what Run returns. The first call
// counts.
func (db *DB) reportDamage(err error) error {
	err = explain(db.path, err)
	select {
	case db.damaged <- err:
	default:
	}
	return err
}

// Await waits until all pages are verified and writers are admitted, or until
// ctx ends. The error is one line for the operator.
func (db *DB) Await(ctx context.Context) error {
	select {
	case <-db.writers.decided:
		return db.writers.admitErr
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// Run sweeps expired records until ctx ends, and returns nil. If the file turns out
// to be so damaged that all further writes are rejected, Run returns an error: the
// server should stop.
func (db *DB) Run(ctx context.Context) error {
	sweeping, stop := context.WithCancel(ctx)
	var sweeper sync.WaitGroup
	sweeper.Go(func() { db.keepSweeping(sweeping) })
	defer func() { stop(); sweeper.Wait() }()
	select {
	case err := <-db.damaged:
		return err
	case <-ctx.Done():
		return nil
	}
}

// View runs f in a read transaction. Keys and values are valid only until f
// returns, so f must copy what it keeps. f must not call View or Update: a
// commit that grows the file waits for f, so f would wait for itself.
func (db *DB) View(ctx context.Context, f func(*Tx) error) (err error) {
	if err := ctx.Err(); err != nil {
		return context.Cause(ctx)
	}
	defer restoreFaults(panicOnFault())
	defer recoverDamage(&err)
	return db.readers.use(f)
}

// Update runs change in a write transaction and returns once the outcome is
// final: nil if the change is durable, an error if it is rolled back. A failed
// change does not affect others in the same commit.
//
// Update may run change several times, each time in a clean transaction, and on
// another goroutine. So change must reset its results when it begins. If ctx
// ends before the commit begins, nothing is written and the error wraps ctx's
// cause.
func (db *DB) Update(ctx context.Context, change func(*Tx) error) error {
	return db.writers.update(ctx, change)
}

// Close writes queued changes, rejects new ones, waits for readers and closes
// the file. Further calls do nothing. After a commit that bbolt could not roll back,
// the file stays open until the process ends, and the error is store.ErrDamaged.
func (db *DB) Close() error {
	db.closing.Do(func() {
		db.cancelVerify(errClosed)
		db.verifying.Wait()
		for _, b := range db.writeBehinds {
			b.close()
		}
		db.writers.close()
		db.readers.close()
	})
	if db.readers.stuck {
		return damagedf("the file cannot be closed") // bbolt would wait for its write lock
	}
	return db.bolt.Close()
}

func (db *DB) report(err error) {
	if err != nil && db.options.Report != nil {
		db.options.Report(err)
	}
}

var errClosed = errors.New("the database is closed")

// Bolt returns the underlying bbolt database, for tests and tools. Call it
// again before each direct write, and do not read through DB during that write.
func (db *DB) Bolt() *bbolt.DB {
	db.readers.retire()
	return db.bolt
}

// ErrInUse means that another process has the file open.
var ErrInUse = errors.New("is in use by another process; stop that one or name another file")

var (
	errDirectory  = errors.New("is a folder; name a file")
	errNotRegular = errors.New("is not a file")
	errForeign    = errors.New("is not a database of this app; name another file")
	errVersion    = errors.New("was made by another version of this app; use that version")
	errDamaged    = errors.New("is damaged; put a backup in its place")
)

// damagedf returns an error that wraps store.ErrDamaged.
func damagedf(what string) error { return &damage{what} }

type damage struct{ what string }

func (d *damage) Error() string        { return store.ErrDamaged.Error() + ": " + d.what }
func (d *damage) Is(target error) bool { return target == store.ErrDamaged }

var pageSize = int64(os.Getpagesize())
