package web

import (
	"fmt"

	"github.com/gofiber/fiber/v2"

	"latchkey/app/accounts"
	"latchkey/app/sessions"
)

type loginForm struct {
	refused
	Name     input  `form:"name"`
	Password secret `form:"password"`
	Next     string `form:"next"` // where to go after it
}

type loginPage struct {
	Page
	Form loginForm
	Dev  bool // the password may stay empty
}

// loginForm shows the form.
func (s *Site) loginForm(c *fiber.Ctx, v Visitor) error {
	next := query(c, "next")
	return c.Render("login", s.loginPage(c, v, loginForm{Name: input{Focus: true}, Next: next}))
}

func (s *Site) loginPage(c *fiber.Ctx, v Visitor, form loginForm) loginPage {
	form.Next = localPath(form.Next)
	p := loginPage{Page: s.page(c, v, "Log in"), Form: form, Dev: s.settings.Dev}
	p.HideAuthLinks = true
	return p
}

// login begins a session for whoever authenticates as an account.
func (s *Site) login(c *fiber.Ctx, v Visitor) error {
	form, err := decode[loginForm](c)
	if err == nil {
		var account accounts.Account
		account, err = s.authenticate(c, form.Name.Value, form.Password.value)
		if err == nil {
			err = s.begin(c, account)
		}
		s.event(c, "login", account, form.Name.Value, err)
	}
	if err != nil {
		if err := setRefusal(c, &form, err); err != nil {
			return err
		}
		return c.Render("login", s.loginPage(c, v, form))
	}
	return seeOther(c, localPathOr(form.Next, "/"))
}

func (s *Site) authenticate(c *fiber.Ctx, name, password string) (accounts.Account, error) {
	if s.settings.Dev && password == "" {
		return s.accounts.LogInDev(c.UserContext(), name)
	}
	return s.accounts.LogIn(c.UserContext(), accounts.Attempt{
		Name:     name,
		Password: password,
		From:     s.address(c),
		Known:    s.cookies.known.get(c),
	})
}

// begin logs the visitor in to a, and sets the cookie of a known browser, so that other
// people's failed logins do not throttle it.
func (s *Site) begin(c *fiber.Ctx, a accounts.Account) error {
	if err := s.sessions.Begin(c, sessions.Account(a.ID), a.PasswordVersion); err != nil {
		return err
	}
	s.cookies.known.set(c, s.accounts.Known(a), accounts.KnownFor)
	return nil
}

// beginAfter calls begin after a change that is already durable. If begin fails, the
// visitor still learns that the change was made.
func (s *Site) beginAfter(c *fiber.Ctx, a accounts.Account, done string) error {
	err := s.begin(c, a)
	if err == nil {
		return nil
	}
	refusal, _ := explain(err)
	refusal.Message = done + " But you could not be logged in. Please log in again in a moment."
	return fmt.Errorf("%w %w", refusal, err)
}
