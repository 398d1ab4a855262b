package web

import (
	"net/url"
	"time"

	"github.com/gofiber/fiber/v2"
	"github.com/valyala/fasthttp"
)

// reauthenticationLasts is how long a re-authentication is valid (OWASP ASVS 7.5.1).
const reauthenticationLasts = 15 * time.Minute

// reauthenticateField is the password field of the re-authentication form. No
// interrupted form may have a field of that name.
const reauthenticateField = "reauthenticate"

type reauthenticateForm struct {
	refused
	Password secret `form:"reauthenticate" error:"current password"`
}

type reauthenticatePage struct {
	Page
	Form   reauthenticateForm
	Post   string        // where the form goes
	Fields []hiddenField // what was typed into the form that this one interrupts
	Dev    bool          // the password may stay empty
}

type hiddenField struct{ Name, Value string }

// recentlyAuthenticated reports whether the visitor need not re-authenticate.
func (v Visitor) recentlyAuthenticated() bool {
	return time.Since(v.reauthenticated) < reauthenticationLasts
}

// reauthenticate calls serve if the visitor has recently authenticated. Otherwise it asks
// for the password, in a form that posts to the same path and carries the interrupted
// form as hidden fields. With the right password, an interrupted POST continues; an
// interrupted GET is redirected to its page.
func (s *Site) reauthenticate(c *fiber.Ctx, v Visitor, serve handler) error {
	if c.Method() != fiber.MethodPost {
		if v.recentlyAuthenticated() {
			return serve(c, v)
		}
		return seeOther(c, "/reauthenticate?next="+url.QueryEscape(c.OriginalURL()))
	}
	var posted fasthttp.Args
	posted.ParseBytes(c.Request().Body())
	typed := posted.PeekMulti(reauthenticateField)
	if len(typed) == 0 {
		if v.recentlyAuthenticated() {
			return serve(c, v)
		}
		form := reauthenticateForm{refused: refused{"Please type your password to go on."}}
		return c.Status(fiber.StatusUnauthorized).Render("reauthenticate", s.reauthenticatePage(c, v, form, &posted))
	}
	// The handler decodes the interrupted form, which has no such field.
	var own fasthttp.Args
	for _, value := range typed {
		own.AddBytesV(reauthenticateField, value)
	}
	posted.Del(reauthenticateField)
	c.Request().SetBody(posted.QueryString())
	form, err := decodeArgs[reauthenticateForm](c, &own)
	if err == nil && !v.recentlyAuthenticated() {
		err = s.accounts.Reauthenticate(c.UserContext(), v.ID, form.Password.value, s.address(c))
		if err == nil {
			err = s.sessions.Reauthenticate(c)
		}
		s.eventBy(c, v, "re-authentication", err)
	}
	if err != nil {
		if err := setRefusal(c, &form, err); err != nil {
			return err
		}
		return c.Render("reauthenticate", s.reauthenticatePage(c, v, form, &posted))
	}
	v.reauthenticated = time.Now()
	return serve(c, v)
}

func (s *Site) reauthenticatePage(c *fiber.Ctx, v Visitor, form reauthenticateForm, posted *fasthttp.Args) reauthenticatePage {
	form.Password.Focus = true
	p := reauthenticatePage{Page: s.page(c, v, "Is it you?"), Form: form, Post: c.Path(), Dev: s.settings.Dev}
	for name, value := range posted.All() {
		switch string(name) {
		case "password", "old", "new": // never put a password into a page
		default:
			p.Fields = append(p.Fields, hiddenField{validUTF8(string(name)), validUTF8(string(value))})
		}
	}
	return p
}

// reauthenticateForm asks for the password before showing a page.
func (s *Site) reauthenticateForm(c *fiber.Ctx, v Visitor) error {
	next := localPathOr(query(c, "next"), "/account")
	if v.recentlyAuthenticated() {
		return seeOther(c, next)
	}
	var goOn fasthttp.Args
	goOn.Set("next", next)
	return c.Render("reauthenticate", s.reauthenticatePage(c, v, reauthenticateForm{}, &goOn))
}

type nextForm struct {
	refused
	Next string `form:"next"`
}

// reauthenticateDone redirects to the page after the re-authentication, which the router
// has checked.
func (s *Site) reauthenticateDone(c *fiber.Ctx, _ Visitor) error {
	form, err := decode[nextForm](c)
	if err != nil {
		return err
	}
	return seeOther(c, localPathOr(form.Next, "/account"))
}
