package web

import (
	"fmt"
	"html"
	"net"
	"net/url"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/valyala/fasthttp"

	"latchkey/app/sessions"
)

// hostileTexts are what a browser would never send, and a stranger may.
var hostileTexts = []string{
	"\x00", "owner\x00", "\x00owner", "owner\xff", "\xff\xfe", "\xed\xa0\x80", "\xc0\x80", "\xf4\x90\x80\x80", "é"[:1],
	"\u202eowner", "\x1b[31m", "a\r\nb", strings.Repeat("\x00", 300), strings.Repeat("\xff", 300), strings.Repeat("é", 5000)[1:], strings.Repeat("x", 10_000),
	strings.Repeat("x", 255) + "é", // cut at 256 bytes it would end in half a character
}

// sendAs sends a request as it is: no client of ours would encode it so.
func (w *world) sendAs(visitor, method, uri, form, agent, cookie string) *fasthttp.Response {
	w.t.Helper()
	var r fasthttp.Request
	r.Header.SetMethod(method)
	r.SetRequestURI(uri)
	r.Header.SetHost("example.com")
	r.Header.SetUserAgent(agent)
	if cookie == "" {
		cookie = w.cookies[visitor]
	}
	r.Header.Set("Cookie", cookie)
	if method == "POST" {
		r.Header.SetContentType("application/x-www-form-urlencoded")
		r.SetBodyString(form)
	}
	var c fasthttp.RequestCtx
	c.Init(&r, &net.TCPAddr{IP: net.ParseIP("192.0.2.7"), Port: 1}, nil)
	w.app.Server().Handler(&c)
	if body := c.Response.Body(); !utf8.Valid(body) || strings.Contains(string(body), "\x00") {
		w.t.Errorf("%s %.60q: the page is not valid text", method, uri)
	}
	return &c.Response
}

// Whatever strangers send, in whatever field, the stores get valid text without NUL:
// those of this world fail the test otherwise. Nothing of it is a fault, and nothing
// is written but events.
func TestStoresGetValidText(t *testing.T) {
	w := newWorld(t)
	w.must(w.accounts.SetDisabled(t.Context(), w.ids["disabled"], false))
	w.logIn("disabled")
	w.must(w.accounts.SetDisabled(t.Context(), w.ids["disabled"], true))
	registration := w.registration("owner", "Football")
	before := w.file()
	for _, text := range hostileTexts {
		raw, q := text, url.QueryEscape(text)
		for _, test := range []struct{ visitor, method, uri, form string }{
			{"nobody", "GET", "/?" + raw, ""},
			{"nobody", "GET", "/login?next=" + q, ""},
			{"nobody", "POST", "/login", "name=" + q + "&password=" + q + "&next=" + q},
			{"nobody", "POST", "/login", "name=" + raw + "&password=" + raw},
			{"nobody", "POST", "/login", "name=owner&password=" + q},
			{"nobody", "POST", "/signup", "name=" + q + "&password=" + url.QueryEscape(password)},
			{"nobody", "POST", "/signup", "name=somebody&password=" + q},
			{"nobody", "GET", "/reset/" + url.PathEscape(text), ""},
			{"nobody", "POST", "/reset/" + url.PathEscape(text), "password=" + q},
			{"owner", "POST", "/account/password", "old=" + q + "&new=" + q},
			{"owner", "POST", "/account/delete", "password=" + q},
			{"owner", "POST", "/account/sessions/" + url.PathEscape(text) + "/end", ""},
			{"owner", "POST", "/registrations", "sport=" + q},
			{"owner", "POST", "/registrations/" + url.PathEscape(text) + "/deregister", ""},
			{"another", "POST", "/registrations/" + registration.String() + "/deregister", "x=" + q},
			{"administrator", "GET", "/admin?q=" + q, ""},
			{"administrator", "GET", "/admin?after=" + q, ""},
			{"administrator", "GET", "/admin?q=o&after=" + q, ""},
			{"administrator", "GET", "/admin?q=" + q + "&after=" + q, ""},
			{"administrator", "GET", "/admin/accounts/" + url.PathEscape(text), ""},
			{"administrator", "GET", "/admin/accounts/" + w.ids["owner"].String() + "/" + url.PathEscape(text), ""},
			{"administrator", "POST", "/admin/accounts/" + w.ids["owner"].String() + "/" + url.PathEscape(text), ""},
		} {
			got := w.sendAs(test.visitor, test.method, test.uri, test.form, text, "")
			if status := got.StatusCode(); status < 200 || status >= 500 || string(got.Header.PeekCookie("__Host-session")) != "" {
				t.Errorf("%s %.60q by %s: %d, cookie %q\n%s", test.method, test.uri, test.visitor, status, got.Header.PeekCookie("__Host-session"), got.Body())
			}
		}
		for _, cookie := range []string{"__Host-session=" + text, "__Host-known=" + text, "__Host-flash=" + text, text} {
			for _, test := range []struct{ method, uri, form string }{{"GET", "/", ""}, {"POST", "/login", "name=owner&password=wrong"}, {"POST", "/logout", ""}} {
				if got := w.sendAs("nobody", test.method, test.uri, test.form, text, cookie); got.StatusCode() >= 500 {
					t.Errorf("%s %s with the cookie %.40q: %d\n%s", test.method, test.uri, cookie, got.StatusCode(), got.Body())
				}
			}
		}
	}
	if w.file() != before {
		t.Error("something was written")
	}
}

// A browser that says nonsense of itself may log in, and the list of sessions and
// the events show what can be shown of it.
func TestHostileAgentsLogIn(t *testing.T) {
	w := newWorld(t)
	w.must(w.db.Sessions().EndAll(t.Context(), sessions.Account(w.ids["owner"])))
	const words = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0 "
	for i, text := range hostileTexts {
		got := w.sendAs("nobody", "POST", "/login", "name=owner&password="+url.QueryEscape(password), words+text, "")
		cookie, _, _ := strings.Cut(string(got.Header.PeekCookie("__Host-session")), ";")
		if got.StatusCode() != 303 || cookie == "" {
			t.Fatalf("%.40q: %d\n%s", text, got.StatusCode(), got.Body())
		}
		// Back office and re-authentications come by the same way.
		w.cookies["owner"] = cookie
		if got := w.sendAs("owner", "POST", "/reauthenticate", "reauthenticate="+url.QueryEscape(password), words+text, ""); got.StatusCode() != 303 {
			t.Fatalf("%.40q: the re-authentication: %d\n%s", text, got.StatusCode(), got.Body())
		}
		list, err := w.db.Sessions().List(t.Context(), sessions.Account(w.ids["owner"]), 100)
		if err != nil || len(list) != i+1 {
			t.Fatalf("%d sessions, %v", len(list), err)
		}
		for _, s := range list {
			if !utf8.ValidString(s.Agent) || strings.Contains(s.Agent, "\x00") || !strings.HasPrefix(s.Agent, words) || len(s.Agent) > 256 {
				t.Errorf("kept %q", s.Agent)
			}
		}
	}
	for _, line := range w.sessionLines("owner", "/account") {
		if !strings.HasPrefix(html.UnescapeString(line), "Firefox on Linux") {
			t.Errorf("the list has %q", line)
		}
	}
	for _, line := range w.eventLines("owner", len(hostileTexts)) {
		if !strings.HasPrefix(line, "Login\n") && !strings.HasPrefix(line, "Password check\n") || !strings.Contains(line, "Firefox on Linux, 192.0.2.7") {
			t.Errorf("the owner reads %q", line)
		}
	}
}

// A search goes on from one page to the next for names of every script.
func TestSearchPagesOfAnyScript(t *testing.T) {
	w := newWorld(t)
	const n = 60
	for i := range n {
		_, err := w.accounts.Add(t.Context(), fmt.Sprintf("Żółw 山 %02d", i))
		w.must(err)
	}
	next, seen := "/admin?q="+url.QueryEscape("żółw"), 0
	for pages := 0; next != ""; pages++ {
		if pages > 2 {
			t.Fatal("there is no end")
		}
		body := w.get("administrator", next).body
		seen += strings.Count(body, "山")
		_, link, found := strings.Cut(body, `href="/admin?after=`)
		if next = ""; found {
			link, _, _ = strings.Cut(link, `"`)
			next = "/admin?after=" + html.UnescapeString(link)
		}
	}
	if seen < n {
		t.Errorf("%d of %d accounts are shown", seen, n)
	}
}
