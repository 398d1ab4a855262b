package web

import (
	"context"
	"errors"
	"log/slog"
	"net/netip"
	"time"

	"github.com/gofiber/fiber/v2"
)

// Request is what the log says of an ordinary request. Its texts live only as
// long as the request.
type Request struct {
	At       time.Time // when it was answered
	Method   string
	Path     string
	Status   int
	Duration time.Duration
	IP       netip.Addr
}

// RequestHandler is a log's handler that has a way of its own for ordinary
// requests. Every page writes such a line, and to make a slog.Record of it, which
// is passed on by value, takes as long as to write it.
type RequestHandler interface {
	slog.Handler
	// HandleRequest writes the line that Handle would write for r.Record.
	HandleRequest(r Request)
}

// Record returns the line as every handler knows it. It has no place in the
// source, which nobody asks for: finding it out takes a fifth of the line.
func (r Request) Record() slog.Record {
	line := slog.NewRecord(r.At, slog.LevelInfo, "request", 0)
	line.AddAttrs(
		slog.String("method", r.Method),
		slog.String("path", r.Path),
		slog.Int("status", r.Status),
		slog.Duration("duration", r.Duration),
		slog.String("ip", r.IP.String()),
	)
	return line
}

// logRequest writes the line for a request, with the id of its page if that is
// one of a refusal. The query string stays out of it, for it may hold what nobody
// else should read (OWASP ASVS 14.2.1).
func (s *Site) logRequest(c *fiber.Ctx, id string, fault error) {
	r := Request{
		At:     time.Now(),
		Method: c.Method(),
		Path:   c.Path(),
		Status: c.Response().StatusCode(),
		IP:     s.address(c),
	}
	// It has none if it was refused before the server had read it.
	if began := c.Context().Time(); !began.IsZero() {
		r.Duration = r.At.Sub(began)
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
		fault = errors.Join(fault, damaged)
	}
	if own, ok := s.log.Handler().(RequestHandler); ok && id == "" && fault == nil {
		own.HandleRequest(r)
		return
	}
	s.logRecord(c, r, id, fault)
}

// logRecord is logRequest as slog has it. It stands by itself so that ordinary
// requests need no room for it: each connection keeps what room its handler took.
func (s *Site) logRecord(c *fiber.Ctx, r Request, id string, fault error) {
	line := r.Record()
	if id != "" {
		line.AddAttrs(slog.String("id", id))
	}
	if fault != nil {
		line.Level = slog.LevelError
		line.AddAttrs(slog.String("error", fault.Error()))
	}
	s.write(c.Context(), line)
}

func (s *Site) write(ctx context.Context, line slog.Record) {
	// There is nobody to tell of an error: this is where errors are told.
	_ = s.log.Handler().Handle(ctx, line)
}

// loggedAs is the key of what the log says instead of the request's own method:
// a string, or unread for a request of which nothing is known.
type loggedAs struct{}

type unread struct{}
