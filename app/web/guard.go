package web

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"

	"github.com/gofiber/fiber/v2"
	"github.com/valyala/fasthttp"

	"latchkey/config"
)

// guard rejects cross-site requests and sets the security headers.
type guard struct {
	cross   *http.CrossOriginProtection
	always  *fasthttp.ResponseHeader // headers of every response
	plain   string                   // the site's origin with http instead of https; empty without https
	devOnly bool
}

// The headers follow OWASP ASVS 3.4 and the Secure Headers project.
const (
	// policy forbids everything a page without scripts does not need.
	policy = "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
	// features turns off what no page asks for, frames included.
	features = "accelerometer=(), camera=(), geolocation=(), gyroscope=(), magnetometer=(), microphone=(), payment=(), usb=()"
	// strict is two years, as browsers' preload lists want it.
	strict = "max-age=63072000; includeSubDomains"
)

func newGuard(settings config.Settings) (*guard, error) {
	g := &guard{
		cross:   http.NewCrossOriginProtection(),
		always:  new(fasthttp.ResponseHeader),
		devOnly: settings.Dev,
	}
	headers := [][2]string{
		{"Content-Security-Policy", policy},
		{"Cross-Origin-Opener-Policy", "same-origin"},
		{"Cross-Origin-Resource-Policy", "same-origin"},
		{"Permissions-Policy", features},
		{"Referrer-Policy", "same-origin"},
		{"X-Content-Type-Options", "nosniff"},
		// Pages are private. Static files override this.
		{fiber.HeaderCacheControl, "no-store"},
	}
	if settings.HTTPS() {
		headers = append(headers, [2]string{"Strict-Transport-Security", strict})
		g.plain = "http" + strings.TrimPrefix(settings.Origin, "https")
	}
	for _, h := range headers {
		g.always.Set(h[0], h[1])
	}
	// Behind a proxy that rewrites Host, our own origin would look cross-site.
	if err := g.cross.AddTrustedOrigin(settings.Origin); err != nil {
		return nil, fmt.Errorf("--origin: %w", err)
	}
	return g, nil
}

// headers resets the response headers to those of every response.
func (g *guard) headers(c *fiber.Ctx) {
	header := &c.Response().Header
	g.always.CopyTo(header)
	if holdsSecret(c.Path()) {
		// The form still passes check, because browsers send Sec-Fetch-Site regardless.
		header.Set(fiber.HeaderReferrerPolicy, "no-referrer")
	}
}

// check rejects cross-site requests that change state (CSRF). It needs no token, because
// browsers send Sec-Fetch-Site or Origin (OWASP ASVS 3.5.1).
func (g *guard) check(c *fiber.Ctx) error {
	if g.devOnly {
		// With --dev the password may be empty, so check Host against DNS rebinding: a
		// foreign host name that resolves to this machine would look same-origin.
		host := string(c.Request().Host())
		if name, _, err := net.SplitHostPort(host); err == nil {
			host = name
		}
		if !config.Loopback(host) {
			return &Refusal{Status: fiber.StatusForbidden, Message: "With --dev this site answers on localhost only."}
		}
	}
	switch c.Method() {
	case fiber.MethodGet, fiber.MethodHead, fiber.MethodOptions:
		return nil
	}
	header := &c.Request().Header
	origin, site := string(header.Peek("Origin")), string(header.Peek("Sec-Fetch-Site"))
	err := g.cross.Check(&http.Request{
		Method: c.Method(),
		Host:   string(header.Host()),
		Header: http.Header{"Origin": {origin}, "Sec-Fetch-Site": {site}},
	})
	// Without Sec-Fetch-Site, Check compares Origin with Host, which has no scheme.
	// Reject plain http here: anybody on the network could have forged that form.
	if err == nil && site == "" && g.plain != "" && origin == g.plain {
		err = errors.New("from the site by plain http")
	}
	if err != nil {
		return &Refusal{Status: fiber.StatusForbidden, Message: "This came from another site, so nothing was done."}
	}
	return nil
}
