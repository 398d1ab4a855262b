package bolt

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"time"

	"latchkey/app/accounts"
	"latchkey/app/sessions"
)

// record is a session as it lies in the file:
//
//	 1 byte   version
//	 4 bytes  CRC-32C of the key and all that follows
//	16 bytes  the account's id, zero for nobody
//	 8 bytes  when the password was set that proved the account: nanoseconds
//	 8 bytes  began, 8 bytes seen, 8 bytes expires, 8 bytes proved: milliseconds
//	 2 bytes  length of the agent, then the agent; the same for the address
//	the rest is the data, as Fiber's session middleware encoded it
//
// Numbers are big-endian, times count from 1970. The checksum covers the key so
// that a record which a damaged page puts under another's key is refused, not
// shown to that other.
type record struct {
	sessions.Session // without Name and Admin, which are the account's, and Key
	expires          time.Time
	data             []byte
}

const (
	recordVersion = 1
	recordHead    = 1 + 4 + 16 + 5*8
)

// accountOf returns the account's id in a record that is whole. It shares the
// memory of value.
func accountOf(value []byte) []byte { return value[5:21] }

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

func checksum(key, rest []byte) uint32 {
	return crc32.Update(crc32.Checksum(key, castagnoli), castagnoli, rest)
}

// seal puts the version and the checksum into the first five bytes of a record.
func seal(key, b []byte) []byte {
	b[0] = recordVersion
	binary.BigEndian.PutUint32(b[1:], checksum(key, b[5:]))
	return b
}

// whole returns an error unless value is what seal returned for key.
func whole(what string, key, value []byte, head int) error {
	switch {
	case len(value) < head:
		return fmt.Errorf("%w: %s of %d bytes", ErrDamaged, what, len(value))
	case value[0] != recordVersion:
		return fmt.Errorf("%w: %s of version %d", ErrDamaged, what, value[0])
	case binary.BigEndian.Uint32(value[1:]) != checksum(key, value[5:]):
		return fmt.Errorf("%w: %s with a wrong checksum", ErrDamaged, what)
	}
	return nil
}

// encode returns r as bytes to keep under key.
func encode(key []byte, r record) []byte {
	b := make([]byte, 5, recordHead+4+len(r.Agent)+len(r.Address)+len(r.data))
	b = append(b, r.Account[:]...)
	b = binary.BigEndian.AppendUint64(b, nanoseconds(r.Password))
	for _, t := range [...]time.Time{r.Began, r.Seen, r.expires, r.Proved} {
		b = binary.BigEndian.AppendUint64(b, uint64(t.UnixMilli()))
	}
	for _, text := range [...]string{r.Agent, r.Address} {
		b = binary.BigEndian.AppendUint16(b, uint16(len(text)))
		b = append(b, text...)
	}
	return seal(key, append(b, r.data...))
}

// decode reads what encode wrote. The data share the memory of value. A record
// that is not whole is an error, never a guess.
func decode(key, value []byte) (r record, err error) {
	if r.expires, err = decodeSession(key, value, &r.Session); err != nil {
		return record{}, err
	}
	rest := value[recordHead:]
	if r.Agent, rest, err = nextText(rest); err != nil {
		return record{}, err
	}
	if r.Address, r.data, err = nextText(rest); err != nil {
		return record{}, err
	}
	return r, nil
}

// decodeSession reads the part of a record that every page asks for into s, and
// returns when it expires.
func decodeSession(key, value []byte, s *sessions.Session) (expires time.Time, err error) {
	if err := whole("a session", key, value, recordHead); err != nil {
		return time.Time{}, err
	}
	s.Account = sessions.Account(accountOf(value))
	s.Password = fromNanoseconds(value[21:])
	s.Began = fromMilliseconds(value[29:])
	s.Seen = fromMilliseconds(value[37:])
	s.Proved = fromMilliseconds(value[53:])
	return fromMilliseconds(value[45:]), nil
}

func fromMilliseconds(b []byte) time.Time {
	return time.UnixMilli(int64(binary.BigEndian.Uint64(b))).UTC()
}

// nanoseconds returns t as a number in which zero stands for no time.
func nanoseconds(t time.Time) uint64 {
	if t.IsZero() {
		return 0
	}
	return uint64(t.UnixNano())
}

func fromNanoseconds(b []byte) time.Time {
	n := binary.BigEndian.Uint64(b)
	if n == 0 {
		return time.Time{}
	}
	return time.Unix(0, int64(n)).UTC()
}

// encodeAccount returns a as bytes to keep under its id: version and checksum as
// in record, a byte of flags, created, last login and password changed in
// nanoseconds, then typed name, folded name and hash, each after its length in
// two bytes.
func encodeAccount(a accounts.Account) []byte {
	b := make([]byte, accountHead, accountHead+6+3*len(a.Name.String())+len(a.Hash))
	if a.Admin {
		b[5] |= flagAdmin
	}
	if a.Disabled {
		b[5] |= flagDisabled
	}
	binary.BigEndian.PutUint64(b[6:], nanoseconds(a.Created))
	binary.BigEndian.PutUint64(b[14:], nanoseconds(a.LastLogin))
	binary.BigEndian.PutUint64(b[22:], nanoseconds(a.PasswordChanged))
	for _, text := range []string{a.Name.String(), a.Name.Folded(), a.Hash} {
		b = binary.BigEndian.AppendUint16(b, uint16(len(text)))
		b = append(b, text...)
	}
	return seal(a.ID[:], b)
}

const (
	accountHead  = 1 + 4 + 1 + 3*8
	flagAdmin    = 1
	flagDisabled = 2
)

// head is what every request asks of an account: it costs one string.
type head struct {
	name     string
	admin    bool
	disabled bool
	password time.Time
}

func decodeHead(id, value []byte) (head, error) {
	name, _, err := cutText(value, id)
	if err != nil {
		return head{}, err
	}
	return head{
		name:     name,
		admin:    value[5]&flagAdmin != 0,
		disabled: value[5]&flagDisabled != 0,
		password: fromNanoseconds(value[22:]),
	}, nil
}

// decodeAccount reads what encodeAccount wrote.
func decodeAccount(id, value []byte) (accounts.Account, error) {
	h, err := decodeHead(id, value)
	if err != nil {
		return accounts.Account{}, err
	}
	_, rest, _ := cutText(value, id)
	folded, rest, err := nextText(rest)
	if err != nil {
		return accounts.Account{}, err
	}
	hash, _, err := nextText(rest)
	if err != nil {
		return accounts.Account{}, err
	}
	return accounts.Account{
		ID:              accounts.ID(id),
		Name:            accounts.StoredName(h.name, folded),
		Hash:            hash,
		Admin:           h.admin,
		Disabled:        h.disabled,
		Created:         fromNanoseconds(value[6:]),
		LastLogin:       fromNanoseconds(value[14:]),
		PasswordChanged: h.password,
	}, nil
}

// cutText checks the record of an account and returns its first text, and what
// follows.
func cutText(value, id []byte) (text string, rest []byte, err error) {
	if err := whole("an account", id, value, accountHead); err != nil {
		return "", nil, err
	}
	return nextText(value[accountHead:])
}

// nextText reads a text after its length, as a string of its own.
func nextText(b []byte) (text string, rest []byte, err error) {
	t, rest, err := cut(b)
	return string(t), rest, err
}

// cut reads bytes after their length. They share the memory of b.
func cut(b []byte) (text, rest []byte, err error) {
	if len(b) >= 2 {
		if n := int(binary.BigEndian.Uint16(b)); len(b) >= 2+n {
			return b[2 : 2+n], b[2+n:], nil
		}
	}
	return nil, nil, fmt.Errorf("%w: a record cut short", ErrDamaged)
}
