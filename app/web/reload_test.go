package web

import (
	"bufio"
	"io"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// stream opens the event stream and reads its first event.
func (s *testSite) stream() (*bufio.Reader, io.Closer) {
	s.t.Helper()
	version, _ := s.reload.next()
	got := s.open(request{to: "GET /dev/events?version=" + version})
	if got.StatusCode != 200 || got.Header.Get("Content-Type") != "text/event-stream" {
		s.t.Fatalf("%d %v", got.StatusCode, got.Header)
	}
	r := bufio.NewReader(got.Body)
	if event := s.event(r); event != "retry: 100\n\n" {
		s.t.Errorf("it begins with %q", event)
	}
	return r, got.Body
}

// event reads up to an empty line, past what only keeps the stream alive.
func (s *testSite) event(r *bufio.Reader) string {
	s.t.Helper()
	var event string
	for {
		line, err := r.ReadString('\n')
		if err != nil {
			s.t.Fatal(err)
		}
		if event += line; line == "\n" && event != ":\n\n" {
			return event
		}
	}
}

func TestASaveIsToldAndShown(t *testing.T) {
	s := newTestSite(t, "--dev")
	r, body := s.stream()
	defer body.Close()
	for name, text := range map[string]string{"views/index.html": "<p>edited</p>", "public/site.css": "b { color: red }", "views/new.html": "new"} {
		if err := os.WriteFile(filepath.FromSlash(name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if event := s.event(r); event != "event: saved\ndata:\n\n" {
			t.Errorf("%s: %q", name, event)
		}
	}
	s.says("", "<p>edited</p>")
	if got := s.send(request{to: "GET " + s.files(t).URL("site.css")}); got.body != "b { color: red }" {
		t.Errorf("%d %s", got.status, got.body)
	}

	// A broken view says what is wrong, and works again once repaired.
	for _, view := range []string{"index", "error", "layout"} {
		whole, err := os.ReadFile("views/" + view + ".html")
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile("views/"+view+".html", []byte("{{if}}"), 0o600); err != nil {
			t.Fatal(err)
		}
		got := s.send(request{to: "GET /"})
		if got.status != 500 || !strings.Contains(got.body, view) || got.header.Get("Content-Type") != "text/plain; charset=utf-8" {
			t.Errorf("%s: %d %v %s", view, got.status, got.header, got.body)
		}
		if err := os.WriteFile("views/"+view+".html", whole, 0o600); err != nil {
			t.Fatal(err)
		}
		s.says("", "<p>edited</p>")
	}
}

// A page that was loaded before a save, and listens after it, is told at once; so
// is one that another process made.
func TestAnOldPageIsToldAtOnce(t *testing.T) {
	s := newTestSite(t, "--dev")
	version, saved := s.reload.next()
	if page := s.send(request{to: "GET /"}).body; !strings.Contains(page, reloadURL+"?version="+version+`"`) {
		t.Errorf("the page does not name its version:\n%s", page)
	}
	if err := os.WriteFile("views/index.html", []byte("edited"), 0o600); err != nil {
		t.Fatal(err)
	}
	<-saved
	for _, old := range []string{version, "of another process", ""} {
		got := s.open(request{to: "GET /dev/events?version=" + url.QueryEscape(old)})
		r := bufio.NewReader(got.Body)
		if first, second := s.event(r), s.event(r); first != "retry: 100\n\n" || second != "event: saved\ndata:\n\n" {
			t.Errorf("%q: %q %q", old, first, second)
		}
		got.Body.Close()
	}
}

func TestStreamEndsAtShutdown(t *testing.T) {
	s := newTestSite(t, "--dev")
	var streams []*bufio.Reader
	for range 3 {
		r, body := s.stream()
		defer body.Close()
		streams = append(streams, r)
	}
	if err := s.Shutdown(t.Context()); err != nil {
		t.Error(err)
	}
	<-s.stopped
	for _, r := range streams {
		if rest, err := io.ReadAll(r); err != nil || strings.Contains(string(rest), "event") {
			t.Errorf("%q, %v", rest, err)
		}
	}
}

// The script of the dev server runs, and no other; without --dev none does.
func TestScriptPolicy(t *testing.T) {
	dev := newTestSite(t, "--dev")
	nonces := map[string]bool{}
	for range 3 {
		got := dev.send(request{to: "GET /"})
		_, rest, found := strings.Cut(got.header.Get("Content-Security-Policy"), "script-src 'nonce-")
		nonce, _, _ := strings.Cut(rest, "'")
		if !found || len(nonce) < 22 || nonces[nonce] || strings.Count(got.body, `nonce="`+nonce+`"`) != 1 || strings.Count(got.body, "<script") != 1 {
			t.Errorf("the nonce %q in\n%s", nonce, got.body)
		}
		nonces[nonce] = true
	}
	script := dev.send(request{to: "GET /dev/reload.js"})
	if script.header.Get("Content-Type") != "text/javascript; charset=utf-8" || !strings.Contains(script.body, `"/dev/events"`) || strings.Contains(script.body, "EVENTS") {
		t.Errorf("%v %s", script.header, script.body)
	}
	// The address and the nonce of the script stand in the layout too.
	if got := dev.send(request{to: "GET /"}); !strings.Contains(got.body, `src="`+reloadURL+`?version=`) {
		t.Errorf("the page does not load %s:\n%s", reloadURL, got.body)
	}
}

func TestNoScriptWithoutDev(t *testing.T) {
	s := newTestSite(t)
	for _, path := range []string{"/", "/login", "/logout", "/nothing"} {
		got := s.send(request{to: "GET " + path})
		if strings.Contains(got.body, "<script") || strings.Contains(got.header.Get("Content-Security-Policy"), "script-src") {
			t.Errorf("%s: %v\n%s", path, got.header, got.body)
		}
	}
}
