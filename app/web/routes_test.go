package web

import (
	"fmt"
	"net/url"
	"slices"
	"strings"
	"testing"
)

// want is what a visitor gets from a route: nobody, and somebody logged in.
type want struct{ nobody, loggedIn int }

// table is the route table as it is meant. A route that is not in it fails.
var table = map[string]want{
	"GET /":                  {200, 200},
	"GET /signup":            {200, 303},
	"POST /signup":           {303, 303},
	"GET /login":             {200, 303},
	"POST /login":            {303, 303},
	"GET /logout":            {200, 200},
	"POST /logout":           {303, 303},
	"GET /account":           {303, 200},
	"POST /account/password": {401, 303},
	"POST /account/delete":   {401, 303},
	"GET /public/*":          {200, 200},
	"GET /robots.txt":        {200, 200},
}

// devTable is what --dev adds.
var devTable = map[string]want{
	"GET /dev/events":    {200, 200},
	"GET /dev/reload.js": {200, 200},
}

// ASVS 8.1.1, 8.2.1
func TestEveryRouteForEveryVisitor(t *testing.T) {
	for _, dev := range []bool{false, true} {
		t.Run(map[bool]string{false: "public", true: "dev"}[dev], func(t *testing.T) {
			var s *testSite
			var routes []route
			meant := map[string]want{}
			for key, w := range table {
				meant[key] = w
			}
			if dev {
				s = newTestSite(t, "--dev")
				routes = append(s.routes(), s.devRoutes()...)
				for key, w := range devTable {
					meant[key] = w
				}
			} else {
				s = newTestSite(t)
				routes = s.routes()
			}
			for i, r := range routes {
				key := r.method + " " + r.path
				w, ok := meant[key]
				if !ok {
					t.Errorf("%s is not in the table of this test", key)
					continue
				}
				delete(meant, key)
				to := strings.Replace(key, "/public/*", s.files(t).URL("site.css"), 1)
				for who, status := range map[string]int{"nobody": w.nobody, fmt.Sprint("Ann ", i): w.loggedIn} {
					req := request{to: to}
					if who != "nobody" {
						req.id = s.login(who)
					}
					switch key {
					case "POST /login":
						s.signUp("Bob")
						req.form = proof("Bob")
					case "POST /signup":
						req.form = proof("Cid")
					case "POST /account/password":
						req.form = url.Values{"old": {password}, "new": {"nine loud horns under bridge"}}.Encode()
					case "POST /account/delete":
						req.form = proof(who)
					}
					got := s.open(req) // and not all of it, for a stream has no end
					got.Body.Close()
					if got.StatusCode != status {
						t.Errorf("%s for %s: %d, want %d", key, who, got.StatusCode, status)
					}
					// A session is begun and ended by these alone.
					sets := r.method == "POST" && status == 303 && !(r.who == loggedOut && req.id != "")
					if len(got.Cookies()) > 0 != sets {
						t.Errorf("%s for %s sets the cookies %v", key, who, got.Cookies())
					}
				}
			}
			for key := range meant {
				t.Errorf("%s is in the table of this test, and there is no such route", key)
			}
			if !dev {
				for key := range devTable {
					if got := s.send(request{to: key}); got.status != 404 {
						t.Errorf("%s without --dev: %d", key, got.status)
					}
				}
			}
		})
	}
}

// ASVS 4.1.4
func TestOtherMethodsAreRefused(t *testing.T) {
	s := newTestSite(t)
	methods := []string{"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT", "PROPFIND"}
	for path, allowed := range map[string][]string{
		"/":                        {"GET", "HEAD"},
		"/login":                   {"GET", "HEAD", "POST"},
		"/logout":                  {"GET", "HEAD", "POST"},
		"/signup":                  {"GET", "HEAD", "POST"},
		"/account":                 {"GET", "HEAD"},
		"/account/password":        {"POST"},
		"/account/delete":          {"POST"},
		"/robots.txt":              {"GET", "HEAD"},
		s.files(t).URL("site.css"): {"GET", "HEAD"},
	} {
		for _, method := range methods {
			if slices.Contains(allowed, method) || method == "CONNECT" {
				continue // Go's client speaks CONNECT to proxies only
			}
			got := s.send(request{to: method + " " + path})
			if got.status != 405 {
				t.Errorf("%s %s: %d", method, path, got.status)
			}
			allow := strings.Split(strings.ReplaceAll(strings.Join(got.header.Values("Allow"), ","), " ", ""), ",")
			slices.Sort(allow)
			if !slices.Equal(allow, allowed) {
				t.Errorf("%s %s: Allow is %q, want %q", method, path, allow, allowed)
			}
		}
	}
}

// Addresses that only resemble one of ours are no pages.
func TestOtherAddressesAreNotFound(t *testing.T) {
	s := newTestSite(t)
	for _, path := range []string{
		"/LOGIN", "/login/", "/Login", "/index", "/index.html", "/views/index.html", "/public/", "/public/public.go", "/public/site.css",
		"/public/%2e%2e/go.mod", "/public/..%2fgo.mod", "/.git/config", "/data/latchkey.db", "/dev/events", "/debug/pprof/", "/metrics", "/robots.txt/", "/public/robots.txt",
	} {
		if got := s.send(request{to: "GET " + path}); got.status != 404 || !strings.Contains(got.body, "There is no such page.") {
			t.Errorf("%s: %d", path, got.status)
		}
	}
}

func TestHeadIsGetWithoutBody(t *testing.T) {
	s := newTestSite(t)
	id := s.login("Ann")
	for _, path := range []string{"/", "/signup", "/login", "/logout", "/account", "/robots.txt", "/nothing", s.files(t).URL("site.css")} {
		get, head := s.send(request{to: "GET " + path, id: id}), s.send(request{to: "HEAD " + path, id: id})
		if head.status != get.status || head.body != "" || get.status == 200 && head.header.Get("Content-Length") != get.header.Get("Content-Length") {
			t.Errorf("%s: GET %d, HEAD %d with %q of %s", path, get.status, head.status, head.body, get.header.Get("Content-Length"))
		}
	}
}

// A cookie that belongs to nobody is nobody, and a page for nobody sets none.
func TestVisitors(t *testing.T) {
	s := newTestSite(t)
	id := s.login("Ann & Bob")
	s.says(id, "You are logged in as Ann &amp; Bob.")
	for _, id := range []string{"", "x", strings.Repeat("A", 43), strings.Repeat("A", 8<<10), id + "A", id[:42], strings.ToLower(id)} {
		got := s.send(request{to: "GET /", id: id})
		if got.status != 200 || !strings.Contains(got.body, "You are not logged in.") || strings.Contains(got.body, "Ann") || got.header.Get("Set-Cookie") != "" {
			t.Errorf("%.50q: %d %s", id, got.status, got.body)
		}
	}
	out := s.send(request{to: "POST /logout", id: id})
	if out.header.Get("Location") != "/" || out.header.Get("Clear-Site-Data") != `"cache"` || out.header.Get("Set-Cookie") == "" {
		t.Errorf("%v", out.header)
	}
	s.says(id, "You are not logged in.")
}

func TestStaticFiles(t *testing.T) {
	s := newTestSite(t)
	style := s.files(t).URL("site.css")
	plain := s.send(request{to: "GET " + style})
	zipped := s.send(request{to: "GET " + style, header: map[string]string{"Accept-Encoding": "br, gzip"}})
	if plain.header.Get("Content-Encoding") != "" || zipped.header.Get("Content-Encoding") != "gzip" || len(zipped.body) >= len(plain.body) {
		t.Errorf("%v\n%v", plain.header, zipped.header)
	}
	for _, got := range []response{plain, zipped} {
		if got.header.Get("Cache-Control") != "public, max-age=31536000, immutable" || !strings.Contains(got.header.Get("Vary"), "Accept-Encoding") || got.header.Get("Content-Type") != "text/css; charset=utf-8" {
			t.Errorf("%v", got.header)
		}
	}
	// Its address changes with it, and that of robots.txt does not.
	if got := s.send(request{to: "GET /robots.txt"}); strings.Contains(got.header.Get("Cache-Control"), "immutable") {
		t.Errorf("%v", got.header)
	}
}
