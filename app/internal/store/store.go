// Package store defines the errors that stores of any engine return. Callers do
// not depend on the engine.
//
// The rules of a resource turn ErrNotFound and ErrTaken into a message for the
// visitor. The other errors are internal failures. Errors may be wrapped; use
// errors.Is.
package store

import "errors"

var (
	// ErrNotFound means that no record has this id.
	ErrNotFound = errors.New("not found")
	// ErrTaken means that another record has the same unique value.
	ErrTaken = errors.New("taken")

	// ErrFull means that the disk is full. Nothing was written, reads still work,
	// and a later write may succeed.
	ErrFull = errors.New("the database has no room")
	// ErrBusy means that the store cannot write yet, or could not in time. Nothing
	// was written, reads still work, and a later write may succeed.
	ErrBusy = errors.New("the database takes no writes yet")
	// ErrFailed means that the storage failed during a commit, which may be durable or
	// not. All further writes are rejected, and the process should end.
	ErrFailed = errors.New("the disk failed")
	// ErrDamaged means that a record or a part of the storage is damaged.
	ErrDamaged = errors.New("the database is damaged")
)
