package web

import (
	"net/url"
	"strings"
	"sync"
	"testing"

	"github.com/gofiber/fiber/v2"
	"github.com/valyala/fasthttp"
)

// ctx is a request that came over no connection.
func (s *testSite) ctx() (c *fiber.Ctx, release func()) {
	c = s.app.AcquireCtx(&fasthttp.RequestCtx{})
	return c, func() { s.app.ReleaseCtx(c) }
}

// One line for each request, and one for what happened to an account, whatever it holds, and no secret in it.
// ASVS 14.2.1, 16.2.5, 16.4.1
func TestLog(t *testing.T) {
	s := newTestSite(t)
	id := s.login("Ann")
	forged := url.QueryEscape("Eve\n{\"level\":\"ERROR\",\"msg\":\"forged\"}\r\n\x1b[31m")
	for _, test := range []struct {
		request
		status int
		path   string
	}{
		{request{to: "GET /?password=canary", id: id}, 200, "/"},
		{request{to: "GET /login?next=/canary", id: id}, 303, "/login"},
		{request{to: "POST /login?canary", form: credentials("Ann")}, 303, "/login"},
		{request{to: "POST /login", form: "name=canary&password=canary"}, 401, "/login"},
		{request{to: "POST /signup", form: "name=canary&password=canary"}, 422, "/signup"},
		{request{to: "POST /account/password", form: "old=canary&new=canary", id: id}, 422, "/account/password"},
		{request{to: "POST /account/delete", form: "password=canary", id: id}, 401, "/account/delete"},
		{request{to: "POST /login", form: "name=" + forged}, 401, "/login"},
		{request{to: "POST /signup", form: "name=" + forged}, 422, "/signup"},
		{request{to: "GET /x%0a%0d%7b%22level%22:%22ERROR%22%7d"}, 404, "/x%0a%0d%7b%22level%22:%22ERROR%22%7d"},
		{request{to: "GET /%1b%5b31m%e2%80%a8%ff"}, 404, ""},
		{request{to: "GET /", header: map[string]string{"X-Forwarded-For": "6.6.6.6", "User-Agent": "canary", "Referer": "http://canary/"}}, 200, "/"},
		{request{to: "PROPFIND /", id: id}, 405, "/"},
		{request{to: "POST /logout", id: id}, 303, "/logout"},
		{request{to: "GET /test/panic?canary"}, 500, "/test/panic"},
	} {
		got := s.send(test.request)
		text := s.log.take()
		lines := requestLines(t, text)
		if len(lines) != 1 {
			t.Errorf("%s: not one line: %q", test.to, text)
			continue
		}
		if l := lines[0]; l.Status != test.status || got.status != test.status || l.IP != "127.0.0.1" || (l.ID != "") != strings.Contains(got.body, "data-error") || test.path != "" && l.Path != test.path {
			t.Errorf("%s: %+v", test.to, l)
		}
		for _, r := range text {
			if r < ' ' && r != '\n' || r == 0x7f || r == '\u2028' {
				t.Errorf("%s: the raw character %U in %q", test.to, r, text)
			}
		}
		for _, no := range []string{"canary", id, "Eve", "Cookie", "6.6.6.6"} {
			if strings.Contains(text, no) {
				t.Errorf("%s: the log has %q: %s", test.to, no, text)
			}
		}
	}
}

func TestRequestIDsDiffer(t *testing.T) {
	ids := newRequestIDs()
	var mu sync.Mutex
	var wg sync.WaitGroup
	seen := map[string]bool{}
	for range 8 {
		wg.Go(func() {
			for range 500 {
				id := ids.next()
				mu.Lock()
				if seen[id] {
					t.Errorf("%s is given twice", id)
				}
				seen[id] = true
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	if a, b := newRequestIDs().next(), newRequestIDs().next(); a == b {
		t.Errorf("two runs begin with %s", a)
	}
}
