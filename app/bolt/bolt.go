// Package bolt keeps everything in one bbolt file.
//
// It is built on gofiber/storage/bbolt, whose Storage opens the file, and
// replaces what that does with it: see DB.
package bolt

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	storage "github.com/gofiber/storage/bbolt"
	"go.etcd.io/bbolt"
	bbolterrors "go.etcd.io/bbolt/errors"

	"latchkey/app/accounts"
	"latchkey/app/sessions"
)

// The buckets of the file. Each later kind of thing gets one of its own, so that
// no key can be taken for another's (OWASP ASVS 1.2.4).
var (
	bucketMeta     = []byte("latchkey")         // says that the file is ours, and how it is laid out
	bucketSessions = []byte("sessions")         // sessions.Key → record, see record
	bucketOwned    = []byte("account sessions") // account's id, sessions.Key → one byte, always 1; see owned.go
	bucketAccounts = []byte("accounts")         // account's id → record, see encodeAccount
	bucketNames    = []byte("names")            // folded name → account's id
	bucketAdmins   = []byte("administrators")   // id of each administrator that is not disabled → nothing
	bucketResets   = []byte("resets")           // SHA-256 of a secret → account's id, expiry
	bucketReset    = []byte("account resets")   // account's id → SHA-256 of the secret of its reset
	bucketEvents   = []byte("events")           // account's id, when, a number → record, see encodeEvent
)

var buckets = [][]byte{
	bucketMeta, bucketSessions, bucketOwned, bucketAccounts, bucketNames, bucketAdmins, bucketResets, bucketReset,
	bucketEvents,
	bucketRegistrations, bucketRegistrationIDs,
}

var (
	keyFormat  = []byte("format")
	format     = []byte("2")
	formatOld  = []byte("1")           // sessions lay under the SHA-256 of their ids alone; opening it ends them
	keySigning = []byte("signing key") // signs what browsers keep; made with the file
	keyEntered = []byte("entered")     // version and checksum as in record, then a sessions.Key: see owned.go
	keyBuckets = []byte("buckets")     // SHA-256 of the names of all buckets in the file, in order
)

// ErrDamaged means that a part of the file cannot be read.
var ErrDamaged = errors.New("the database is damaged")

// ErrInUse means that another process holds the file, and Open did not wait
// longer for it.
var ErrInUse = errors.New("is in use by another process; stop that one or name another file")

// lockWait is how long to wait for another process to let go of the file.
const lockWait = time.Second

// DB is the open file. It embeds the adapter for opening and closing, and
// answers its traps: Get copies inside the transaction (the adapter's returns
// memory of the file map, which may be unmapped by then), Set keeps the expiry,
// writes share commits, and opening neither panics nor waits for ever.
type DB struct {
	*storage.Storage
	limits   sessions.Limits
	now      func() time.Time
	readers  *readers
	writes   *gatherer
	renewals *behind[renewal]
	events   *behind[accounts.Event]
	entries  *behind[struct{}] // of sessions in the lists of their accounts
	moved    moved
	closing  sync.Once
	looking  sync.WaitGroup     // at the leaves of a large file
	lookAway context.CancelFunc // ends that
	damaged  chan error

	// Report is told of writes that failed behind everybody's back. It may be set
	// before the first request.
	Report func(error)
}

var _ sessions.Store = (*DB)(nil)

// Open opens the file at path, and makes it and its folder if they are not
// there: the folder 0700, the file 0600. Sessions are held to the limits. The
// error is one line that says what is wrong and what to do.
//
// It does not return before all pages of a file of up to lookAtMost bytes have
// been looked at. Of a larger one the pages that lead to others have, so reading
// is safe, and writes wait until the rest has, too: see Damaged.
func Open(path string, limits sessions.Limits) (*DB, error) {
	return open(path, limits, lookAtMost)
}

func open(path string, limits sessions.Limits, most int64) (*DB, error) {
	if err := create(path); err != nil {
		return nil, explain(path, err)
	}
	rest, err := inspect(path, most)
	if err != nil {
		return nil, explain(path, err)
	}
	var store *storage.Storage
	err = guard(func() error {
		store = storage.New(storage.Config{
			Database: path,
			Bucket:   string(bucketSessions),
			Timeout:  lockWait, // zero would wait for ever
		})
		if rest {
			return nil // it has all that follows
		}
		return store.Conn().Update(func(tx *bbolt.Tx) error {
			for _, name := range buckets {
				if _, err := tx.CreateBucketIfNotExists(name); err != nil {
					return err
				}
			}
			meta := tx.Bucket(bucketMeta)
			if bytes.Equal(meta.Get(keyFormat), formatOld) {
				if err := dropAll(tx); err != nil {
					return err
				}
			}
			if meta.Get(keySigning) == nil {
				key := make([]byte, 32)
				rand.Read(key)
				if err := meta.Put(keySigning, key); err != nil {
					return err
				}
			}
			return errors.Join(meta.Put(keyFormat, format), meta.Put(keyBuckets, sumOfNames(tx)))
		})
	})
	if err != nil {
		if store != nil {
			store.Close()
		}
		return nil, explain(path, err)
	}
	readers := &readers{db: store.Conn()}
	db := &DB{
		Storage: store,
		limits:  limits,
		now:     time.Now,
		readers: readers,
		writes:  newGatherer(readers),
		damaged: make(chan error, 1),
		Report:  func(error) {},
	}
	looking, lookAway := context.WithCancelCause(context.Background())
	db.lookAway = func() { lookAway(errClosed) }
	if rest {
		db.looking.Go(func() { db.lookOn(looking, path) })
	} else {
		db.writes.admit(nil)
	}
	report := func(err error) { db.Report(err) }
	// A session that ends before its renewal is written has ended: with a short
	// idle limit a second would be too long.
	db.renewals = newBehind(min(lingerBehind, limits.Renewal()), db.renew, report)
	db.events = newBehind(lingerBehind, db.note, report)
	db.entries = newBehind(lingerBehind, db.enterAll, report)
	db.entries.add(struct{}{}) // those before a kill
	return db, nil
}

// lookOn looks at all pages of a file that is open already, and then lets writes
// in.
func (db *DB) lookOn(ctx context.Context, path string) {
	err := lookAt(ctx, path, true)
	if err != nil && !errors.Is(err, errClosed) {
		err = explain(path, err)
		db.damaged <- err
	}
	db.writes.admit(err)
}

// Damaged returns a channel that says if a page is found damaged after Open. Then
// nothing has been written, but for the commit of the adapter's New, which changes
// no tree and writes the list of free pages anew, and nothing will be. The error is
// one line that says what is wrong and what to do.
func (db *DB) Damaged() <-chan error { return db.damaged }

// Await waits until all pages have been looked at, or ctx ends. The error is that
// of Damaged.
func (db *DB) Await(ctx context.Context) error {
	select {
	case <-db.writes.decided:
		return db.writes.verdict
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// Close waits for the writes in hand and closes the file.
func (db *DB) Close() error {
	db.closing.Do(func() {
		db.lookAway()
		db.looking.Wait()
		db.renewals.close()
		db.events.close()
		db.entries.close()
		db.writes.close()
		db.readers.turn() // from here on none waits for another reader
	})
	return db.Storage.Close()
}

// Conn returns the file itself, for tests and tools. Whoever writes to it calls
// Conn anew for each write, and lets nobody read through DB meanwhile: see
// readers.
func (db *DB) Conn() *bbolt.DB {
	db.readers.turn()
	db.readers.turn()
	return db.Storage.Conn()
}

var (
	errFolder  = errors.New("is a folder; name a file")
	errSpecial = errors.New("is not a file")
	errForeign = errors.New("is not a database of Latchkey; name another file")
	errDamaged = errors.New("is damaged; put a backup in its place")
)

// create makes the folder and an empty file, before bbolt would make it 0666.
func create(path string) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	info, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		// Another process may be making it at this moment.
		file, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
		if err != nil {
			return err
		}
		return file.Close()
	case err != nil:
		return err
	case info.IsDir():
		return errFolder
	case !info.Mode().IsRegular():
		return errSpecial
	case info.Mode().Perm()&0o077 != 0:
		return os.Chmod(path, 0o600)
	}
	return nil
}

// inspect looks at a file before it is opened for writing, so that a foreign or
// damaged one stays as it is. It reports whether not all of its pages have been
// looked at: that may be done later if Open needs to write nothing into it.
func inspect(path string, most int64) (rest bool, err error) {
	info, err := os.Stat(path)
	if err != nil || info.Size() == 0 {
		return false, err
	}
	if info.Size() < int64(2*os.Getpagesize()) {
		return false, errForeign // less than the two heads that bbolt writes first
	}
	err = look(path, func(tx *bbolt.Tx) error {
		rest = tx.Size() > most && guard(func() error { return ready(tx) }) == nil
		if !rest {
			if err := lookAt(context.Background(), path, true); err != nil {
				return err
			}
		}
		return ours(tx)
	})
	return rest, err
}

// lookAtMost is how large a file may be, in bytes, for Open to look at all its
// pages first, which takes about a third of a second for each GiB that is in
// memory. bbolt trusts what a page says of itself: it would free the page after
// one that says that it goes on there, and write over it, so nothing is written
// before all are looked at. To those who read, a leaf can do no harm: it is an
// error, and what lies in it has checksums.
const lookAtMost = 64 << 20

// look lets f read the file in one transaction, if those of its pages that lead to
// others are sound. Nobody writes it meanwhile: bbolt holds its lock.
func look(path string, f func(tx *bbolt.Tx) error) error {
	return guard(func() error {
		// Opened for reading, bbolt looks at the two heads and no further.
		db, err := bbolt.Open(path, 0o600, &bbolt.Options{ReadOnly: true, Timeout: lockWait})
		if err != nil {
			return err
		}
		defer db.Close()
		// Only now, under the lock: another process may have made it grow.
		info, err := os.Stat(path)
		if err != nil {
			return err
		}
		if err := lookAt(context.Background(), path, false); err != nil {
			return err
		}
		return db.View(func(tx *bbolt.Tx) error {
			// Pages beyond the end would be memory that faults when it is read.
			if tx.Size() > info.Size() {
				return errDamaged
			}
			return f(tx)
		})
	})
}

// lookAt checks the pages of a file that nobody writes to meanwhile.
func lookAt(ctx context.Context, path string, leaves bool) error {
	file, err := os.Open(path)
	if err != nil {
		return err
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return err
	}
	return guard(func() error { return checkPages(ctx, file, info.Size(), leaves) })
}

// sumOfNames returns the SHA-256 of the names of all buckets, which are in order
// in the file.
func sumOfNames(tx *bbolt.Tx) []byte {
	h := sha256.New()
	// The function returns no error, so ForEach returns none.
	_ = tx.ForEach(func(name []byte, _ *bbolt.Bucket) error {
		fmt.Fprintf(h, "%d %s\n", len(name), name)
		return nil
	})
	return h.Sum(nil)
}

// ready returns an error unless a file has everything that Open would write into
// it.
func ready(tx *bbolt.Tx) error {
	for _, name := range buckets {
		if tx.Bucket(name) == nil {
			return fmt.Errorf("without %s", name)
		}
	}
	meta := tx.Bucket(bucketMeta)
	if !bytes.Equal(meta.Get(keyFormat), format) || meta.Get(keySigning) == nil || meta.Get(keyBuckets) == nil {
		return errors.New("of another format")
	}
	return nil
}

// ours returns an error unless the file is a database of ours.
func ours(tx *bbolt.Tx) error {
	if meta := tx.Bucket(bucketMeta); meta != nil {
		if f := meta.Get(keyFormat); !bytes.Equal(f, format) && !bytes.Equal(f, formatOld) {
			return errors.New("was made by another version of Latchkey; use that version")
		}
		// A bucket whose name is damaged would be made anew in its place, and what
		// it holds would seem never to have been.
		if kept := meta.Get(keyBuckets); kept != nil && !bytes.Equal(kept, sumOfNames(tx)) {
			return fmt.Errorf("%w: a bucket has another name than it had", ErrDamaged)
		}
		return nil
	}
	// Without our mark it may still be ours: a kill before the mark was written
	// leaves an empty bucket of sessions.
	return tx.ForEach(func(name []byte, b *bbolt.Bucket) error {
		if key, _ := b.Cursor().First(); string(name) != string(bucketSessions) || key != nil {
			return errForeign
		}
		return nil
	})
}

// explain turns the error of opening path into one line for the operator.
func explain(path string, err error) error {
	var line error
	switch {
	case errors.Is(err, bbolterrors.ErrTimeout):
		line = ErrInUse
	case errors.Is(err, bbolterrors.ErrInvalid), errors.Is(err, bbolterrors.ErrVersionMismatch):
		line = errForeign
	case errors.Is(err, syscall.ENOTDIR), errors.Is(err, fs.ErrExist):
		line = errors.New("cannot be made: a part of its path is not a folder")
	case errors.Is(err, fs.ErrPermission), errors.Is(err, syscall.EROFS):
		line = errors.New("may not be written by this user; change its owner or name another file")
	case full(err):
		line = errors.New("cannot be written: the disk is full")
	case errors.Is(err, bbolterrors.ErrChecksum), errors.Is(err, ErrDamaged):
		// Last, for guard calls every panic damage, whatever its cause.
		line = errDamaged
	default:
		line = err
	}
	return fmt.Errorf("database %s %w", path, line)
}

// full reports whether err came about because there is no room. When the file
// cannot grow, bbolt keeps of the system's error the words alone.
func full(err error) bool {
	if err == nil {
		return false
	}
	return slices.ContainsFunc([]syscall.Errno{syscall.ENOSPC, syscall.EDQUOT, syscall.EFBIG}, func(no syscall.Errno) bool {
		return errors.Is(err, no) || strings.Contains(err.Error(), "file ") && strings.HasSuffix(err.Error(), no.Error())
	})
}

// guard runs f and turns a panic into an error. bbolt panics when a page of the
// file does not hold what it should, and reading a part of the map that the
// file no longer covers is a fault that would end the process.
func guard(f func() error) (err error) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer recovered(&err)
	return f()
}

// recovered is to be deferred: it turns a panic into *err.
func recovered(err *error) {
	switch p := recover().(type) {
	case nil:
	case error: // the adapter's New panics with the error of bbolt.Open
		*err = fmt.Errorf("%w: %w", ErrDamaged, p)
	default:
		*err = fmt.Errorf("%w: %v", ErrDamaged, p)
	}
}

// view runs f in a read transaction, as guard does. What f returns or keeps must
// be copied: the memory of keys and values ends with the transaction.
func (db *DB) view(f func(tx *bbolt.Tx) error) error {
	return db.read(func(r *reader) error { return f(r.tx) })
}

// read is view for what every page does.
func (db *DB) read(f func(*reader) error) (err error) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer recovered(&err)
	return db.readers.use(f)
}
