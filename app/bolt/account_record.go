package bolt

import (
	"encoding/binary"
	"fmt"
	"time"

	"latchkey/app/accounts"
	"latchkey/app/internal/kv"
	"latchkey/app/internal/store"
)

// Content of an account record, sealed under the account's id. The layout is
// binary because every page decodes the header. Numbers are big-endian. Each
// text follows its length in two bytes.
//
//	1 byte   flags
//	8 bytes  created, 8 bytes last login, 8 bytes password changed: microseconds
//	         since 1970, zero for never
//	8 bytes  version of the password
//	         name as typed, folded name, hash
const (
	accountVersion    = 2
	accountHeaderSize = 1 + 4*8

	flagAdmin    = 1
	flagDisabled = 2
)

func encodeAccount(a accounts.Account) []byte {
	b := make([]byte, kv.SealSize, kv.SealSize+accountHeaderSize+6+3*len(a.Name.String())+len(a.Hash))
	var flags byte
	if a.Admin {
		flags |= flagAdmin
	}
	if a.Disabled {
		flags |= flagDisabled
	}
	b = append(b, flags)
	for _, t := range [...]time.Time{a.Created, a.LastLogin, a.PasswordChanged} {
		b = binary.BigEndian.AppendUint64(b, microseconds(t))
	}
	b = binary.BigEndian.AppendUint64(b, a.PasswordVersion)
	for _, text := range [...]string{a.Name.String(), a.Name.Folded(), a.Hash} {
		b = appendText(b, text)
	}
	return kv.Seal(accountVersion, a.ID[:], b)
}

// accountHeader is the part of an account that every request reads.
type accountHeader struct {
	name            string
	admin           bool
	disabled        bool
	passwordVersion uint64
}

// decodeAccountHeader returns the header and the undecoded texts after the
// name.
func decodeAccountHeader(id, record []byte) (h accountHeader, texts []byte, err error) {
	content, err := kv.Unseal("an account", accountVersion, id, record)
	if err == nil && len(content) < accountHeaderSize {
		err = errTruncated
	}
	if err != nil {
		return h, nil, err
	}
	h.admin = content[0]&flagAdmin != 0
	h.disabled = content[0]&flagDisabled != 0
	h.passwordVersion = binary.BigEndian.Uint64(content[25:])
	h.name, texts, err = nextText(content[accountHeaderSize:])
	return h, texts, err
}

func decodeAccount(id, record []byte) (accounts.Account, error) {
	h, texts, err := decodeAccountHeader(id, record)
	if err != nil {
		return accounts.Account{}, err
	}
	folded, texts, err := nextText(texts)
	if err != nil {
		return accounts.Account{}, err
	}
	hash, _, err := nextText(texts)
	if err != nil {
		return accounts.Account{}, err
	}
	content := record[kv.SealSize:]
	return accounts.Account{
		ID:              accounts.ID(id),
		Name:            accounts.StoredName(h.name, folded),
		Hash:            hash,
		Admin:           h.admin,
		Disabled:        h.disabled,
		Created:         fromMicroseconds(content[1:]),
		LastLogin:       fromMicroseconds(content[9:]),
		PasswordChanged: fromMicroseconds(content[17:]),
		PasswordVersion: h.passwordVersion,
	}, nil
}

// describedAccount is the description of an account for Check.
type describedAccount struct {
	ID              string
	Name            string
	Admin, Disabled bool
	Created         time.Time
	LastLogin       time.Time
	PasswordChanged time.Time
	HasPassword     bool
}

func describeAccount(a accounts.Account) describedAccount {
	return describedAccount{a.ID.String(), a.Name.String(), a.Admin, a.Disabled, a.Created, a.LastLogin, a.PasswordChanged, a.Hash != ""}
}

// microseconds returns t in microseconds since 1970, or 0 for the zero time.
func microseconds(t time.Time) uint64 {
	if t.IsZero() {
		return 0
	}
	return uint64(t.UnixMicro())
}

func fromMicroseconds(b []byte) time.Time {
	n := binary.BigEndian.Uint64(b)
	if n == 0 {
		return time.Time{}
	}
	return time.UnixMicro(int64(n)).UTC()
}

func appendText(b []byte, text string) []byte {
	return append(binary.BigEndian.AppendUint16(b, uint16(len(text))), text...)
}

var errTruncated = fmt.Errorf("%w: a record cut short", store.ErrDamaged)

// nextText decodes a text after its length and returns the remaining bytes.
func nextText(b []byte) (text string, rest []byte, err error) {
	if len(b) >= 2 {
		if n := int(binary.BigEndian.Uint16(b)); len(b) >= 2+n {
			return string(b[2 : 2+n]), b[2+n:], nil
		}
	}
	return "", nil, errTruncated
}
