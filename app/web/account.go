package web

import (
	"github.com/gofiber/fiber/v2"

	"latchkey/app/accounts"
)

type passwordForm struct {
	refused
	Name string `form:"name"` // for password managers, and otherwise ignored
	Old  secret `form:"old" error:"current password"`
	New  secret `form:"new" error:"password"`
}

type deleteForm struct {
	refused
	Name     string `form:"name"` // for password managers, and otherwise ignored
	Password secret `form:"password" error:"current password"`
}

type accountPage struct {
	Page
	Change   passwordForm
	Delete   deleteForm
	Minimum  int // characters of a password
	Sessions []sessionRow
	More     int // sessions that are not in the list
	Events   []eventRow
}

// account shows the visitor's account: its forms, sessions and events.
func (s *Site) account(c *fiber.Ctx, v Visitor) error {
	return s.showAccount(c, v, passwordForm{}, deleteForm{})
}

func (s *Site) showAccount(c *fiber.Ctx, v Visitor, change passwordForm, del deleteForm) (err error) {
	p := accountPage{Page: s.page(c, v, "Account"), Change: change, Delete: del, Minimum: s.settings.PasswordMin}
	if p.Sessions, p.More, err = s.sessionRows(c, v.ID); err != nil {
		return err
	}
	if p.Events, err = s.eventRows(c, v.ID); err != nil {
		return err
	}
	return c.Render("account", p)
}

// changePassword takes the old and the new password. Every session of the
// account ends in the same write; this browser gets a new one.
func (s *Site) changePassword(c *fiber.Ctx, v Visitor) error {
	form, err := decode[passwordForm](c)
	var account accounts.Account
	if err == nil {
		account, err = s.accounts.ChangePassword(c.UserContext(), v.ID, form.Old.value, form.New.value, s.address(c))
		s.event(c, "password change", account, v.Name, err)
	}
	if err != nil {
		if err := setRefusal(c, &form, err); err != nil {
			return err
		}
		return s.showAccount(c, v, form, deleteForm{})
	}
	if err := s.beginAfter(c, account, "Your password is changed."); err != nil {
		return err
	}
	return s.done(c, flashPassword, "/account")
}

// deleteAccount removes the account and everything that belongs to it.
func (s *Site) deleteAccount(c *fiber.Ctx, v Visitor) error {
	form, err := decode[deleteForm](c)
	if err == nil {
		var account accounts.Account
		if account, err = s.accounts.Get(c.UserContext(), v.ID); err != nil {
			return err
		}
		err = s.accounts.Delete(c.UserContext(), v.ID, form.Password.value, s.address(c))
		s.event(c, "deletion", account, v.Name, err)
	}
	if err != nil {
		if err := setRefusal(c, &form, err); err != nil {
			return err
		}
		return s.showAccount(c, v, passwordForm{}, form)
	}
	if err := s.sessions.End(c); err != nil {
		return err
	}
	c.Set("Clear-Site-Data", `"cache"`)
	return s.done(c, flashDeleted, "/")
}
