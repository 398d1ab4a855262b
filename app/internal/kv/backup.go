package kv

import (
	"context"
	"fmt"
	"io"
)

// Backup writes a consistent copy of the file to w while readers and writers
// continue. But a commit that grows the file beyond its memory map waits until
// the copy is done, and so does every transaction after it. So w should be a
// local file, not a slow connection. If Backup returns an error, the copy is
// incomplete. If ctx ends first, the error wraps its cause.
func (db *DB) Backup(ctx context.Context, w io.Writer) error {
	// A transaction of its own: View may share its transaction with other readers.
	return guard(func() error {
		tx, err := db.bolt.Begin(false)
		if err != nil {
			return err
		}
		defer func() { _ = tx.Rollback() }() // fails only if the transaction has already ended
		_, err = tx.WriteTo(contextWriter{ctx, w})
		if err != nil && ctx.Err() != nil {
			return fmt.Errorf("backup: %w", context.Cause(ctx)) // bbolt wraps only the text of the error
		}
		return err
	})
}

// contextWriter is a writer that fails when its context ends.
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
