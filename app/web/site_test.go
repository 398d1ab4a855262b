package web

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"html"
	"io"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gofiber/fiber/v2"

	"latchkey/app/accounts"
	"latchkey/app/bolt"
	"latchkey/app/sessions"
	"latchkey/config"
)

// testSite is a whole site that listens on a port of its own, with its sessions
// in a real file.
type testSite struct {
	*Site
	t       testing.TB
	store   *faultyStore
	log     *logLines
	addr    string
	cookie  string        // name of the session's cookie
	stopped chan struct{} // closed when Serve has returned
	began   chan struct{} // gets a value when /test/slow has begun
	goOn    chan struct{} // lets it end
}

// newTestSite starts a site with the settings that args make.
func newTestSite(t testing.TB, args ...string) *testSite {
	t.Helper()
	command, err := config.Parse(args, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	settings := command.Settings
	db, err := bolt.Open(filepath.Join(t.TempDir(), "latchkey.db"), bolt.Options{Limits: sessions.Limits{Idle: settings.SessionIdle, Lifetime: settings.SessionLifetime}})
	if err != nil {
		t.Fatal(err)
	}
	s := &testSite{
		t: t, store: &faultyStore{Store: db.Sessions()}, log: &logLines{}, cookie: "__Host-session",
		stopped: make(chan struct{}), began: make(chan struct{}), goOn: make(chan struct{}),
	}
	people, err := accounts.New(t.Context(), db.Accounts(), accounts.Settings{
		Title:   settings.Title,
		Cost:    accounts.Cost{Memory: 64, Passes: 1, Lanes: 1},
		SignUps: 3600,
		Dev:     settings.Dev,
	}, nil)
	if err != nil {
		t.Fatal(err)
	}
	options := Options{Settings: settings, Accounts: people, Events: db.Events(), Sessions: s.store, Log: slog.New(slog.NewJSONHandler(s.log, nil))}
	options.Registrations = db.Registrations()
	if settings.Dev {
		options.Disk = copyDisk(t)
		s.cookie = "session"
	}
	if s.Site, err = New(options); err != nil {
		t.Fatal(err)
	}
	// Routes of tests, for what no route of ours does.
	for path, serve := range map[string]handler{
		"/test/panic":  func(c *fiber.Ctx, _ Visitor) error { c.WriteString("half a page"); panic("secret detail\nforged") },
		"/test/nil":    func(c *fiber.Ctx, _ Visitor) error { var v *Visitor; return c.SendString(v.Name) },
		"/test/ended":  func(*fiber.Ctx, Visitor) error { return sessions.ErrEnded },
		"/test/slow":   func(c *fiber.Ctx, _ Visitor) error { s.began <- struct{}{}; <-s.goOn; return c.SendString("done") },
		"/test/teapot": func(*fiber.Ctx, Visitor) error { return fiber.NewError(418, "secret detail") },
	} {
		s.app.Get(path, func(c *fiber.Ctx) error { return s.admit(c, handle("GET", path, anyone, serve)) })
	}
	s.app.Handler() // builds the tree of routes anew

	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s.addr = ln.Addr().String()
	go func() {
		defer close(s.stopped)
		if err := s.Serve(ln); err != nil {
			t.Error(err)
		}
	}()
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		if err := s.Shutdown(ctx); err != nil {
			t.Error(err)
		}
		<-s.stopped
		db.Close()
	})
	s.send(request{to: "GET /robots.txt"}) // now Serve has begun
	s.log.take()
	return s
}

// copyDisk goes to a folder with a copy of views/ and public/, to edit.
func copyDisk(t testing.TB) fs.FS {
	t.Helper()
	folder := t.TempDir()
	for _, name := range []string{"views", "public"} {
		if err := os.CopyFS(filepath.Join(folder, name), os.DirFS(filepath.Join("../..", name))); err != nil {
			t.Fatal(err)
		}
	}
	t.Chdir(folder)
	return os.DirFS(".")
}

// faultyStore is the real store until it is given a fault.
type faultyStore struct {
	sessions.Store
	fault atomic.Pointer[error] // what everything returns
	begin atomic.Pointer[error] // what Begin returns
	reads atomic.Int64          // how often a session was read
	noted atomic.Int64          // how often one was noted as seen
}

func (f *faultyStore) fail(err error)      { f.fault.Store(&err) }
func (f *faultyStore) failBegin(err error) { f.begin.Store(&err) }
func (f *faultyStore) repair()             { f.fault.Store(nil); f.begin.Store(nil) }

func (f *faultyStore) Read(ctx context.Context, k sessions.Key) (sessions.Session, error) {
	f.reads.Add(1)
	if err := f.fault.Load(); err != nil {
		return sessions.Session{}, *err
	}
	return f.Store.Read(ctx, k)
}

func (f *faultyStore) Renew(ctx context.Context, k sessions.Key, seen time.Time) {
	f.noted.Add(1)
	f.Store.Renew(ctx, k, seen)
}

func (f *faultyStore) Begin(ctx context.Context, k, replaces sessions.Key, s sessions.Session, data []byte) error {
	for _, fault := range []*error{f.fault.Load(), f.begin.Load()} {
		if fault != nil {
			return *fault
		}
	}
	return f.Store.Begin(ctx, k, replaces, s, data)
}

func (f *faultyStore) End(ctx context.Context, k sessions.Key) error {
	if err := f.fault.Load(); err != nil {
		return *err
	}
	return f.Store.End(ctx, k)
}

// logLines keeps what is logged.
type logLines struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *logLines) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(b)
}

// take returns what was logged since the last time.
func (l *logLines) take() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	defer l.text.Reset()
	return l.text.String()
}

// line is one line of the log.
type line struct {
	Level, Msg, Method, Path, IP, ID, Error string
	Status                                  int
}

// one returns the line of the only request since the last time.
func (s *testSite) one() line {
	s.t.Helper()
	text := s.log.take()
	lines := requestLines(s.t, text)
	if len(lines) != 1 {
		s.t.Errorf("the log has not one request:\n%s", text)
		return line{}
	}
	return lines[0]
}

// requestLines returns the lines of requests; the others tell what happened to
// accounts.
func requestLines(t testing.TB, text string) (found []line) {
	t.Helper()
	for each := range strings.Lines(text) {
		var l line
		if err := json.Unmarshal([]byte(each), &l); err != nil {
			t.Errorf("%v: %q", err, each)
		}
		if l.Msg == "request" {
			found = append(found, l)
		}
	}
	return found
}

// request is what a visitor sends: "METHOD path", and a form if there is one.
type request struct {
	to     string
	form   string
	id     string // of the session
	header map[string]string
}

type response struct {
	status int
	header http.Header
	body   string
	id     string // of the session that was set
}

// One transport for each test would keep its connections open after it.
var client = &http.Client{
	Transport:     &http.Transport{DisableKeepAlives: true, DisableCompression: true},
	CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	Timeout:       10 * time.Second,
}

func (s *testSite) open(r request) *http.Response {
	s.t.Helper()
	method, path, _ := strings.Cut(r.to, " ")
	req, err := http.NewRequest(method, "http://"+s.addr+path, strings.NewReader(r.form))
	if err != nil {
		s.t.Fatal(err)
	}
	if method == "POST" {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	if r.id != "" {
		req.Header.Set("Cookie", s.cookie+"="+r.id)
	}
	for name, value := range r.header {
		req.Header.Set(name, value)
		if name == "Host" {
			req.Host = value
		}
	}
	got, err := client.Do(req)
	if err != nil {
		s.t.Fatal(err)
	}
	return got
}

func (s *testSite) send(r request) response {
	s.t.Helper()
	return s.read(s.open(r))
}

func (s *testSite) read(got *http.Response) response {
	s.t.Helper()
	defer got.Body.Close()
	body, err := io.ReadAll(got.Body)
	if err != nil {
		s.t.Fatal(err)
	}
	answer := response{status: got.StatusCode, header: got.Header, body: string(body)}
	for _, c := range got.Cookies() {
		switch strings.TrimPrefix(c.Name, "__Host-") {
		case "session":
			answer.id = c.Value
		case "known", "flash":
		default:
			s.t.Errorf("the cookie %s is set", c.Name)
		}
	}
	return answer
}

const password = "seven quiet lamps over harbour"

// credentials is the form that signs a name up, or logs it in.
func credentials(name string) string {
	return url.Values{"name": {name}, "password": {password}}.Encode()
}

// signUp makes an account unless it is there.
func (s *testSite) signUp(name string) {
	s.t.Helper()
	if _, err := s.accounts.SignUp(s.t.Context(), name, password, netip.Addr{}); err != nil && !errors.Is(err, accounts.ErrTaken) {
		s.t.Fatal(err)
	}
}

// login returns the id of a new session of the account, which is made if it is
// not there.
func (s *testSite) login(name string) string {
	s.t.Helper()
	s.signUp(name)
	got := s.send(request{to: "POST /login", form: credentials(name)})
	if got.status != 303 || got.id == "" {
		s.t.Fatalf("login: %d", got.status)
	}
	s.log.take()
	return got.id
}

// marked returns who the marker of a page says is logged in, or "".
func marked(body string) string {
	_, rest, found := strings.Cut(body, `<body data-account="`)
	name, _, _ := strings.Cut(rest, `"`)
	if !found {
		return ""
	}
	return html.UnescapeString(name)
}

// loggedInAs wants the start page to say who is logged in with that session: "" for
// nobody.
func (s *testSite) loggedInAs(id, want string) {
	s.t.Helper()
	if got := s.send(request{to: "GET /", id: id}); got.status != 200 || marked(got.body) != want {
		s.t.Errorf("the start page is %d and for %q, want %q:\n%s", got.status, marked(got.body), want, got.body)
	}
}

// says tells what the start page says to the visitor with that session.
func (s *testSite) says(id, want string) {
	s.t.Helper()
	if got := s.send(request{to: "GET /", id: id}); got.status != 200 || !strings.Contains(got.body, want) {
		s.t.Errorf("the start page is %d and does not say %q:\n%s", got.status, want, got.body)
	}
}

// Every kind of answer has the headers: pages, redirects, files, and what
// Fiber refuses before any route. ASVS 3.4.1, 3.4.2, 3.4.3, 3.4.4, 3.4.5, 3.4.6, 3.4.8, 13.4.6, 14.3.2
func TestSecurityHeaders(t *testing.T) {
	for _, origin := range []string{"http://localhost:3000", "https://example.com"} {
		s := newTestSite(t, "--origin", origin)
		id := s.login("Ann")
		check := func(what string, status int, got response) {
			t.Helper()
			if got.status != status {
				t.Errorf("%s: %d, want %d\n%s", what, got.status, status, got.body)
			}
			hsts := ""
			if strings.HasPrefix(origin, "https") {
				hsts = "max-age=63072000; includeSubDomains"
			}
			for name, want := range map[string]string{
				"Content-Security-Policy":      "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'",
				"Cross-Origin-Opener-Policy":   "same-origin",
				"Cross-Origin-Resource-Policy": "same-origin",
				"Referrer-Policy":              "same-origin",
				"X-Content-Type-Options":       "nosniff",
				"Strict-Transport-Security":    hsts,
			} {
				if values := got.header.Values(name); strings.Join(values, "|") != want {
					t.Errorf("%s: %s is %q, want %q", what, name, values, want)
				}
			}
			if got.header.Get("Permissions-Policy") == "" {
				t.Errorf("%s: no Permissions-Policy", what)
			}
			public := strings.Contains(what, "/public/") || strings.Contains(what, "robots")
			if cache := got.header.Get("Cache-Control"); (cache == "no-store") == public {
				t.Errorf("%s: Cache-Control is %q", what, cache)
			}
			if got.body != "" && !strings.Contains(got.header.Get("Content-Type"), "charset=utf-8") {
				t.Errorf("%s: Content-Type is %q", what, got.header.Get("Content-Type"))
			}
			for name := range got.header {
				if name == "Server" || name == "X-Powered-By" || strings.HasPrefix(name, "Access-Control-") {
					t.Errorf("%s: %s is sent", what, name)
				}
			}
		}
		style := "GET " + s.files(t).URL("site.css")
		foreign := map[string]string{"Sec-Fetch-Site": "cross-site"}
		for _, test := range []struct {
			request
			status int
		}{
			{request{to: "GET /"}, 200},
			{request{to: "HEAD /"}, 200},
			{request{to: "GET /", id: id}, 200},
			{request{to: "GET /", header: map[string]string{"Origin": "https://evil.example"}}, 200},
			{request{to: "GET /login"}, 200},
			{request{to: "GET /login", id: id}, 303},
			{request{to: "GET /logout"}, 200},
			{request{to: style}, 200},
			{request{to: "GET /robots.txt"}, 200},
			{request{to: "GET /nothing"}, 404},
			{request{to: "GET /public"}, 404},
			{request{to: "DELETE /"}, 405},
			{request{to: "OPTIONS /"}, 405},
			{request{to: "PROPFIND /"}, 405},
			{request{to: "POST /login", form: "name="}, 401},
			{request{to: "POST /signup", form: "name="}, 422},
			{request{to: "GET /signup"}, 200},
			{request{to: "GET /account"}, 303},
			{request{to: "GET /account", id: id}, 200},
			{request{to: "POST /account/password"}, 401},
			{request{to: "POST /account/password", id: id}, 422},
			{request{to: "POST /account/delete", id: id}, 401},
			{request{to: "POST /login", form: "name=a&name=b"}, 400},
			{request{to: "POST /login", form: credentials("Ann")}, 303},
			{request{to: "POST /login", form: credentials("Ann"), header: foreign}, 403},
			{request{to: "POST /login", form: "name=" + strings.Repeat("x", 64<<10)}, 413},
			{request{to: "GET /test/panic"}, 500},
			{request{to: "GET /test/ended"}, 401},
		} {
			check(test.to, test.status, s.send(test.request))
		}
		// What Go's client would not send.
		for raw, status := range map[string]int{
			headersOf(headerLimit):                    200,
			headersOf(headerLimit + 1):                431,
			headersOf(20 << 10):                       431,
			"GET / HTTP/1.1\r\nno colon here\r\n\r\n": 400,
			"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab":                400,
			"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 9999999\r\nContent-Type: text/plain\r\n\r\nsome": 413,
		} {
			check(raw[:min(len(raw), 40)], status, s.raw(raw))
		}
	}
}

// headersOf returns a request of so many bytes.
func headersOf(size int) string {
	const begin, end = "GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\nX: ", "\r\n\r\n"
	return begin + strings.Repeat("x", size-len(begin)-len(end)) + end
}

func (s *testSite) files(t testing.TB) interface{ URL(string) string } {
	t.Helper()
	files, err := s.public()
	if err != nil {
		t.Fatal(err)
	}
	return files
}

// raw sends bytes as they are.
func (s *testSite) raw(text string) response {
	s.t.Helper()
	conn, err := net.Dial("tcp", s.addr)
	if err != nil {
		s.t.Fatal(err)
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(10 * time.Second))
	go io.WriteString(conn, text)
	got, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		s.t.Fatalf("%.60q: %v", text, err)
	}
	return s.read(got)
}

func TestNewRefuses(t *testing.T) {
	good, err := config.Parse(nil, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	proxies, origin, dev := good, good, good
	proxies.TrustedProxies = []string{"x"}
	origin.Origin = "nonsense"
	dev.Dev = true
	for says, settings := range map[string]config.Settings{"x": proxies.Settings, "--origin": origin.Settings, "--dev": dev.Settings} {
		o := Options{Settings: settings, Log: slog.New(slog.DiscardHandler), Disk: os.DirFS(t.TempDir())}
		if site, err := New(o); err == nil || !strings.Contains(err.Error(), says) || strings.Contains(err.Error(), "\n") || site != nil {
			t.Errorf("%v, %v", site, err)
		}
	}
}

// Requests in hand are finished; new ones find nobody.
func TestShutdownFinishesWhatIsInHand(t *testing.T) {
	s := newTestSite(t)
	answer := make(chan response, 1)
	go func() { answer <- s.send(request{to: "GET /test/slow"}) }()
	<-s.began
	down := make(chan error, 1)
	go func() { down <- s.Shutdown(t.Context()) }()
	<-s.stopped // it accepts no more
	select {
	case err := <-down:
		t.Errorf("shut down with a request in hand: %v", err)
	default:
	}
	close(s.goOn)
	if got := <-answer; got.status != 200 || got.body != "done" {
		t.Errorf("%d %q", got.status, got.body)
	}
	if err := <-down; err != nil {
		t.Error(err)
	}
	if conn, err := net.Dial("tcp", s.addr); err == nil {
		conn.Close()
		t.Error("the port is still open")
	}
}
