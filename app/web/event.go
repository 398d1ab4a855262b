package web

import (
	"errors"
	"log/slog"

	"github.com/gofiber/fiber/v2"

	"latchkey/app/accounts"
	"latchkey/app/sessions"
)

// event writes the line for something that happened to an account, or failed to
// (OWASP ASVS 16.3.1): what, to whom, from where, and how it ended. What was
// typed as a name appears only if an account is called so, for people type their
// password into the wrong field.
func (s *Site) event(c *fiber.Ctx, what string, a accounts.Account, typed string, err error) {
	outcome, level := "done", slog.LevelInfo
	var rule *accounts.Error
	switch {
	case errors.As(err, &rule):
		outcome, level = outcomes[rule.Kind], slog.LevelWarn
	case errors.Is(err, sessions.ErrEnded): // the account changed after it was proved
		outcome, level = "refused", slog.LevelWarn
	case err != nil:
		outcome, level = "failed", slog.LevelError
	}
	if a.ID == (accounts.ID{}) {
		// The look-up is made in every case, so that its time tells nothing.
		a, _ = s.accounts.Find(typed)
	}
	who := slog.String("account", "unknown")
	if a.ID != (accounts.ID{}) {
		who = slog.Any("account", a)
	}
	s.log.LogAttrs(c.Context(), level, what, slog.String("outcome", outcome), who, slog.String("ip", s.address(c).String()))
}

// outcomes are how refusals are called in the log.
var outcomes = map[accounts.Kind]string{
	accounts.Invalid:  "refused",
	accounts.Wrong:    "wrong",
	accounts.TooMany:  "throttled",
	accounts.Busy:     "busy",
	accounts.NotFound: "refused",
}
