// Package kv makes a bbolt file safe and quick enough to serve pages from.
//
// bbolt trusts its file, returns memory that ends with the transaction, and
// waits for the disk once or twice in each commit. This package verifies the file
// before it is trusted, turns what bbolt does with damaged pages into errors, lets
// concurrent writers share commits (20 times the writes at 64 writers) and
// consecutive readers share transactions (a third of a page), and adds typed
// tables, write-behind, sweeping, upgrades of the format, backup and check.
//
// Callers may rely on this: a change whose Update has returned nil is durable, one
// that has returned an error has left nothing behind, and View sees every change
// that was acknowledged before it began.
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

// ID identifies a record, or the owner of one.
type ID [16]byte

// Options say what is in the file.
type Options struct {
	Tables []Table
	Expiry []Expiry
	Format int // number of the file's layout; raise it with each change, and add an Upgrade

	Upgrades []Upgrade
	Legacy   Legacy              // where formats from before this package said what they are
	Init     func(tx *Tx) error  // writes what a new file starts with; may be nil
	Owner    func(*Tx, ID) error // returns nil if there is such an owner; Insert asks it

	Report func(error)       // is told of background write errors; may be nil
	Swept  func(removed int) // is told what a sweep removed; may be nil

	// VerifyFirst is the size in bytes up to which Open verifies all pages of a file
	// before it returns; zero means 64 MiB. Of a larger file it verifies the branch
	// pages, so that reading is safe, and the leaves in the background.
	VerifyFirst int64
}

// DB is an open file. Its methods may be called concurrently.
type DB struct {
	path    string
	bolt    *bbolt.DB
	options Options
	readers readers
	writers writers
	behind  []interface{ close() }
	layouts map[string]layout // of the Owned tables, by name

	closing      sync.Once
	verifying    sync.WaitGroup
	cancelVerify context.CancelCauseFunc
	damaged      chan error // receives the error that Run returns
}

// defaultVerifyFirst takes about 20 ms to verify when the file is in memory.
const defaultVerifyFirst = 64 << 20

// lockWait is how long Open waits for another process to close the file.
const lockWait = time.Second

// Open opens the file at path, and makes it (0600) and its folder (0700) if they
// are missing. A foreign or damaged file is refused before anything is written to
// it. A file of an older format is upgraded. The error is one line that says what
// is wrong and what to do.
//
// The adapter gofiber/storage/bbolt would open it too, but it makes the file 0666,
// panics on errors, and commits before anybody could have verified the pages.
func Open(path string, o Options) (*DB, error) {
	o.mustBeValid()
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

// verifyRest verifies the leaves of a file that is open already, and then admits
// writers.
func (db *DB) verifyRest(ctx context.Context) {
	err := verifyFile(ctx, db.path, db.options, true)
	if err != nil && !errors.Is(err, errClosed) {
		err = db.reportDamage(err)
	}
	db.writers.admit(err)
}

// reportDamage has Run return err, and returns what Run returns. The first call
// counts.
func (db *DB) reportDamage(err error) error {
	err = explain(db.path, err)
	select {
	case db.damaged <- err:
	default:
	}
	return err
}

// Await waits until all pages have been verified and writers are admitted, or ctx
// ends. The error is one line that says what is wrong with the file.
func (db *DB) Await(ctx context.Context) error {
	select {
	case <-db.writers.decided:
		return db.writers.verdict
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// Run sweeps what has expired until ctx ends, and then returns nil. It returns an
// error when the file has turned out to be so damaged that nothing more will be
// written to it: the server should stop.
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

// View runs f in a read transaction. What f keeps must be copied: the memory of
// keys and values ends with the transaction. f must not call View or Update: a
// commit that makes the file grow waits for f, and f would wait for that commit.
func (db *DB) View(ctx context.Context, f func(*Tx) error) (err error) {
	if err := ctx.Err(); err != nil {
		return context.Cause(ctx)
	}
	defer restoreFaults(panicOnFault())
	defer recoverDamage(&err)
	return db.readers.use(f)
}

// Update runs change in a write transaction and returns when it is durable, or
// sure not to be. If change returns an error, nothing of it remains, and the
// changes that shared its commit are not affected.
//
// change may run more than once, each time on a transaction without its earlier
// traces, and on another writer's goroutine: it must set its results anew at each
// run. When ctx ends before the commit has begun, nothing is written and the error
// wraps ctx's cause.
func (db *DB) Update(ctx context.Context, change func(*Tx) error) error {
	return db.writers.update(ctx, change)
}

// Close writes what is waiting, refuses later writes, and closes the file once
// nobody reads any more. Closing again does nothing. After damage that bbolt could
// not roll back, the file stays open until the process ends, and the error is
// store.ErrDamaged.
func (db *DB) Close() error {
	db.closing.Do(func() {
		db.cancelVerify(errClosed)
		db.verifying.Wait()
		for _, b := range db.behind {
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

// Bolt returns the file itself, for tests and tools. Whoever writes through it
// calls Bolt anew for each write, and nobody may read through DB meanwhile.
func (db *DB) Bolt() *bbolt.DB {
	db.readers.retire()
	return db.bolt
}

// ErrInUse means that another process has the file open.
var ErrInUse = errors.New("is in use by another process; stop that one or name another file")

var (
	errFolder  = errors.New("is a folder; name a file")
	errSpecial = errors.New("is not a file")
	errForeign = errors.New("is not a database of this app; name another file")
	errVersion = errors.New("was made by another version of this app; use that version")
	errDamaged = errors.New("is damaged; put a backup in its place")
)

// damagedf returns an error that wraps store.ErrDamaged.
func damagedf(what string) error { return &damage{what} }

type damage struct{ what string }

func (d *damage) Error() string        { return store.ErrDamaged.Error() + ": " + d.what }
func (d *damage) Is(target error) bool { return target == store.ErrDamaged }

var pageSize = int64(os.Getpagesize())
