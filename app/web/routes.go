package web

import (
	"net/url"

	"github.com/gofiber/fiber/v2"
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

// routes is every page there is. Another page is a line here and a view.
func (s *Site) routes() []route {
	return []route{
		{"GET", "/", anyone, s.index},

		{"GET", "/signup", loggedOut, s.signupForm},
		{"POST", "/signup", loggedOut, s.signup},
		{"GET", "/login", loggedOut, s.loginForm},
		{"POST", "/login", anyone, s.login}, // logging in anew ends the session before
		{"GET", "/logout", anyone, s.logoutForm},
		{"POST", "/logout", anyone, s.logout},

		{"GET", "/account", loggedIn, s.account},
		{"POST", "/account/password", loggedIn, s.changePassword},
		{"POST", "/account/delete", loggedIn, s.deleteAccount},

		{"GET", "/public/*", nobody, s.static},
		{"GET", "/robots.txt", nobody, s.robots},
	}
}

// who says who may use a route.
type who int

const (
	anyone    who = iota // logged in or not
	loggedOut            // others are sent to the start page
	loggedIn             // others are sent to the login, and back afterwards
	nobody               // the same for all: the session is not even read
)

// route registers the routes with Fiber. GET brings HEAD with it.
func (s *Site) route() {
	s.app.Use(s.enter)
	routes := s.routes()
	if s.settings.Dev {
		routes = append(routes, s.devRoutes()...)
	}
	for _, r := range routes {
		serve := func(c *fiber.Ctx) error { return s.admit(c, r) }
		if r.method == fiber.MethodGet {
			s.app.Get(r.path, serve)
		} else {
			s.app.Add(r.method, r.path, serve)
		}
	}
}

// admit lets the visitor through to the route, or turns them away.
func (s *Site) admit(c *fiber.Ctx, r route) error {
	if r.who == nobody {
		return r.serve(c, Visitor{})
	}
	v, err := s.visitor(c)
	if err != nil {
		return err
	}
	switch {
	case r.who == loggedOut && v.LoggedIn():
		return seeOther(c, "/")
	case r.who == loggedIn && !v.LoggedIn():
		if c.Method() == fiber.MethodPost {
			return fiber.ErrUnauthorized
		}
		return seeOther(c, "/login?next="+url.QueryEscape(c.OriginalURL()))
	}
	return r.serve(c, v)
}
