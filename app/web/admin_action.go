package web

import (
	"context"
	"log/slog"
	"strings"

	"github.com/gofiber/fiber/v2"

	"latchkey/app/accounts"
	"latchkey/app/sessions"
)

// action is an operation of an administrator on an account, which a page asks them to
// confirm.
type action struct {
	Name string // in the address and in the log
	question
	done flash
	fits func(accounts.Account) bool
	do   func(context.Context, accounts.ID) error // nil for a reset, see adminReset
	told string                                   // the event that the owner of the account reads of, or empty
}

// actions lists all actions. The store refuses one that would leave no administrator, in
// the same transaction.
func (s *Site) actions() []action {
	return []action{
		{"end-sessions", question{"Log out everywhere", "Log this account out everywhere?", "All its sessions end at once. It can log in again.", false}, flashLoggedOut,
			func(accounts.Account) bool { return true },
			func(ctx context.Context, id accounts.ID) error { return s.sessions.EndAll(ctx, sessions.Account(id)) },
			accounts.EventSessionsEnded},
		{"reset", question{"Reset password", "Make a link for a new password?", "You get a link for the owner of the account to choose a new password with. The old password works until then.", false}, "",
			func(a accounts.Account) bool { return !a.Disabled },
			nil,
			accounts.EventResetLink},
		{"make-admin", question{"Make administrator", "Make this account an administrator?", "It may use the back office from its next click on, and do there what you can do.", false}, flashMadeAdmin,
			func(a accounts.Account) bool { return !a.Admin },
			func(ctx context.Context, id accounts.ID) error { return s.accounts.SetAdmin(ctx, id, true) },
			""},
		{"unmake-admin", question{"Unmake administrator", "Make this account no administrator any more?", "It can no longer use the back office from its next click on.", false}, flashUnmadeAdmin,
			func(a accounts.Account) bool { return a.Admin },
			func(ctx context.Context, id accounts.ID) error { return s.accounts.SetAdmin(ctx, id, false) },
			""},
		{"disable", question{"Disable", "Disable this account?", "All its sessions end at once, and it cannot log in until it is enabled again. What belongs to it stays.", false}, flashDisabled,
			func(a accounts.Account) bool { return !a.Disabled },
			func(ctx context.Context, id accounts.ID) error { return s.accounts.SetDisabled(ctx, id, true) },
			accounts.EventDisabled},
		{"enable", question{"Enable", "Enable this account again?", "It can log in again.", false}, flashEnabled,
			func(a accounts.Account) bool { return a.Disabled },
			func(ctx context.Context, id accounts.ID) error { return s.accounts.SetDisabled(ctx, id, false) },
			""},
		{"remove", question{"Remove", "Remove this account?", "The account and everything that belongs to it is removed at once, for good.", true}, flashRemoved,
			func(accounts.Account) bool { return true },
			s.accounts.Remove,
			""},
	}
}

// adminConfirm asks before an action. It changes nothing.
func (s *Site) adminConfirm(c *fiber.Ctx, v Visitor) error {
	a, act, err := s.actionOf(c)
	if err != nil {
		return err
	}
	return s.confirm(c, v, act.question, a, adminAccount(a.ID))
}

// actionOf returns the account and the action that the address names.
func (s *Site) actionOf(c *fiber.Ctx) (accounts.Account, action, error) {
	a, err := s.accountOf(c)
	if err != nil {
		return accounts.Account{}, action{}, err
	}
	for _, act := range s.actions() {
		if act.Name == c.Params("action") {
			return a, act, nil
		}
	}
	return accounts.Account{}, action{}, fiber.ErrNotFound
}

// adminAct carries out the action that adminConfirm asked about. It is idempotent. If it
// is refused, the page is shown again.
func (s *Site) adminAct(c *fiber.Ctx, v Visitor) error {
	a, act, err := s.actionOf(c)
	if err != nil {
		return err
	}
	if _, err := decode[noFields](c); err != nil {
		return err
	}
	if act.do == nil {
		return s.adminReset(c, v, a, act)
	}
	err = act.do(c.UserContext(), a.ID)
	s.adminEvent(c, v, act, a, err)
	if err != nil {
		return s.refuseAction(c, v, a, act, err)
	}
	s.flash(c, act.done)
	switch {
	case a.ID == v.ID && act.Name != "make-admin":
		return seeOther(c, "/") // the back office may be closed to them now
	case act.Name == "remove":
		return seeOther(c, "/admin")
	}
	return seeOther(c, adminAccount(a.ID))
}

// refuseAction shows the confirmation page again, with the reason.
func (s *Site) refuseAction(c *fiber.Ctx, v Visitor, a accounts.Account, act action, err error) error {
	return s.confirmAgain(c, v, act.question, a, adminAccount(a.ID), err)
}

// adminEvent writes the line for an action, under the administrator's name, and
// keeps for the owner of the account what was done to it.
func (s *Site) adminEvent(c *fiber.Ctx, v Visitor, act action, a accounts.Account, err error) {
	s.eventBy(c, v, "back office", err, slog.String("action", act.Name), slog.Any("account", a))
	if err == nil && act.told != "" {
		s.events.Note(eventContext(c), accounts.ByAdministration(a.ID, act.told))
	}
}

type adminResetPage struct {
	Page
	Name string
	Link string // holds the secret
	Back string
}

// adminReset shows a link with which the owner of the account chooses a
// password; the administrator never does (OWASP ASVS 6.4.6).
//
// The POST answers with 200 and the link instead of a redirect. A redirect would have to
// carry the secret in a URL, which browsers and proxies log, or in a cookie or the store,
// which keep it longer than this page. This response is not cached. Reloading the page
// makes a new link and invalidates this one.
func (s *Site) adminReset(c *fiber.Ctx, v Visitor, a accounts.Account, act action) error {
	var secret string
	err := errDisabled
	if act.fits(a) {
		secret, err = s.accounts.StartReset(c.UserContext(), a.ID)
	}
	s.adminEvent(c, v, act, a, err)
	if err != nil {
		return s.refuseAction(c, v, a, act, err)
	}
	return c.Render("admin_reset", adminResetPage{
		Page: s.page(c, v, act.Title),
		Name: a.Name.String(),
		Link: strings.TrimSuffix(s.settings.Origin, "/") + resetPath + secret,
		Back: adminAccount(a.ID),
	})
}

var errDisabled error = &accounts.Error{Kind: accounts.Invalid, Message: "The account is disabled, so the link would not work. Please enable it first."}
