package web

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/gofiber/fiber/v2"

	"latchkey/app/internal/accesslog"
)

// logRequest logs a request, with the id of its error page if it has one. It omits the
// query string, which may hold private data (OWASP ASVS 14.2.1).
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
	// The time is zero if the server refused the request before reading it.
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

// loggedAs is the Locals key of the method to log instead of the request's own: a
// string, or unread if the request could not be read.
type loggedAs struct{}

type unread struct{}
