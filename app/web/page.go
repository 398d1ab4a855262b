package web

import (
	"strings"
	"time"

	"github.com/gofiber/fiber/v2"

	"latchkey/app/internal/text"
)

// Page is what every view is given. The data of a page embed it.
type Page struct {
	Title         string  // the page's own name, empty on the start page
	Visitor       Visitor // who looks at it
	Flash         string  // one sentence after a redirect, or empty
	HideAuthLinks bool    // the page says Log in and Log out itself, the header does not

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

// flash is a sentence that a page shows once, after a redirect. The cookie holds only
// which one.
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

// flash has the next page show a sentence.
func (s *Site) flash(c *fiber.Ctx, which flash) { s.cookies.flash.set(c, string(which), time.Minute) }

// flashed returns the sentence for this page, and forgets it.
func (s *Site) flashed(c *fiber.Ctx) string {
	which := s.cookies.flash.get(c)
	if which == "" {
		return ""
	}
	sentence := flashes[flash(which)]
	s.cookies.flash.set(c, "", 0)
	return sentence
}

// seeOther ends a state change: the browser fetches the page at path, and going
// back or reloading repeats nothing.
func seeOther(c *fiber.Ctx, path string) error {
	return c.Redirect(path, fiber.StatusSeeOther)
}

// validUTF8 returns what was typed as it may stand in a page: what is no text would
// make the whole page none.
func validUTF8(typed string) string { return strings.ToValidUTF8(typed, "\uFFFD") }

// done ends a state change with a sentence on the page at path.
func (s *Site) done(c *fiber.Ctx, which flash, path string) error {
	s.flash(c, which)
	return seeOther(c, path)
}

// query returns a parameter of the address as stores take text. It is a copy.
func query(c *fiber.Ctx, name string) string {
	const longest = 2048 // bytes
	return text.Clean(string(c.Request().URI().QueryArgs().Peek(name)), longest)
}
