package tests

import (
	"net/http"
	"slices"
	"strings"
	"testing"
)

// ASVS 4.1.4: a route answers the methods it declares. The rest get 405 and the list. ASVS 13.4.4: TRACE is among them.
func TestMethods(t *testing.T) {
	t.Parallel()
	s := start(t)
	allowed := map[string][]string{
		"/":                 {"GET", "HEAD"},
		"/signup":           {"GET", "HEAD", "POST"},
		"/login":            {"GET", "HEAD", "POST"},
		"/logout":           {"GET", "HEAD", "POST"},
		"/account":          {"GET", "HEAD"},
		"/account/password": {"POST"},
		"/account/delete":   {"POST"},
	}
	for path, methods := range allowed {
		for _, method := range []string{"GET", "POST", "PUT", "DELETE", "PATCH", "TRACE", "OPTIONS"} {
			if slices.Contains(methods, method) {
				continue
			}
			t.Run(method+path, func(t *testing.T) {
				c := s.client()
				c.t = t
				p := c.send(request{method: method, path: path, header: map[string]string{"Origin": s.url(), "Sec-Fetch-Site": "same-origin", "X-Canary": "sung"}})
				if method == "OPTIONS" && (p.status == http.StatusNoContent || p.status == http.StatusOK) {
					// A list without a refusal is fine, a grant to other sites is not.
					if p.header.Get("Access-Control-Allow-Methods") != "" {
						t.Error("the answer grants methods to other sites")
					}
				} else {
					p.expect(http.StatusMethodNotAllowed)
				}
				var listed []string
				for _, m := range strings.Split(p.header.Get("Allow"), ",") {
					if m = strings.TrimSpace(m); m != "OPTIONS" {
						listed = append(listed, m)
					}
				}
				slices.Sort(listed)
				if !slices.Equal(listed, methods) {
					t.Errorf("Allow is %q, not %q", p.header.Get("Allow"), methods)
				}
				// TRACE would hand a script the cookie it cannot read.
				if strings.Contains(p.body, "sung") {
					t.Error("the answer echoes the request")
				}
			})
		}
	}
}

func TestMethodsNobodyKnows(t *testing.T) {
	t.Parallel()
	s := start(t)
	c := s.login("Ada")
	for _, method := range []string{"BREW", "get", "PROPFIND", "MOVE", "M-SEARCH", "CONNECT"} {
		for _, path := range []string{"/", "/login", "/no-such-page"} {
			p := c.send(request{method: method, path: path, header: c.sameOrigin()})
			if p.status != http.StatusMethodNotAllowed && p.status != http.StatusBadRequest && p.status != http.StatusNotFound {
				t.Errorf("%s: status %d", p, p.status)
			}
			c.mustBe("Ada")
		}
	}
}

func TestUnknownPathIsNotFoundInEveryMethod(t *testing.T) {
	t.Parallel()
	s := start(t)
	for _, method := range []string{"GET", "HEAD", "POST", "PUT", "DELETE"} {
		c := s.client()
		c.send(request{method: method, path: "/no-such-page", header: c.sameOrigin()}).expect(http.StatusNotFound)
	}
}

// HEAD answers as GET does, without the page.
func TestHead(t *testing.T) {
	t.Parallel()
	s := start(t)
	c := s.login("Ada")
	paths := []string{"/", "/signup", "/login", "/logout", "/account", "/no-such-page", "/robots.txt"}
	paths = append(paths, c.get("/").loads()...)
	for _, path := range paths {
		get, head := c.get(path), c.send(request{method: http.MethodHead, path: path})
		if head.body != "" {
			t.Errorf("%s has a body", head)
		}
		if head.status != get.status {
			t.Errorf("%s: status %d, with GET %d", head, head.status, get.status)
		}
		for name := range get.header {
			// A server may leave out the length of what it does not send.
			if name == "Date" || name == "Content-Length" && head.header.Get(name) == "" {
				continue
			}
			if head.header.Get(name) != get.header.Get(name) {
				t.Errorf("%s: %s is %q, with GET %q", head, name, head.header.Get(name), get.header.Get(name))
			}
		}
	}
	c.mustBe("Ada")
}
