package web

import (
	"log/slog"

	"github.com/gofiber/fiber/v2"

	"latchkey/app/accounts"
	"latchkey/app/registrations"
)

type registrationsPage struct {
	Page
	Registrations []registrations.Registration
	Sports        []string // those still open to the visitor
}

// registrationList shows the visitor's own registrations.
func (s *Site) registrationList(c *fiber.Ctx, v Visitor) error {
	return s.showRegistrations(c, v, nil)
}

// showRegistrations shows the page, with the refusal if there is one.
func (s *Site) showRegistrations(c *fiber.Ctx, v Visitor, refusal error) error {
	list, err := s.registrations.ListOf(c.UserContext(), v.ID)
	if err != nil {
		return err
	}
	p := registrationsPage{Page: s.page(c, v, "Registrations"), Registrations: list, Sports: registrations.Open(list)}
	if refusal != nil {
		if err := setRefusal(c, &p.Page, refusal); err != nil {
			return err
		}
	}
	return c.Render("registrations", p)
}

// register registers the visitor for a sport. The owner is who is logged in;
// what else the form says is not even read (OWASP ASVS 15.3.3).
func (s *Site) register(c *fiber.Ctx, v Visitor) error {
	values, err := form(c, "sport")
	if err != nil {
		return err
	}
	r, err := s.registrations.Register(c.UserContext(), v.ID, values[0])
	s.eventBy(c, v, "registration", err, aboutRegistration(r)...)
	if err != nil {
		return s.showRegistrations(c, v, err)
	}
	s.flash(c, "registered")
	return seeOther(c, "/registrations")
}

// deregisterForm asks an administrator, or an owner who came by its address,
// whether they mean it.
func (s *Site) deregisterForm(c *fiber.Ctx, v Visitor) error {
	id, err := registrations.ParseID(c.Params("id"))
	if err != nil {
		return err
	}
	r, err := s.registrations.Get(c.UserContext(), id, v.ID, v.Admin)
	if err != nil {
		s.eventBy(c, v, "deregistration", err, aboutRegistration(r)...)
		return err
	}
	if r.Owner != v.ID && !v.provedLately() {
		return s.askProof(c, v, s.deregisterForm)
	}
	owner, err := s.accounts.Get(c.UserContext(), r.Owner)
	if err != nil {
		return err
	}
	return c.Render("confirm", confirmPage{
		Page: s.page(c, v, "Deregister"),
		Name: owner.Name.String(),
		Says: r.Sport + ": the registration is removed.",
		Post: c.Path(),
		Back: registrationsOf(v, r.Owner),
	})
}

// deregister removes a registration for its owner or an administrator, who must
// have proved lately who they are, as everywhere in the back office.
func (s *Site) deregister(c *fiber.Ctx, v Visitor) error {
	id, err := registrations.ParseID(c.Params("id"))
	if err != nil {
		return err
	}
	r, err := s.registrations.Get(c.UserContext(), id, v.ID, v.Admin)
	if err == nil && r.Owner != v.ID && !v.provedLately() {
		return s.askProof(c, v, s.deregister)
	}
	if err == nil {
		r, err = s.registrations.Deregister(c.UserContext(), id, v.ID, v.Admin)
	}
	s.eventBy(c, v, "deregistration", err, aboutRegistration(r)...)
	if err != nil {
		return err
	}
	s.flash(c, "deregistered")
	return seeOther(c, registrationsOf(v, r.Owner))
}

// registrationsOf returns the page where the visitor sees the registrations of
// that owner.
func registrationsOf(v Visitor, owner accounts.ID) string {
	if v.ID == owner {
		return "/registrations"
	}
	return adminAccount(owner)
}

// aboutRegistration returns what a line of the log says of a registration; of
// the zero one, nothing.
func aboutRegistration(r registrations.Registration) []slog.Attr {
	if r == (registrations.Registration{}) {
		return nil
	}
	return []slog.Attr{slog.String("registration", r.ID.String()), slog.String("owner", r.Owner.String()), slog.String("sport", r.Sport)}
}
