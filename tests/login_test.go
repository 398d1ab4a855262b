package tests

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"golang.org/x/net/html"
)

// The sentences of the start page, its link and its button. No other test reads them: whoever writes others changes
// them here.
func TestSentencesOfTheStartPage(t *testing.T) {
	t.Parallel()
	c := start(t).client()
	p := c.get("/").shows("You are not logged in.").hides("You are logged in", "Log out")
	if !slices.ContainsFunc(all(p.html(), "a"), func(a *html.Node) bool { return textOf(a) == "Log in" && attribute(a, "href") == "/login" }) {
		t.Errorf("no link Log in: %s", p.text())
	}
	p = c.login("Ada").shows("You are logged in as Ada.").hides("You are not logged in", "Log in")
	if button := textOf(one(p.form("/logout").node, "button")); button != "Log out" {
		t.Errorf("the button says %q", button)
	}
}

func TestStartPageAsksNobodyToLogIn(t *testing.T) {
	t.Parallel()
	c := start(t).client()
	p := c.get("/").expect(http.StatusOK).is("")
	if to := p.link("/login"); to != "/login" {
		t.Errorf("the link leads to %q", to)
	}
	if p.leadsTo("/logout") {
		t.Error("nobody can log out")
	}
	if lang := attribute(one(p.html(), "html"), "lang"); lang != "en" {
		t.Errorf("lang %q", lang)
	}
	viewport := ""
	for _, meta := range all(p.html(), "meta") {
		if attribute(meta, "name") == "viewport" {
			viewport = attribute(meta, "content")
		}
	}
	if !strings.Contains(viewport, "width=device-width") || !strings.Contains(viewport, "initial-scale=1") {
		t.Errorf("viewport %q", viewport)
	}
	if !strings.HasPrefix(strings.ToLower(p.body), "<!doctype html>") {
		t.Error("the page is not HTML5")
	}
}

func TestLoginAndLogout(t *testing.T) {
	t.Parallel()
	s := start(t)
	c, other := s.client(), s.client()

	login := c.get("/login").expect(http.StatusOK)
	field := one(login.form("/login").node, "input")
	label := one(login.html(), "label")
	if id := attribute(field, "id"); id == "" || attribute(label, "for") != id {
		t.Errorf("the field %q has no label of its own", attribute(field, "name"))
	}
	if !slices.ContainsFunc(field.Attr, func(a html.Attribute) bool { return a.Key == "autofocus" }) {
		t.Error("the field is not focused")
	}

	home := c.login("Ada")
	if home.path != "/" {
		t.Errorf("the login led to %q", home.path)
	}
	c.mustBe("Ada")
	other.mustBeNobody()

	c.logout()
	c.mustBeNobody()
	if id := c.session(); id != "" {
		t.Error("the cookie stayed after the logout")
	}
}

func TestLoginPageSendsAwayWhoIsLoggedIn(t *testing.T) {
	t.Parallel()
	c := start(t).login("Ada")
	if to := c.get("/login").expect(http.StatusSeeOther).header.Get("Location"); to != "/" {
		t.Errorf("/login leads to %q", to)
	}
	c.mustBe("Ada")
}

// ASVS 3.5.3: a GET, and a HEAD, change nothing. A link to /logout logs nobody out.
func TestLogoutNeedsThePressOfAButton(t *testing.T) {
	t.Parallel()
	c := start(t).login("Ada")
	for _, method := range []string{http.MethodGet, http.MethodHead} {
		p := c.send(request{method: method, path: "/logout"}).expect(http.StatusOK)
		if cookies := p.header.Values("Set-Cookie"); len(cookies) > 0 {
			t.Errorf("%s set a cookie", p)
		}
		c.mustBe("Ada")
	}
	c.get("/logout").form("/logout").submit().expect(http.StatusSeeOther).follow().is("")
	c.mustBeNobody()
}

func TestLogoutOfNobody(t *testing.T) {
	t.Parallel()
	s := start(t)
	c := s.client()
	if to := c.post("/logout", nil).expect(http.StatusSeeOther).header.Get("Location"); to != "/" {
		t.Errorf("leads to %q", to)
	}
	c.mustBeNobody()
}

// ASVS 7.4.4: every page that a session can see has a way to end it.
func TestEveryPageOfASessionHasALogout(t *testing.T) {
	t.Parallel()
	c := start(t).login("Ada")
	for _, path := range []string{"/", "/logout", "/account", "/no-such-page"} {
		c.get(path).form("/logout")
	}
}

// ASVS 14.3.1: what a browser kept of a session goes at logout.
func TestLogoutClearsTheBrowser(t *testing.T) {
	t.Parallel()
	c := start(t).login("Ada")
	if clear := c.logout().header.Get("Clear-Site-Data"); clear == "" {
		t.Error("the logout has no Clear-Site-Data")
	}
}

// ASVS 14.2.1: what proves somebody is read from the body of the form and from nowhere else.
func TestLoginReadsTheBodyOnly(t *testing.T) {
	t.Parallel()
	s := start(t)
	c := s.client()
	s.signUp("Mallory")
	c.post("/login?"+s.proof("Mallory").Encode(), nil).expect(http.StatusUnauthorized).hides("Mallory")
	c.post("/login?password="+url.QueryEscape(password), url.Values{"name": {"Mallory"}}).expect(http.StatusUnauthorized)
	if c.session() != "" {
		t.Error("what the address says logged in")
	}
	for _, path := range []string{"/login?name=Mallory", "/?name=Mallory"} {
		if body := c.get(path).body; strings.Contains(body, "Mallory") {
			t.Errorf("%s fills in what the address says", path)
		}
	}
	c.mustBeNobody()

	s.signUp("Ada")
	c.post("/login?name=Mallory&password=Mallory", s.proof("Ada")).expect(http.StatusSeeOther)
	c.mustBe("Ada")
}

// ASVS 15.3.7: a field sent twice has one meaning, and a form with a field nobody asked for has none.
func TestLoginWithDoubledAndForeignFields(t *testing.T) {
	t.Parallel()
	s := start(t)
	c := s.client()
	s.signUp("Ada")
	for _, form := range []url.Values{
		{"name": {"Ada", "Eve"}, "password": {password}},
		{"name": {"Ada"}, "password": {"wrong", password}},
		{"name": {"Ada"}, "password": {password}, "next": {"/", "//evil.example"}},
	} {
		c.post("/login", form).expect(http.StatusBadRequest)
		c.post("/signup", form).expect(http.StatusBadRequest)
		c.mustBeNobody()
	}

	// ASVS 15.3.3
	foreign := url.Values{"password": {password}, "role": {"admin"}, "admin": {"true"}, "Name": {"Eve"}, "owner": {"Eve"}, "id": {"0"}}
	for _, path := range []string{"/signup", "/login"} {
		c = s.client()
		foreign.Set("name", "Bob")
		c.post(path, foreign).expect(http.StatusBadRequest).hides("Eve")
		c.mustBeNobody()
	}
}

func TestLoginRefusesBodiesThatAreNoForm(t *testing.T) {
	t.Parallel()
	s := start(t)
	s.signUp("Mallory")
	for _, test := range []struct{ what, contentType, body string }{
		{"empty", "application/x-www-form-urlencoded", ""},
		{"JSON", "application/json", `{"name":"Mallory","password":"` + password + `"}`},
		{"JSON in disguise", "text/plain", `{"name":"Mallory","password":"` + password + `"}`},
		{"a form in disguise", "text/plain", s.proof("Mallory").Encode()},
		{"no type", "", s.proof("Mallory").Encode()},
		{"XML", "application/xml", `<name>Mallory</name>`},
		{"multipart without a boundary", "multipart/form-data", s.proof("Mallory").Encode()},
		{"multipart cut short", "multipart/form-data; boundary=b", "--b\r\nContent-Disposition: form-data; name=\"name\"\r\n\r\nMall"},
		{"a file for a name", "multipart/form-data; boundary=b", "--b\r\nContent-Disposition: form-data; name=\"name\"; filename=\"f\"\r\n\r\nMallory\r\n--b--\r\n"},
		{"only separators", "application/x-www-form-urlencoded", "&&&===&"},
		{"thousands of fields", "application/x-www-form-urlencoded", strings.Repeat("a=b&", 10000)},
	} {
		t.Run(test.what, func(t *testing.T) {
			c := s.client()
			c.t = t
			p := c.send(request{method: http.MethodPost, path: "/login", contentType: test.contentType, body: test.body, header: c.sameOrigin()})
			if p.status != http.StatusUnauthorized && p.status != http.StatusBadRequest {
				t.Errorf("status %d", p.status)
			}
			if c.session() != "" {
				t.Error("it logged in")
			}
			if p.title() == "" {
				t.Error("the answer is no page")
			}
			c.mustBeNobody()
		})
	}
}

// Browsers may send a form in this encoding too. It logs in or it is refused; nothing else.
func TestLoginWithMultipart(t *testing.T) {
	t.Parallel()
	s := start(t)
	s.signUp("Ada")
	c := s.client()
	const part = "--b\r\nContent-Disposition: form-data; name="
	p := c.send(request{
		method: http.MethodPost, path: "/login", header: c.sameOrigin(), contentType: "multipart/form-data; boundary=b",
		body: part + "\"name\"\r\n\r\nAda\r\n" + part + "\"password\"\r\n\r\n" + password + "\r\n--b--\r\n",
	})
	switch p.status {
	case http.StatusSeeOther:
		c.mustBe("Ada")
	case http.StatusUnprocessableEntity, http.StatusBadRequest:
		c.mustBeNobody()
	default:
		t.Errorf("status %d", p.status)
	}
}

// ASVS 15.4.1: many at once get each their own session, and each sees its own name only.
func TestManyLogInAtOnce(t *testing.T) {
	t.Parallel()
	s := newDevServer(t) // without passwords, each of which takes its time
	s.start()
	const visitors, views = 50, 10
	done := make(chan string, visitors)
	for i := range visitors {
		go func() {
			name := "Visitor-" + string(rune('A'+i%26)) + strings.Repeat("x", i)
			c := s.client()
			defer func() { done <- c.session() }()
			answer := c.post("/login", url.Values{"name": {name}})
			if answer.status != http.StatusSeeOther {
				t.Errorf("%s: status %d", name, answer.status)
			}
			for range views {
				if seen := c.get("/").account(); seen != name {
					t.Errorf("%s sees the page of %q", name, seen)
				}
			}
		}()
	}
	ids := map[string]bool{}
	for range visitors {
		ids[<-done] = true
	}
	if len(ids) != visitors {
		t.Errorf("%d ids for %d visitors", len(ids), visitors)
	}
}
