package web

import (
	"strings"
	"testing"
)

// ASVS 14.2.1, 15.3.7, 2.2.2
func TestForm(t *testing.T) {
	s := newTestSite(t, "--dev") // where a name alone logs in
	const kind = "application/x-www-form-urlencoded"
	for _, test := range []struct {
		path, kind, body string
		status           int
		says             string // on the page, or the name that is logged in
	}{
		{"/login", kind, "name=Ann", 303, "Ann"},
		{"/login", kind + "; charset=utf-8", "name=Ann", 303, "Ann"},
		{"/login?name=Eve", kind, "name=Ann", 303, "Ann"},
		{"/login", kind, "name=Ann&role=admin&name2=x", 400, "does not know"},
		{"/login", kind, "name=A%2BB%26C+D", 303, "A+B&C D"},
		{"/login", kind, "%6eame=Ann", 303, "Ann"},

		{"/login?name=Eve", kind, "", 422, "Please type a name."},
		{"/login?name=Eve", kind, "name=", 422, "Please type a name."},
		{"/login", kind, "", 422, "Please type a name."},
		{"/login", kind, "NAME=Eve", 400, "does not know"},
		{"/login", kind, "name%00=Eve", 400, "does not know"},
		{"/login", kind, "name=%FF", 422, "not valid text"},
		{"/login", kind, "name=%2500", 303, "%00"}, // decoded once: ASVS 1.1.1, 1.5.3

		{"/login", kind, "name=Ann&name=Eve", 400, "twice"},
		{"/login", kind, "name=Ann&name=", 400, "twice"},
		{"/login", kind, "name=Ann&%6Eame=Eve", 400, "twice"},
		{"/login", kind, "name=Ann&next=/&next=//evil.example", 400, "twice"},

		{"/login", "", "name=Eve", 400, "a form only"},
		{"/login", "application/json", `{"name":"Eve"}`, 400, "a form only"},
		{"/login", "text/plain", "name=Eve", 400, "a form only"},
		{"/login", "application/x-www-form-urlencoded-not", "name=Eve", 400, "a form only"},
		{"/login", "x/" + kind, "name=Eve", 400, "a form only"},
		{"/login", "multipart/form-data; boundary=b", "--b\r\nContent-Disposition: form-data; name=\"name\"\r\n\r\nEve\r\n--b--\r\n", 400, "a form only"},
		{"/login", "multipart/form-data", "name=Eve", 400, "a form only"},
	} {
		got := s.send(request{to: "POST " + test.path, form: test.body, header: map[string]string{"Content-Type": test.kind}})
		if got.status != test.status {
			t.Errorf("%s %s %q: %d, want %d", test.path, test.kind, test.body, got.status, test.status)
			continue
		}
		if test.status == 303 {
			s.loggedInAs(got.id, test.says)
			continue
		}
		if !strings.Contains(got.body, test.says) || got.id != "" {
			t.Errorf("%s %s %q: a session %v and no %q in\n%s", test.path, test.kind, test.body, got.id != "", test.says, got.body)
		}
		if strings.Contains(got.body, "Eve") {
			t.Errorf("%s %s %q: the page has what was not asked for", test.path, test.kind, test.body)
		}
	}
}

// ASVS 1.2.1: a name comes back as typed, and never as markup.
func TestRefusedFormComesBack(t *testing.T) {
	s := newTestSite(t)
	got := s.send(request{to: "POST /signup", form: "password=canary&name=%3Cscript%3E%22%27%00&next=/x%3Fy%3D1"})
	if got.status != 422 || got.id != "" {
		t.Errorf("%d", got.status)
	}
	for _, want := range []string{`value="&lt;script&gt;&#34;&#39;`, `name="next" value="/x?y=1"`, `role="alert"`, `aria-invalid="true"`} {
		if !strings.Contains(got.body, want) {
			t.Errorf("no %s in\n%s", want, got.body)
		}
	}
	if strings.Contains(got.body, "<script") || strings.Contains(got.body, "canary") {
		t.Error(got.body)
	}
	if got := s.send(request{to: "POST /signup", form: "name=&next=//evil.example"}); strings.Contains(got.body, "evil") {
		t.Errorf("the form leads elsewhere:\n%s", got.body)
	}
}
