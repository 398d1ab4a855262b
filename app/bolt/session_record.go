package bolt

import (
	"encoding/binary"
	"time"

	"latchkey/app/internal/kv"
	"latchkey/app/sessions"
)

// Content of a session record, sealed under the session's key. The layout is
// binary because every page decodes the header. Numbers are big-endian. Each
// text follows its length in two bytes.
//
//	16 bytes  account id, zero if anonymous
//	 8 bytes  PasswordVersion of the account at login
//	 8 bytes  began, 8 bytes seen, 8 bytes expires, 8 bytes re-authenticated: milliseconds
//	          since 1970
//	          agent, address
//	the rest  data, as encoded by Fiber's session middleware
const (
	sessionVersion    = 1
	sessionHeaderSize = 16 + 5*8
)

// sessionRecord is a stored session. The fields Name and Admin come from the
// account and Key from the record's key.
type sessionRecord struct {
	sessions.Session
	expires time.Time
	data    []byte // shares the memory of the record
}

func encodeSession(key []byte, r sessionRecord) []byte {
	b := make([]byte, kv.SealSize, kv.SealSize+sessionHeaderSize+4+len(r.Agent)+len(r.Address)+len(r.data))
	b = append(b, r.Account[:]...)
	b = binary.BigEndian.AppendUint64(b, r.PasswordVersion)
	for _, t := range [...]time.Time{r.Began, r.Seen, r.expires, r.Reauthenticated} {
		b = binary.BigEndian.AppendUint64(b, uint64(t.UnixMilli()))
	}
	b = appendText(appendText(b, r.Agent), r.Address)
	return kv.Seal(sessionVersion, key, append(b, r.data...))
}

// decodeSessionHeader decodes into s what every page needs. It returns the
// expiry and the undecoded rest.
func decodeSessionHeader(key, record []byte, s *sessions.Session) (expires time.Time, rest []byte, err error) {
	content, err := kv.Unseal("a session", sessionVersion, key, record)
	if err == nil && len(content) < sessionHeaderSize {
		err = errTruncated
	}
	if err != nil {
		return time.Time{}, nil, err
	}
	s.Account = sessions.Account(content)
	s.PasswordVersion = binary.BigEndian.Uint64(content[16:])
	s.Began = fromMilliseconds(content[24:])
	s.Seen = fromMilliseconds(content[32:])
	s.Reauthenticated = fromMilliseconds(content[48:])
	return fromMilliseconds(content[40:]), content[sessionHeaderSize:], nil
}

func decodeSession(key, record []byte) (r sessionRecord, err error) {
	var rest []byte
	if r.expires, rest, err = decodeSessionHeader(key, record, &r.Session); err != nil {
		return sessionRecord{}, err
	}
	if r.Agent, rest, err = nextText(rest); err != nil {
		return sessionRecord{}, err
	}
	if r.Address, r.data, err = nextText(rest); err != nil {
		return sessionRecord{}, err
	}
	return r, nil
}

// isSessionOf reports whether a record, possibly damaged, has the form of a
// session of the account.
func isSessionOf(account kv.ID, record []byte) bool {
	return len(record) >= kv.SealSize+sessionHeaderSize && kv.ID(record[kv.SealSize:]) == account
}

// An alias replaces a rotated session under its old key. Its content:
//
//	16 bytes  zero, in the place of a session's account id
//	38 bytes  the new key
//	 8 bytes  expires: milliseconds since 1970
const (
	aliasVersion = 2
	aliasSize    = 16 + len(sessions.Key{}) + 8
)

type alias struct {
	key     sessions.Key
	expires time.Time
}

func isAlias(record []byte) bool { return len(record) > 0 && record[0] == aliasVersion }

func encodeAlias(old []byte, a alias) []byte {
	b := make([]byte, kv.SealSize+16, kv.SealSize+aliasSize)
	b = append(b, a.key[:]...)
	return kv.Seal(aliasVersion, old, binary.BigEndian.AppendUint64(b, uint64(a.expires.UnixMilli())))
}

func decodeAlias(old, record []byte) (alias, error) {
	content, err := kv.Unseal("an alias of a session", aliasVersion, old, record)
	if err == nil && len(content) != aliasSize {
		err = errTruncated
	}
	if err != nil {
		return alias{}, err
	}
	return alias{sessions.Key(content[16:]), fromMilliseconds(content[aliasSize-8:])}, nil
}
