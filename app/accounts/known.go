package accounts

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"hash"
	"time"
)

// KnownFor is how long a browser stays known after a login.
const KnownFor = 180 * day

// Known returns what a browser keeps in a cookie after a login, to be handed
// back in Attempt.Known: a mark that it has logged in to this account with its
// present password. It lets nobody in; it only keeps other people's failures
// from holding this browser. It holds a date and an HMAC-SHA-256, not who it is
// about. A change of the password voids it.
func (s *Accounts) Known(a Account) string {
	issued := s.clock()
	var cookie [8 + sha256.Size]byte
	binary.BigEndian.PutUint64(cookie[:8], uint64(issued.UnixNano()))
	copy(cookie[8:], s.knownMAC(a, issued))
	return base64.RawURLEncoding.EncodeToString(cookie[:])
}

// isKnown says whether Known returned this for the account, as it is now, not
// longer than KnownFor ago.
func (s *Accounts) isKnown(value string, a Account) bool {
	cookie, err := base64.RawURLEncoding.Strict().DecodeString(value)
	if err != nil || len(cookie) != 8+sha256.Size {
		return false
	}
	issued := time.Unix(0, int64(binary.BigEndian.Uint64(cookie)))
	if age := s.clock().Sub(issued); age < 0 || age >= KnownFor {
		return false
	}
	return hmac.Equal(cookie[8:], s.knownMAC(a, issued))
}

func (s *Accounts) knownMAC(a Account, issued time.Time) []byte {
	mac, _ := s.macs.Get().(hash.Hash)
	if mac == nil {
		mac = hmac.New(sha256.New, s.key[:])
	}
	defer s.macs.Put(mac)
	mac.Reset()
	mac.Write([]byte("latchkey known browser 1\n")) // apart from other uses of the key
	mac.Write(a.ID[:])
	mac.Write(binary.BigEndian.AppendUint64(nil, uint64(issued.UnixNano())))
	mac.Write(binary.BigEndian.AppendUint64(nil, a.PasswordVersion))
	return mac.Sum(nil)
}
