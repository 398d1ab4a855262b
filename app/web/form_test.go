package web

import (
	"errors"
	"net/url"
	"reflect"
	"regexp"
	"strings"
	"testing"

	"latchkey/app/accounts"
)

type testForm struct {
	refused
	Name  input    `form:"name"`
	Pass  secret   `form:"pass" error:"password"`
	Next  string   `form:"next"`
	Picks []string `form:"pick"`
	Other string   // no field of the form
}

// ASVS 15.3.3, 15.3.7: a field that is not known, or doubled, is refused, unless the
// form says that it is a list.
func TestDecode(t *testing.T) {
	s := newTestSite(t)
	c, release := s.ctx()
	defer release()
	c.Request().Header.SetContentType("Application/X-WWW-Form-Urlencoded; charset=utf-8")
	c.Request().Header.SetMethod("POST")
	c.Request().SetRequestURI("/?name=address&pass=address")
	body := func(text string) (testForm, error) {
		c.Request().SetBodyString(text)
		form, err := decode[testForm](c)
		c.Request().SetBodyString(strings.Repeat("x", len(text))) // what was decoded is a copy
		return form, err
	}
	for text, want := range map[string]testForm{
		"": {},
		"name=a%2Bb+c&pass=%00+&next=/&pick=2&pick=1&pick=2": {Name: input{Value: "a+b c"}, Pass: secret{value: "\x00 "}, Next: "/", Picks: []string{"2", "1", "2"}},
		"%6eame=%25": {Name: input{Value: "%"}},
	} {
		if got, err := body(text); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%q: %+v, %v, want %+v", text, got, err, want)
		}
	}
	for _, text := range []string{"Other=x", "other=x", "Name=x", "name%00=x", "refused=x", "Refusal=x", "x", "=x", "name=a&name=a", "pass=a&pass=a", "next=a&next=b", "name=a&pick=1&x=1"} {
		var refusal *Refusal
		if got, err := body(text); !errors.As(err, &refusal) || refusal.Status != 400 {
			t.Errorf("%q: %+v, %v", text, got, err)
		}
	}
	// Bytes that are no text are said of their field, and can be shown.
	form, err := body("name=a%ffb&pass=%ff")
	if found := refusals(err); len(found) != 2 || found[0].Field != "name" || found[1].Field != "password" || form.Name.Value != "a\uFFFDb" {
		t.Errorf("%+v, %v", form, err)
	}
}

var (
	wrongField  = regexp.MustCompile(`<p class="wrong" id="([a-z]+)-error" role="alert">[^<]+\.</p>`)
	markedField = regexp.MustCompile(`<(?:input|select|textarea) id="([a-z]+)"[^>]* aria-invalid="true"[^>]*aria-describedby="[^"]*\b([a-z]+)-error"`)
	focused     = regexp.MustCompile(`<(?:input|select|textarea) id="([a-z]+)"[^>]* autofocus`)
)

// A refusal stands beside the field it is about, which is marked, or on top if it is
// about none or there are several. The cursor goes to the first that is wrong.
func TestRefusalsStandByTheirFields(t *testing.T) {
	w := newWorld(t)
	pass := url.QueryEscape(password)
	for _, test := range []struct {
		visitor, path, form string
		status              int
		wrong, focus        string // fields, by their ids
		top                 bool
	}{
		{"nobody", "/signup", "name=Zoe&password=tiny7", 422, "password", "password", false},
		{"nobody", "/signup", "name=owner&password=" + pass, 422, "name", "name", false},
		{"nobody", "/signup", "name=&password=" + pass, 422, "name", "name", false},
		{"nobody", "/signup", "name=&password=tiny7", 422, "name password", "name", true},
		{"nobody", "/signup", "name=Zoe&password=%ff", 422, "password", "password", false},
		{"nobody", "/login", "name=owner&password=wrong", 401, "", "name", true},
		{"nobody", "/login", "name=%ff&password=wrong", 422, "name", "name", false},
		{"owner", "/account/password", "old=wrong&new=another+zebra+walks+home", 401, "old", "old", false},
		{"owner", "/account/password", "old=" + pass + "&new=tiny7", 422, "new", "new", false},
		{"owner", "/account/password", "old=" + pass + "&new=" + pass, 422, "new", "new", false},
		{"owner", "/account/delete", "password=wrong", 401, "confirm", "confirm", false},
		{"administrator", "/account/delete", "password=" + pass, 422, "", "confirm", true},
		{"nobody", w.link("another"), "password=tiny7", 422, "password", "password", false},
	} {
		before := w.file()
		got := w.post(test.visitor, test.path, test.form)
		ids := func(re *regexp.Regexp) string {
			var found []string
			for _, m := range re.FindAllStringSubmatch(got.body, -1) {
				if len(m) == 3 && m[1] != m[2] {
					t.Errorf("%s: %q is described by the error of %q", test.path, m[1], m[2])
				}
				found = append(found, m[1])
			}
			return strings.Join(found, " ")
		}
		top := strings.Count(got.body, `<p class="refusal" role="alert">`)
		if got.status != test.status || ids(wrongField) != test.wrong || ids(markedField) != test.wrong || ids(focused) != test.focus || (top == 1) != test.top || top > 1 || w.file() != before {
			t.Errorf("%s %s: %s, wrong %q, marked %q, focus on %q, %d on top, want %+v\n%s", test.path, test.form, got, ids(wrongField), ids(markedField), ids(focused), top, test, got.body)
		}
		if strings.Contains(got.body, "tiny7") || strings.Contains(got.body, password) || strings.Contains(got.body, `value="wrong"`) {
			t.Errorf("%s: a password is on the page\n%s", test.path, got.body)
		}
	}
}

// The fields that rules speak of are those of accounts.
func TestRulesNameTheirFields(t *testing.T) {
	for _, form := range []any{&loginForm{}, &signupForm{}, &resetForm{}, &passwordForm{}, &deleteForm{}, &reauthenticateForm{}} {
		for _, f := range fieldsOf(form) {
			switch f.rule {
			case accounts.FieldName, accounts.FieldPassword, accounts.FieldCurrentPassword, "next":
			default:
				t.Errorf("%T has a field %q", form, f.rule)
			}
		}
	}
}
