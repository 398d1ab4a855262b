package web

import (
	"strings"
	"time"

	"github.com/gofiber/fiber/v2"
)

// cookies are those beside the session's own.
type cookies struct {
	known cookie // shows that this browser has logged in as a name before
	flash cookie // which sentence the next page shows
}

// cookie is one that scripts cannot read, and that other sites cannot send with
// a form.
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

// set has the browser keep value for a time, or forget the cookie when the time
// is zero.
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
