package web

import (
	"context"
	"errors"
	"math"
	"strconv"
	"time"

	"github.com/gofiber/fiber/v2"

	"latchkey/app/accounts"
	"latchkey/app/internal/netconn"
	"latchkey/app/internal/store"
	"latchkey/app/sessions"
)

// Refusal is an error that may be shown to the visitor.
type Refusal struct {
	Status     int           // HTTP status
	Message    string        // one plain sentence
	RetryAfter time.Duration // when to try again, if that helps
}

// Error returns the message.
func (r *Refusal) Error() string { return r.Message }

type errorPage struct {
	Page
	Status  int
	Message string
	ID      string // links the page to its log line
}

// refuse answers with an error page and logs the request. The page of a Refusal shows
// its message. For an internal failure it shows only an id; the log has the details.
func (s *Site) refuse(c *fiber.Ctx, err error) error {
	r, fault := explain(err)
	id := s.ids.next()
	allow := string(c.Response().Header.Peek(fiber.HeaderAllow))
	c.Response().Reset() // discards a partial page and all cookies
	s.guard.headers(c)
	s.sessions.ReissueCookie(c) // keeps the visitor logged in after a rotation
	if allow != "" {
		c.Set(fiber.HeaderAllow, allow)
	}
	setRetryAfter(c, r.RetryAfter)
	var v Visitor
	if fault == nil {
		v, _ = s.visitor(c)
	}
	p := errorPage{Page: s.page(c, v, r.Message), Status: r.Status, Message: r.Message, ID: id}
	if broken := c.Status(r.Status).Render("error", p); broken != nil {
		fault = errors.Join(fault, broken)
		text := messages[fiber.StatusInternalServerError] + "\nid " + id + "\n"
		if s.settings.Dev {
			// Most likely the builder is in the middle of editing a view.
			text += "\n" + fault.Error() + "\n"
		}
		c.Status(fiber.StatusInternalServerError).Type("txt", "utf-8")
		c.Response().SetBodyString(text)
	}
	s.logRequest(c, id, fault)
	return nil
}

// refuseUnread is Fiber's error handler. enter handles the errors of routes, so this one
// sees only requests that the server refuses before routing.
func (s *Site) refuseUnread(c *fiber.Ctx, err error) error {
	netconn.Linger(c.Context().Conn()) // otherwise the browser could lose the page
	defer s.beginPatience(c).End()
	c.Locals(loggedAs{}, unread{})
	return s.refuse(c, err)
}

// setRetryAfter sets Retry-After in whole seconds, if d is not zero.
func setRetryAfter(c *fiber.Ctx, d time.Duration) {
	if d > 0 {
		c.Set(fiber.HeaderRetryAfter, strconv.Itoa(int(math.Ceil(d.Seconds()))))
	}
}

// explain splits err into a Refusal for the visitor and a fault for the log.
func explain(err error) (r *Refusal, fault error) {
	var rule *accounts.Error
	var known *fiber.Error
	switch {
	case errors.As(err, &r):
		if r.Status >= fiber.StatusInternalServerError {
			fault = err
		}
		return r, fault
	case errors.As(err, &rule):
		return &Refusal{Status: statuses[rule.Kind], Message: rule.Message, RetryAfter: rule.RetryAfter}, nil
	case errors.As(err, &known):
		message, ok := messages[known.Code]
		if !ok {
			message = messages[fiber.StatusBadRequest]
		}
		if known.Code >= fiber.StatusInternalServerError {
			fault = err
		}
		return &Refusal{Status: known.Code, Message: message}, fault
	case errors.Is(err, store.ErrNotFound):
		return &Refusal{Status: fiber.StatusNotFound, Message: messages[fiber.StatusNotFound]}, nil
	case errors.Is(err, sessions.ErrEnded):
		return &Refusal{Status: fiber.StatusUnauthorized, Message: "Your session has ended. Please log in again."}, nil
	case errors.Is(err, store.ErrFull), errors.Is(err, store.ErrBusy), errors.Is(err, store.ErrFailed), errors.Is(err, context.DeadlineExceeded):
		status := fiber.StatusServiceUnavailable
		return &Refusal{Status: status, Message: messages[status], RetryAfter: time.Minute}, err
	}
	status := fiber.StatusInternalServerError
	return &Refusal{Status: status, Message: messages[status]}, err
}

// statuses maps errors from package accounts to HTTP status codes.
var statuses = map[accounts.Kind]int{
	accounts.Invalid:  fiber.StatusUnprocessableEntity,
	accounts.Wrong:    fiber.StatusUnauthorized,
	accounts.TooMany:  fiber.StatusTooManyRequests,
	accounts.Busy:     fiber.StatusServiceUnavailable,
	accounts.NotFound: fiber.StatusNotFound,
}

// messages maps statuses set by Fiber and fasthttp to messages for visitors. The
// libraries' own messages echo the request and are meant for programmers.
var messages = map[int]string{
	fiber.StatusBadRequest:                  "The request could not be understood.",
	fiber.StatusUnauthorized:                "Please log in first.",
	fiber.StatusForbidden:                   "This is not allowed.",
	fiber.StatusNotFound:                    "There is no such page.",
	fiber.StatusMethodNotAllowed:            "This page cannot be used that way.",
	fiber.StatusRequestTimeout:              "The request took too long to arrive.",
	fiber.StatusRequestEntityTooLarge:       "What was sent is too large.",
	fiber.StatusRequestHeaderFieldsTooLarge: "The request has too many headers or cookies.",
	fiber.StatusTooManyRequests:             "Too many tries. Please wait.",
	fiber.StatusInternalServerError:         "Something went wrong here. It has been noted.",
	fiber.StatusServiceUnavailable:          "This cannot be done right now. Please try again soon.",
}
