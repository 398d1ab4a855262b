package accounts

import (
	"crypto/rand"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"golang.org/x/crypto/argon2"
)

// Cost is what one argon2id hash takes (RFC 9106).
type Cost struct {
	Memory uint32 // KiB
	Passes uint32
	Lanes  uint8
}

// DefaultCost returns 19 MiB, two passes, one lane: the least that OWASP's
// Password Storage Cheat Sheet and ASVS 5.0 appendix C allow.
func DefaultCost() Cost { return Cost{Memory: 19 * 1024, Passes: 2, Lanes: 1} }

// Bounds of what is accepted, so that a corrupt or hostile hash on file cannot
// cost more than 128 MiB and a few seconds.
const (
	maxMemory = 128 * 1024 // KiB
	maxPasses = 10
	maxLanes  = 4

	saltSize = 16 // bytes, RFC 9106 section 3.1
	tagSize  = 32 // bytes
)

func (c Cost) valid() bool {
	return c.Lanes >= 1 && c.Lanes <= maxLanes &&
		c.Passes >= 1 && c.Passes <= maxPasses &&
		c.Memory >= 8*uint32(c.Lanes) && c.Memory <= maxMemory
}

// phc is a password hash in the PHC string format,
// $argon2id$v=19$m=19456,t=2,p=1$SALT$TAG
// (github.com/P-H-C/phc-string-format).
type phc struct {
	cost Cost
	salt [saltSize]byte
	tag  [tagSize]byte
}

// newPHC hashes a password that has been normalised. It allocates cost.Memory.
func newPHC(password string, cost Cost) phc {
	h := phc{cost: cost}
	rand.Read(h.salt[:])
	copy(h.tag[:], h.derive(password))
	return h
}

// dummyPHC returns a hash that no password fits. Checking against it takes as
// long as against any other of that cost.
func dummyPHC(cost Cost) phc {
	h := phc{cost: cost}
	rand.Read(h.salt[:])
	rand.Read(h.tag[:])
	return h
}

func (h phc) derive(password string) []byte {
	return argon2.IDKey([]byte(password), h.salt[:], h.cost.Passes, h.cost.Memory, h.cost.Lanes, tagSize)
}

// fits says whether the password is the one that was hashed, in a time that
// does not depend on where the two differ.
func (h phc) fits(password string) bool {
	return subtle.ConstantTimeCompare(h.derive(password), h.tag[:]) == 1
}

// below says whether a hash of that cost would be stronger.
func (h phc) below(cost Cost) bool {
	return h.cost.Memory < cost.Memory || h.cost.Passes < cost.Passes
}

func (h phc) String() string {
	return fmt.Sprintf("$argon2id$v=%d$m=%d,t=%d,p=%d$%s$%s", argon2.Version,
		h.cost.Memory, h.cost.Passes, h.cost.Lanes,
		phcBase64.EncodeToString(h.salt[:]), phcBase64.EncodeToString(h.tag[:]))
}

// parsePHC reads what String wrote, and nothing else.
func parsePHC(s string) (phc, error) {
	var h phc
	parts := strings.Split(s, "$")
	if len(s) > 128 || len(parts) != 6 || parts[0] != "" || parts[1] != "argon2id" || parts[2] != "v="+strconv.Itoa(argon2.Version) {
		return phc{}, errPHC
	}
	m, t, p, ok := parseCost(parts[3])
	h.cost = Cost{Memory: m, Passes: t, Lanes: p}
	if !ok || !h.cost.valid() {
		return phc{}, errPHC
	}
	// The lengths come first: Decode writes into arrays of these sizes.
	if len(parts[4]) != phcBase64.EncodedLen(saltSize) || len(parts[5]) != phcBase64.EncodedLen(tagSize) {
		return phc{}, errPHC
	}
	if _, err := phcBase64.Decode(h.salt[:], []byte(parts[4])); err != nil {
		return phc{}, errPHC
	}
	if _, err := phcBase64.Decode(h.tag[:], []byte(parts[5])); err != nil {
		return phc{}, errPHC
	}
	// One hash has one spelling: no sign, no leading zero, no line break.
	if h.String() != s {
		return phc{}, errPHC
	}
	return h, nil
}

func parseCost(s string) (memory, passes uint32, lanes uint8, ok bool) {
	var n [3]uint64
	fields := strings.Split(s, ",")
	if len(fields) != len(n) {
		return 0, 0, 0, false
	}
	for i, key := range []string{"m=", "t=", "p="} {
		value, found := strings.CutPrefix(fields[i], key)
		v, err := strconv.ParseUint(value, 10, 32)
		if !found || err != nil {
			return 0, 0, 0, false
		}
		n[i] = v
	}
	if n[2] > maxLanes {
		return 0, 0, 0, false
	}
	return uint32(n[0]), uint32(n[1]), uint8(n[2]), true
}

var (
	phcBase64 = base64.RawStdEncoding.Strict()
	errPHC    = errors.New("accounts: not a password hash")
)
