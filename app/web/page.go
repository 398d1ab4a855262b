package web

import (
	"bytes"
	"strings"

	"github.com/gofiber/fiber/v2"
	"github.com/valyala/fasthttp"
)

// Page is what every view is given. The data of a page embed it.
type Page struct {
	Title   string  // the page's own name, empty on the start page
	Visitor Visitor // who looks at it
	Flash   string  // one sentence after a redirect, or empty
	Refusal string  // one sentence why a form came back, or empty
	Bare    bool    // the page says Log in and Log out itself, the header does not

	Nonce string // what lets the script run that reloads the page, with --dev only
}

// page returns the common part of a page called title.
func (s *Site) page(c *fiber.Ctx, v Visitor, title string) Page {
	p := Page{Title: title, Visitor: v}
	if s.reload != nil {
		p.Nonce = s.reload.allow(c)
	}
	return p
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
