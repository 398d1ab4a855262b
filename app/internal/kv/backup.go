package kv

import (
	"context"
	"fmt"
	"io"
)

// Backup writes a copy of the file, as it is at one moment, to w. Readers and
// writers go on, until a commit makes the file grow beyond its map: that commit,
// and all who read or write after it, wait for the copy. So w should be a file on
// this machine and not a slow connection. A copy that ends with an error is not
// whole. If ctx ends first, the error wraps its cause.
func (db *DB) Backup(ctx context.Context, w io.Writer) error {
	// Not View, whose transaction others may share.
	return guard(func() error {
		tx, err := db.bolt.Begin(false)
		if err != nil {
			return err
		}
		defer func() { _ = tx.Rollback() }() // fails only if it has ended already
		_, err = tx.WriteTo(contextWriter{ctx, w})
		if err != nil && ctx.Err() != nil {
			return fmt.Errorf("backup: %w", context.Cause(ctx)) // bbolt keeps only its words
		}
		return err
	})
}

// contextWriter ends a copy when its context ends.
type contextWriter struct {
	ctx context.Context
	w   io.Writer
}

func (w contextWriter) Write(b []byte) (int, error) {
	if w.ctx.Err() != nil {
		return 0, context.Cause(w.ctx)
	}
	return w.w.Write(b)
}
