package tests

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"
)

// event is a record about an account, as it stands in the log.
type event struct {
	Time, Level, Msg, Outcome, IP string
	Account                       any // id and name, or "unknown"
}

// events reads the records about accounts from the log.
func (j *journal) events(t *testing.T) []event {
	t.Helper()
	var found []event
	for _, line := range j.lines() {
		var e event
		if err := json.Unmarshal([]byte(line), &e); err != nil {
			t.Fatalf("not JSON: %q", line)
		}
		if e.Outcome != "" {
			found = append(found, e)
		}
	}
	return found
}

// ASVS 16.2.1, 16.2.2, 16.3.1, 16.3.2, 16.3.3: one record, in UTC, for each thing that happens to an account or is refused:
// who, from where, and how it ended.
func TestEventsAreLogged(t *testing.T) {
	t.Parallel()
	s := start(t)
	ada, stranger := s.clientFrom("127.0.3.1"), s.clientFrom("127.0.4.1")
	want := []string{}
	happens := func(what, outcome, name, ip string) {
		want = append(want, strings.Join([]string{what, outcome, name, ip}, "|"))
	}
	const here, there = "127.0.3.1", "127.0.4.1"

	ada.signUp("Ada", "short")
	happens("sign-up", "refused", "unknown", here)
	ada.signUp("Ada", password)
	happens("sign-up", "done", "Ada", here)
	ada.logout()
	happens("logout", "done", "Ada", here)
	ada.tryLogin("ada", password)
	happens("login", "done", "Ada", here)
	stranger.signUp("ADA", password)
	happens("sign-up", "refused", "Ada", there)
	for range 5 {
		stranger.tryLogin("Ada", "wrong")
		happens("login", "wrong", "Ada", there)
	}
	stranger.tryLogin("Ada", password)
	happens("login", "throttled", "Ada", there)
	stranger.tryLogin("nobody-is-called-so", "wrong")
	happens("login", "wrong", "unknown", there)
	ada.changePassword("wrong", another)
	happens("password change", "wrong", "Ada", here)
	ada.changePassword(password, "short")
	happens("password change", "refused", "Ada", here)
	ada.changePassword(password, another)
	happens("password change", "done", "Ada", here)
	ada.deleteAccount("wrong")
	happens("deletion", "wrong", "Ada", here)
	ada.deleteAccount(another).expect(http.StatusSeeOther)
	happens("deletion", "done", "Ada", here)
	s.client().post("/logout", nil) // of nobody: nothing happened
	s.stop()

	var have []string
	for _, e := range s.log.events(t) {
		who, id := "unknown", ""
		if account, ok := e.Account.(map[string]any); ok {
			who, id = asText(account["name"]), asText(account["id"])
		}
		if (who == "unknown") != (id == "") || id != "" && len(id) != 32 {
			t.Errorf("the account is %v", e.Account)
		}
		if level := "WARN"; (e.Outcome != "done") != (e.Level == level) {
			t.Errorf("%s, %s has the level %s", e.Msg, e.Outcome, e.Level)
		}
		if when, err := time.Parse(time.RFC3339Nano, e.Time); err != nil || !strings.HasSuffix(e.Time, "Z") || time.Since(when).Abs() > time.Hour {
			t.Errorf("the time is %s", e.Time)
		}
		have = append(have, strings.Join([]string{e.Msg, e.Outcome, who, e.IP}, "|"))
	}
	if strings.Join(have, "\n") != strings.Join(want, "\n") {
		t.Errorf("the log has\n%s\nnot\n%s", strings.Join(have, "\n"), strings.Join(want, "\n"))
	}
}

// ASVS 16.2.5, 14.2.4, 11.4.2, 13.3.2: what was typed as a password, right or wrong, and what a cookie holds are
// neither in the log nor in the file. What was typed as a name is not either, unless an account is called so: people
// type their password into the wrong field.
func TestPasswordsAreNowhere(t *testing.T) {
	t.Parallel()
	s := start(t)
	// Letters only, so that they look the same in a form, in JSON and in a page.
	const canary, second, mistyped = "zwitschernderKanarienvogel", "stummerKanarienvogelXY", "verirrterKanarienvogelZ"
	ada, eve := s.client(), s.client()
	var secrets []string
	see := func(c *client) {
		secrets = append(secrets, c.cookies[sessionCookie], c.cookies[knownCookie])
	}
	ada.signUp("Ada", canary).expect(http.StatusSeeOther)
	see(ada)
	ada.changePassword(canary, second).expect(http.StatusSeeOther)
	see(ada)
	ada.changePassword(canary, second).expect(http.StatusUnauthorized)
	ada.deleteAccount(canary).expect(http.StatusUnauthorized)
	ada.logout()
	ada.tryLogin("Ada", second).expect(http.StatusSeeOther)
	see(ada)
	eve.tryLogin("Ada", mistyped).expect(http.StatusUnauthorized)
	eve.tryLogin(mistyped, "wrong").expect(http.StatusUnauthorized)
	eve.signUp(mistyped, "short").expect(http.StatusUnprocessableEntity)
	eve.get("/login?password=" + mistyped + "&name=" + mistyped)
	eve.post("/login?password="+mistyped, url.Values{"name": {"Ada"}, "password": {mistyped}, "next": {"/" + mistyped}})
	eve.post("/signup", url.Values{"name": {"Eve"}, "password": {mistyped, mistyped}}).expect(http.StatusBadRequest)
	s.raw(t, "POST /login HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-www-form-urlencoded\r\nTransfer-Encoding: chunked\r\n\r\npassword="+mistyped+"\r\n")
	s.stop()

	log, file := s.log.text(), string(s.file())
	for _, secret := range append(secrets, canary, second, mistyped) {
		for _, form := range []string{secret, secret[:16], base64.StdEncoding.EncodeToString([]byte(secret))[:20]} {
			if strings.Contains(log, form) {
				t.Errorf("the log holds %.8s…", secret)
			}
			if strings.Contains(file, form) {
				t.Errorf("the file holds %.8s…", secret)
			}
		}
	}
	if strings.Contains(log, "$argon2id$") {
		t.Error("the log holds a hash")
	}
	// ASVS 11.4.2: the file holds the slow hash, by the figures that SECURITY.md gives.
	if !strings.Contains(file, "$argon2id$v=19$m=19456,t=2,p=1$") {
		t.Error("the file holds no hash by argon2id")
	}
}

// ASVS 16.3.3: who tries to get past a guard leaves a line: what was sent, from where, and how it was refused. A throttle
// and a rule for what is typed write an event beside it, see TestEventsAreLogged.
func TestRefusalsAreLogged(t *testing.T) {
	t.Parallel()
	s := start(t)
	ada := s.login("Ada")
	const formType = "application/x-www-form-urlencoded"
	c := s.clientFrom("127.0.5.1")
	c.cookies = ada.cookies
	foreign := map[string]string{"Sec-Fetch-Site": "cross-site", "Origin": "https://evil.example"}
	for _, test := range []struct {
		what   string
		sent   request
		status int
	}{
		{"another site", request{method: "POST", path: "/logout", contentType: formType, header: foreign}, 403},
		{"no session", request{method: "POST", path: "/account/sessions/x/end", contentType: formType, header: map[string]string{"Cookie": ""}}, 401},
		{"a method that is not served", request{method: "DELETE", path: "/account", header: c.sameOrigin()}, 405},
		{"a field twice", request{method: "POST", path: "/registrations", contentType: formType, body: "sport=a&sport=b", header: c.sameOrigin()}, 400},
		{"a body that is too large", request{method: "POST", path: "/signup", contentType: formType, body: "name=" + strings.Repeat("a", 70<<10), header: c.sameOrigin()}, 413},
		{"the back office", request{method: "GET", path: "/admin"}, 404},
	} {
		if header := test.sent.header; header["Origin"] == "" {
			test.sent.header = c.sameOrigin()
			for name, value := range header {
				test.sent.header[name] = value
			}
		}
		before := s.log.len()
		page := c.send(test.sent).expect(test.status)
		var record map[string]string
		s.log.await(t, "the refusal to be logged", func() bool {
			for _, r := range s.log.records()[before:] {
				if r["msg"] == "request" && r["ip"] == "127.0.5.1" { // lines of the login before may come late
					record = r
				}
			}
			return record != nil
		})
		if record["status"] != fmt.Sprint(test.status) || record["id"] == "" || !strings.Contains(page.text(), record["id"]) {
			t.Errorf("%s: the log has %v", test.what, record)
		}
		// What a request is refused for before it is read has neither.
		if test.status != 413 && (record["method"] != test.sent.method || record["path"] != test.sent.path) {
			t.Errorf("%s: the log has %v", test.what, record)
		}
	}
	ada.mustBe("Ada")
	s.stop()
	found := 0
	for _, e := range s.log.events(t) {
		if e.Msg == "back office" && e.Outcome == "refused" && e.Level == "WARN" && e.IP == "127.0.5.1" {
			found++
		}
	}
	if found != 1 {
		t.Errorf("%d lines for one visit to the back office", found)
	}
}
