package web

import (
	"github.com/gofiber/fiber/v2"
)

type signupPage struct {
	Page
	Name    string // what was typed
	Next    string // where to go after it
	Minimum int    // characters of a password
}

// signupForm shows the form.
func (s *Site) signupForm(c *fiber.Ctx, v Visitor) error {
	next := string(c.Request().URI().QueryArgs().Peek("next"))
	return c.Render("signup", s.signupPage(c, v, "", localPath(next)))
}

func (s *Site) signupPage(c *fiber.Ctx, v Visitor, name, next string) signupPage {
	p := signupPage{Page: s.page(c, v, "Sign up"), Name: shown(name), Next: next, Minimum: s.settings.PasswordMin}
	p.Bare = true
	return p
}

// signup makes an account and logs its owner in.
func (s *Site) signup(c *fiber.Ctx, v Visitor) error {
	values, err := form(c, "name", "password", "next")
	if err != nil {
		return err
	}
	name, password, next := values[0], values[1], localPath(values[2])
	account, err := s.accounts.SignUp(c.UserContext(), name, password, s.address(c))
	s.event(c, "sign-up", account, name, err)
	if err != nil {
		p := s.signupPage(c, v, name, next)
		if err := setRefusal(c, &p.Page, err); err != nil {
			return err
		}
		return c.Render("signup", p)
	}
	if err := s.beginAfter(c, account, "Your account is made."); err != nil {
		return err
	}
	if next == "" {
		next = "/"
	}
	return seeOther(c, next)
}
