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

// Cost holds the parameters of argon2id (RFC 9106).
type Cost struct {
	Memory uint32 // KiB
	Passes uint32
	Lanes  uint8
}

// DefaultCost returns 19 MiB, two passes and one lane, the minimum of OWASP's
// Password Storage Cheat Sheet and of ASVS 5.0 appendix C.
func DefaultCost() Cost { return Cost{Memory: 19 * 1024, Passes: 2, Lanes: 1} }

// Upper bounds for the cost of a stored hash, so that a corrupt or hostile one
// takes at most 128 MiB and a few seconds.
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

// phc is a password hash in PHC string format,
// $argon2id$v=19$m=19456,t=2,p=1$SALT$TAG (github.com/P-H-C/phc-string-format).
type phc struct {
	cost Cost
	salt [saltSize]byte
	tag  [tagSize]byte
}

// newPHC hashes a normalised password. It allocates cost.Memory.
func newPHC(password string, cost Cost) phc {
	h := phc{cost: cost}
	rand.Read(h.salt[:])
	copy(h.tag[:], h.derive(password))
	return h
}

// dummyPHC returns a hash that no password matches. Verifying against it takes
// as long as against a real hash of the same cost.
func dummyPHC(cost Cost) phc {
	h := phc{cost: cost}
	rand.Read(h.salt[:])
	rand.Read(h.tag[:])
	return h
}

func (h phc) derive(password string) []byte {
	return argon2.IDKey([]byte(password), h.salt[:], h.cost.Passes, h.cost.Memory, h.cost.Lanes, tagSize)
}

// matches reports whether the password is the hashed one. The comparison takes
// constant time.
func (h phc) matches(password string) bool {
	return subtle.ConstantTimeCompare(h.derive(password), h.tag[:]) == 1
}

// weakerThan reports whether a hash at this cost would be stronger.
func (h phc) weakerThan(cost Cost) bool {
	return h.cost.Memory < cost.Memory || h.cost.Passes < cost.Passes
}

func (h phc) String() string {
	return fmt.Sprintf("$argon2id$v=%d$m=%d,t=%d,p=%d$%s$%s", argon2.Version,
		h.cost.Memory, h.cost.Passes, h.cost.Lanes,
		phcBase64.EncodeToString(h.salt[:]), phcBase64.EncodeToString(h.tag[:]))
}

// parsePHC parses a hash exactly as String formats it.
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
	// Check the lengths first: Decode writes into fixed-size arrays.
	if len(parts[4]) != phcBase64.EncodedLen(saltSize) || len(parts[5]) != phcBase64.EncodedLen(tagSize) {
		return phc{}, errPHC
	}
	if _, err := phcBase64.Decode(h.salt[:], []byte(parts[4])); err != nil {
		return phc{}, errPHC
	}
	if _, err := phcBase64.Decode(h.tag[:], []byte(parts[5])); err != nil {
		return phc{}, errPHC
	}
	// Accept only the canonical spelling: no sign, no leading zero, no line break.
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
