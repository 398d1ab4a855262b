package web

import (
	"errors"
	"strings"

	"github.com/gofiber/fiber/v2"

	"latchkey/app/accounts"
)

type resetForm struct {
	refused
	Name     string `form:"name"` // for password managers, and otherwise ignored
	Password secret `form:"password"`
}

type resetPage struct {
	Page
	Form    resetForm
	Name    string // of the account
	Minimum int    // characters of a password
}

// resetForm asks for the new password. It changes nothing: mail scanners and
// link previews open links, too.
func (s *Site) resetForm(c *fiber.Ctx, v Visitor) error {
	account, err := s.accounts.CheckReset(c.UserContext(), c.Params("secret"))
	if err != nil {
		return err
	}
	return c.Render("reset", s.resetPage(c, v, account, resetForm{Password: secret{Focus: true}}))
}

func (s *Site) resetPage(c *fiber.Ctx, v Visitor, a accounts.Account, form resetForm) resetPage {
	p := resetPage{Page: s.page(c, v, "Choose a password"), Form: form, Name: a.Name.String(), Minimum: s.settings.PasswordMin}
	p.HideAuthLinks = true
	return p
}

// reset sets the password and logs the visitor in, whoever they were before.
func (s *Site) reset(c *fiber.Ctx, v Visitor) error {
	form, wrong := decode[resetForm](c)
	if wrong != nil && len(refusals(wrong)) == 0 {
		return wrong
	}
	account, err := s.accounts.CheckReset(c.UserContext(), c.Params("secret"))
	if err == nil {
		err = wrong
	}
	if err == nil {
		var now accounts.Account
		if now, err = s.accounts.Reset(c.UserContext(), c.Params("secret"), form.Password.value); err == nil {
			account = now
		}
	}
	s.event(c, "password reset", account, "", err)
	switch {
	case errors.Is(err, accounts.ErrReset):
		return err // the form would be of no use any more
	case err != nil:
		if err := setRefusal(c, &form, err); err != nil {
			return err
		}
		return c.Render("reset", s.resetPage(c, v, account, form))
	}
	if err := s.beginAfter(c, account, "Your password is set."); err != nil {
		return err
	}
	return s.done(c, flashReset, "/")
}

// resetPath is what the address of a reset begins with. The secret follows.
const resetPath = "/reset/"

// holdsSecret reports whether a path may hold the secret of a reset, which must not be
// logged: the log shows the route instead, and Referrer-Policy keeps it out of the logs
// of other servers (OWASP ASVS 14.2.1). It cannot use the matched route, because a path
// with an extra slash or in another case matches none but still holds the secret.
func holdsSecret(path string) bool {
	return len(path) > len(resetPath) && strings.EqualFold(path[:len(resetPath)], resetPath)
}
