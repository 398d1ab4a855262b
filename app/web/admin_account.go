package web

import (
	"github.com/gofiber/fiber/v2"

	"latchkey/app/accounts"
	"latchkey/app/registrations"
)

type adminAccountPage struct {
	Page
	Account           adminRow
	Sessions          []sessionRow
	More              int // sessions that are not in the list
	Actions           []action
	Registrations     []registrations.Registration
	NextRegistrations string // the cursor of the next page, or empty
}

// adminAccount returns the address of an account in the back office.
func adminAccount(id accounts.ID) string { return "/admin/accounts/" + id.String() }

// adminAccount shows an account, what belongs to it, and what can be done to it.
func (s *Site) adminAccount(c *fiber.Ctx, v Visitor) error {
	a, err := s.accountOf(c)
	if err != nil {
		return err
	}
	p := adminAccountPage{Page: s.page(c, v, a.Name.String()), Account: newAdminRow(a)}
	p.Registrations, p.NextRegistrations, err = s.registrations.ListByOwner(c.UserContext(), a.ID, query(c, "after"), registrationsPerPage)
	if err == nil {
		p.Sessions, p.More, err = s.sessionRows(c, a.ID)
	}
	if err != nil {
		return err
	}
	for _, act := range s.actions() {
		if act.fits(a) {
			p.Actions = append(p.Actions, act)
		}
	}
	return c.Render("admin_account", p)
}

// accountOf loads the account with the id in the URL. A malformed id gets the same error
// as an unknown one.
func (s *Site) accountOf(c *fiber.Ctx) (accounts.Account, error) {
	id, err := accounts.ParseID(c.Params("id"))
	if err != nil {
		return accounts.Account{}, accounts.ErrNotFound
	}
	return s.accounts.Get(c.UserContext(), id)
}
