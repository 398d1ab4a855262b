package web

import (
	"github.com/gofiber/fiber/v2"
)

type accountPage struct {
	Page
	Minimum  int    // characters of a password
	Form     string // which form was refused: "password" or "delete"
	Sessions []sessionRow
	More     int // sessions that are not in the list
	Events   []eventRow
}

// account shows what an account can change about itself, where it is logged in,
// and what has happened to it.
func (s *Site) account(c *fiber.Ctx, v Visitor) error {
	p, err := s.accountPage(c, v, "")
	if err != nil {
		return err
	}
	return c.Render("account", p)
}

func (s *Site) accountPage(c *fiber.Ctx, v Visitor, refused string) (p accountPage, err error) {
	p = accountPage{Page: s.page(c, v, "Account"), Minimum: s.settings.PasswordMin, Form: refused}
	if p.Sessions, p.More, err = s.sessionRows(c, v.ID); err != nil {
		return p, err
	}
	p.Events, err = s.eventRows(c, v.ID)
	return p, err
}

// refuseAccount brings the page back with the form that was refused.
func (s *Site) refuseAccount(c *fiber.Ctx, v Visitor, refused string, refusal error) error {
	p, err := s.accountPage(c, v, refused)
	if err != nil {
		return err
	}
	if err := setRefusal(c, &p.Page, refusal); err != nil {
		return err
	}
	return c.Render("account", p)
}

// changePassword takes the old and the new password. Every session of the
// account ends in the same write; this browser gets a new one.
func (s *Site) changePassword(c *fiber.Ctx, v Visitor) error {
	values, err := form(c, "old", "new")
	if err != nil {
		return err
	}
	account, err := s.accounts.ChangePassword(c.UserContext(), v.ID, values[0], values[1], s.address(c))
	s.event(c, "password change", account, v.Name, err)
	if err != nil {
		return s.refuseAccount(c, v, "password", err)
	}
	if err := s.beginAfter(c, account, "Your password is changed."); err != nil {
		return err
	}
	s.flash(c, "password")
	return seeOther(c, "/account")
}

// deleteAccount removes the account and everything that belongs to it.
func (s *Site) deleteAccount(c *fiber.Ctx, v Visitor) error {
	values, err := form(c, "password")
	if err != nil {
		return err
	}
	account, err := s.accounts.Get(c.UserContext(), v.ID)
	if err != nil {
		return err
	}
	err = s.accounts.Delete(c.UserContext(), v.ID, values[0], s.address(c))
	s.event(c, "deletion", account, v.Name, err)
	if err != nil {
		return s.refuseAccount(c, v, "delete", err)
	}
	if err := s.sessions.End(c); err != nil {
		return err
	}
	c.Set("Clear-Site-Data", `"cache"`)
	s.flash(c, "deleted")
	return seeOther(c, "/")
}
