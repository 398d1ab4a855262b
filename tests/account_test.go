package tests

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
)

const another = "nine loud horns under bridge"

// changePassword fills the form on /account and gives the answer to it.
func (c *client) changePassword(old, chosen string) *page {
	c.t.Helper()
	return c.get("/account").form("/account/password").fill("old", old).fill("new", chosen).submit()
}

// deleteAccount fills the other form on /account.
func (c *client) deleteAccount(password string) *page {
	c.t.Helper()
	return c.get("/account").form("/account/delete").fill("password", password).submit()
}

// ASVS 8.2.1, 8.3.1: a private page sends nobody to the login, and from there back to the page that was asked for.
// What would change something is refused.
func TestPrivatePages(t *testing.T) {
	t.Parallel()
	s := start(t)
	s.signUp("Ada")
	for _, path := range []string{"/account", "/account?x=1&y=%2F"} {
		c := s.client()
		p := c.get(path).expect(http.StatusSeeOther)
		if to := p.header.Get("Location"); to != "/login?next="+url.QueryEscape(path) {
			t.Errorf("%s leads to %q", path, to)
		}
		back := p.follow().form("/login").fill("name", "Ada").fill("password", password).submit().expect(http.StatusSeeOther)
		if to := back.header.Get("Location"); to != path {
			t.Errorf("the login leads to %q, not %q", to, path)
		}
		back.follow().expect(http.StatusOK).form("/account/password")
	}
	for _, path := range []string{"/account/password", "/account/delete"} {
		c := s.client()
		form := url.Values{"name": {"Ada"}, "old": {password}, "new": {another}, "password": {password}}
		c.post(path, form).expect(http.StatusUnauthorized)
		if c.session() != "" {
			t.Errorf("%s began a session", path)
		}
	}
	s.client().tryLogin("Ada", password).expect(http.StatusSeeOther)
}

// ASVS 6.2.2, 6.2.3, 7.2.4, 7.4.3, 7.5.1: a password is changed by who knows the old one. All other sessions end, and
// this browser gets a new one.
func TestChangePassword(t *testing.T) {
	t.Parallel()
	s := start(t)
	c, phone, bystander := s.login("Ada"), s.login("Ada"), s.login("Eve")
	thief := c.copy()

	for what, test := range map[string]struct {
		old, chosen string
		status      int
	}{
		"a wrong old one":      {"wrong", another, http.StatusUnauthorized},
		"no old one":           {"", another, http.StatusUnauthorized},
		"a short new one":      {password, "short", http.StatusUnprocessableEntity},
		"no new one":           {password, "", http.StatusUnprocessableEntity},
		"a guessable new one":  {password, "passwordpassword", http.StatusUnprocessableEntity},
		"the same one":         {password, password, http.StatusUnprocessableEntity},
		"both of them the new": {another, another, http.StatusUnauthorized},
	} {
		p := c.changePassword(test.old, test.chosen).expect(test.status)
		if p.alert() == "" || len(p.header.Values("Set-Cookie")) > 0 {
			t.Errorf("%s: %q, and %d cookies", what, p.alert(), len(p.header.Values("Set-Cookie")))
		}
		for _, secret := range []string{test.old, test.chosen} {
			if len(secret) > 10 && strings.Contains(p.body, secret) {
				t.Errorf("%s: the page shows a password", what)
			}
		}
		phone.mustBe("Ada")
		c.mustBe("Ada")
	}

	changed := c.changePassword(password, another).expect(http.StatusSeeOther).follow().expect(http.StatusOK)
	if changed.path != "/account" || changed.flash() == "" {
		t.Errorf("the change led to %q, which says %q", changed.path, changed.flash())
	}
	if again := c.get("/account").flash(); again != "" { // once is enough
		t.Errorf("the page says it again: %q", again)
	}
	gone := func() {
		t.Helper()
		if thief.session() == c.session() {
			t.Error("the id is the same as before")
		}
		c.mustBe("Ada")
		thief.mustBeNobody()
		phone.mustBeNobody()
		bystander.mustBe("Eve")
	}
	gone()
	s.client().tryLogin("Ada", password).expect(http.StatusUnauthorized)
	s.client().tryLogin("Ada", another).expect(http.StatusSeeOther)
	s.restart()
	gone()
	s.client().tryLogin("Ada", password).expect(http.StatusUnauthorized)
	s.client().tryLogin("Ada", another).expect(http.StatusSeeOther)

	// Nor is the old one what makes a browser known: the phone waits like a stranger.
	stranger := s.client()
	for range 5 {
		stranger.tryLogin("Ada", "wrong").expect(http.StatusUnauthorized)
	}
	mustSayHowLong(t, phone.tryLogin("Ada", another), 15)
	c.logout()
	c.tryLogin("Ada", another).expect(http.StatusSeeOther)
}

// ASVS 6.3.1: whoever finds a browser that is logged in cannot guess the password there either.
func TestProvingIsSlowed(t *testing.T) {
	t.Parallel()
	s := start(t)
	c := s.login("Ada")
	for range 2 {
		c.changePassword("wrong", another).expect(http.StatusUnauthorized)
		c.deleteAccount("wrong").expect(http.StatusUnauthorized)
	}
	c.changePassword("wrong", another).expect(http.StatusUnauthorized)
	mustSayHowLong(t, c.changePassword(password, another), 15)
	mustSayHowLong(t, c.deleteAccount(password), 15)
	c.mustBe("Ada")
	// The owner's login elsewhere is counted apart.
	s.client().tryLogin("Ada", password).expect(http.StatusSeeOther)
}

// ASVS 7.4.2: a deleted account is gone with everything it had: each session, and the name.
func TestDeleteAccount(t *testing.T) {
	t.Parallel()
	s := start(t)
	const name = "Canary Wharf"
	c, phone, bystander := s.login(name), s.login(name), s.login("Eve")
	for _, wrong := range []string{"", "wrong", another} {
		if c.deleteAccount(wrong).expect(http.StatusUnauthorized).alert() == "" {
			t.Error("the refusal says nothing")
		}
		c.mustBe(name)
		phone.mustBe(name)
	}

	thief := c.copy()
	deleted := c.deleteAccount(password).expect(http.StatusSeeOther)
	if deleted.header.Get("Clear-Site-Data") == "" || c.session() != "" {
		t.Error("the browser keeps what it had")
	}
	if p := deleted.follow().expect(http.StatusOK).is(""); p.path != "/" || p.flash() == "" {
		t.Errorf("it led to %q, which says %q", p.path, p.flash())
	}
	if again := c.get("/").flash(); again != "" {
		t.Errorf("the page says it again: %q", again)
	}
	gone := func() {
		t.Helper()
		for _, old := range []*client{c, thief, phone} {
			old.mustBeNobody()
			old.get("/account").expect(http.StatusSeeOther)
			old.post("/account/password", url.Values{"old": {password}, "new": {another}}).expect(http.StatusUnauthorized)
		}
		bystander.mustBe("Eve")
	}
	gone()
	s.client().tryLogin(name, password).expect(http.StatusUnauthorized)
	s.restart()
	gone()
	s.client().tryLogin(name, password).expect(http.StatusUnauthorized)

	// The name is free, and whoever takes it is somebody else.
	heir := s.client()
	heir.signUp("canary wharf", another).expect(http.StatusSeeOther)
	heir.mustBe("canary wharf")
	gone()
	s.client().tryLogin(name, password).expect(http.StatusUnauthorized)
}
