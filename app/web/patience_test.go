package web

import (
	"context"
	"log/slog"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gofiber/fiber/v2"
	"github.com/valyala/fasthttp"

	"latchkey/app/sessions"
)

// stuck is a store of sessions that does not come to an end by itself while it is
// stuck. It keeps the last context.
type stuck struct {
	sessions.Store
	reads, writes atomic.Bool
	last          atomic.Pointer[context.Context]
}

func (s *stuck) wait(ctx context.Context, on *atomic.Bool) error {
	s.last.Store(&ctx)
	if !on.Load() {
		return nil
	}
	<-ctx.Done()
	return ctx.Err()
}

func (s *stuck) Read(ctx context.Context, k sessions.Key) (sessions.Session, error) {
	if err := s.wait(ctx, &s.reads); err != nil {
		return sessions.Session{}, err
	}
	return s.Store.Read(ctx, k)
}

func (s *stuck) Begin(ctx context.Context, k, replaces sessions.Key, one sessions.Session, data []byte) error {
	if err := s.wait(ctx, &s.writes); err != nil {
		return err
	}
	return s.Store.Begin(ctx, k, replaces, one, data)
}

func (s *stuck) End(ctx context.Context, k sessions.Key) error {
	if err := s.wait(ctx, &s.writes); err != nil {
		return err
	}
	return s.Store.End(ctx, k)
}

// newStuck returns a world whose sessions can get stuck.
func newStuck(t *testing.T) (*world, *stuck) {
	w := newWorld(t)
	s := &stuck{Store: w.db.Sessions()}
	site, err := New(Options{
		Settings: w.settings, Accounts: w.accounts, Events: w.Site.events, Sessions: s,
		Log: slog.New(slog.NewJSONHandler(w.lines, nil)),

		Registrations: w.db.Registrations(),
	})
	w.must(err)
	w.Site = site
	return w, s
}

// Whoever waits for a store that does not answer is told so in time, with the page
// that says to come back.
func TestImpatience(t *testing.T) {
	w, stores := newStuck(t)
	if w.patience != requestPatience || requestPatience != 10*time.Second {
		t.Errorf("a request may take %s", w.patience)
	}
	w.patience = 50 * time.Millisecond
	login := "name=owner&password=" + url.QueryEscape(password)
	for _, test := range []struct {
		visitor, method, path, form string
		stuck                       *atomic.Bool
	}{
		{"owner", "GET", "/", "", &stores.reads},
		{"owner", "GET", "/account", "", &stores.reads},
		{"owner", "POST", "/logout", "", &stores.writes},
		{"owner", "POST", "/registrations", "sport=Football", &stores.reads},
		{"nobody", "POST", "/login", login, &stores.writes},
	} {
		what := test.method + " " + test.path
		logged := len(w.lines.String())
		test.stuck.Store(true)
		got := w.send(test.visitor, test.method, test.path, test.form)
		test.stuck.Store(false)
		if got.status != 503 || got.header.Get("Retry-After") != "60" || !strings.Contains(got.body, "Please try again soon.") || strings.Count(got.body, "<!doctype html>") != 1 {
			t.Errorf("%s: %s, Retry-After %q\n%s", what, got, got.header.Get("Retry-After"), got.body)
		}
		if got.cookie != "" || strings.Contains(got.body, "deadline") || strings.Contains(got.body, "context") {
			t.Errorf("%s: cookie %q\n%s", what, got.cookie, got.body)
		}
		if line := w.lines.String()[logged:]; !strings.Contains(line, `"level":"ERROR","msg":"request"`) || !strings.Contains(line, context.DeadlineExceeded.Error()) {
			t.Errorf("%s: the log has\n%s", what, line)
		}
		// Nothing was done, and the session goes on.
		if got := w.get("owner", "/"); marked(got.body) != "owner" {
			t.Errorf("after %s: %s\n%s", what, got, got.body)
		}
	}
	w.mustHaveNoRegistration("owner")
	list, err := w.db.Sessions().List(t.Context(), sessions.Account(w.ids["owner"]), 10)
	if err != nil || len(list) != 1 {
		t.Errorf("%d sessions, %v, want the one", len(list), err)
	}
	// The owner reads of the login that failed, although the patience had ended.
	w.patience = requestPatience
	if lines := w.eventLines("owner", 1); len(lines) != 1 || !strings.HasPrefix(lines[0], "Login: failed") {
		t.Errorf("the owner reads %q", lines)
	}
}

// The context of a request ends with it, and holds nothing of it.
func TestContextOfARequest(t *testing.T) {
	w, stores := newStuck(t)
	var before context.Context
	for range 3 {
		began := time.Now()
		if got := w.get("owner", "/"); got.status != 200 {
			t.Fatal(got)
		}
		ctx := *stores.last.Load()
		if deadline, ok := ctx.Deadline(); !ok || deadline.Before(began.Add(requestPatience)) || deadline.After(time.Now().Add(requestPatience)) {
			t.Errorf("it would end at %v, %v", deadline, ok)
		}
		if ctx.Err() != context.Canceled || ctx == before {
			t.Errorf("after the request: %v, the same as that before: %t", ctx.Err(), ctx == before)
		}
		if value := ctx.Value("__local_user_context__"); value != nil {
			t.Errorf("it leads to the request: %v", value)
		}
		before = ctx
	}
	// What is refused before any route has one, too.
	var unread fasthttp.RequestCtx
	unread.Request.Header.Set("Cookie", w.cookies["owner"])
	c := w.app.AcquireCtx(&unread)
	defer w.app.ReleaseCtx(c)
	stores.last.Store(nil)
	if err := w.refuseUnread(c, fiber.ErrRequestEntityTooLarge); err != nil || c.Response().StatusCode() != 413 {
		t.Errorf("%d, %v", c.Response().StatusCode(), err)
	}
	if ctx := stores.last.Load(); ctx == nil {
		t.Error("nobody asked who it is, so the test shows nothing")
	} else if _, ok := (*ctx).Deadline(); !ok {
		t.Error("a request that was refused early would wait for ever")
	}
}
