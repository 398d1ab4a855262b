package accounts

import (
	"log/slog"
	"time"
)

// Account is somebody who may log in. Times are UTC. The zero time means
// "never".
type Account struct {
	ID              ID
	Name            Name
	Hash            string // PHC string format; empty if the account has no password: no login succeeds
	Admin           bool
	Disabled        bool
	Created         time.Time
	LastLogin       time.Time
	PasswordChanged time.Time
	PasswordVersion uint64 // grows with each new password, see Store
}

// String returns the name. It keeps the hash out of logs when an account is
// printed by mistake.
func (a Account) String() string { return a.Name.String() }

// LogValue returns the fields that may appear in a log: id and name.
func (a Account) LogValue() slog.Value {
	return slog.GroupValue(slog.String("id", a.ID.String()), slog.String("name", a.Name.String()))
}
