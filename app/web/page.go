package web

import (
	"strings"
	"time"

	"github.com/gofiber/fiber/v2"

	"latchkey/app/internal/text"
)

// Page is the data common to all views. The data of each page embeds it.
type Page struct {
	Title         string  // the page's own name, empty on the start page
	Visitor       Visitor // who requested the page
	Flash         string  // message after a redirect, or empty
	HideAuthLinks bool    // omit Log in and Log out from the header

	Nonce   string // CSP nonce of the reload script, with --dev only
	Version string // version of the page, for the reload script
}

// page returns the common part of a page called title.
func (s *Site) page(c *fiber.Ctx, v Visitor, title string) Page {
	p := Page{Title: title, Visitor: v, Flash: s.flashed(c)}
	if s.reload != nil {
		p.Nonce, p.Version = s.reload.allow(c)
	}
	return p
}

// flash names a message that the next page shows once, after a redirect. The cookie
// holds the name, not the text.
type flash string

const (
	flashPassword flash = "password"
	flashSession  flash = "session"
	flashOthers   flash = "others"
	flashDeleted  flash = "deleted"
	flashReset    flash = "reset"

	flashRegistration        flash = "registered"
	flashRegistrationChanged flash = "changed" // for a registration
	flashRegistrationRemoved flash = "deregistered"

	flashDisabled    flash = "disable"
	flashEnabled     flash = "enable"
	flashLoggedOut   flash = "end-sessions"
	flashMadeAdmin   flash = "make-admin"
	flashUnmadeAdmin flash = "unmake-admin"
	flashRemoved     flash = "remove"
)

var flashes = map[flash]string{
	flashPassword: "Your password is changed. You are logged out everywhere else.",
	flashSession:  "That browser is logged out.",
	flashOthers:   "You are logged out everywhere else.",
	flashDeleted:  "Your account is deleted, with everything that belonged to it.",
	flashReset:    "Your password is set. You are logged in.",

	flashRegistration:        "You are registered.",
	flashRegistrationChanged: "The registration is saved.",
	flashRegistrationRemoved: "The registration is removed.",

	flashDisabled:    "The account is disabled. Its sessions have ended.",
	flashEnabled:     "The account is enabled.",
	flashLoggedOut:   "The account is logged out everywhere.",
	flashMadeAdmin:   "The account is an administrator now.",
	flashUnmadeAdmin: "The account is no longer an administrator.",
	flashRemoved:     "The account is removed, with everything that belonged to it.",
}

// flash sets the message of the next page.
func (s *Site) flash(c *fiber.Ctx, which flash) { s.cookies.flash.set(c, string(which), time.Minute) }

// flashed returns the message for this page and clears its cookie.
func (s *Site) flashed(c *fiber.Ctx) string {
	which := s.cookies.flash.get(c)
	if which == "" {
		return ""
	}
	sentence := flashes[flash(which)]
	s.cookies.flash.set(c, "", 0)
	return sentence
}

// seeOther redirects to path with 303 after a state change, so that reloading does not
// repeat the POST.
func seeOther(c *fiber.Ctx, path string) error {
	return c.Redirect(path, fiber.StatusSeeOther)
}

// validUTF8 replaces invalid UTF-8, which would corrupt the page, by U+FFFD.
func validUTF8(typed string) string { return strings.ToValidUTF8(typed, "\uFFFD") }

// done redirects to path after a state change and shows a message there.
func (s *Site) done(c *fiber.Ctx, which flash, path string) error {
	s.flash(c, which)
	return seeOther(c, path)
}

// query returns a copy of a query parameter, cleaned for use with a store.
func query(c *fiber.Ctx, name string) string {
	const longest = 2048 // bytes
	return text.Clean(string(c.Request().URI().QueryArgs().Peek(name)), longest)
}
