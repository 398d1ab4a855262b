package web

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/gofiber/fiber/v2"

	"latchkey/app/internal/accesslog"
)

// logRequest writes the line for a request, with the id of its page if that is
// one of a refusal. The query string stays out of it, for it may hold what nobody
// else should read (OWASP ASVS 14.2.1).
func (s *Site) logRequest(c *fiber.Ctx, id string, fault error) {
	r := accesslog.Request{
		Time:   time.Now(),
		Method: c.Method(),
		Path:   c.Path(),
		Status: c.Response().StatusCode(),
		IP:     s.address(c),
		ID:     id,
		Err:    fault,
	}
	// It has none if it was refused before the server had read it.
	if began := c.Context().Time(); !began.IsZero() {
		r.Duration = r.Time.Sub(began)
	}
	switch as := c.Locals(loggedAs{}).(type) {
	case string:
		r.Method = as
	case unread:
		r.Method, r.Path = "-", "-"
	}
	if holdsSecret(r.Path) {
		r.Path = resetPath + ":secret"
	}
	if damaged, ok := c.Locals(damage{}).(error); ok {
		r.Err = errors.Join(fault, damaged)
	}
	accesslog.Log(s.log, r)
}

// write writes the line of an event.
func (s *Site) write(ctx context.Context, line slog.Record) {
	_ = s.log.Handler().Handle(ctx, line) // a log has nowhere to report its own errors
}

// loggedAs is the key of what the log says instead of the request's own method:
// a string, or unread for a request of which nothing is known.
type loggedAs struct{}

type unread struct{}
