package web

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/gofiber/fiber/v2"

	"latchkey/app/accounts"
	"latchkey/app/sessions"
)

// event writes the line for something that happened to an account, or failed to
// (OWASP ASVS 16.3.1): what, to whom, from where, and how it ended. What was
// typed as a name appears only if an account is called so, for people type their
// password into the wrong field.
func (s *Site) event(c *fiber.Ctx, what string, a accounts.Account, typed string, err error) {
	if a.ID == (accounts.ID{}) {
		// The look-up is made in every case, so that its time tells nothing.
		a, _ = s.accounts.Find(c.UserContext(), typed)
	}
	who := slog.String("account", "unknown")
	if a.ID != (accounts.ID{}) {
		who = slog.Any("account", a)
	}
	s.writeEvent(c, what, a.ID, err, who)
}

// eventBy writes the line for something that a visitor who is logged in did, or
// was refused (OWASP ASVS 16.3.2): by whom, and in about what.
func (s *Site) eventBy(c *fiber.Ctx, v Visitor, what string, err error, about ...slog.Attr) {
	by := slog.Group("by", slog.String("id", v.ID.String()), slog.String("name", v.Name))
	s.writeEvent(c, what, v.ID, err, append([]slog.Attr{by}, about...)...)
}

// writeEvent writes the line, and keeps what the owner of the account should
// know of.
func (s *Site) writeEvent(c *fiber.Ctx, what string, id accounts.ID, err error, about ...slog.Attr) {
	outcome, level := "done", slog.LevelInfo
	var rule *accounts.Error
	switch {
	case errors.As(err, &rule):
		outcome, level = outcomes[rule.Kind], slog.LevelWarn
	case errors.Is(err, sessions.ErrEnded): // the account or the session changed meanwhile
		outcome, level = "refused", slog.LevelWarn
	case err != nil:
		outcome, level = "failed", slog.LevelError
	}
	address := s.address(c).String()
	if eventWords[what] != "" && id != (accounts.ID{}) {
		s.events.Note(eventContext(c), accounts.Event{
			Account: id,
			At:      accounts.EventTime(time.Now()),
			What:    what,
			Outcome: outcome,
			Agent:   sessions.Agent(c),
			Address: address,
		})
	}
	line := slog.NewRecord(time.Now(), level, what, 0)
	line.AddAttrs(slog.String("outcome", outcome))
	line.AddAttrs(about...)
	line.AddAttrs(slog.String("ip", address))
	s.write(c.Context(), line)
}

// eventContext returns the context in which the request notes events. Impatience
// must not hide what happened.
func eventContext(c *fiber.Ctx) context.Context { return context.WithoutCancel(c.UserContext()) }

// outcomes are how refusals are called in the log.
var outcomes = map[accounts.Kind]string{
	accounts.Invalid:  "refused",
	accounts.Wrong:    "wrong",
	accounts.TooMany:  "throttled",
	accounts.Busy:     "busy",
	accounts.NotFound: "refused",
}

// eventWords are what the owner of an account reads of what happened to it. What
// is not here is for the log alone.
var eventWords = map[string]string{
	"sign-up":              "Sign-up",
	"login":                "Login",
	"logout":               "Logout",
	"re-authentication":    "Password check",
	"proof":                "Password check", // what older versions kept
	"password change":      "Password change",
	"password reset":       "New password by a link",
	"session ended":        "One browser logged out",
	"other sessions ended": "All other browsers logged out",
	"deletion":             "Deletion of the account",

	accounts.EventSessionsEnded: "All browsers logged out by the administration",
	accounts.EventDisabled:      "Account disabled by the administration",
	accounts.EventResetLink:     "Link for a new password made by the administration",
}

// eventRow is one line of what happened to an account.
type eventRow struct {
	At      time.Time // UTC
	Words   string
	Failed  string // why it did not come about, or empty
	Browser string // empty with the address
	Address string // where it came from, or empty if another did it
}

// failures say why something did not come about.
var failures = map[string]string{
	"wrong":     "wrong password",
	"throttled": "too many tries",
	"busy":      "too much at once",
	"refused":   "refused",
	"failed":    "failed",
}

// eventRows returns what happened to an account, the newest first.
func (s *Site) eventRows(c *fiber.Ctx, id accounts.ID) ([]eventRow, error) {
	events, err := s.events.Events(c.UserContext(), id)
	if err != nil {
		return nil, err
	}
	rows := make([]eventRow, len(events))
	for i, e := range events {
		rows[i] = eventRow{At: e.At, Words: eventWords[e.What], Failed: failures[e.Outcome], Address: e.Address}
		if e.Address != "" {
			rows[i].Browser = browser(e.Agent)
		}
	}
	return rows, nil
}
