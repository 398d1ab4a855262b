package bolt

import (
	"fmt"

	"latchkey/app/internal/kv"
	"latchkey/app/internal/store"
)

// bucketState holds single values that belong to no account.
const bucketState = "state"

var (
	keySigning = []byte("signing key")            // 32 random bytes that sign cookies
	keyIndexed = []byte("sessions indexed up to") // a sealed sessions.Key, see session_index.go
	keyUpgrade = []byte("upgrade")                // position of an unfinished upgrade, see upgrade.go
)

const stateVersion = 1

func verifyState(_ *kv.Tx, key, value []byte) (any, error) {
	switch string(key) {
	case string(keySigning):
		_, err := signingKey(value)
		return nil, err
	case string(keyIndexed):
		_, err := kv.Unseal("how far sessions are indexed", stateVersion, key, value)
		return nil, err
	}
	return nil, nil
}

func signingKey(value []byte) (key [32]byte, err error) {
	if len(value) != len(key) {
		return key, fmt.Errorf("%w: a signing key of %d bytes", store.ErrDamaged, len(value))
	}
	return [32]byte(value), nil
}
