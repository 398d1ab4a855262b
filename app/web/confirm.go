package web

import (
	"github.com/gofiber/fiber/v2"

	"latchkey/app/accounts"
)

// question is what a page asks before something is done.
type question struct {
	Title  string // of the page and of its button
	Asks   string
	Says   string // what will be done
	Danger bool   // it cannot be undone
}

// noFields is the form of a confirmPage.
type noFields struct{ refused }

// confirmPage asks for confirmation. Its form posts to the address of the page.
type confirmPage struct {
	Page
	Form     noFields
	Question question
	Name     string // of the account that it is about
	Post     string // where the form goes
	Back     string // where to go without doing it
}

// confirm asks for confirmation of an operation on an account. It changes nothing.
func (s *Site) confirm(c *fiber.Ctx, v Visitor, q question, about accounts.Account, back string) error {
	return c.Render("confirm", confirmPage{s.page(c, v, q.Title), noFields{}, q, about.Name.String(), c.Path(), back})
}

// confirmAgain asks again and says why it was not done.
func (s *Site) confirmAgain(c *fiber.Ctx, v Visitor, q question, about accounts.Account, back string, err error) error {
	var form noFields
	if err := setRefusal(c, &form, err); err != nil {
		return err
	}
	return c.Render("confirm", confirmPage{s.page(c, v, q.Title), form, q, about.Name.String(), c.Path(), back})
}
