package tests

import (
	"net/http"
	"strings"
	"testing"
	"unicode/utf8"
)

// ASVS 1.2.1, 1.3.7: a name is text wherever it stands. Markup, templates and queries show as typed. ASVS 1.1.2: they
// are kept as typed and escaped by the page alone, so nothing is escaped twice.
func TestNamesThatSignUp(t *testing.T) {
	t.Parallel()
	s := start(t)
	plain := s.login("Plain")
	for _, test := range []struct{ what, typed, shown string }{
		{"one letter", "a", "a"},
		{"spaces around", "  Ann  ", "Ann"},
		{"other space around", "\u3000Bob\u00a0", "Bob"},
		{"64 letters", strings.Repeat("a", 64), strings.Repeat("a", 64)},
		{"64 letters of two bytes", strings.Repeat("é", 64), strings.Repeat("é", 64)},
		{"64 emoji", strings.Repeat("😀", 64), strings.Repeat("😀", 64)},
		{"64 letters in spaces", " " + strings.Repeat("b", 64) + " ", strings.Repeat("b", 64)},
		{"a space inside", "Ada Lovelace", "Ada Lovelace"},
		{"upper case", "EVE", "EVE"},
		{"Chinese", "李小龍", "李小龍"},
		{"Hebrew", "שלום", "שלום"},
		{"a script", "<script>alert(1)</script>", "<script>alert(1)</script>"},
		{"quotes", `"'`, `"'`},
		{"the end of an attribute", `"><img src=x onerror=alert(1)>`, `"><img src=x onerror=alert(1)>`},
		{"the end of a title", `</title><script>1</script>`, `</title><script>1</script>`},
		{"a polyglot", "jaVasCript:/*-/*`/*\\`/*'/*\"/**/(/* */onerror=alert() )//", "jaVasCript:/*-/*`/*\\`/*'/*\"/**/(/* */onerror=alert() )//"},
		{"an entity", "&lt;b&gt;&amp;", "&lt;b&gt;&amp;"},
		{"a template", "{{.Name}}${7*7}<%=1%>", "{{.Name}}${7*7}<%=1%>"},
		{"a query", "' OR 1=1 --", "' OR 1=1 --"},
		{"percent signs", "a%00b%0Ac%2527", "a%00b%0Ac%2527"},
		{"a path", "../../etc/passwd", "../../etc/passwd"},
		{"separators", `a|b:c\d/e;f=g&h`, `a|b:c\d/e;f=g&h`},
		{"a plus", "a+b", "a+b"},
	} {
		t.Run(test.what, func(t *testing.T) {
			c := s.clientFrom(s.nextNetwork())
			c.t = t
			answer := c.signUp(test.typed, password).expect(http.StatusSeeOther)
			for _, cookie := range answer.header.Values("Set-Cookie") {
				if strings.Contains(cookie, test.typed) && len(test.typed) > 1 {
					t.Error("a cookie holds the name")
				}
			}
			// The name is one piece of text: it adds no element to the page.
			for _, path := range []string{"/", "/logout", "/account"} {
				p := c.get(path).shows(test.shown)
				for _, tag := range []string{"script", "img", "b", "title"} {
					if have, want := len(all(p.html(), tag)), len(all(plain.get(path).html(), tag)); have != want {
						t.Errorf("%s has %d elements %s, not %d", path, have, tag, want)
					}
				}
			}
			c.mustBe(test.shown)
			// A name that is not the visitor's own comes back as text, too.
			c.logout()
			if p := c.signUp(test.typed, "short").expect(http.StatusUnprocessableEntity); p.form("/signup").values.Get("name") != test.typed || all(p.html(), "script") != nil {
				t.Errorf("the form came back with %q", p.form("/signup").values.Get("name"))
			}
		})
	}
}

// ASVS 2.2.1, 2.2.2, 1.2.4: a name that breaks the rule is refused on the server, with a sentence and with what was
// typed still there. Nothing is stored. The tests of app/accounts have every name that is refused.
func TestNamesThatAreRefused(t *testing.T) {
	t.Parallel()
	s := start(t)
	before := s.file()
	for _, test := range []struct{ what, typed string }{
		{"empty", ""},
		{"65 letters of two bytes", strings.Repeat("é", 65)},
		{"30,000 letters", strings.Repeat("a", 30000)},
		{"NUL", "a\x00b"},
		{"return and newline", "a\r\nb"},
		{"text turned around", "a\u202eb"},
		{"bytes that are no text", "a\xffb"},
		{"a letter cut short", "a\xc3"},
		{"markup, too long", `"><script>alert(1)</script>` + strings.Repeat("a", 64)},
	} {
		t.Run(test.what, func(t *testing.T) {
			c := s.client()
			c.t = t
			p := c.signUp(test.typed, password).expect(http.StatusUnprocessableEntity)
			sentence := p.alert()
			if !strings.HasSuffix(sentence, ".") || len(sentence) > 120 {
				t.Errorf("the refusal says %q", sentence)
			}
			if len(p.header.Values("Set-Cookie")) > 0 {
				t.Error("a refusal set a cookie")
			}
			if all(p.html(), "script") != nil {
				t.Error("what was typed became a script")
			}
			// A field cannot hold what HTML cannot write, and a parser reads a return as a newline.
			kept := p.form("/signup").values.Get("name")
			if utf8.ValidString(test.typed) && !strings.ContainsAny(test.typed, "\x00\r") && kept != test.typed && len(test.typed) < 1024 {
				t.Errorf("the field holds %q, not %q", kept, test.typed)
			}
			if !utf8.ValidString(p.body) {
				t.Error("the page is not UTF-8")
			}
			c.mustBeNobody()
		})
	}
	if string(s.file()) != string(before) {
		t.Error("a refused name changed the file")
	}
}

func TestARefusedFormCanBeCorrected(t *testing.T) {
	t.Parallel()
	s := start(t)
	for _, path := range []string{"/signup", "/login"} {
		s.signUp("Ada of /login")
		c := s.client()
		refused := c.get(path+"?next=/logout").form(path).fill("name", " ").fill("password", password).submit()
		if refused.status != http.StatusUnprocessableEntity && refused.status != http.StatusUnauthorized {
			t.Errorf("%s: status %d", refused, refused.status)
		}
		corrected := refused.form(path).fill("name", "Ada of "+path).fill("password", password).submit().expect(http.StatusSeeOther)
		if to := corrected.header.Get("Location"); to != "/logout" {
			t.Errorf("the corrected form leads to %q", to)
		}
		c.mustBe("Ada of " + path)
	}
}

// The title is set by the operator and is text too.
func TestTitleIsEscaped(t *testing.T) {
	t.Parallel()
	s := start(t, `--title=</title><script>"&'`)
	p := s.client().get("/")
	if p.title() != `</title><script>"&'` {
		t.Errorf("title %q", p.title())
	}
	if all(p.html(), "script") != nil {
		t.Error("the title became a script")
	}
}
