// Package bolt keeps everything in one bbolt file. Each store has a file of its
// own here; package internal/kv makes the file safe, and keeps typed tables for
// resources.
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

// tables is all that is in the file. Open makes them, deleting an account empties
// them of what it owns, and Check verifies and counts them.
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

// Options are how the stores behave. The zero value is for tests.
type Options struct {
	Limits sessions.Limits
	Now    func() time.Time  // nil: time.Now
	Report func(error)       // is told of background write errors; may be nil
	Swept  func(removed int) // is told what a sweep removed; may be nil

	verifyFirst int64 // see kv.Options.VerifyFirst
}

// DB is the open file, an engine with all stores.
type DB struct {
	kv     *kv.DB
	limits sessions.Limits
	now    func() time.Time

	renewals *kv.WriteBehind[renewal]
	index    *kv.WriteBehind[struct{}] // an item for each session to index
	events   *kv.WriteBehind[accounts.Event]
}

// ErrInUse means that another process has the file open.
var ErrInUse = kv.ErrInUse

// lingerBehind is how long what is written behind lingers: so much of it a loss of
// power costs.
const lingerBehind = time.Second

// Open opens the file at path, and makes it and its folder if they are missing. A
// file of an older format is upgraded. The error is one line that says what is
// wrong and what to do.
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
	// A session that ends before its renewal is written has ended: with a short idle
	// limit a second would be too long.
	db.renewals = kv.NewWriteBehind(db.kv, min(lingerBehind, o.Limits.Renewal()), db.renew)
	db.index = kv.NewWriteBehind(db.kv, lingerBehind, db.indexSessions)
	db.events = kv.NewWriteBehind(db.kv, lingerBehind, db.noteEvents)
	db.indexAfterKill()
	return db, nil
}

// fileLayout is what the file looks like, whoever opens it.
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

// Accounts returns the accounts in the file.
func (db *DB) Accounts() accounts.Store { return accountStore{db} }

// Events returns the events of accounts.
func (db *DB) Events() accounts.EventStore { return eventStore{db} }

// Sessions returns the sessions.
func (db *DB) Sessions() sessions.Store { return sessionStore{db} }

// Run sweeps what has expired until ctx ends, and then returns nil. It returns an
// error when the file has turned out to be damaged and the server should stop.
func (db *DB) Run(ctx context.Context) error { return db.kv.Run(ctx) }

// Await waits until the whole file has been verified and writes are let in.
func (db *DB) Await(ctx context.Context) error { return db.kv.Await(ctx) }

// Backup writes a copy of the file, as it is at one moment, to w.
func (db *DB) Backup(ctx context.Context, w io.Writer) error { return db.kv.Backup(ctx, w) }

// Bolt returns the file itself, for tests and tools: see kv.DB.Bolt.
func (db *DB) Bolt() *bbolt.DB { return db.kv.Bolt() }

// Close writes what is waiting and closes the file.
func (db *DB) Close() error { return db.kv.Close() }

// File is the path of a database that no server has open.
type File string

// Check reports whether the file is whole, and changes nothing. visit, which may be
// nil, is given what is in it, without secrets. While a server has the file open
// the error is ErrInUse.
func (f File) Check(ctx context.Context, visit func(table string, record any) error) (kv.Report, error) {
	return kv.Check(ctx, string(f), fileLayout(), visit)
}
