// Package registrations holds what belongs to somebody: an account's answer "I
// play this sport". It is the example to replace with things of your own; the
// rules about who may do what with them are worth keeping. It knows neither the
// web nor the disk.
package registrations

import (
	"crypto/rand"
	"encoding/hex"
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

// ID tells registrations apart for ever: 128 bits from crypto/rand. It is no
// secret, and knowing it permits nothing.
type ID [16]byte

// newID draws an id. crypto/rand.Read does not fail.
func newID() ID {
	var id ID
	rand.Read(id[:])
	return id
}

// String returns the id as 32 hexadecimal digits, lower case.
func (id ID) String() string { return hex.EncodeToString(id[:]) }

// ParseID reads what String wrote. Anything else is the id of nothing, so the
// error is ErrNotFound.
func ParseID(s string) (ID, error) {
	var id ID
	if len(s) != hex.EncodedLen(len(id)) {
		return ID{}, ErrNotFound
	}
	if _, err := hex.Decode(id[:], []byte(s)); err != nil || id.String() != s {
		return ID{}, ErrNotFound
	}
	return id, nil
}
