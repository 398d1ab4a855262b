package web

import (
	"fmt"
	"net/url"
	"strings"

	"github.com/gofiber/fiber/v2"

	"latchkey/app/accounts"
)

// handler answers one route. It learns who asks from v, and returns an error to
// have it shown as a page: see refuse.
type handler func(c *fiber.Ctx, v Visitor) error

// route is one address and who may use it.
type route struct {
	method string
	path   string
	who    who
	serve  handler
}

// routes is every page there is, and the one table of who may do what: it is
// kept here and nowhere else. Another page is a line here and a view.
func (s *Site) routes() []route {
	return []route{
		{"GET", "/", anyone, s.index},

		{"GET", "/signup", loggedOut, s.signupForm},
		{"POST", "/signup", loggedOut, s.signup},
		{"GET", "/login", loggedOut, s.loginForm},
		{"POST", "/login", anyone, s.login}, // logging in anew ends the session before
		{"GET", "/logout", anyone, s.logoutForm},
		{"POST", "/logout", anyone, s.logout},
		{"GET", "/reset/:secret", anyone, s.resetForm}, // the secret is what permits it
		{"POST", "/reset/:secret", anyone, s.reset},

		{"GET", "/account", loggedIn, s.account},
		{"POST", "/account/password", loggedIn, s.changePassword},
		{"POST", "/account/delete", loggedIn, s.deleteAccount},
		{"POST", "/account/sessions/end-others", loggedIn | proved, s.endOthers},
		{"POST", "/account/sessions/:key/end", loggedIn | proved, s.endSession}, // of others there is none

		{"GET", "/prove", loggedIn, s.proveForm},
		{"POST", "/prove", loggedIn | proved, s.proveDone},

		{"GET", "/registrations", loggedIn, s.registrationList},
		{"POST", "/registrations", loggedIn, s.register},
		{"GET", "/registrations/:id/deregister", owner, s.deregisterForm},
		{"POST", "/registrations/:id/deregister", owner, s.deregister},

		{"GET", "/admin", administrator | proved, s.admin},
		{"GET", "/admin/accounts/:id", administrator | proved, s.adminAccount},
		{"GET", "/admin/accounts/:id/:action", administrator | proved, s.adminConfirm},
		{"POST", "/admin/accounts/:id/:action", administrator | proved, s.adminAct},

		{"GET", "/public/*", nobody, s.static},
		{"GET", "/robots.txt", nobody, s.robots},
	}
}

// who says who may use a route. Its zero value says nothing, so that a route
// for which it was forgotten is not served to anyone.
type who int

const (
	anyone        who = iota + 1 // logged in or not
	loggedOut                    // others are sent to the start page
	loggedIn                     // others are sent to the login, and back afterwards
	owner                        // logged in; whether the thing is theirs, or they administer it, its rules say: 404 if not
	administrator                // for others there is no such page: 404
	nobody                       // the same for all: the session is not even read

	proved who = 1 << 4 // beside another: and have proved lately who they are
)

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
	if who := r.who &^ proved; who < anyone || who > nobody {
		return fmt.Errorf("route %s %s does not say who may use it", r.method, r.path)
	}
	return nil
}

// admit lets the visitor through to the route, or turns them away. What the
// account may do is what the store says at this moment (OWASP ASVS 8.3.2).
func (s *Site) admit(c *fiber.Ctx, r route) error {
	if r.who == nobody {
		return r.serve(c, Visitor{})
	}
	v, err := s.visitor(c)
	if err != nil {
		return err
	}
	if !v.seen.IsZero() && s.sessions.Due(v.seen) && personal(c) {
		s.sessions.Renew(c)
	}
	switch who := r.who &^ proved; {
	case who == loggedOut && v.LoggedIn():
		return seeOther(c, "/")
	case who == administrator && !v.Admin:
		if v.LoggedIn() {
			s.eventBy(c, v, "back office", errNotAdministrator)
		}
		return fiber.ErrNotFound
	case (who == loggedIn || who == owner) && !v.LoggedIn():
		if c.Method() == fiber.MethodPost {
			return fiber.ErrUnauthorized
		}
		return seeOther(c, "/login?next="+url.QueryEscape(c.OriginalURL()))
	}
	if r.who&proved != 0 && !v.provedLately() {
		return s.askProof(c, v, r.serve)
	}
	return r.serve(c, v)
}

// personal reports whether a person may have made the request. Nobody reads the
// answer to HEAD, and a browser that prefetches only guesses what its person
// will open next: neither keeps a session from growing idle (OWASP ASVS 7.3.1).
func personal(c *fiber.Ctx) bool {
	// Sec-Purpose may go on, as in "prefetch;prerender"; older browsers send Purpose.
	return c.Method() != fiber.MethodHead &&
		!strings.HasPrefix(c.Get("Sec-Purpose"), "prefetch") &&
		!strings.HasPrefix(c.Get("Purpose"), "prefetch")
}

// errNotAdministrator is for the log; the visitor reads that there is no such
// page.
var errNotAdministrator error = &accounts.Error{Kind: accounts.NotFound, Message: "not an administrator"}
