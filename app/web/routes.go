package web

import (
	"fmt"
	"log/slog"
	"net/url"
	"strings"

	"github.com/gofiber/fiber/v2"

	"latchkey/app/accounts"
)

// handler serves a route for the visitor v. An error that it returns becomes an error
// page: see refuse.
type handler func(c *fiber.Ctx, v Visitor) error

// route is one address and who may use it. Only handle and owned make one.
type route struct {
	method string
	path   string
	who    who                                            // zero for what owned makes
	serve  handler                                        // nil likewise
	load   func(*fiber.Ctx) (handler, accounts.ID, error) // what owned makes; nil otherwise
}

// routes lists all routes and who may use them. To add a page, add a line here and a
// view.
func (s *Site) routes() []route {
	return []route{
		handle("GET", "/", anyone, s.index),

		handle("GET", "/signup", loggedOut, s.signupForm),
		handle("POST", "/signup", loggedOut, s.signup),
		handle("GET", "/login", loggedOut, s.loginForm),
		handle("POST", "/login", anyone, s.login), // logging in again ends the session before
		handle("GET", "/logout", anyone, s.logoutForm),
		handle("POST", "/logout", anyone, s.logout),
		handle("GET", "/reset/:secret", anyone, s.resetForm), // the secret is what permits it
		handle("POST", "/reset/:secret", anyone, s.reset),

		handle("GET", "/account", loggedIn, s.account),
		handle("POST", "/account/password", loggedIn, s.changePassword),
		handle("POST", "/account/delete", loggedIn, s.deleteAccount),
		handle("POST", "/account/sessions/end-others", loggedIn|reauthenticated, s.endOthers),
		handle("POST", "/account/sessions/:key/end", loggedIn|reauthenticated, s.endSession), // of others there is none

		handle("GET", "/reauthenticate", loggedIn, s.reauthenticateForm),
		handle("POST", "/reauthenticate", loggedIn|reauthenticated, s.reauthenticateDone),

		handle("GET", "/registrations", loggedIn, s.registrationList),
		handle("POST", "/registrations", loggedIn, s.register),
		owned("GET", "/registrations/:id", s.loadRegistration, s.registration),
		owned("GET", "/registrations/:id/edit", s.loadRegistration, s.registrationEditForm),
		owned("POST", "/registrations/:id/edit", s.loadRegistration, s.registrationEdit),
		owned("GET", "/registrations/:id/deregister", s.loadRegistration, s.deregisterForm),
		owned("POST", "/registrations/:id/deregister", s.loadRegistration, s.deregister),

		handle("GET", "/admin", administrator|reauthenticated, s.admin),
		handle("GET", "/admin/accounts/:id", administrator|reauthenticated, s.adminAccount),
		handle("GET", "/admin/accounts/:id/:action", administrator|reauthenticated, s.adminConfirm),
		handle("POST", "/admin/accounts/:id/:action", administrator|reauthenticated, s.adminAct),

		handle("GET", "/public/*", sameForAll, s.static),
		handle("GET", "/robots.txt", sameForAll, s.robots),
	}
}

// who says who may use a route without an owner. New fails if it is zero.
type who int

const (
	anyone        who = iota + 1 // logged in or not
	loggedOut                    // others are redirected to the start page
	loggedIn                     // others are redirected to the login, and back afterwards
	administrator                // others get 404
	sameForAll                   // the session is not read

	reauthenticated who = 1 << 4 // combined with another: and has recently authenticated
)

// handle returns a route without an owner.
func handle(method, path string, who who, serve handler) route {
	return route{method: method, path: path, who: who, serve: serve}
}

// owned returns a route to a resource that belongs to an account. load returns the
// resource named by the URL and its owner. Only the owner and re-authenticated
// administrators reach serve; others get 404. T makes the compiler check that load
// and serve match.
func owned[T any](method, path string, load func(*fiber.Ctx) (T, accounts.ID, error), serve func(*fiber.Ctx, Visitor, T) error) route {
	if load == nil {
		return route{method: method, path: path}
	}
	return route{method: method, path: path, load: func(c *fiber.Ctx) (handler, accounts.ID, error) {
		thing, owner, err := load(c)
		return func(c *fiber.Ctx, v Visitor) error { return serve(c, v, thing) }, owner, err
	}}
}

// route registers the routes with Fiber. GET brings HEAD with it. A route that
// does not say who may use it is an error.
func (s *Site) route() error {
	s.app.Use(s.enter)
	routes := s.routes()
	if s.settings.Dev {
		routes = append(routes, s.devRoutes()...)
	}
	for _, r := range routes {
		if err := r.check(); err != nil {
			return err
		}
		serve := func(c *fiber.Ctx) error { return s.admit(c, r) }
		if r.method == fiber.MethodGet {
			s.app.Get(r.path, serve)
		} else {
			s.app.Add(r.method, r.path, serve)
		}
	}
	return nil
}

func (r route) check() error {
	if r.load != nil && r.who == 0 {
		return nil
	}
	if who := r.who &^ reauthenticated; who < anyone || who > sameForAll {
		return fmt.Errorf("route %s %s does not say who may use it", r.method, r.path)
	}
	return nil
}

// admit authorizes the visitor and calls the route's handler. It uses the account's
// current permissions in the store (OWASP ASVS 8.3.2).
func (s *Site) admit(c *fiber.Ctx, r route) error {
	if r.who == sameForAll {
		return r.serve(c, Visitor{})
	}
	v, err := s.visitor(c)
	if err != nil {
		return err
	}
	if !v.seen.IsZero() && s.sessions.Due(v.seen) && countsAsActivity(c) {
		s.sessions.Renew(c)
	}
	switch who := r.who &^ reauthenticated; {
	case who == loggedOut && v.LoggedIn():
		return seeOther(c, "/")
	case who == administrator && !v.Admin:
		if v.LoggedIn() {
			s.eventBy(c, v, "back office", errNotAdministrator)
		}
		return fiber.ErrNotFound
	case (who == loggedIn || r.load != nil) && !v.LoggedIn():
		if c.Method() == fiber.MethodPost {
			return fiber.ErrUnauthorized
		}
		return seeOther(c, "/login?next="+url.QueryEscape(c.OriginalURL()))
	}
	if r.load != nil {
		return s.admitOwner(c, v, r)
	}
	if r.who&reauthenticated != 0 {
		return s.reauthenticate(c, v, r.serve)
	}
	return r.serve(c, v)
}

// admitOwner admits the owner, and administrators after re-authentication. Others get
// the same 404 as for a resource that does not exist (OWASP ASVS 8.2.2).
func (s *Site) admitOwner(c *fiber.Ctx, v Visitor, r route) error {
	serve, owner, err := r.load(c)
	switch {
	case err == nil && owner == v.ID:
		return serve(c, v)
	case err == nil && v.Admin:
		return s.reauthenticate(c, v, serve)
	case err == nil:
		s.eventBy(c, v, "access", errNotOwner, slog.String("route", r.method+" "+r.path), slog.String("path", c.Path()), slog.String("owner", owner.String()))
		return fiber.ErrNotFound
	}
	if refusal, fault := explain(err); fault == nil && refusal.Status == fiber.StatusNotFound {
		s.eventBy(c, v, "access", errNotOwner, slog.String("route", r.method+" "+r.path), slog.String("path", c.Path()))
		return fiber.ErrNotFound
	}
	return err
}

// countsAsActivity reports whether the request resets the idle timeout (OWASP ASVS
// 7.3.1). HEAD and prefetch requests do not, because no person made them.
func countsAsActivity(c *fiber.Ctx) bool {
	// Sec-Purpose may go on, as in "prefetch;prerender"; older browsers send Purpose.
	return c.Method() != fiber.MethodHead &&
		!strings.HasPrefix(c.Get("Sec-Purpose"), "prefetch") &&
		!strings.HasPrefix(c.Get("Purpose"), "prefetch")
}

// These errors appear in the log; the visitor gets a 404 page.
var (
	errNotAdministrator error = &accounts.Error{Kind: accounts.NotFound, Message: "not an administrator"}
	errNotOwner         error = &accounts.Error{Kind: accounts.NotFound, Message: "not the owner"}
)
