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

// create creates the directory (0700) and an empty file (0600). bbolt would
// create the file with mode 0666.
func create(path string) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	info, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		// No O_EXCL: another process may create the file at the same time.
		file, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
		if err != nil {
			return err
		}
		return file.Close()
	case err != nil:
		return err
	case info.IsDir():
		return errDirectory
	case !info.Mode().IsRegular():
		return errNotRegular
	}
	return nil
}

// protect removes the permissions of other users from the file.
func protect(path string) error {
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm()&0o077 == 0 {
		return err
	}
	return os.Chmod(path, 0o600)
}

// state is the result of inspect.
type state struct {
	verified bool // all pages are verified; otherwise the leaves are not yet
	ready    bool // current format, all buckets present: Open need not write
}

// inspect verifies a file before Open writes to it. For a large file that needs
// no upgrade, it verifies only the branch pages.
func inspect(path string, o Options) (s state, err error) {
	info, err := os.Stat(path)
	if err != nil || info.Size() == 0 {
		return state{verified: true}, err
	}
	if info.Size() < 2*pageSize {
		return s, errForeign // too small for bbolt's two meta pages
	}
	err = openReadOnly(path, o, func(tx *bbolt.Tx) error {
		s.ready = isReady(tx, o)
		s.verified = !s.ready || tx.Size() <= o.verifyFirst()
		if s.verified {
			if err := verifyFile(context.Background(), path, o, true); err != nil {
				return err
			}
		}
		return checkFormat(tx, o)
	})
	return s, err
}

// openReadOnly verifies the branch pages and runs f in a read transaction.
// bbolt's shared file lock keeps writers of other processes out meanwhile.
func openReadOnly(path string, o Options, f func(tx *bbolt.Tx) error) error {
	return guard(func() error {
		// In read-only mode, bbolt reads only the two meta pages when it opens a
		// file.
		db, err := bbolt.Open(path, 0o600, &bbolt.Options{ReadOnly: true, Timeout: lockWait})
		if err != nil {
			return err
		}
		defer db.Close()
		// Take the size under the lock: another process may have grown the file.
		info, err := os.Stat(path)
		if err != nil {
			return err
		}
		if err := verifyFile(context.Background(), path, o, false); err != nil {
			return err
		}
		return db.View(func(tx *bbolt.Tx) error {
			// Reading beyond the end of the file would fault.
			if tx.Size() > info.Size() {
				return errDamaged
			}
			return f(tx)
		})
	})
}

// verifyFile verifies the branch pages of a file, and its leaf pages, too, if
// leaves is set.
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

// explain wraps an error of Open or Check into one line for the operator.
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
	case errors.Is(err, store.ErrFailed):
		line = fmt.Errorf("is not written any more: %w; the last writes may be missing; check the disk, then the copy", err)
	case diskFull(err):
		line = errors.New("cannot be written: the disk is full")
	case errors.Is(err, bbolterrors.ErrChecksum), errors.Is(err, store.ErrDamaged):
		line = errDamaged
	}
	return fmt.Errorf("database %s %w", path, line)
}

// diskFull reports whether err means that the disk is full. When the file
// cannot grow, bbolt wraps only the text of the system's error.
func diskFull(err error) bool {
	return err != nil && slices.ContainsFunc([]syscall.Errno{syscall.ENOSPC, syscall.EDQUOT, syscall.EFBIG}, func(no syscall.Errno) bool {
		return errors.Is(err, no) || strings.Contains(err.Error(), "file ") && strings.HasSuffix(err.Error(), no.Error())
	})
}
