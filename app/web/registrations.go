package web

import (
	"context"
	"errors"

	"github.com/gofiber/fiber/v2"

	"latchkey/app/accounts"
	"latchkey/app/internal/store"
	"latchkey/app/registrations"
)

const registrationsPerPage = 20

type registrationForm struct {
	refused
	Sport input `form:"sport"`
	Note  input `form:"note"`
}

type registrationsPage struct {
	Page
	Form          registrationForm
	Registrations []registrations.Registration
	Sports        []string // those still open to the visitor
	First         bool     // this is the first page
	Next          string   // the cursor of the next page, or empty
}

// registrationList shows the visitor's own registrations.
func (s *Site) registrationList(c *fiber.Ctx, v Visitor) error {
	return s.showRegistrations(c, v, registrationForm{})
}

func (s *Site) showRegistrations(c *fiber.Ctx, v Visitor, form registrationForm) error {
	after := query(c, "after")
	list, next, err := s.registrations.ListByOwner(c.UserContext(), v.ID, after, registrationsPerPage)
	if err != nil {
		return err
	}
	return c.Render("registrations", registrationsPage{s.page(c, v, "Registrations"), form, list, registrations.Open(list), after == "", next})
}

// register registers the visitor. The owner is who is logged in (OWASP ASVS 15.3.3).
func (s *Site) register(c *fiber.Ctx, v Visitor) error {
	form, saved, err := s.saveRegistration(c, v, "registration", registrations.New(v.ID), s.registrations.Insert)
	if err != nil {
		return err
	}
	if !saved {
		return s.showRegistrations(c, v, form)
	}
	return s.done(c, flashRegistration, "/registrations")
}

// saveRegistration saves r with what was typed. The form says why if it is refused.
func (s *Site) saveRegistration(c *fiber.Ctx, v Visitor, event string, r registrations.Registration, save func(context.Context, registrations.Registration) error) (form registrationForm, saved bool, err error) {
	if form, err = decode[registrationForm](c); err == nil {
		if err = r.Set(form.Sport.Value, form.Note.Value); err == nil {
			err = save(c.UserContext(), r)
		}
		if errors.Is(err, store.ErrTaken) {
			err = registrations.ErrTaken
		}
		s.eventBy(c, v, event, err, aboutOwned("registration", r.ID, r.Owner)...)
	}
	if err != nil {
		return form, false, setRefusal(c, &form, err)
	}
	return form, true, nil
}

// loadRegistration finds the registration that the address names, and its owner.
func (s *Site) loadRegistration(c *fiber.Ctx) (registrations.Registration, accounts.ID, error) {
	r, err := loadByID(c, s.registrations.Get)
	return r, r.Owner, err
}

type registrationPage struct {
	Page
	Form         registrationForm
	Registration registrations.Registration
	Sports       []string // the other ones
	Back         string
}

func (s *Site) registration(c *fiber.Ctx, v Visitor, r registrations.Registration) error {
	return c.Render("registration", registrationPage{Page: s.page(c, v, r.Sport), Registration: r, Back: backTo(v, r.Owner, "/registrations")})
}

func (s *Site) registrationEditForm(c *fiber.Ctx, v Visitor, r registrations.Registration) error {
	return s.showRegistrationEdit(c, v, r, registrationForm{Sport: input{Value: r.Sport, Focus: true}, Note: input{Value: r.Note}})
}

func (s *Site) showRegistrationEdit(c *fiber.Ctx, v Visitor, r registrations.Registration, form registrationForm) error {
	return c.Render("registration_edit", registrationPage{s.page(c, v, "Change"), form, r, registrations.Open([]registrations.Registration{r}), ""})
}

func (s *Site) registrationEdit(c *fiber.Ctx, v Visitor, r registrations.Registration) error {
	form, saved, err := s.saveRegistration(c, v, "registration change", r, s.registrations.Update)
	if err != nil {
		return err
	}
	if !saved {
		return s.showRegistrationEdit(c, v, r, form)
	}
	return s.done(c, flashRegistrationChanged, "/registrations/"+r.ID.String())
}

func (s *Site) deregisterForm(c *fiber.Ctx, v Visitor, r registrations.Registration) error {
	owner, err := s.accounts.Get(c.UserContext(), r.Owner)
	if err != nil {
		return err
	}
	return s.confirm(c, v, question{"Deregister", "Remove the registration for " + r.Sport + "?", "The note is removed, too.", false}, owner, backTo(v, r.Owner, "/registrations"))
}

func (s *Site) deregister(c *fiber.Ctx, v Visitor, r registrations.Registration) error {
	err := s.registrations.Delete(c.UserContext(), r.ID)
	s.eventBy(c, v, "deregistration", err, aboutOwned("registration", r.ID, r.Owner)...)
	if err != nil {
		return err
	}
	return s.done(c, flashRegistrationRemoved, backTo(v, r.Owner, "/registrations"))
}
