package tests

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"golang.org/x/net/html"
)

// mustNeedPassword wants a login form whose password browsers must not leave empty, or may.
func (p *page) mustNeedPassword(needs bool) {
	p.client.t.Helper()
	for _, input := range all(p.form("/login").node, "input") {
		required := slices.ContainsFunc(input.Attr, func(a html.Attribute) bool { return a.Key == "required" })
		if attribute(input, "name") == "password" && required != needs {
			p.client.t.Errorf("%s: the password is required: %v", p, required)
		}
	}
}

// Under --dev the password may stay empty, and an account that is not there is made. The form allows it.
func TestDevNeedsNoPassword(t *testing.T) {
	t.Parallel()
	s := newDevServer(t)
	s.start()
	c := s.client()
	c.get("/login").mustNeedPassword(false)
	c.tryLogin("Ada", "").expect(http.StatusSeeOther)
	c.mustBe("Ada")
	// The account is one, however its name is typed, and may do what others may.
	second := s.client()
	second.tryLogin("ADA", "").expect(http.StatusSeeOther)
	second.mustBe("Ada")
	second.changePassword("", password).expect(http.StatusSeeOther)
	c.mustBeNobody()
	// A password that is typed must be right.
	c.tryLogin("Ada", "wrong").expect(http.StatusUnauthorized)
	c.tryLogin("Ada", password).expect(http.StatusSeeOther)
	c.deleteAccount(password).expect(http.StatusSeeOther)
	c.mustBeNobody()
	c.tryLogin(" ", "").expect(http.StatusUnprocessableEntity)
}

// ASVS 6.3.4, 13.4.2: without --dev the way in without a password does not exist, whatever is sent, and whatever else
// the environment holds.
func TestNobodyLogsInWithoutAPassword(t *testing.T) {
	t.Parallel()
	for what, set := range map[string]func(*server){
		"nothing set":       func(*server) {},
		"DEV is false":      func(s *server) { s.env = []string{"DEV=false"} },
		"DEV is 0":          func(s *server) { s.env = []string{"DEV=0"} },
		"the flag is false": func(s *server) { s.args = append(s.args, "--dev=false") },
		"the flag wins":     func(s *server) { s.env, s.args = []string{"DEV=true"}, append(s.args, "--dev=false") },
		"variables of other people": func(s *server) {
			s.env = []string{"dev=true", "Dev=1", "LATCHKEY_DEV=1", "DEBUG=1", "GO_ENV=development"}
		},
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			s := newServer(t)
			copyFolder(t, "../views", s.dir+"/views") // what --dev would need
			copyFolder(t, "../public", s.dir+"/public")
			s.args = []string{}
			set(s)
			s.start()
			owner := s.clientFrom(s.nextNetwork())
			owner.signUp("Ada", password).expect(http.StatusSeeOther)
			if _, plain := owner.cookies[devSessionCookie]; plain {
				t.Error("the cookie is that of --dev")
			}
			login := s.client().get("/login").hides("--dev")
			login.mustNeedPassword(true)
			if strings.Contains(login.body, "/dev/") {
				t.Error("the page has a script of --dev")
			}
			for i, form := range []url.Values{
				{"name": {"Ada"}}, {"name": {"Ada"}, "password": {""}}, {"name": {"Ada"}, "password": {" "}},
				{"name": {"Ada"}, "dev": {"true"}, "Dev": {"1"}, "--dev": {""}}, {"name": {"Ada"}, "password": {"\x00"}},
				{"name": {"Bob"}}, {"name": {"Bob"}, "password": {""}}, {"name": {""}}, {},
			} {
				c := s.clientFrom(s.nextNetwork())
				c.header = map[string]string{"X-Dev": "true", "X-Forwarded-For": "127.0.0.1", "X-Forwarded-Host": "localhost"}
				p := c.post([]string{"/login", "/login?dev=true", "/login?password=" + url.QueryEscape(password)}[i%3], form)
				if form.Has("dev") { // fields that there are not
					p.expect(http.StatusBadRequest)
				} else {
					p.expect(http.StatusUnauthorized)
				}
				if c.session() != "" || len(p.header.Values("Set-Cookie")) > 0 {
					t.Errorf("%v logged in", form)
				}
				c.mustBeNobody()
			}
			// None of these made Bob.
			s.clientFrom(s.nextNetwork()).signUp("Bob", password).expect(http.StatusSeeOther)
			// The other forms need it, too.
			owner.changePassword("", another).expect(http.StatusUnauthorized)
			owner.deleteAccount("").expect(http.StatusUnauthorized)
			owner.mustBe("Ada")
		})
	}
}

// ASVS 6.3.4: an account that --dev made without a password lets nobody in once the file serves the public.
func TestDevAccountsAreClosedInPublic(t *testing.T) {
	t.Parallel()
	dev := newDevServer(t)
	dev.start()
	dev.login("Ada")
	dev.stop()
	s := newServer(t)
	s.database = dev.database
	s.start()
	for _, guess := range []string{"", " ", password} {
		c := s.client()
		c.tryLogin("Ada", guess).expect(http.StatusUnauthorized)
		c.mustBeNobody()
	}
}
