package web

import (
	"net/url"
	"time"

	"github.com/gofiber/fiber/v2"
	"github.com/valyala/fasthttp"
)

// proofLasts is how long after proving themselves visitors may do what matters
// without doing so again (OWASP ASVS 7.5.1).
const proofLasts = 15 * time.Minute

// proofField is the password in a form of askProof. It is called so that it is
// none of the fields of the form which it interrupts.
const proofField = "proof"

type provePage struct {
	Page
	Post   string        // where the form goes
	Fields []hiddenField // what was typed into the form that this one interrupts
	Dev    bool          // the password may stay empty
}

type hiddenField struct{ Name, Value string }

// provedLately reports whether the visitor need not prove themselves again.
func (v Visitor) provedLately() bool { return time.Since(v.proved) < proofLasts }

// askProof stands before what asks for a proof. It shows a form for the
// password, which goes to the same address and holds what was posted there; with
// the right password the visitor gets through as if nothing had been. A page that
// was only to be looked at is asked for again afterwards.
func (s *Site) askProof(c *fiber.Ctx, v Visitor, serve handler) error {
	if c.Method() != fiber.MethodPost {
		return seeOther(c, "/prove?next="+url.QueryEscape(c.OriginalURL()))
	}
	var posted fasthttp.Args
	posted.ParseBytes(c.Request().Body())
	if !posted.Has(proofField) {
		p := s.provePage(c, v, &posted)
		p.Refusal = "Please type your password to go on."
		return c.Status(fiber.StatusUnauthorized).Render("prove", p)
	}
	values, err := form(c, proofField)
	if err != nil {
		return err
	}
	err = s.accounts.Prove(c.UserContext(), v.ID, values[0], s.address(c))
	if err == nil {
		err = s.sessions.Prove(c)
	}
	s.eventBy(c, v, "proof", err)
	if err != nil {
		p := s.provePage(c, v, &posted)
		if err := setRefusal(c, &p.Page, err); err != nil {
			return err
		}
		return c.Render("prove", p)
	}
	v.proved = time.Now()
	return serve(c, v)
}

func (s *Site) provePage(c *fiber.Ctx, v Visitor, posted *fasthttp.Args) provePage {
	p := provePage{Page: s.page(c, v, "Is it you?"), Post: c.Path(), Dev: s.settings.Dev}
	for name, value := range posted.All() {
		switch string(name) {
		case proofField, "password", "old", "new": // never in a page
		default:
			p.Fields = append(p.Fields, hiddenField{shown(string(name)), shown(string(value))})
		}
	}
	return p
}

// proveForm asks for the password before a page that was to be looked at.
func (s *Site) proveForm(c *fiber.Ctx, v Visitor) error {
	next := localPath(string(c.Request().URI().QueryArgs().Peek("next")))
	if next == "" {
		next = "/account"
	}
	if v.provedLately() {
		return seeOther(c, next)
	}
	p := provePage{Page: s.page(c, v, "Is it you?"), Post: "/prove", Fields: []hiddenField{{"next", next}}, Dev: s.settings.Dev}
	return c.Render("prove", p)
}

// proveDone leads on to the page, once the router has seen the proof.
func (s *Site) proveDone(c *fiber.Ctx, _ Visitor) error {
	values, err := form(c, "next")
	if err != nil {
		return err
	}
	next := localPath(values[0])
	if next == "" {
		next = "/account"
	}
	return seeOther(c, next)
}
