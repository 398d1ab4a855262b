package web

import (
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"runtime/debug"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/gofiber/fiber/v2"
	"github.com/valyala/fasthttp"
)

// enter goes around every route: it guards the answer with headers, turns
// requests from other sites away, makes a page of whatever went wrong, and
// writes one line to the log.
func (s *Site) enter(c *fiber.Ctx) error {
	s.guard.headers(c)
	err := s.guard.check(c)
	if err == nil {
		err = next(c)
	}
	if err != nil {
		return s.refuse(c, err) // which writes the line for the log
	}
	s.logRequest(c, "", nil)
	return nil
}

// lastOfConnection ends the connection after a body that came without a length.
// fasthttp drops "Transfer-Encoding: identity" and takes what follows for the
// next request; a proxy in front may see one request where it sees two (OWASP
// ASVS 4.2.1).
func lastOfConnection(header *fasthttp.RequestHeader) fasthttp.RequestConfig {
	const withoutLength = -2
	if !header.IsGet() && !header.IsHead() && header.ContentLength() == withoutLength {
		header.SetConnectionClose()
	}
	return fasthttp.RequestConfig{} // the limits stay those of the server
}

// next runs the route and turns a panic into an error, so that one bad request
// ends alone.
func next(c *fiber.Ctx) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic: %v\n%s", p, debug.Stack())
		}
	}()
	return c.Next()
}

// logRequest writes the line for a request, with the id of its page if that is
// one of a refusal. The query string stays out of it, for it may hold what nobody
// else should read (OWASP ASVS 14.2.1).
func (s *Site) logRequest(c *fiber.Ctx, id string, fault error) {
	level := slog.LevelInfo
	method, path := c.Method(), c.Path()
	switch as := c.Locals(loggedAs{}).(type) {
	case string:
		method = as
	case unread:
		method, path = "-", "-"
	}
	if holdsSecret(path) {
		path = resetPath + ":secret"
	}
	if damaged, ok := c.Locals(damage{}).(error); ok {
		fault = errors.Join(fault, damaged)
	}
	if fault != nil {
		level = slog.LevelError
	}
	line := record(level, "request")
	line.AddAttrs(
		slog.String("method", method),
		slog.String("path", path),
		slog.Int("status", c.Response().StatusCode()),
		slog.Duration("duration", elapsed(c)),
		slog.String("ip", s.address(c).String()),
	)
	if id != "" {
		line.AddAttrs(slog.String("id", id))
	}
	if fault != nil {
		line.AddAttrs(slog.String("error", fault.Error()))
	}
	s.write(c, line)
}

// record begins a line of the log, without a place in the source, which nobody
// asks for: finding it out takes a fifth of the line.
func record(level slog.Level, what string) slog.Record {
	return slog.NewRecord(time.Now(), level, what, 0)
}

func (s *Site) write(c *fiber.Ctx, line slog.Record) {
	// There is nobody to tell of an error: this is where errors are told.
	_ = s.log.Handler().Handle(c.Context(), line)
}

// loggedAs is the key of what the log says instead of the request's own method:
// a string, or unread for a request of which nothing is known.
type loggedAs struct{}

type unread struct{}

// elapsed returns how long the request has taken; nothing, if it was refused
// before the server had read it.
func elapsed(c *fiber.Ctx) time.Duration {
	if began := c.Context().Time(); !began.IsZero() {
		return time.Since(began)
	}
	return 0
}

// known answers methods that Fiber does not know, for Fiber would answer them in
// bare text before any of our code runs. They become a method that it knows and
// no route has, and so a 405 or 404 page.
func (s *Site) known(handle fasthttp.RequestHandler) fasthttp.RequestHandler {
	methods := map[string]bool{}
	for _, method := range fiber.DefaultMethods {
		methods[method] = true
	}
	return func(ctx *fasthttp.RequestCtx) {
		if !ctx.IsGet() && !methods[string(ctx.Method())] {
			ctx.SetUserValue(loggedAs{}, string(ctx.Method()))
			ctx.Request.Header.SetMethod(fiber.MethodConnect)
		}
		handle(ctx)
	}
}

// requestIDs numbers the requests, from a random start so that the lines of two
// runs are not mistaken for each other. The ids tie a visitor's page to a line of
// the log; they need not be secret.
type requestIDs struct {
	start string
	count atomic.Uint64
}

func newRequestIDs() *requestIDs {
	return &requestIDs{start: strconv.FormatUint(rand.Uint64()&(1<<40-1)|1<<40, 36) + "-"}
}

func (r *requestIDs) next() string { return r.start + strconv.FormatUint(r.count.Add(1), 36) }
