package web

import (
	"github.com/gofiber/fiber/v2"

	"latchkey/app/accounts"
)

type signupForm struct {
	refused
	Name     input  `form:"name"`
	Password secret `form:"password"`
	Next     string `form:"next"` // where to go after it
}

type signupPage struct {
	Page
	Form    signupForm
	Minimum int // characters of a password
}

// signupForm shows the form.
func (s *Site) signupForm(c *fiber.Ctx, v Visitor) error {
	next := query(c, "next")
	return c.Render("signup", s.signupPage(c, v, signupForm{Name: input{Focus: true}, Next: next}))
}

func (s *Site) signupPage(c *fiber.Ctx, v Visitor, form signupForm) signupPage {
	form.Next = localPath(form.Next)
	p := signupPage{Page: s.page(c, v, "Sign up"), Form: form, Minimum: s.settings.PasswordMin}
	p.HideAuthLinks = true
	return p
}

// signup makes an account and logs its owner in.
func (s *Site) signup(c *fiber.Ctx, v Visitor) error {
	form, err := decode[signupForm](c)
	var account accounts.Account
	if err == nil {
		account, err = s.accounts.SignUp(c.UserContext(), form.Name.Value, form.Password.value, s.address(c))
		s.event(c, "sign-up", account, form.Name.Value, err)
	}
	if err != nil {
		if err := setRefusal(c, &form, err); err != nil {
			return err
		}
		return c.Render("signup", s.signupPage(c, v, form))
	}
	if err := s.beginAfter(c, account, "Your account is made."); err != nil {
		return err
	}
	return seeOther(c, localPathOr(form.Next, "/"))
}
