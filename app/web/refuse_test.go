package web

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/gofiber/fiber/v2"

	"latchkey/app/accounts"
	"latchkey/app/internal/store"
	"latchkey/app/sessions"
)

// The visitor sees a sentence and an id, and the log the rest. ASVS 16.3.4,
// 16.5.1, 16.5.2, 16.5.3, 16.5.4
func TestFaults(t *testing.T) {
	s := newTestSite(t)
	id := s.login("Ann")
	s.signUp("Bob")
	const detail = "secret detail"
	disk := errors.New(detail)
	for _, test := range []struct {
		request
		store  error // what the store says to everything
		status int
		says   string
		logs   string // "" if it is no fault
		retry  string
	}{
		{request{to: "GET /test/panic"}, nil, 500, "Something went wrong here.", detail, ""},
		{request{to: "GET /test/nil"}, nil, 500, "Something went wrong here.", "nil pointer", ""},
		{request{to: "GET /test/ended"}, nil, 401, "Your session has ended.", "", ""},
		{request{to: "GET /test/teapot"}, nil, 418, "could not be understood", "", ""},
		{request{to: "GET /", id: id}, disk, 500, "Something went wrong here.", detail, ""},
		{request{to: "GET /login", id: id}, disk, 500, "Something went wrong here.", detail, ""},
		{request{to: "POST /logout", id: id}, disk, 500, "Something went wrong here.", detail, ""},
		{request{to: "POST /login", form: credentials("Bob")}, disk, 500, "Something went wrong here.", detail, ""},
		{request{to: "POST /login", form: credentials("Bob")}, fmt.Errorf("%w: %w", store.ErrFull, disk), 503, "cannot be done right now", detail, "60"},
		{request{to: "POST /login", form: credentials("Bob")}, fmt.Errorf("%w: %w", store.ErrBusy, disk), 503, "cannot be done right now", detail, "60"},
		{request{to: "POST /login", form: credentials("Bob")}, fmt.Errorf("%w: %w", context.DeadlineExceeded, disk), 503, "cannot be done right now", detail, "60"},
		{request{to: "GET /", id: id}, fmt.Errorf("%w: %w", context.DeadlineExceeded, disk), 503, "cannot be done right now", detail, "60"},
		{request{to: "POST /logout", id: id}, fmt.Errorf("%w: %w", store.ErrBusy, disk), 503, "cannot be done right now", detail, "60"},
		{request{to: "POST /login", form: credentials("Bob")}, sessions.ErrEnded, 401, "Your session has ended.", "", ""},
		{request{to: "GET /nothing", id: id}, disk, 404, "There is no such page.", "", ""},
	} {
		if test.store != nil {
			s.store.fail(test.store)
		}
		got := s.send(test.request)
		s.store.repair()
		l := s.one()
		if got.status != test.status || !strings.Contains(got.body, test.says) || got.header.Get("Retry-After") != test.retry {
			t.Errorf("%s: %d, Retry-After %q\n%s", test.to, got.status, got.header.Get("Retry-After"), got.body)
		}
		// A page that is whole and has nothing of what was half made.
		if strings.Count(got.body, "<!doctype html>") != 1 || strings.Contains(got.body, "half a page") {
			t.Errorf("%s: %s", test.to, got.body)
		}
		for _, no := range []string{detail, "panic", "goroutine", ".go:", "nil pointer", "runtime", "Ann"} {
			if strings.Contains(got.body, no) {
				t.Errorf("%s: the page has %q", test.to, no)
			}
		}
		if got.id != "" || len(got.header.Values("Set-Cookie")) > 0 {
			t.Errorf("%s: a cookie leaves with the error", test.to)
		}
		if l.ID == "" || !strings.Contains(got.body, "<code>"+l.ID+"</code>") {
			t.Errorf("%s: the log has the id %q, the page\n%s", test.to, l.ID, got.body)
		}
		if l.Status != test.status || (l.Level == "ERROR") != (test.logs != "") || !strings.Contains(l.Error, test.logs) || (l.Error == "") != (test.logs == "") {
			t.Errorf("%s: the log has %+v", test.to, l)
		}
		s.loggedInAs(id, "Ann") // the process lives, and so does the session
		s.log.take()
	}
}

func TestExplain(t *testing.T) {
	fault := errors.New("secret detail")
	for _, test := range []struct {
		err    error
		status int
		retry  time.Duration
		fault  bool
	}{
		{fault, 500, 0, true},
		{fmt.Errorf("begin: %w", store.ErrFull), 503, time.Minute, true},
		{fmt.Errorf("begin: %w", store.ErrBusy), 503, time.Minute, true},
		{fmt.Errorf("begin: %w", context.DeadlineExceeded), 503, time.Minute, true},
		{fmt.Errorf("read: %w", store.ErrDamaged), 500, 0, true},
		{context.Canceled, 500, 0, true}, // nobody but the end of the request cancels
		{fmt.Errorf("save: %w", sessions.ErrEnded), 401, 0, false},
		{&Refusal{Status: 403, Message: "No."}, 403, 0, false},
		{fmt.Errorf("more: %w", &Refusal{Status: 429, Message: "No.", RetryAfter: time.Second}), 429, time.Second, false},
		{&accounts.Error{Kind: accounts.Invalid, Message: "No."}, 422, 0, false},
		{&accounts.Error{Kind: accounts.Wrong, Message: "No."}, 401, 0, false},
		{&accounts.Error{Kind: accounts.TooMany, Message: "No.", RetryAfter: time.Minute}, 429, time.Minute, false},
		{&accounts.Error{Kind: accounts.Busy, Message: "No.", RetryAfter: time.Second}, 503, time.Second, false},
		{&accounts.Error{Kind: accounts.NotFound, Message: "No."}, 404, 0, false},
		{fiber.ErrNotFound, 404, 0, false},
		{fiber.NewError(413, "secret detail"), 413, 0, false},
		{fiber.NewError(418, "secret detail"), 418, 0, false},
		{fiber.NewError(500, "secret detail"), 500, 0, true},
		{fiber.NewError(503, "secret detail"), 503, 0, true},
	} {
		r, got := explain(test.err)
		if r.Status != test.status || r.RetryAfter != test.retry || r.Message == "" || strings.Contains(r.Message, "secret") || (got != nil) != test.fault {
			t.Errorf("%v: %+v, fault %v", test.err, r, got)
		}
	}
	// Every kind of refusal has a status.
	for kind := accounts.Invalid; kind <= accounts.NotFound; kind++ {
		if statuses[kind] < 400 {
			t.Errorf("kind %d has status %d", kind, statuses[kind])
		}
	}
}

// Retry-After is whole seconds, never too early.
func TestRetryAfter(t *testing.T) {
	s := newTestSite(t)
	for wait, want := range map[time.Duration]string{0: "", time.Millisecond: "1", time.Second: "1", 1500 * time.Millisecond: "2", time.Hour: "3600"} {
		c, release := s.ctx()
		if err := s.refuse(c, &Refusal{Status: 429, Message: "Wait.", RetryAfter: wait}); err != nil {
			t.Error(err)
		}
		if got := string(c.Response().Header.Peek("Retry-After")); got != want || c.Response().StatusCode() != 429 {
			t.Errorf("%s: %q, %d", wait, got, c.Response().StatusCode())
		}
		release()
	}
}

// Whoever writes the lines of ordinary requests, that of a refusal has the id that
// its page shows.
func TestRefusalHasItsIDInEveryLog(t *testing.T) {
	w := newWorld(t)
	page := w.get("nobody", "/nothing")
	_, rest, found := strings.Cut(w.lines.String(), `"id":"`)
	id, _, _ := strings.Cut(rest, `"`)
	if !found || id == "" || page.status != 404 || !strings.Contains(page.body, id) {
		t.Errorf("the log has %s, the page\n%s", w.lines, page.body)
	}
	logged := len(w.lines.String())
	if w.get("nobody", "/"); strings.Contains(w.lines.String()[logged:], `"id"`) {
		t.Errorf("a page has one, too: %s", w.lines.String()[logged:])
	}
}
