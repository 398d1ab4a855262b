package kv

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
)

// SealSize is how many bytes Seal needs at the front of a record.
const SealSize = 1 + 4

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

func checksum(key, content []byte) uint32 {
	return crc32.Update(crc32.Checksum(key, castagnoli), castagnoli, content)
}

// Seal writes a version and the CRC-32C of key and content into the first SealSize
// bytes of a record, and returns the record. The checksum covers the key so that a
// record which a damaged page puts under another key is refused there.
func Seal(version byte, key, record []byte) []byte {
	record[0] = version
	binary.BigEndian.PutUint32(record[1:], checksum(key, record[SealSize:]))
	return record
}

// Unseal returns the content of a sealed record, which shares its memory.
// Otherwise the error is store.ErrDamaged; what says which kind of record it is.
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
