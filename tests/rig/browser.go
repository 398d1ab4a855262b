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

// Line is the way to one process of a server. Browsers share it; it keeps their
// connections. After a restart there must be another.
type Line struct {
	client *fasthttp.HostClient
	cookie string // what the session's is called
}

// Line returns a line to the process that runs now.
func (s *Server) Line() *Line {
	cookie := "__Host-session"
	if slices.Contains(s.Args, "--dev") {
		cookie = "session"
	}
	return &Line{cookie: cookie, client: &fasthttp.HostClient{
		Addr:                      s.addr,
		MaxConns:                  4096,
		MaxIdemponentCallAttempts: 1, // what fails is for the test to see
		RetryIfErr:                func(*fasthttp.Request, int, error) (bool, bool) { return false, false },
		ReadTimeout:               20 * time.Second,
		WriteTimeout:              20 * time.Second,
	}}
}

// HangUp closes the connections that are not in use.
func (l *Line) HangUp() { l.client.CloseIdleConnections() }

// Browser is somebody's browser: it holds a session, or none. It belongs to one
// goroutine.
type Browser struct {
	Line   *Line
	Cookie string // the session's
}

// Answer is what came back.
type Answer struct {
	Status     int
	Location   string
	RetryAfter string
	Body       []byte
}

// Get asks for a page.
func (b *Browser) Get(path string) (Answer, error) { return b.do(fasthttp.MethodGet, path, "") }

// Post sends a form, encoded already.
func (b *Browser) Post(path, form string) (Answer, error) {
	return b.do(fasthttp.MethodPost, path, form)
}

// do sends one request. An error means that it is not known whether it was
// carried out.
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

var who = regexp.MustCompile(`(?s)<body(?: data-account="([^"]*)")?>.*</html>\s*$`)

// Who returns the name of the account that a page was made for, empty for nobody.
// Anything else than a whole page is an error.
func (a Answer) Who() (string, error) {
	found := who.FindSubmatch(a.Body)
	if a.Status != fasthttp.StatusOK || found == nil {
		return "", fmt.Errorf("not a page: status %d: %.2000s", a.Status, a.Body)
	}
	return html.UnescapeString(string(found[1])), nil
}
