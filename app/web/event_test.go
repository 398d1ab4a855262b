package web

import (
	"net"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/valyala/fasthttp"

	"latchkey/app/sessions"
)

const firefox = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"

// postFrom posts as Firefox on Linux from that address.
func (w *world) postFrom(address, visitor, path, form string) *fasthttp.Response {
	w.t.Helper()
	var r fasthttp.Request
	r.Header.SetMethod("POST")
	r.SetRequestURI(path)
	r.Header.SetHost("example.com")
	r.Header.SetContentType("application/x-www-form-urlencoded")
	r.Header.SetUserAgent(firefox)
	if cookie := w.cookies[visitor]; cookie != "" {
		r.Header.Set("Cookie", cookie)
	}
	r.SetBodyString(form)
	var c fasthttp.RequestCtx
	c.Init(&r, &net.TCPAddr{IP: net.ParseIP(address), Port: 1}, nil)
	w.app.Server().Handler(&c)
	return &c.Response
}

var (
	eventLine = regexp.MustCompile(`<li[^>]*><span>([^<]*\n<small>[^<]*)</small></span></li>`)
	moment    = regexp.MustCompile(`\d{1,2} [A-Z][a-z]{2} \d{4}, \d\d:\d\d UTC`)
)

// eventLines waits until the visitor reads of n events, and returns the lines as
// they read them, the newest first.
func (w *world) eventLines(visitor string, n int) (lines []string) {
	w.t.Helper()
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		_, list, _ := strings.Cut(w.get(visitor, "/account").body, `id="events"`)
		lines = nil
		for _, line := range eventLine.FindAllStringSubmatch(list, -1) {
			lines = append(lines, line[1])
		}
		if len(lines) >= n {
			return lines
		}
		if time.Now().After(deadline) {
			w.t.Fatalf("%s reads of %d events, not %d: %q", visitor, len(lines), n, lines)
		}
	}
}

// The owner of an account reads of what an administrator did to it, and not who
// that was; and of whoever tried to delete it.
func TestOwnerReadsWhatOthersDid(t *testing.T) {
	w := newWorld(t)
	const address = "198.51.100.9"
	path := "/admin/accounts/" + w.ids["owner"].String()
	for _, step := range []struct {
		action string
		status int
	}{
		{"end-sessions", 303}, {"reset", 200}, {"disable", 303},
		{"reset", 422}, // of a disabled account: nothing came of it
		{"enable", 303},
	} {
		if got := w.postFrom(address, "administrator", path+"/"+step.action, ""); got.StatusCode() != step.status {
			t.Fatalf("%s: %d\n%s", step.action, got.StatusCode(), got.Body())
		}
	}
	w.logIn("owner")
	if got := w.postFrom("192.0.2.7", "owner", "/account/delete", "password=wrong"); got.StatusCode() != 401 {
		t.Fatalf("deletion: %d", got.StatusCode())
	}
	lines := w.eventLines("owner", 4)
	for i, line := range lines {
		lines[i] = moment.ReplaceAllString(line, "WHEN")
	}
	want := []string{
		"Deletion of the account: wrong password\n<small>WHEN, Firefox on Linux, 192.0.2.7",
		"Account disabled by the administration\n<small>WHEN",
		"Link for a new password made by the administration\n<small>WHEN",
		"All browsers logged out by the administration\n<small>WHEN",
	}
	if !slices.Equal(lines, want) {
		t.Errorf("the owner reads\n%q, want\n%q", lines, want)
	}
	if page := w.get("owner", "/account").body; strings.Contains(page, address) {
		t.Errorf("it tells where the administrator was:\n%s", page)
	}
	for _, other := range []string{"administrator", "another"} {
		if lines := w.eventLines(other, 0); len(lines) > 0 {
			t.Errorf("%s reads %q", other, lines)
		}
	}
	// The log tells who it was.
	if events := w.events("back office"); len(events) != 5 || field(events[0], "by.name") != "administrator" || field(events[0], "ip") != address {
		t.Errorf("the log: %v", events)
	}
}

// The page says of a login from which browser and address it was, when, and when
// the session was last seen.
func TestLoginIsSeen(t *testing.T) {
	w := newWorld(t)
	w.must(w.db.Sessions().EndAll(t.Context(), sessions.Account(w.ids["owner"])))
	const address, shown = "192.0.2.7", "2 Jan 2006, 15:04"
	before := time.Now().Truncate(time.Millisecond)
	got := w.postFrom(address, "nobody", "/login", "name=owner&password="+url.QueryEscape(password))
	cookie, _, _ := strings.Cut(string(got.Header.PeekCookie("__Host-session")), ";")
	if got.StatusCode() != 303 || cookie == "" {
		t.Fatalf("%d, cookie %q", got.StatusCode(), cookie)
	}
	after := time.Now()
	_, id, _ := strings.Cut(cookie, "=")
	seen := stored(after.Add(5 * time.Minute))
	w.db.Sessions().Renew(t.Context(), sessions.KeyOf(id), seen)
	w.cookies["owner"] = cookie

	event := w.eventLines("owner", 1)
	session := w.sessionLines("owner", "/account")
	for deadline := time.Now().Add(10 * time.Second); len(session) == 1 && !strings.Contains(session[0], "seen "+seen.UTC().Format(shown)) && time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		session = w.sessionLines("owner", "/account")
	}
	// The minute may have turned meanwhile.
	var wantEvents, wantSessions []string
	for _, at := range []time.Time{before, after} {
		began := at.UTC().Format(shown)
		wantEvents = append(wantEvents, "Login\n<small>"+began+" UTC, Firefox on Linux, "+address)
		wantSessions = append(wantSessions, "Firefox on Linux\n<small>"+address+", since "+began+", last seen "+seen.UTC().Format(shown)+" UTC")
	}
	if len(event) != 1 || !slices.Contains(wantEvents, event[0]) {
		t.Errorf("the event is %q, want %q", event, wantEvents[0])
	}
	if len(session) != 1 || !slices.Contains(wantSessions, session[0]) {
		t.Errorf("the session is %q, want %q", session, wantSessions[0])
	}
}
