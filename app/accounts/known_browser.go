package accounts

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"time"
)

// KnownFor is how long a browser stays known after a login.
const KnownFor = 180 * day

// Known returns a cookie value for a browser that has just logged in to the
// account. A later login from that browser passes it in Attempt.Known: the
// browser is then throttled only for its own failed logins, and nobody else can
// lock it out. The value does not log anybody in and does not identify the
// account. It consists of a date and an HMAC-SHA-256, and a new password
// invalidates it.
func (a *Accounts) Known(account Account) string {
	issued := a.clock()
	var cookie [8 + sha256.Size]byte
	binary.BigEndian.PutUint64(cookie[:8], uint64(issued.UnixNano()))
	copy(cookie[8:], a.knownMAC(account, issued))
	return base64.RawURLEncoding.EncodeToString(cookie[:])
}

// isKnown reports whether Known issued the value for this account with its
// present password, less than KnownFor ago.
func (a *Accounts) isKnown(value string, account Account) bool {
	cookie, err := base64.RawURLEncoding.Strict().DecodeString(value)
	if err != nil || len(cookie) != 8+sha256.Size {
		return false
	}
	issued := time.Unix(0, int64(binary.BigEndian.Uint64(cookie)))
	if age := a.clock().Sub(issued); age < 0 || age >= KnownFor {
		return false
	}
	return hmac.Equal(cookie[8:], a.knownMAC(account, issued))
}

func (a *Accounts) knownMAC(account Account, issued time.Time) []byte {
	mac := hmac.New(sha256.New, a.key[:])
	mac.Write([]byte("latchkey known browser 1\n")) // domain separation: the key signs other things too
	mac.Write(account.ID[:])
	mac.Write(binary.BigEndian.AppendUint64(nil, uint64(issued.UnixNano())))
	mac.Write(binary.BigEndian.AppendUint64(nil, account.PasswordVersion))
	return mac.Sum(nil)
}
