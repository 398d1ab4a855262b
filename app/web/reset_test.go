package web

import (
	"net/url"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"latchkey/app/accounts"
)

var linkShown = regexp.MustCompile(`<code>https://example\.com(/reset/[A-Za-z0-9_-]{43})</code>`)

// link has the administrator start a reset, and returns the path of its link.
func (w *world) link(of string) string {
	w.t.Helper()
	got := w.post("administrator", "/admin/accounts/"+w.ids[of].String()+"/reset", "")
	link := linkShown.FindStringSubmatch(got.body)
	if got.String() != "200" || link == nil {
		w.t.Fatalf("%s\n%s", got, got.body)
	}
	return link[1]
}

// ASVS 6.4.1, 6.4.6: the administrator hands over a link, used once, that
// chooses nothing. ASVS 14.2.1, 14.2.2: its secret is in one answer that nobody
// keeps.
func TestResetLink(t *testing.T) {
	w := newWorld(t)
	before := w.file()
	path := "/admin/accounts/" + w.ids["owner"].String() + "/reset"
	if got := w.post("administrator", path, "password=chosen+by+an+administrator"); got.status != 400 || w.file() != before {
		t.Errorf("an administrator chooses a password: %s", got)
	}
	got := w.post("administrator", path, "")
	first := linkShown.FindStringSubmatch(got.body)
	if first == nil || got.header.Get("Cache-Control") != "no-store" || got.header.Get("Location") != "" || len(got.header.Values("Set-Cookie")) != 0 {
		t.Fatalf("%s %v\n%s", got, got.header, got.body)
	}
	if w.file() == before {
		t.Error("nothing was begun")
	}
	if got := w.get("owner", "/account"); got.status != 200 {
		t.Errorf("the owner goes on until the link is used: %s", got)
	}
	second := w.link("owner")
	if got := w.get("nobody", first[1]); got.status != 404 {
		t.Errorf("the first link: %s", got)
	}
	if got := w.get("nobody", second); got.status != 200 {
		t.Errorf("the second link: %s", got)
	}
	content, err := os.ReadFile(w.db.Bolt().Path())
	w.must(err)
	if secret := strings.TrimPrefix(second, "/reset/"); strings.Contains(string(content), secret) {
		t.Error("the secret is in the file")
	}

	got = w.post("administrator", "/admin/accounts/"+w.ids["disabled"].String()+"/reset", "")
	if got.status != 422 || linkShown.MatchString(got.body) || !strings.Contains(got.body, "enable it first") {
		t.Errorf("of a disabled account: %s\n%s", got, got.body)
	}
}

func TestReset(t *testing.T) {
	w := newWorld(t)
	link := w.link("owner")
	const chosen = "seven quiet zebras walk on"

	// ASVS 3.5.3: mail scanners open links.
	before := w.file()
	for range 2 {
		page := w.get("nobody", link)
		if page.status != 200 || !strings.Contains(page.body, "<bdi>owner</bdi>") || page.cookie != "" || w.file() != before {
			t.Fatalf("%s\n%s", page, page.body)
		}
		if got := page.header.Get("Referrer-Policy"); got != "no-referrer" {
			t.Errorf("Referrer-Policy %q", got)
		}
		if strings.Contains(page.body, strings.TrimPrefix(link, "/reset/")) {
			t.Errorf("the page repeats the secret:\n%s", page.body)
		}
	}
	for form, want := range map[string]int{"": 422, "password=short": 422, "password=owner+owner+owner": 422, "password=a&password=b": 400} {
		got := w.post("nobody", link, form)
		if got.status != want || w.file() != before || got.cookie != "" || strings.Contains(got.body, "owner owner") {
			t.Errorf("%s: %s\n%s", form, got, got.body)
		}
	}
	// Somebody else who is logged in becomes the owner.
	got := w.post("another", link, "password="+url.QueryEscape(chosen)+"&name=another&id="+w.ids["another"].String())
	if got.status != 400 || w.file() != before {
		t.Fatalf("fields that nobody asked for: %s", got)
	}
	got = w.post("another", link, "password="+url.QueryEscape(chosen))
	if got.String() != "303 /" || got.cookie == "" {
		t.Fatalf("%s", got)
	}
	w.cookies["new"] = got.cookie
	if page := w.get("new", "/"); marked(page.body) != "owner" {
		t.Errorf("afterwards:\n%s", page.body)
	}
	if got := w.get("owner", "/account"); got.status == 200 {
		t.Error("the sessions from before go on")
	}
	if got := w.get("another", "/account"); got.status == 200 {
		t.Error("the session that was there goes on")
	}
	for name, want := range map[string]int{password: 401, chosen: 303} {
		if got := w.post("nobody", "/login", "name=owner&password="+url.QueryEscape(name)); got.status != want {
			t.Errorf("login with %q: %s", name, got)
		}
	}
	before = w.file()
	for _, got := range []answer{w.get("nobody", link), w.post("nobody", link, "password="+url.QueryEscape(chosen))} {
		if got.status != 404 || !strings.Contains(got.body, "used or is too old") || got.header.Get("Referrer-Policy") != "no-referrer" || w.file() != before {
			t.Errorf("used before: %s\n%s", got, got.body)
		}
	}
	outcomes := map[string]int{}
	for _, event := range w.events("password reset") {
		outcomes[field(event, "outcome")+" "+field(event, "account.name")]++
	}
	if outcomes["done owner"] != 1 || outcomes["refused owner"] != 3 || outcomes["refused "] != 1 {
		t.Errorf("the log: %v", outcomes)
	}
}

// ASVS 6.4.1: an hour.
func TestResetExpires(t *testing.T) {
	w := newWorld(t)
	link := w.link("owner")
	w.ahead.Store(int64(accounts.ResetFor - time.Minute))
	if got := w.get("nobody", link); got.status != 200 {
		t.Errorf("within the hour: %s", got)
	}
	w.ahead.Store(int64(accounts.ResetFor))
	before := w.file()
	for _, got := range []answer{w.get("nobody", link), w.post("nobody", link, "password="+url.QueryEscape(password))} {
		if got.status != 404 || !strings.Contains(got.body, "used or is too old") || w.file() != before {
			t.Errorf("after an hour: %s", got)
		}
	}
}

// ASVS 14.2.1, 16.2.5: however the link is used, or mistyped.
func TestResetSecretStaysOutOfTheLog(t *testing.T) {
	w := newWorld(t)
	link := w.link("owner")
	secret := strings.TrimPrefix(link, "/reset/")
	const chosen = "seven quiet zebras walk on"
	for _, try := range [][3]string{
		{"GET", link, ""}, {"HEAD", link, ""}, {"PUT", link, ""}, {"GET", link + "/", ""}, {"GET", link + "?" + secret, ""},
		{"GET", "/Reset/" + secret, ""}, {"GET", link + "/more", ""}, {"POST", link, "password=short"},
		{"POST", link, "password=" + url.QueryEscape(chosen)}, {"POST", link, "password=" + url.QueryEscape(chosen)}, {"GET", link, ""},
	} {
		got := w.send("another", try[0], try[1], try[2])
		if policy := got.header.Get("Referrer-Policy"); policy != "no-referrer" {
			t.Errorf("%s %s: Referrer-Policy %q", try[0], try[1], policy)
		}
	}
	if text := w.lines.String(); strings.Contains(text, secret) || strings.Contains(text, chosen) || !strings.Contains(text, `"/reset/:secret"`) {
		t.Errorf("the log:\n%s", text)
	}
}
