package tests

import (
	"net/http"
	"net/url"
	"slices"
	"testing"

	"golang.org/x/net/html"
)

// The whole way of somebody new: from the start page to a session, with one form.
func TestSignUp(t *testing.T) {
	t.Parallel()
	s := start(t)
	c := s.client()
	if to := c.get("/").link("/signup"); to != "/signup" {
		t.Errorf("the link leads to %q", to)
	}
	before := c.session()
	c.signUp("Ada", password).expect(http.StatusSeeOther).follow().is("Ada")
	if c.session() == before {
		t.Error("no session was begun")
	}
	c.mustBe("Ada")
	s.client().mustBeNobody()
	// Who is logged in needs no second account.
	if to := c.get("/signup").expect(http.StatusSeeOther).header.Get("Location"); to != "/" {
		t.Errorf("/signup leads to %q", to)
	}
	c.post("/signup", s.proof("Eve")).expect(http.StatusSeeOther)
	c.mustBe("Ada")
	s.client().tryLogin("Eve", password).expect(http.StatusUnauthorized)

	// It lasts.
	c.logout()
	s.restart()
	c.tryLogin("Ada", password).expect(http.StatusSeeOther)
	c.mustBe("Ada")
}

// ASVS 6.2.6, 6.2.7: passwords are masked, may be pasted, and password managers know which field is which.
func TestPasswordFieldsAreForManagers(t *testing.T) {
	t.Parallel()
	s := start(t)
	somebody := s.login("Ada")
	for _, test := range []struct {
		page   *page
		action string
		fields map[string]string // name of a field: its autocomplete
	}{
		{s.client().get("/signup"), "/signup", map[string]string{"name": "username", "password": "new-password"}},
		{s.client().get("/login"), "/login", map[string]string{"name": "username", "password": "current-password"}},
		{somebody.get("/account"), "/account/password", map[string]string{"name": "username", "old": "current-password", "new": "new-password"}},
		{somebody.get("/account"), "/account/delete", map[string]string{"name": "username", "password": "current-password"}},
	} {
		form := test.page.form(test.action).node
		labels := map[string]bool{}
		for _, label := range all(form, "label") {
			labels[attribute(label, "for")] = textOf(label) != ""
		}
		seen := map[string]string{}
		for _, input := range all(form, "input") {
			name := attribute(input, "name")
			seen[name] = attribute(input, "autocomplete")
			secret := name != "name" && name != "next"
			if masked := attribute(input, "type") == "password"; masked != secret {
				t.Errorf("%s, %s: the field %s is masked: %v", test.page, test.action, name, masked)
			}
			if secret && attribute(input, "value") != "" {
				t.Errorf("%s, %s: the field %s is filled in", test.page, test.action, name)
			}
			if attribute(input, "type") != "hidden" && !labels[attribute(input, "id")] {
				t.Errorf("%s, %s: the field %s has no label", test.page, test.action, name)
			}
			// Nothing forbids a long password, a pattern of ours, or to paste.
			for _, no := range []string{"maxlength", "pattern", "onpaste", "readonly"} {
				if slices.ContainsFunc(input.Attr, func(a html.Attribute) bool { return a.Key == no }) {
					t.Errorf("%s, %s: the field %s has %s", test.page, test.action, name, no)
				}
			}
		}
		for name, want := range test.fields {
			if seen[name] != want {
				t.Errorf("%s, %s: autocomplete of %s is %q, not %q", test.page, test.action, name, seen[name], want)
			}
		}
	}
}

// ASVS 2.2.1, 2.3.1: a name has one owner, in whatever case, width and spacing it is typed.
func TestTakenNames(t *testing.T) {
	t.Parallel()
	s := start(t)
	s.signUp("Ada Lovelace")
	for _, typed := range []string{"Ada Lovelace", "ada lovelace", "ADA LOVELACE", "  Ada   Lovelace ", "Ａｄａ Lovelace", "Ada\u00a0Lovelace"} {
		c := s.clientFrom(s.nextNetwork())
		p := c.signUp(typed, "nine loud horns under bridge").expect(http.StatusUnprocessableEntity)
		if p.alert() == "" {
			t.Errorf("%q: the refusal says nothing", typed)
		}
		c.mustBeNobody()
		c.tryLogin(typed, "nine loud horns under bridge").expect(http.StatusUnauthorized)
		// It is one account under each of these.
		c.tryLogin(typed, password).expect(http.StatusSeeOther).follow().is("Ada Lovelace")
	}
}

// ASVS 2.3.3, 2.3.4, 15.4.2: of several who sign up with one name at the same moment one wins, and the others read a
// plain sentence.
func TestOneNameAtTheSameMoment(t *testing.T) {
	t.Parallel()
	s := start(t)
	phrases := []string{"nine loud horns under bridge", "cold plum window thirteen", "green ladder to the opera", "salt cellar and a violin", "rusty kite over Antwerp", "quiet mango timetable"}
	type outcome struct {
		*client
		phrase string
		page   *page
	}
	outcomes := make(chan outcome)
	for i, phrase := range phrases {
		c := s.clientFrom(s.nextNetwork())
		name := []string{"Ada", "ADA", " ada "}[i%3]
		go func() {
			outcomes <- outcome{c, phrase, c.post("/signup", url.Values{"name": {name}, "password": {phrase}})}
		}()
	}
	winners := 0
	for range phrases {
		o := <-outcomes
		fits := http.StatusUnauthorized
		if o.page.status == http.StatusSeeOther {
			winners++
			fits = http.StatusSeeOther
			if o.get("/").account() == "" {
				t.Error("the winner is not logged in")
			}
		} else {
			o.page.expect(http.StatusUnprocessableEntity)
			if o.page.alert() == "" {
				t.Error("the refusal says nothing")
			}
			o.mustBeNobody()
		}
		s.clientFrom(s.nextNetwork()).tryLogin("Ada", o.phrase).expect(fits)
	}
	if winners != 1 {
		t.Errorf("%d sign-ups won", winners)
	}
}

// ASVS 2.4.1: an address network gets ten sign-ups an hour, whatever they come to. They are counted apart from logins.
func TestSignUpsAreLimited(t *testing.T) {
	t.Parallel()
	s := start(t)
	s.signUp("Ada")
	c := s.client()
	// What breaks a rule tells nothing about anybody, and costs none of the ten.
	for range 15 {
		c.signUp("", password).expect(http.StatusUnprocessableEntity)
		c.signUp("Eve", "short").expect(http.StatusUnprocessableEntity)
	}
	for range 10 {
		c.signUp("Ada", password).expect(http.StatusUnprocessableEntity)
	}
	for _, last := range []*client{c, s.clientFrom("127.0.0.99")} {
		for _, name := range []string{"Ada", "Eve"} {
			p := last.signUp(name, password).expect(http.StatusTooManyRequests)
			mustSayHowLong(t, p, 6*60)
			if p.form("/signup").values.Get("name") != name {
				t.Error("the name that was typed is lost")
			}
			last.mustBeNobody()
		}
	}
	c.tryLogin("Ada", password).expect(http.StatusSeeOther)
	s.clientFrom("127.0.1.1").signUp("Eve", password).expect(http.StatusSeeOther)
}

// ASVS 3.7.2: the sign-up too leads back to the page that asked, if it is one of ours.
func TestSignUpLeadsBack(t *testing.T) {
	t.Parallel()
	s := start(t)
	for next, want := range map[string]string{"/account": "/account", "//evil.example": "/", "https://evil.example/": "/"} {
		c := s.clientFrom(s.nextNetwork())
		login := c.get("/login?next=" + url.QueryEscape(next))
		form := c.get(login.link("/signup")).form("/signup")
		if to := form.fill("name", "Ada "+want+next[:2]).fill("password", password).submit().expect(http.StatusSeeOther).header.Get("Location"); to != want {
			t.Errorf("%q leads to %q", next, to)
		}
	}
}
