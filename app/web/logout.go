package web

import (
	"github.com/gofiber/fiber/v2"

	"latchkey/app/accounts"
)

// logoutForm shows the form. It changes nothing, because a link or an image on another
// site must not log visitors out.
func (s *Site) logoutForm(c *fiber.Ctx, v Visitor) error {
	p := s.page(c, v, "Log out")
	p.HideAuthLinks = true
	return c.Render("logout", p)
}

// logout ends the session. Clear-Site-Data clears the browser's cache, so that the Back
// button shows no private page (OWASP ASVS 14.3.1).
func (s *Site) logout(c *fiber.Ctx, v Visitor) error {
	if err := s.sessions.End(c); err != nil {
		return err
	}
	if v.LoggedIn() {
		s.event(c, "logout", accounts.Account{}, v.Name, nil)
	}
	c.Set("Clear-Site-Data", `"cache"`)
	return seeOther(c, "/")
}
