package web

import (
	"github.com/gofiber/fiber/v2"
)

type accountPage struct {
	Page
	Minimum int    // characters of a password
	Form    string // which form was refused: "password" or "delete"
}

// account shows what an account can change about itself.
func (s *Site) account(c *fiber.Ctx, v Visitor) error {
	return c.Render("account", s.accountPage(c, v, ""))
}

func (s *Site) accountPage(c *fiber.Ctx, v Visitor, refused string) accountPage {
	return accountPage{Page: s.page(c, v, "Account"), Minimum: s.settings.PasswordMin, Form: refused}
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
		p := s.accountPage(c, v, "password")
		if err := setRefusal(c, &p.Page, err); err != nil {
			return err
		}
		return c.Render("account", p)
	}
	if err := s.begin(c, account); err != nil {
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
	account, err := s.accounts.Get(v.ID)
	if err != nil {
		return err
	}
	err = s.accounts.Delete(c.UserContext(), v.ID, values[0], s.address(c))
	s.event(c, "deletion", account, v.Name, err)
	if err != nil {
		p := s.accountPage(c, v, "delete")
		if err := setRefusal(c, &p.Page, err); err != nil {
			return err
		}
		return c.Render("account", p)
	}
	if err := s.sessions.End(c); err != nil {
		return err
	}
	c.Set("Clear-Site-Data", `"cache"`)
	s.flash(c, "deleted")
	return seeOther(c, "/")
}
