package tests

import (
	"net/http"
	"net/url"
	"testing"
)

// ASVS 3.7.2: a login leads to a path of this site or to the start page, whatever its next says. TestLocalPath
// in app/web has every way to write one.
func TestNextStaysHere(t *testing.T) {
	t.Parallel()
	s := newDevServer(t) // without passwords, each of which takes its time
	s.start()
	for _, test := range []struct{ next, to string }{
		{"/x?y=1&z=%2F", "/x?y=1&z=%2F"},
		{"", "/"},
		{"//evil.example", "/"},
		{"/\t/evil.example", "/"},
		{s.url() + "/x", "/"},
		{"/x\r\nSet-Cookie: made=up", "/"},
	} {
		t.Run(test.next, func(t *testing.T) {
			ways := map[string]func(*client) *page{
				"through the page": func(c *client) *page {
					return c.get("/login?next="+url.QueryEscape(test.next)).form("/login").fill("name", "Ada").submit()
				},
				"straight into the form": func(c *client) *page {
					return c.post("/login", url.Values{"name": {"Ada"}, "next": {test.next}})
				},
			}
			for way, login := range ways {
				c := s.client()
				c.t = t
				answer := login(c).expect(http.StatusSeeOther)
				to := answer.header.Values("Location")
				if len(to) != 1 || to[0] != test.to {
					t.Errorf("%s: leads to %q, not %q", way, to, test.to)
				}
				if n := len(answer.header.Values("Set-Cookie")); n != 2 { // and none that next has made
					t.Errorf("%s: cookies %d", way, n)
				}
			}
		})
	}
}

// Who is logged in already is sent on by the same rule, and a logout has no next at all.
func TestNextOfWhoIsLoggedIn(t *testing.T) {
	t.Parallel()
	c := start(t).login("Ada")
	for _, next := range []string{"//evil.example", "https://evil.example", `/\evil.example`, "/\t/evil.example"} {
		p := c.get("/login?next=" + url.QueryEscape(next)).expect(http.StatusSeeOther)
		if to := p.header.Get("Location"); to != "/" {
			t.Errorf("/login with next %q leads to %q", next, to)
		}
		p = c.post("/logout?next="+url.QueryEscape(next), url.Values{"next": {next}}).expect(http.StatusSeeOther)
		if to := p.header.Get("Location"); to != "/" {
			t.Errorf("/logout with next %q leads to %q", next, to)
		}
		c.login("Ada")
	}
}
