package tests

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"
)

// The cookies of a public server: who is logged in, which browser has logged in before, and what to say after a
// redirect. Under --dev the session's is plain.
const (
	sessionCookie    = "__Host-session"
	knownCookie      = "__Host-known"
	flashCookie      = "__Host-flash"
	devSessionCookie = "session"
)

// password is everybody's, unless a test is about passwords.
const password = "seven quiet lamps over harbour"

// client is one browser: it keeps cookies, follows the page's own forms and links, and says where it comes from.
//
// It keeps the Secure cookie though it speaks plain http, as browsers do for localhost. Go's own cookie jar does not.
// A client belongs to one goroutine.
type client struct {
	t       testing.TB
	server  *server
	cookies map[string]string
	secrets []string          // every session id and proof it ever had; none may appear in an answer's body
	network *http.Transport   // where it connects from
	header  map[string]string // what it sends with every request

	mayBeBusy bool // the test floods the server, so 503 is right
}

func (s *server) client() *client {
	return &client{t: s.t, server: s, cookies: map[string]string{}, network: s.transport}
}

// clientFrom gives a client at another address of this machine: 127.0.0.0/8 is all its own.
func (s *server) clientFrom(address string) *client {
	c := s.client()
	dialer := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(address)}, Timeout: patience}
	c.network = &http.Transport{DisableCompression: true, DisableKeepAlives: true, DialContext: dialer.DialContext}
	return c
}

// nextNetwork gives an address in a network (/24) that nobody has connected from yet. Sign-ups are limited for each
// network, and most tests need more of them than one network may have.
func (s *server) nextNetwork() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.networks++
	return fmt.Sprintf("127.1.%d.1", s.networks)
}

// signUp makes sure that there is an account of that name. Under --dev the login does.
func (s *server) signUp(name string) {
	s.t.Helper()
	s.mu.Lock()
	there := s.accounts[name]
	s.accounts[name] = true
	s.mu.Unlock()
	if !there && !s.dev() {
		s.clientFrom(s.nextNetwork()).signUp(name, password).expect(http.StatusSeeOther)
	}
}

// signUp signs up through the page and gives the answer to it, before its redirect.
func (c *client) signUp(name, password string) *page {
	c.t.Helper()
	return c.get("/signup").form("/signup").fill("name", name).fill("password", password).submit()
}

// tryLogin sends the login form and gives the answer to it.
func (c *client) tryLogin(name, password string) *page {
	c.t.Helper()
	return c.get("/login").form("/login").fill("name", name).fill("password", password).submit()
}

// login gives a client that has logged in. Every test that needs one comes here or to client.login.
func (s *server) login(name string) *client {
	s.t.Helper()
	c := s.client()
	c.login(name)
	return c
}

// login logs in through the page and gives the page it leads to. The account is made if need be.
func (c *client) login(name string) *page {
	c.t.Helper()
	c.server.signUp(name)
	return c.tryLogin(name, c.server.password()).expect(http.StatusSeeOther).follow().is(name)
}

// password is what logs in: nothing under --dev.
func (s *server) password() string {
	if s.dev() {
		return ""
	}
	return password
}

// proof is the form that logs a name in.
func (s *server) proof(name string) url.Values {
	return url.Values{"name": {name}, "password": {s.password()}}
}

// logout sends the form of the start page and gives the answer to it, before its redirect.
func (c *client) logout() *page {
	c.t.Helper()
	return c.get("/").form("/logout").submit().expect(http.StatusSeeOther)
}

func (c *client) mustBe(name string) {
	c.t.Helper()
	c.get("/").expect(http.StatusOK).is(name)
}

func (c *client) mustBeNobody() {
	c.t.Helper()
	c.get("/").expect(http.StatusOK).is("")
}

// session gives the id of the session, or "".
func (c *client) session() string {
	if c.server.dev() {
		return c.cookies[devSessionCookie]
	}
	return c.cookies[sessionCookie]
}

// copy gives another browser with the same cookies: a thief, or a browser that forgot to forget.
func (c *client) copy() *client {
	other := c.server.client()
	other.t, other.network = c.t, c.network
	for name, value := range c.cookies {
		other.cookies[name] = value
	}
	return other
}

func (s *server) dev() bool {
	for _, arg := range s.args {
		if arg == "--dev" {
			return true
		}
	}
	return false
}

// request is what a client sends. The zero header is that of a typed address.
type request struct {
	method, path string
	contentType  string
	body         string
	header       map[string]string // "" takes a header away
	reader       io.Reader         // instead of body: sent in chunks
}

func (c *client) get(path string) *page {
	c.t.Helper()
	return c.send(request{method: http.MethodGet, path: path})
}

// post sends a form as the site's own page would.
func (c *client) post(path string, form url.Values) *page {
	c.t.Helper()
	return c.send(request{
		method: http.MethodPost, path: path,
		contentType: "application/x-www-form-urlencoded", body: form.Encode(),
		header: c.sameOrigin(),
	})
}

func (c *client) sameOrigin() map[string]string {
	return map[string]string{"Origin": c.server.url(), "Sec-Fetch-Site": "same-origin"}
}

// send sends one request and gives the one answer to it; redirects are left to page.follow.
func (c *client) send(r request) *page {
	c.t.Helper()
	var body io.Reader = strings.NewReader(r.body)
	if r.reader != nil {
		body = r.reader
	} else if r.body == "" {
		body = nil
	}
	req, err := http.NewRequest(r.method, c.server.url()+r.path, body)
	if err != nil {
		c.t.Fatalf("%s %q: %v", r.method, r.path, err)
	}
	req.Header.Set("User-Agent", "Mozilla/5.0 (X11; Linux x86_64) latchkey-tests")
	req.Header.Set("Accept", "text/html,*/*;q=0.8")
	req.Header.Set("Sec-Fetch-Site", "none")
	req.Header.Set("Sec-Fetch-Mode", "navigate")
	req.Header.Set("Sec-Fetch-Dest", "document")
	if r.contentType != "" {
		req.Header.Set("Content-Type", r.contentType)
	}
	var cookies []string
	for name, value := range c.cookies {
		cookies = append(cookies, name+"="+value)
	}
	if len(cookies) > 0 {
		req.Header.Set("Cookie", strings.Join(cookies, "; "))
	}
	for name, value := range c.header {
		req.Header.Set(name, value)
	}
	for name, value := range r.header {
		if name == "Host" {
			req.Host = value
		} else if value == "" {
			req.Header.Del(name)
		} else {
			req.Header.Set(name, value)
		}
	}
	answer, err := (&http.Client{
		Transport:     c.network,
		Timeout:       patience,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}).Do(req)
	if err != nil {
		c.t.Fatalf("%s %q: %v", r.method, r.path, err)
	}
	defer answer.Body.Close()
	content, err := io.ReadAll(answer.Body)
	if err != nil {
		c.t.Fatalf("%s %q: body: %v", r.method, r.path, err)
	}
	p := &page{
		client: c, method: r.method, path: r.path,
		status: answer.StatusCode, header: answer.Header, body: string(content),
	}
	c.keep(answer.Cookies(), p)
	c.mustNotTell(p)
	return p
}

// keep takes the cookies of an answer, each of which must be one of ours and as safe as can be.
func (c *client) keep(cookies []*http.Cookie, p *page) {
	c.t.Helper()
	known := []string{sessionCookie, knownCookie, flashCookie}
	for _, cookie := range cookies {
		name := cookie.Name
		if c.server.dev() {
			name = "__Host-" + name
		}
		// ASVS 3.3.1, 3.3.2, 3.3.3, 3.3.4: on every answer of every test.
		if !slices.Contains(known, name) || !cookie.HttpOnly || cookie.Secure == c.server.dev() ||
			cookie.SameSite != http.SameSiteLaxMode || cookie.Path != "/" || cookie.Domain != "" {
			c.t.Errorf("%s: unsafe cookie %q", p, strings.ReplaceAll(cookie.Raw, cookie.Value, "…"))
		}
		if cookie.Value == "" || cookie.MaxAge < 0 || (!cookie.Expires.IsZero() && cookie.Expires.Before(time.Now())) {
			delete(c.cookies, cookie.Name)
			continue
		}
		c.cookies[cookie.Name] = cookie.Value
		if name != flashCookie {
			c.secrets = append(c.secrets, cookie.Value)
		}
	}
}

// mustNotTell fails the test if an answer's body holds what a cookie keeps secret, or if an answer is a fault of ours.
func (c *client) mustNotTell(p *page) {
	c.t.Helper()
	for _, secret := range c.secrets {
		if strings.Contains(p.body, secret) {
			c.t.Errorf("%s: the body holds a cookie", p)
		}
	}
	if p.status >= 500 && !(c.mayBeBusy && p.status == http.StatusServiceUnavailable) {
		c.t.Errorf("%s: status %d\n%s", p, p.status, p.body)
	}
}
