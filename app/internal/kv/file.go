package kv

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"go.etcd.io/bbolt"
	bbolterrors "go.etcd.io/bbolt/errors"

	"latchkey/app/internal/boltcheck"
	"latchkey/app/internal/store"
)

// create makes the folder and an empty file, which bbolt would make 0666.
func create(path string) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	info, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		// Without O_EXCL: another process may be making it at this moment.
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
	}
	return nil
}

// protect takes a file that is ours away from other users.
func protect(path string) error {
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm()&0o077 == 0 {
		return err
	}
	return os.Chmod(path, 0o600)
}

// state is what inspect has found out about a file.
type state struct {
	verified bool // all of its pages are; otherwise the leaves are still to be
	ready    bool // Open need not write to it
}

// inspect verifies a file before it is opened for writing. It puts off the leaves
// of a large file that Open need not write to.
func inspect(path string, o Options) (s state, err error) {
	info, err := os.Stat(path)
	if err != nil || info.Size() == 0 {
		return state{verified: true}, err
	}
	if info.Size() < 2*pageSize {
		return s, errForeign // bbolt begins with two meta pages
	}
	err = openReadOnly(path, o, func(tx *bbolt.Tx) error {
		s.ready = isReady(tx, o)
		s.verified = !s.ready || tx.Size() <= o.verifyFirst()
		if s.verified {
			if err := verifyFile(context.Background(), path, o, true); err != nil {
				return err
			}
		}
		return isOurs(tx, o)
	})
	return s, err
}

// openReadOnly lets f read the file in one transaction if its branch pages are
// sound. bbolt's shared lock keeps writers of other processes out meanwhile.
func openReadOnly(path string, o Options, f func(tx *bbolt.Tx) error) error {
	return guard(func() error {
		// Opened read-only, bbolt reads the two meta pages and no further.
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
		if err := verifyFile(context.Background(), path, o, false); err != nil {
			return err
		}
		return db.View(func(tx *bbolt.Tx) error {
			// Pages beyond the end are memory that faults.
			if tx.Size() > info.Size() {
				return errDamaged
			}
			return f(tx)
		})
	})
}

// verifyFile verifies the branch pages of a file, or all pages, before anybody
// writes to it.
func verifyFile(ctx context.Context, path string, o Options, leaves bool) error {
	file, err := os.Open(path)
	if err != nil {
		return err
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return err
	}
	if leaves {
		err = boltcheck.All(ctx, file, info.Size())
	} else {
		err = boltcheck.Branches(ctx, file, info.Size(), o.keysOnly()...)
	}
	if errors.Is(err, boltcheck.ErrDamaged) {
		err = fmt.Errorf("%w: %w", store.ErrDamaged, err)
	}
	return err
}

// explain turns the error of opening path into one line for the operator.
func explain(path string, err error) error {
	line := err
	switch {
	case errors.Is(err, bbolterrors.ErrTimeout):
		line = ErrInUse
	case errors.Is(err, bbolterrors.ErrInvalid), errors.Is(err, bbolterrors.ErrVersionMismatch):
		line = errForeign
	case errors.Is(err, syscall.ENOTDIR), errors.Is(err, fs.ErrExist):
		line = errors.New("cannot be made: a part of its path is not a folder")
	case errors.Is(err, fs.ErrPermission), errors.Is(err, syscall.EROFS):
		line = errors.New("may not be written by this user; change its owner or name another file")
	case noRoom(err):
		line = errors.New("cannot be written: the disk is full")
	case errors.Is(err, bbolterrors.ErrChecksum), errors.Is(err, store.ErrDamaged):
		line = errDamaged
	}
	return fmt.Errorf("database %s %w", path, line)
}

// noRoom reports whether err says that the disk is full. When the file cannot
// grow, bbolt keeps only the words of the system's error.
func noRoom(err error) bool {
	return err != nil && slices.ContainsFunc([]syscall.Errno{syscall.ENOSPC, syscall.EDQUOT, syscall.EFBIG}, func(no syscall.Errno) bool {
		return errors.Is(err, no) || strings.Contains(err.Error(), "file ") && strings.HasSuffix(err.Error(), no.Error())
	})
}
