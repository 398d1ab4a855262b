// Package store names what any store may answer besides success, so that pages
// and rules need not know which engine keeps their data.
//
// ErrNotFound and ErrTaken are refusals: the rules of a resource turn them into a
// sentence for the visitor. The others are faults. Errors may be wrapped; use
// errors.Is.
package store

import "errors"

var (
	// ErrNotFound means that there is no record with this id.
	ErrNotFound = errors.New("not found")
	// ErrTaken means that another record has a key that must be unique.
	ErrTaken = errors.New("taken")

	// ErrFull means that there is no room for a write. Nothing was written, reads
	// go on, and the next write may succeed.
	ErrFull = errors.New("the database has no room")
	// ErrBusy means that the store takes no writes yet, or not in time. Nothing was
	// written, reads go on, and the next write may succeed.
	ErrBusy = errors.New("the database takes no writes yet")
	// ErrFailed means that the storage failed during a commit. Nobody knows whether that
	// commit is durable. All further writes are rejected, and the process should end.
	ErrFailed = errors.New("the disk failed")
	// ErrDamaged means that a record, or a part of the storage, cannot be read.
	ErrDamaged = errors.New("the database is damaged")
)
