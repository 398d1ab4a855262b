// Package registrations holds what belongs to somebody: an account's answer "I
// play this sport". It is the example to replace with things of your own; the
// rules about who may do what with them are worth keeping. It knows neither the
// web nor the disk.
package registrations

import (
	"time"

	"latchkey/app/accounts"
)

// Registration says that an account plays a sport. Its owner never changes.
type Registration struct {
	ID    ID
	Owner accounts.ID
	Sport string
	At    time.Time // UTC
}

// ID tells registrations apart for ever. It is made and written as an account's
// is, and is of another type so that neither passes for the other. It is no
// secret, and knowing it permits nothing.
type ID accounts.ID

// String returns the id as 32 hexadecimal digits, lower case.
func (id ID) String() string { return accounts.ID(id).String() }

// ParseID reads what String wrote. Anything else is the id of nothing, so the
// error is ErrNotFound.
func ParseID(s string) (ID, error) {
	id, err := accounts.ParseID(s)
	if err != nil {
		return ID{}, ErrNotFound
	}
	return ID(id), nil
}
