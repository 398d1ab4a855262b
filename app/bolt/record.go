package bolt

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"time"

	"latchkey/app/sessions"
)

// record is a session as it lies in the file:
//
//	1 byte   version
//	4 bytes  CRC-32C of the key and all that follows
//	8 bytes  began, 8 bytes seen, 8 bytes expires: milliseconds since 1970
//	2 bytes  length of the name, then the name
//	the rest is the data, as Fiber's session middleware encoded it
//
// Numbers are big-endian. The checksum covers the key so that a record which a
// damaged page puts under another's key is refused, not shown to that other.
type record struct {
	name    []byte
	began   time.Time
	seen    time.Time
	expires time.Time
	data    []byte
}

const (
	recordVersion = 1
	recordHead    = 1 + 4 + 3*8 + 2
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

func checksum(key, rest []byte) uint32 {
	return crc32.Update(crc32.Checksum(key, castagnoli), castagnoli, rest)
}

// encode returns r as bytes to keep under key.
func encode(key []byte, r record) []byte {
	b := make([]byte, recordHead, recordHead+len(r.name)+len(r.data))
	b[0] = recordVersion
	binary.BigEndian.PutUint64(b[5:], uint64(r.began.UnixMilli()))
	binary.BigEndian.PutUint64(b[13:], uint64(r.seen.UnixMilli()))
	binary.BigEndian.PutUint64(b[21:], uint64(r.expires.UnixMilli()))
	binary.BigEndian.PutUint16(b[29:], uint16(len(r.name)))
	b = append(b, r.name...)
	b = append(b, r.data...)
	binary.BigEndian.PutUint32(b[1:], checksum(key, b[5:]))
	return b
}

// decode reads what encode wrote. The record shares the memory of value. A
// record that is not whole is an error, never a guess.
func decode(key, value []byte) (record, error) {
	switch {
	case len(value) < recordHead:
		return record{}, fmt.Errorf("%w: a session of %d bytes", ErrDamaged, len(value))
	case value[0] != recordVersion:
		return record{}, fmt.Errorf("%w: a session of version %d", ErrDamaged, value[0])
	case binary.BigEndian.Uint32(value[1:]) != checksum(key, value[5:]):
		return record{}, fmt.Errorf("%w: a session with a wrong checksum", ErrDamaged)
	}
	name := int(binary.BigEndian.Uint16(value[29:]))
	if len(value) < recordHead+name {
		return record{}, fmt.Errorf("%w: a session cut short", ErrDamaged)
	}
	return record{
		began:   unixMilli(value[5:]),
		seen:    unixMilli(value[13:]),
		expires: unixMilli(value[21:]),
		name:    value[recordHead : recordHead+name],
		data:    value[recordHead+name:],
	}, nil
}

func unixMilli(b []byte) time.Time {
	return time.UnixMilli(int64(binary.BigEndian.Uint64(b)))
}

// session returns the part of r that is known without decoding the data. It
// shares no memory with r.
func (r record) session() sessions.Session {
	return sessions.Session{Name: string(r.name), Began: r.began, Seen: r.seen}
}
