package accounts

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
)

// ID identifies an account: 128 bits from crypto/rand, never reused. It is not
// a secret.
type ID [16]byte

// NewID returns a random id. It does not fail: crypto/rand.Read ends the
// process if the system has no source of randomness.
func NewID() ID {
	var id ID
	rand.Read(id[:])
	return id
}

// String returns the id as 32 lower-case hexadecimal digits.
func (id ID) String() string { return hex.EncodeToString(id[:]) }

// ParseID parses an id exactly as String formats it.
func ParseID(s string) (ID, error) {
	var id ID
	if len(s) != hex.EncodedLen(len(id)) {
		return ID{}, errID
	}
	if _, err := hex.Decode(id[:], []byte(s)); err != nil || id.String() != s {
		return ID{}, errID
	}
	return id, nil
}

var errID = errors.New("accounts: not an account id")
