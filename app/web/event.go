package web

import (
	"errors"
	"log/slog"

	"github.com/gofiber/fiber/v2"

	"latchkey/app/accounts"
)

// event writes the line for something that happened to an account, or failed to
// (OWASP ASVS 16.3.1): what, to whom, from where, and how it ended. What was
// typed as a name appears only if an account is called so, for people type their
// password into the wrong field.
func (s *Site) event(c *fiber.Ctx, what string, a accounts.Account, typed string, err error) {
	if a.ID == (accounts.ID{}) {
		// The look-up is made in every case, so that its time tells nothing.
		a, _ = s.accounts.Find(typed)
	}
	who := slog.String("account", "unknown")
	if a.ID != (accounts.ID{}) {
		who = slog.Any("account", a)
	}
	s.writeEvent(c, what, err, who)
}

// eventBy writes the line for something that a visitor who is logged in did, or
// was refused (OWASP ASVS 16.3.2): by whom, and in about what.
func (s *Site) eventBy(c *fiber.Ctx, v Visitor, what string, err error, about ...slog.Attr) {
	by := slog.Group("by", slog.String("id", v.ID.String()), slog.String("name", v.Name))
	s.writeEvent(c, what, err, append([]slog.Attr{by}, about...)...)
}

func (s *Site) writeEvent(c *fiber.Ctx, what string, err error, about ...slog.Attr) {
	outcome, level := "done", slog.LevelInfo
	var rule *accounts.Error
	switch {
	case errors.As(err, &rule):
		outcome, level = outcomes[rule.Kind], slog.LevelWarn
	case err != nil:
		outcome, level = "failed", slog.LevelError
	}
	attrs := append([]slog.Attr{slog.String("outcome", outcome)}, about...)
	s.log.LogAttrs(c.Context(), level, what, append(attrs, slog.String("ip", s.address(c).String()))...)
}

// outcomes are how refusals are called in the log.
var outcomes = map[accounts.Kind]string{
	accounts.Invalid:  "refused",
	accounts.Wrong:    "wrong",
	accounts.TooMany:  "throttled",
	accounts.Busy:     "busy",
	accounts.NotFound: "refused",
}
