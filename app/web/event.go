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

// event logs an attempted operation on an account (OWASP ASVS 16.3.1): the operation,
// the account, the client address and the outcome. A typed name is logged only if an
// account has that name, because people type passwords into the wrong field.
func (s *Site) event(c *fiber.Ctx, what string, a accounts.Account, typed string, err error) {
	if a.ID == (accounts.ID{}) {
		// Always look the name up, so that timing does not reveal whether it exists.
		a, _ = s.accounts.Find(c.UserContext(), typed)
	}
	who := slog.String("account", "unknown")
	if a.ID != (accounts.ID{}) {
		who = slog.Any("account", a)
	}
	s.writeEvent(c, what, a.ID, err, who)
}

// eventBy logs what a logged-in visitor did or was refused (OWASP ASVS 16.3.2). about
// holds the attributes of its object.
func (s *Site) eventBy(c *fiber.Ctx, v Visitor, what string, err error, about ...slog.Attr) {
	by := slog.Group("by", slog.String("id", v.ID.String()), slog.String("name", v.Name))
	s.writeEvent(c, what, v.ID, err, append([]slog.Attr{by}, about...)...)
}

// writeEvent logs an event, and stores it if the account's owner should see it.
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

// eventContext returns the context for recording events. It is not cancelled with the
// request, so that a timeout does not lose the event.
func eventContext(c *fiber.Ctx) context.Context { return context.WithoutCancel(c.UserContext()) }

// outcomes maps kinds of errors to the outcome in the log.
var outcomes = map[accounts.Kind]string{
	accounts.Invalid:  "refused",
	accounts.Wrong:    "wrong",
	accounts.TooMany:  "throttled",
	accounts.Busy:     "busy",
	accounts.NotFound: "refused",
}

// eventWords maps events to the text that the account's owner sees. Other events appear
// only in the log.
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

// eventRow is one row in the list of an account's events.
type eventRow struct {
	At      time.Time // UTC
	Words   string
	Failed  string // why it failed, or empty
	Browser string // empty if Address is
	Address string // client address, or empty if somebody else did it
}

// failures maps outcomes to the reason that the owner sees.
var failures = map[string]string{
	"wrong":     "wrong password",
	"throttled": "too many tries",
	"busy":      "too much at once",
	"refused":   "refused",
	"failed":    "failed",
}

// eventRows returns the events of an account, newest first.
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
