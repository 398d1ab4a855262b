// Package bolt implements all stores in one bbolt file. Package internal/kv
// makes the file safe and provides typed tables for resources.
package bolt

import (
	"context"
	"crypto/rand"
	"io"
	"time"

	"go.etcd.io/bbolt"

	"latchkey/app/accounts"
	"latchkey/app/internal/kv"
	"latchkey/app/sessions"
)

// tables lists all tables of the file. Open creates them, deleting an account
// deletes its records in all of them, and Check verifies and counts them.
var tables = []kv.Table{
	kv.Raw{Name: bucketState, Index: true, Verify: verifyState},
	kv.Raw{Name: bucketAccounts, Verify: verifyAccount, DropOwner: dropAccount},
	kv.Raw{Name: bucketNames, Index: true, Verify: verifyName},
	kv.Raw{Name: bucketAdmins, KeysOnly: true, Verify: verifyAdmin, DropOwner: dropAdmin},
	kv.Raw{Name: bucketSessions, Verify: verifySession, DropOwner: dropSessions},
	kv.Raw{Name: bucketSessionIndex, Index: true, Verify: verifySessionIndex},
	registrationTable,
	kv.Raw{Name: bucketResets, Verify: verifyReset, DropOwner: dropReset},
	kv.Raw{Name: bucketAccountResets, Index: true, Verify: verifyAccountReset},
	kv.Raw{Name: bucketEvents, Verify: verifyEvent, DropOwner: dropEvents},
}

// Options configures the stores. The zero value is for tests.
type Options struct {
	Limits sessions.Limits
	Now    func() time.Time  // nil: time.Now
	Report func(error)       // receives background write errors; may be nil
	Swept  func(removed int) // receives the number of records removed by a sweep; may be nil

	verifyFirst int64 // see kv.Options.VerifyFirst
}

// DB is the engine: an open file with all stores.
type DB struct {
	kv     *kv.DB
	limits sessions.Limits
	now    func() time.Time

	renewals *kv.WriteBehind[renewal]
	index    *kv.WriteBehind[struct{}] // one item for each session to index
	events   *kv.WriteBehind[accounts.Event]
}

// ErrInUse means that another process has the file open.
var ErrInUse = kv.ErrInUse

// writeDelay is the delay of write-behind. A power failure may lose the items
// of that time.
const writeDelay = time.Second

// Open opens the file at path and creates a missing file and directory. It
// upgrades a file of an older format. The error is one line for the operator:
// what is wrong and what to do.
func Open(path string, o Options) (*DB, error) {
	db := &DB{limits: o.Limits, now: o.Now}
	if db.now == nil {
		db.now = time.Now
	}
	layout := fileLayout()
	layout.Expiry = []kv.Expiry{
		{Bucket: bucketSessions, Expired: db.sessionExpired, Remove: dropSession},
		{Bucket: bucketEvents, Expired: db.eventExpired, Remove: dropEvent},
		{Bucket: bucketResets, Expired: db.resetExpired, Remove: dropResetBySum},
	}
	layout.Report, layout.Swept, layout.VerifyFirst = o.Report, o.Swept, o.verifyFirst
	var err error
	if db.kv, err = kv.Open(path, layout); err != nil {
		return nil, err
	}
	// A renewal must be written before the session ends, so a short idle limit
	// needs a shorter delay.
	db.renewals = kv.NewWriteBehind(db.kv, min(writeDelay, o.Limits.Renewal()), db.renew)
	db.index = kv.NewWriteBehind(db.kv, writeDelay, db.indexSessions)
	db.events = kv.NewWriteBehind(db.kv, writeDelay, db.noteEvents)
	db.indexAfterKill()
	return db, nil
}

// fileLayout returns the options that do not depend on the configuration.
func fileLayout() kv.Options {
	return kv.Options{
		Tables:   tables,
		Format:   3,
		Upgrades: upgrades,
		Legacy:   legacy,
		Init: func(tx *kv.Tx) error {
			key := make([]byte, 32)
			rand.Read(key)
			return tx.Bucket(bucketState).Put(keySigning, key)
		},
		Owner: func(tx *kv.Tx, owner kv.ID) error {
			_, err := account(tx, owner[:])
			return err
		},
	}
}

// Accounts returns the account store.
func (db *DB) Accounts() accounts.Store { return accountStore{db} }

// Events returns the event store.
func (db *DB) Events() accounts.EventStore { return eventStore{db} }

// Sessions returns the session store.
func (db *DB) Sessions() sessions.Store { return sessionStore{db} }

// Run sweeps expired records until ctx ends, and returns nil. It returns an
// error if background verification finds damage; the server should stop then.
func (db *DB) Run(ctx context.Context) error { return db.kv.Run(ctx) }

// Await waits until the whole file is verified and writers are admitted.
func (db *DB) Await(ctx context.Context) error { return db.kv.Await(ctx) }

// Backup writes a consistent copy of the file to w.
func (db *DB) Backup(ctx context.Context, w io.Writer) error { return db.kv.Backup(ctx, w) }

// Bolt returns the underlying bbolt database, for tests and tools: see
// kv.DB.Bolt.
func (db *DB) Bolt() *bbolt.DB { return db.kv.Bolt() }

// Close writes queued items and closes the file.
func (db *DB) Close() error { return db.kv.Close() }

// File is the path of a database file that no server has open.
type File string

// Check verifies the file without changing it. If visit is not nil, Check calls
// it for each record with a printable description without secrets. The error
// wraps ErrInUse while a server has the file open.
func (f File) Check(ctx context.Context, visit func(table string, record any) error) (kv.Report, error) {
	return kv.Check(ctx, string(f), fileLayout(), visit)
}
