package web

import (
	"errors"

	"github.com/gofiber/fiber/v2"

	"latchkey/app/accounts"
)

type loginPage struct {
	Page
	Name string // what was typed
	Next string // where to go after it
}

// loginForm shows the form.
func (s *Site) loginForm(c *fiber.Ctx, v Visitor) error {
	next := string(c.Request().URI().QueryArgs().Peek("next"))
	return c.Render("login", s.loginPage(c, v, "", localPath(next)))
}

func (s *Site) loginPage(c *fiber.Ctx, v Visitor, name, next string) loginPage {
	p := loginPage{Page: s.page(c, v, "Log in"), Name: shown(name), Next: next}
	p.Bare = true
	return p
}

// login begins a session for the name in the form.
func (s *Site) login(c *fiber.Ctx, v Visitor) error {
	values, err := form(c, "name", "next")
	if err != nil {
		return err
	}
	typed, next := values[0], localPath(values[1])
	name, err := accounts.ParseName(typed)
	if refusal := (*accounts.Error)(nil); errors.As(err, &refusal) {
		p := s.loginPage(c, v, typed, next)
		p.Refusal = refusal.Message
		return c.Status(fiber.StatusUnprocessableEntity).Render("login", p)
	}
	if err != nil {
		return err
	}
	if err := s.sessions.Begin(c, name.String()); err != nil {
		return err
	}
	if next == "" {
		next = "/"
	}
	return seeOther(c, next)
}
