package web

import (
	"strings"
	"time"

	"github.com/gofiber/fiber/v2"
)

// cookies are the cookies other than that of the session.
type cookies struct {
	known cookie // shows that this browser has logged in as a name before
	flash cookie // which sentence the next page shows
}

// cookie is a cookie with HttpOnly and SameSite.
type cookie struct {
	name   string
	secure bool
}

// newCookies names the cookies. __Host- binds them to this host and to https,
// which there is not with --dev (OWASP ASVS 3.3.1, 3.3.3).
func newCookies(secure bool) cookies {
	prefix := ""
	if secure {
		prefix = "__Host-"
	}
	return cookies{known: cookie{prefix + "known", secure}, flash: cookie{prefix + "flash", secure}}
}

// get returns the cookie's value, or "". It is a copy and outlives the request.
func (k cookie) get(c *fiber.Ctx) string { return strings.Clone(c.Cookies(k.name)) }

// set sets the cookie to value for the duration keep, or clears it if keep is zero.
func (k cookie) set(c *fiber.Ctx, value string, keep time.Duration) {
	kept := fiber.Cookie{
		Name:     k.name,
		Value:    value,
		Path:     "/",
		MaxAge:   int(keep / time.Second),
		Secure:   k.secure,
		HTTPOnly: true,
		SameSite: fiber.CookieSameSiteLaxMode,
	}
	if keep == 0 {
		kept.MaxAge, kept.Expires = -1, time.Unix(1, 0)
	}
	c.Cookie(&kept)
}
