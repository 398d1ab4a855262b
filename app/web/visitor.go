package web

import (
	"errors"
	"net/netip"
	"strings"
	"time"

	"github.com/gofiber/fiber/v2"

	"latchkey/app/accounts"
	"latchkey/app/sessions"
)

// Visitor is whoever sends the request. The zero Visitor is nobody.
type Visitor struct {
	ID    accounts.ID // of the account
	Name  string      // of the account, as typed
	Admin bool        // the account is an administrator at this moment

	reauthenticated time.Time // when the visitor last typed the password
	seen            time.Time // when it was last noted that the visitor was here
}

// LoggedIn reports whether the visitor is an account.
func (v Visitor) LoggedIn() bool { return v.Name != "" }

// visitor finds out who asks. This is the fast path of every page: one read of
// the file, no decoding of the session's data, no write.
func (s *Site) visitor(c *fiber.Ctx) (Visitor, error) {
	session, err := s.sessions.Read(c)
	switch {
	case err == nil:
		return Visitor{ID: accounts.ID(session.Account), Name: session.Name, Admin: session.Admin, reauthenticated: session.Reauthenticated, seen: session.Seen}, nil
	case errors.Is(err, sessions.ErrDamaged):
		c.Locals(damage{}, err) // for the log; the visitor is nobody
		return Visitor{}, nil
	case errors.Is(err, sessions.ErrEnded):
		return Visitor{}, nil
	}
	return Visitor{}, err
}

// damage is the key of what the log is told of a session that cannot be read.
type damage struct{}

// address returns where the request comes from: the connection's address, or
// behind trusted proxies the last hop that is not one of them. What stands
// further left in X-Forwarded-For is the visitor's own word (OWASP ASVS 4.1.3).
func (s *Site) address(c *fiber.Ctx) netip.Addr {
	ip, _ := netip.AddrFromSlice(c.Context().RemoteIP())
	ip = ip.Unmap()
	if len(s.proxies) == 0 || !s.trusts(ip) {
		return ip
	}
	// A proxy may add a header line of its own instead of extending the last.
	var hops []string
	for _, line := range c.Request().Header.PeekAll(fiber.HeaderXForwardedFor) {
		hops = append(hops, strings.Split(string(line), ",")...)
	}
	for i := len(hops) - 1; i >= 0; i-- {
		hop, err := netip.ParseAddr(strings.TrimSpace(hops[i]))
		if err != nil {
			return ip
		}
		if ip = hop.Unmap().WithZone(""); !s.trusts(ip) {
			return ip
		}
	}
	return ip
}

func (s *Site) trusts(ip netip.Addr) bool {
	for _, network := range s.proxies {
		if network.Contains(ip) {
			return true
		}
	}
	return false
}
