package accounts

import (
	"log/slog"
	"time"
)

// Account is somebody who may log in. Times are UTC; a time that has not come
// yet is zero.
type Account struct {
	ID              ID
	Name            Name
	Hash            string // PHC form; empty: no password, so none fits
	Admin           bool
	Disabled        bool
	Created         time.Time
	LastLogin       time.Time
	PasswordChanged time.Time
	PasswordVersion uint64 // tells its passwords apart, see Store
}

// String returns the name, so that an account that is printed by mistake does
// not show its hash.
func (a Account) String() string { return a.Name.String() }

// LogValue returns what a log may hold.
func (a Account) LogValue() slog.Value {
	return slog.GroupValue(slog.String("id", a.ID.String()), slog.String("name", a.Name.String()))
}
