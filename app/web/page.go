package web

import (
	"bytes"
	"errors"
	"strings"
	"time"

	"github.com/gofiber/fiber/v2"
	"github.com/valyala/fasthttp"

	"latchkey/app/accounts"
)

// Page is what every view is given. The data of a page embed it.
type Page struct {
	Title   string  // the page's own name, empty on the start page
	Visitor Visitor // who looks at it
	Flash   string  // one sentence after a redirect, or empty
	Refusal string  // one sentence why a form came back, or empty
	Bare    bool    // the page says Log in and Log out itself, the header does not

	Nonce   string // what lets the script run that reloads the page, with --dev only
	Version string // of what this page shows, for that script
}

// page returns the common part of a page called title.
func (s *Site) page(c *fiber.Ctx, v Visitor, title string) Page {
	p := Page{Title: title, Visitor: v, Flash: s.flashed(c)}
	if s.reload != nil {
		p.Nonce, p.Version = s.reload.allow(c)
	}
	return p
}

// setRefusal puts into a form that comes back why it did: the sentence, the
// status, and when to try again. An error that is no refusal is returned.
func setRefusal(c *fiber.Ctx, p *Page, err error) error {
	var rule *accounts.Error
	if !errors.As(err, &rule) {
		return err
	}
	p.Refusal = rule.Message
	setRetryAfter(c, rule.RetryAfter)
	c.Status(statuses[rule.Kind])
	return nil
}

// flashes are the sentences that a page shows once, after a redirect. The cookie
// holds only which one.
var flashes = map[string]string{
	"password": "Your password is changed. You are logged out everywhere else.",
	"session":  "That browser is logged out.",
	"others":   "You are logged out everywhere else.",
	"deleted":  "Your account is deleted, with everything that belonged to it.",
	"reset":    "Your password is set. You are logged in.",

	"registered":   "The registration is kept.",
	"deregistered": "The registration is removed.",

	"disable":      "The account is disabled. Its sessions have ended.",
	"enable":       "The account is enabled.",
	"end-sessions": "The account is logged out everywhere.",
	"make-admin":   "The account is an administrator now.",
	"unmake-admin": "The account is no longer an administrator.",
	"remove":       "The account is removed, with everything that belonged to it.",
}

func (s *Site) flash(c *fiber.Ctx, which string) { s.cookies.flash.set(c, which, time.Minute) }

// flashed returns the sentence for this page, and forgets it.
func (s *Site) flashed(c *fiber.Ctx) string {
	which := s.cookies.flash.get(c)
	if which == "" {
		return ""
	}
	sentence := flashes[which]
	s.cookies.flash.set(c, "", 0)
	return sentence
}

// seeOther ends a state change: the browser fetches the page at path, and going
// back or reloading repeats nothing.
func seeOther(c *fiber.Ctx, path string) error {
	return c.Redirect(path, fiber.StatusSeeOther)
}

// shown returns what was typed as it may stand in a page: what is no text would
// make the whole page none.
func shown(typed string) string { return strings.ToValidUTF8(typed, "\uFFFD") }

// form reads the fields of a form, in the order asked for, copied, so that they
// outlive the request. Only the body counts: Fiber's FormValue looks into the
// query string first, and a password must not be taken from an address. A field
// sent twice is refused, for whoever checks one and uses the other is fooled
// (OWASP ASVS 15.3.7).
func form(c *fiber.Ctx, fields ...string) ([]string, error) {
	kind, _, _ := bytes.Cut(c.Request().Header.ContentType(), []byte(";"))
	if !bytes.EqualFold(bytes.TrimSpace(kind), []byte(fiber.MIMEApplicationForm)) {
		return nil, &Refusal{Status: fiber.StatusBadRequest, Message: "This address takes a form only."}
	}
	var args fasthttp.Args // the request's own are read only if the type is in lower case
	args.ParseBytes(c.Request().Body())
	values := make([]string, len(fields))
	for i, field := range fields {
		all := args.PeekMulti(field)
		if len(all) > 1 {
			return nil, &Refusal{Status: fiber.StatusBadRequest, Message: "The form has a field twice."}
		}
		if len(all) == 1 {
			values[i] = string(all[0])
		}
	}
	return values, nil
}
