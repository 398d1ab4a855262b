package web

import (
	"net/url"
	"time"

	"github.com/gofiber/fiber/v2"

	"latchkey/app/accounts"
)

// adminRow is an account as the back office lists it. It omits the password hash, so
// that no view can show it (OWASP ASVS 15.3.1).
type adminRow struct {
	ID        string
	Name      string
	Admin     bool
	Disabled  bool
	Created   time.Time // times are UTC
	LastLogin time.Time // zero: never
}

func newAdminRow(a accounts.Account) adminRow {
	return adminRow{
		ID:        a.ID.String(),
		Name:      a.Name.String(),
		Admin:     a.Admin,
		Disabled:  a.Disabled,
		Created:   a.Created,
		LastLogin: a.LastLogin,
	}
}

type adminPage struct {
	Page
	Query string // what was searched for
	First bool   // this is the first page
	Rows  []adminRow
	Next  string // address of the next page, or empty
}

// admin lists the accounts whose names begin with the query, one page at a time. Pages
// use a cursor, the last name of the page before, so that every page costs the same.
func (s *Site) admin(c *fiber.Ctx, v Visitor) error {
	prefix, after := query(c, "q"), query(c, "after")
	found, err := s.accounts.List(c.UserContext(), prefix, after)
	if err != nil {
		return err
	}
	p := adminPage{Page: s.page(c, v, "Back office"), Query: prefix, First: after == ""}
	for _, a := range found.Accounts {
		p.Rows = append(p.Rows, newAdminRow(a))
	}
	if found.Next != "" {
		p.Next = "/admin?" + url.Values{"q": {prefix}, "after": {found.Next}}.Encode()
	}
	return c.Render("admin", p)
}
