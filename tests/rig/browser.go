package rig

import (
	"bytes"
	"fmt"
	"html"
	"regexp"
	"slices"
	"time"

	"github.com/valyala/fasthttp"
)

// Line is a connection pool to one server process. Browsers share it. Open a
// new one after a restart.
type Line struct {
	client *fasthttp.HostClient
	cookie string // name of the session cookie
}

// Line returns a connection pool to the running process.
func (s *Server) Line() *Line {
	cookie := "__Host-session"
	if slices.Contains(s.Args, "--dev") {
		cookie = "session"
	}
	return &Line{cookie: cookie, client: &fasthttp.HostClient{
		Addr:                      s.addr,
		MaxConns:                  4096,
		MaxIdemponentCallAttempts: 1, // no retries: a failed request is the test's concern
		RetryIfErr:                func(*fasthttp.Request, int, error) (bool, bool) { return false, false },
		ReadTimeout:               20 * time.Second,
		WriteTimeout:              20 * time.Second,
	}}
}

// HangUp closes idle connections.
func (l *Line) HangUp() { l.client.CloseIdleConnections() }

// Browser is a visitor's browser with at most one session. It is not safe for
// concurrent use.
type Browser struct {
	Line   *Line
	Cookie string // value of the session cookie
}

// Answer is a response.
type Answer struct {
	Status     int
	Location   string
	RetryAfter string
	Body       []byte
}

// Get requests a page.
func (b *Browser) Get(path string) (Answer, error) { return b.do(fasthttp.MethodGet, path, "") }

// Post sends an encoded form.
func (b *Browser) Post(path, form string) (Answer, error) {
	return b.do(fasthttp.MethodPost, path, form)
}

// do sends one request. After an error, the server may have executed it or not.
func (b *Browser) do(method, path, form string) (a Answer, err error) {
	request, response := fasthttp.AcquireRequest(), fasthttp.AcquireResponse()
	defer fasthttp.ReleaseRequest(request)
	defer fasthttp.ReleaseResponse(response)
	request.Header.SetHost(b.Line.client.Addr)
	request.Header.SetMethod(method)
	request.Header.SetUserAgent("Mozilla/5.0 (X11; Linux x86_64) rig")
	request.SetRequestURI(path)
	if b.Cookie != "" {
		request.Header.SetCookie(b.Line.cookie, b.Cookie)
	}
	if method == fasthttp.MethodPost {
		request.Header.SetContentType("application/x-www-form-urlencoded")
		request.SetBodyString(form)
	}
	if err := b.Line.client.Do(request, response); err != nil {
		return Answer{}, err
	}
	var cookie fasthttp.Cookie
	for key, value := range response.Header.Cookies() {
		if string(key) == b.Line.cookie && cookie.ParseBytes(value) == nil {
			b.Cookie = string(cookie.Value())
		}
	}
	return Answer{
		Status:     response.StatusCode(),
		Location:   string(response.Header.Peek("Location")),
		RetryAfter: string(response.Header.Peek("Retry-After")),
		Body:       bytes.Clone(response.Body()),
	}, nil
}

var pageOf = regexp.MustCompile(`(?s)<body(?: data-account="([^"]*)")?>.*</html>\s*$`)

// Who returns the name of the account that a page was made for, or "" if it is
// anonymous. It returns an error unless the page is complete.
func (a Answer) Who() (string, error) {
	found := pageOf.FindSubmatch(a.Body)
	if a.Status != fasthttp.StatusOK || found == nil {
		return "", fmt.Errorf("not a page: status %d: %.2000s", a.Status, a.Body)
	}
	return html.UnescapeString(string(found[1])), nil
}
