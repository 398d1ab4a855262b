package accounts

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
)

// ID tells accounts apart for ever: 128 bits from crypto/rand, never used
// again. It is no secret.
type ID [16]byte

// NewID draws an id. crypto/rand.Read does not fail: it ends the process if
// the system has no random source.
func NewID() ID {
	var id ID
	rand.Read(id[:])
	return id
}

// String returns the id as 32 hexadecimal digits, lower case.
func (id ID) String() string { return hex.EncodeToString(id[:]) }

// ParseID reads what String wrote, and nothing else.
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
