package kv

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
)

// SealSize is the number of bytes that Seal reserves at the start of a record.
const SealSize = 1 + 4

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

func checksum(key, content []byte) uint32 {
	return crc32.Update(crc32.Checksum(key, castagnoli), castagnoli, content)
}

// Seal writes the version and the CRC-32C of key and content into the first
// SealSize bytes of the record and returns the record. The checksum includes
// the key, so a record that a damaged page shows under another key is detected.
func Seal(version byte, key, record []byte) []byte {
	record[0] = version
	binary.BigEndian.PutUint32(record[1:], checksum(key, record[SealSize:]))
	return record
}

// Unseal verifies a sealed record and returns its content, which shares the
// memory of record. Otherwise it returns store.ErrDamaged. The string what
// describes the kind of record in the message.
func Unseal(what string, version byte, key, record []byte) (content []byte, err error) {
	switch {
	case len(record) < SealSize:
		return nil, damagedf(fmt.Sprintf("%s of %d bytes", what, len(record)))
	case record[0] != version:
		return nil, damagedf(fmt.Sprintf("%s of version %d", what, record[0]))
	case binary.BigEndian.Uint32(record[1:]) != checksum(key, record[SealSize:]):
		return nil, damagedf(what + " with a wrong checksum")
	}
	return record[SealSize:], nil
}
