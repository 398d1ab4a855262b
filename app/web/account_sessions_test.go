package web

import (
	"fmt"
	"net/url"
	"strings"
	"testing"
	"time"
)

// After re-authentication the old id is dead, so whatever comes of the request, the answer
// brings the new one.
//
// ASVS 7.2.4, 7.5.1
func TestReauthenticationSurvivesARefusal(t *testing.T) {
	w := newWorld(t)
	w.logIn("owner")
	gone := w.sessionKey("owner")
	w.must(w.db.Sessions().EndAll(t.Context(), [16]byte(w.ids["owner"])))
	for _, test := range []struct {
		visitor, path string
		form          url.Values
		status        int
	}{
		{"owner", "/account/sessions/" + gone + "/end", nil, 404},
		{"owner", "/account/sessions/x/end", nil, 404},
		{"owner", "/reauthenticate", url.Values{"next": {"/a", "/b"}}, 400},
		{"administrator", "/admin/accounts/" + strings.Repeat("0", 32) + "/disable", nil, 404},
	} {
		w.logInAt(test.visitor, time.Now().Add(stale))
		old := w.cookies[test.visitor]
		got := w.post(test.visitor, test.path, url.Values{"reauthenticate": {password}}.Encode()+"&"+test.form.Encode())
		if got.status != test.status || got.cookie == "" || got.cookie == old {
			t.Errorf("%s: %s, cookie %q", test.path, got, got.cookie)
		}
		if again := w.get(test.visitor, "/account"); again.status != 303 {
			t.Errorf("%s: the old id: %s", test.path, again)
		}
		w.cookies[test.visitor] = got.cookie
		if again := w.get(test.visitor, "/account"); again.status != 200 {
			t.Errorf("%s: the new id: %s", test.path, again)
		}
		// A refused re-authentication moves nothing.
		w.logInAt(test.visitor, time.Now().Add(stale))
		if got := w.post(test.visitor, test.path, "reauthenticate=wrong"); got.cookie != "" || w.get(test.visitor, "/account").status != 200 {
			t.Errorf("%s: a refused re-authentication: %s, cookie %q", test.path, got, got.cookie)
		}
	}
}

// Ending this very session still ends it when the re-authentication before gave it another id.
//
// ASVS 7.5.1, 7.5.2
func TestThisSessionEndsAfterReauthentication(t *testing.T) {
	w := newWorld(t)
	w.must(w.db.Sessions().EndAll(t.Context(), [16]byte(w.ids["owner"])))
	w.logInAt("owner", time.Now().Add(stale))
	path := "/account/sessions/" + w.sessionKey("owner") + "/end"
	got := w.post("owner", path, url.Values{"reauthenticate": {password}}.Encode())
	if got.String() != "303 /" {
		t.Errorf("%s", got)
	}
	list, err := w.db.Sessions().List(t.Context(), [16]byte(w.ids["owner"]), 10)
	if err != nil || len(list) != 0 {
		t.Errorf("%d sessions are left, %v", len(list), err)
	}
}

// However many sessions there are, the list has the one that looks at it, and says
// how many it leaves out.
func TestThisSessionIsListed(t *testing.T) {
	w := newWorld(t)
	w.must(w.db.Sessions().EndAll(t.Context(), [16]byte(w.ids["owner"])))
	w.logInAt("owner", time.Now().Add(-time.Minute))
	here := w.cookies["owner"]
	for n := range sessionsShown + 3 {
		if n == sessionsShown-1 || n == sessionsShown || n == sessionsShown+3 {
			cookie := w.cookies["owner"]
			w.cookies["owner"] = here
			page := w.get("owner", "/account").body
			w.cookies["owner"] = cookie
			rows := strings.Count(page, "/end\"><button")
			if more := n + 1 - rows; strings.Count(page, "data-here") != 1 || strings.Contains(page, "data-more") != (more > 0) || more > 0 && !strings.Contains(page, fmt.Sprintf(`data-more="%d"`, more)) {
				t.Errorf("%d sessions, %d rows:\n%s", n+1, rows, page)
			}
			if rows > sessionsShown+1 {
				t.Errorf("%d rows", rows)
			}
		}
		w.logIn("owner")
	}
}
