package web

import (
	"html"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"
)

// stale is longer ago than the 15 minutes that a re-authentication lasts, and not longer than
// a session.
const stale = -16 * time.Minute

var hiddenFields = regexp.MustCompile(`<input type="hidden" name="([^"]*)" value="([^"]*)">`)

// ASVS 7.5.1: what matters asks for the password when it was last typed long ago, and
// nothing is done before it is given.
func TestStaleAuthentication(t *testing.T) {
	w := newWorld(t)
	w.logInAt("administrator", time.Now().Add(stale))
	before := w.file()
	for _, path := range []string{"/account/sessions/end-others", "/admin/accounts/" + w.ids["owner"].String() + "/remove"} {
		page := w.post("administrator", path, "kept=a%22b&password=secret&old=secret&new=secret")
		if page.status != 401 || !strings.Contains(page.body, `action="`+path+`"`) || !strings.Contains(page.body, `name="reauthenticate"`) {
			t.Errorf("%s: %s", path, page)
		}
		// What was typed is kept, and passwords never.
		if !strings.Contains(page.body, `name="kept" value="a&#34;b"`) || strings.Contains(page.body, "secret") {
			t.Errorf("%s:\n%s", path, page.body)
		}
		for form, want := range map[string]int{"reauthenticate=": 401, "reauthenticate=wrong": 401, "reauthenticate=a&reauthenticate=b": 400} {
			if got := w.post("administrator", path, form); got.status != want || got.cookie != "" {
				t.Errorf("%s %s: %s", path, form, got)
			}
		}
	}
	for _, path := range []string{"/admin", "/admin?q=a&after=b", "/admin/accounts/" + w.ids["owner"].String()} {
		if got := w.get("administrator", path).String(); got != "303 /reauthenticate?next="+url.QueryEscape(path) {
			t.Errorf("%s: %s", path, got)
		}
	}
	// What does not matter as much asks for nothing.
	for _, path := range []string{
		"/",
		"/account",
		"/registrations",
	} {
		if got := w.get("administrator", path); got.status != 200 {
			t.Errorf("%s: %s", path, got)
		}
	}
	if w.file() != before {
		t.Error("something has changed")
	}
}

// A re-authentication lasts 15 minutes, neither much shorter nor longer.
func TestHowLongAReauthenticationLasts(t *testing.T) {
	w := newWorld(t)
	for ago, want := range map[time.Duration]struct {
		page, form string
		action     int
	}{
		14 * time.Minute: {"200", "303 /account", 303},
		16 * time.Minute: {"303 /reauthenticate?next=%2Fadmin", "200", 401},
	} {
		w.logInAt("administrator", time.Now().Add(-ago))
		page, form := w.get("administrator", "/admin").String(), w.get("administrator", "/reauthenticate").String()
		if page != want.page || form != want.form {
			t.Errorf("%s later the back office is %s and the form %s, want %s and %s", ago, page, form, want.page, want.form)
		}
		if got := w.post("administrator", "/account/sessions/end-others", ""); got.status != want.action {
			t.Errorf("%s later an action is %s, want %d", ago, got, want.action)
		}
	}
}

// The right password does what was to be done, under a new id; the old one is
// dead. ASVS 7.2.4
func TestReauthenticationGoesOn(t *testing.T) {
	w := newWorld(t)
	w.logInAt("administrator", time.Now().Add(stale))
	old := w.cookies["administrator"]
	path := "/admin/accounts/" + w.ids["owner"].String() + "/disable"
	page := w.post("administrator", path, "")
	form := url.Values{"reauthenticate": {password}}
	for _, f := range hiddenFields.FindAllStringSubmatch(page.body, -1) {
		form.Set(html.UnescapeString(f[1]), html.UnescapeString(f[2]))
	}
	got := w.post("administrator", path, form.Encode())
	if got.status != 303 || got.cookie == "" || got.cookie == old {
		t.Fatalf("%s, cookie %q", got, got.cookie)
	}
	a, err := w.accounts.Get(t.Context(), w.ids["owner"])
	w.must(err)
	if !a.Disabled {
		t.Error("nothing was done")
	}
	if got := w.get("administrator", "/account"); got.status != 303 {
		t.Errorf("the old id: %s", got)
	}
	w.cookies["administrator"] = got.cookie
	if got := w.get("administrator", "/admin"); got.status != 200 {
		t.Errorf("the new id asks again: %s", got)
	}
}

// The re-authentication before a page that was to be looked at leads to that page, and
// nowhere else.
func TestReauthenticationLeadsOn(t *testing.T) {
	for next, want := range map[string]string{"/admin?q=a": "/admin?q=a", "": "/account", "//evil.example": "/account", "https://evil.example/": "/account"} {
		w := newWorld(t)
		w.logInAt("administrator", time.Now().Add(stale))
		page := w.get("administrator", "/reauthenticate?next="+url.QueryEscape(next))
		if page.status != 200 || strings.Contains(page.body, "evil") {
			t.Errorf("%q: %s", next, page)
		}
		got := w.post("administrator", "/reauthenticate", url.Values{"next": {next}, "reauthenticate": {password}}.Encode())
		if got.String() != "303 "+want {
			t.Errorf("%q: %s, want %s", next, got, want)
		}
	}
}

// ASVS 7.5.2: sessions are seen and ended, one's own only.
func TestSessionsAreSeenAndEnded(t *testing.T) {
	w := newWorld(t)
	first := w.cookies["owner"]
	w.logIn("owner")
	second := w.cookies["owner"]
	w.logIn("owner")
	here := w.cookies["owner"]

	page := w.get("owner", "/account").body
	if n := strings.Count(page, "/end\"><button"); n != 3 || strings.Count(page, "this one") != 1 {
		t.Errorf("%d sessions:\n%s", n, page)
	}
	// The list holds no id, which would log somebody in.
	for _, cookie := range []string{first, second, here} {
		if _, id, _ := strings.Cut(cookie, "="); strings.Contains(page, id) {
			t.Error("an id is on the page")
		}
	}
	status := func(cookie string) int {
		w.cookies["owner"] = cookie
		defer func() { w.cookies["owner"] = here }()
		return w.get("owner", "/account").status
	}
	w.cookies["owner"] = first
	key := w.sessionKey("owner")
	w.cookies["owner"] = here
	if got := w.post("another", "/account/sessions/"+key+"/end", ""); got.status != 404 || status(first) != 200 {
		t.Errorf("another ends it: %s", got)
	}
	for _, bad := range []string{key + "00", key[:74], key[:75], strings.Repeat("f", 76), strings.Repeat("0", 1000), "%2e%2e", "zz"} {
		if got := w.post("owner", "/account/sessions/"+bad+"/end", ""); got.status != 404 || status(first) != 200 {
			t.Errorf("the key %.70s: %v", bad, got)
		}
	}
	if got := w.post("owner", "/account/sessions/"+key+"/end", ""); got.String() != "303 /account" {
		t.Errorf("%s", got)
	}
	if status(first) != 303 || status(second) != 200 || status(here) != 200 {
		t.Errorf("after one: %d %d %d", status(first), status(second), status(here))
	}
	if got := w.post("owner", "/account/sessions/end-others", ""); got.String() != "303 /account" {
		t.Errorf("%s", got)
	}
	if status(second) != 303 || status(here) != 200 {
		t.Errorf("after all others: %d %d", status(second), status(here))
	}
	if got := w.get("another", "/account"); got.status != 200 {
		t.Errorf("another: %s", got)
	}
}

func TestEventsAreSeen(t *testing.T) {
	w := newWorld(t)
	w.post("nobody", "/login", "name=owner&password=wrong")
	w.post("nobody", "/login", "name=another&password=wrong")
	w.post("owner", "/account/sessions/end-others", "")
	deadline := time.Now().Add(10 * time.Second)
	for {
		page := w.get("owner", "/account").body
		if strings.Contains(page, "Login: wrong password") && strings.Contains(page, "All other browsers logged out") {
			if strings.Count(page, "Login: wrong password") != 1 {
				t.Errorf("another's events:\n%s", page)
			}
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("they do not come:\n%s", page)
		}
	}
}

func TestBrowser(t *testing.T) {
	for agent, want := range map[string]string{
		"Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0":                                                                  "Firefox on Linux",
		"Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.5 Mobile/15E148 Safari/604.1": "Safari on iOS",
		"": "An unknown browser",
	} {
		if got := browser(agent); got != want {
			t.Errorf("%q is %q, want %q", agent, got, want)
		}
	}
	// Whatever is said comes out as text, and ends.
	for _, agent := range []string{"<script>", "\xff\xfe", strings.Repeat("Firefox/1 ", 1000), "\x00"} {
		if got := browser(agent); len(got) > 300 || strings.Contains(got, "\xff") {
			t.Errorf("%q", got)
		}
	}
}
