package bolt

import (
	"encoding/binary"
	"time"

	"latchkey/app/internal/kv"
	"latchkey/app/sessions"
)

// The content of a session's record, sealed under its key. Every page reads the
// head, so it is laid out by hand. Numbers are big-endian; a text comes after its
// length in two bytes.
//
//	16 bytes  the account's id, zero for nobody
//	 8 bytes  version of the password that it was logged in with
//	 8 bytes  began, 8 bytes seen, 8 bytes expires, 8 bytes re-authenticated: milliseconds
//	          since 1970
//	          agent, address
//	the rest  data, as Fiber's session middleware encoded it
const (
	sessionVersion  = 1
	sessionHeadSize = 16 + 5*8
)

// sessionRecord is a session as the file has it. Its Name and Admin are those of
// the account, its Key is that of the record.
type sessionRecord struct {
	sessions.Session
	expires time.Time
	data    []byte // shares the memory of the record
}

func encodeSession(key []byte, r sessionRecord) []byte {
	b := make([]byte, kv.SealSize, kv.SealSize+sessionHeadSize+4+len(r.Agent)+len(r.Address)+len(r.data))
	b = append(b, r.Account[:]...)
	b = binary.BigEndian.AppendUint64(b, r.PasswordVersion)
	for _, t := range [...]time.Time{r.Began, r.Seen, r.expires, r.Reauthenticated} {
		b = binary.BigEndian.AppendUint64(b, uint64(t.UnixMilli()))
	}
	b = appendText(appendText(b, r.Agent), r.Address)
	return kv.Seal(sessionVersion, key, append(b, r.data...))
}

// decodeSessionHead reads what every page asks for into s. It returns when the
// session expires, and the rest of the content.
func decodeSessionHead(key, record []byte, s *sessions.Session) (expires time.Time, rest []byte, err error) {
	content, err := kv.Unseal("a session", sessionVersion, key, record)
	if err == nil && len(content) < sessionHeadSize {
		err = errShort
	}
	if err != nil {
		return time.Time{}, nil, err
	}
	s.Account = sessions.Account(content)
	s.PasswordVersion = binary.BigEndian.Uint64(content[16:])
	s.Began = fromMilliseconds(content[24:])
	s.Seen = fromMilliseconds(content[32:])
	s.Reauthenticated = fromMilliseconds(content[48:])
	return fromMilliseconds(content[40:]), content[sessionHeadSize:], nil
}

func decodeSession(key, record []byte) (r sessionRecord, err error) {
	var rest []byte
	if r.expires, rest, err = decodeSessionHead(key, record, &r.Session); err != nil {
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

// isSessionOf reports whether a record, which may be damaged, says that it is a
// session of the account.
func isSessionOf(account kv.ID, record []byte) bool {
	return len(record) >= kv.SealSize+sessionHeadSize && kv.ID(record[kv.SealSize:]) == account
}

// An alias stands under the old key of a session that was rotated. Its content:
//
//	16 bytes  zero, where a session has its account
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
		err = errShort
	}
	if err != nil {
		return alias{}, err
	}
	return alias{sessions.Key(content[16:]), fromMilliseconds(content[aliasSize-8:])}, nil
}
