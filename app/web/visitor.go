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

// Visitor is the sender of a request. The zero Visitor is not logged in.
type Visitor struct {
	ID    accounts.ID // of the account
	Name  string      // of the account, as typed
	Admin bool        // the account is an administrator at this moment

	reauthenticated time.Time // when the visitor last typed the password
	seen            time.Time // last recorded activity
}

// LoggedIn reports whether the visitor is logged in.
func (v Visitor) LoggedIn() bool { return v.Name != "" }

// visitor identifies the sender of the request. Every page calls it, so it is fast: one
// read of the store, no decoding of session data, no write.
func (s *Site) visitor(c *fiber.Ctx) (Visitor, error) {
	session, err := s.sessions.Read(c)
	switch {
	case err == nil:
		return Visitor{ID: accounts.ID(session.Account), Name: session.Name, Admin: session.Admin, reauthenticated: session.Reauthenticated, seen: session.Seen}, nil
	case errors.Is(err, sessions.ErrDamaged):
		c.Locals(damage{}, err) // for the log; the visitor is not logged in
		return Visitor{}, nil
	case errors.Is(err, sessions.ErrEnded):
		return Visitor{}, nil
	}
	return Visitor{}, err
}

// damage is the Locals key of the error from reading a damaged session, for the log.
type damage struct{}

// address returns the client address: that of the connection or, behind trusted proxies,
// the last address in X-Forwarded-For that is not a trusted proxy. Addresses further
// left can be forged by the client (OWASP ASVS 4.1.3).
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
