package web

import (
	"encoding/json"
	"errors"
	"net/url"
	"strings"
	"testing"

	"latchkey/app/accounts"
	"latchkey/app/sessions"
)

// account returns the account of that name as it is on file.
func (s *testSite) account(name string) accounts.Account {
	s.t.Helper()
	a, err := s.accounts.Find(s.t.Context(), name)
	if err != nil {
		s.t.Fatal(err)
	}
	return a
}

// A disabled account is nobody at its next request, and its login reads like one
// to a name that does not exist. ASVS 6.3.8, 7.4.2
func TestDisabledAccount(t *testing.T) {
	s := newTestSite(t)
	ids := []string{s.login("Ann"), s.login("Ann"), s.login("Ann")}
	bob := s.login("Bob")
	ann := s.account("Ann")
	if err := s.accounts.SetDisabled(t.Context(), ann.ID, true); err != nil {
		t.Fatal(err)
	}
	for _, id := range ids {
		s.loggedInAs(id, "")
		for _, path := range []string{"/account/password", "/account/delete"} {
			form := url.Values{"old": {password}, "new": {"nine loud horns under bridge"}, "password": {password}}.Encode()
			if got := s.send(request{to: "POST " + path, form: form, id: id}); got.status != 401 || got.id != "" {
				t.Errorf("%s: %d", path, got.status)
			}
		}
	}
	s.loggedInAs(bob, "Bob")

	disabled := s.send(request{to: "POST /login", form: credentials("Ann")})
	for what, form := range map[string]string{"unknown": credentials("Cid"), "wrong": url.Values{"name": {"Bob"}, "password": {"wrong"}}.Encode()} {
		got := s.send(request{to: "POST /login", form: form})
		for _, name := range []string{"Cid", "Bob"} {
			got.body = strings.Replace(got.body, `value="`+name+`"`, `value="Ann"`, 1)
		}
		if got.status != 401 || disabled.status != 401 || got.body != disabled.body || got.id+disabled.id != "" || len(disabled.header.Values("Set-Cookie")) > 0 {
			t.Errorf("%s: %d and %d\n%s\n%s", what, got.status, disabled.status, got.body, disabled.body)
		}
		for name := range got.header {
			if name != "Date" && got.header.Get(name) != disabled.header.Get(name) {
				t.Errorf("%s: %s is %q and %q", what, name, got.header.Get(name), disabled.header.Get(name))
			}
		}
	}

	// Enabled again, the sessions of before stay dead.
	if err := s.accounts.SetDisabled(t.Context(), ann.ID, false); err != nil {
		t.Fatal(err)
	}
	s.loggedInAs(ids[0], "")
	s.loggedInAs(s.login("Ann"), "Ann")
}

// An account that changes between the check and the session is no login, and no
// fault of ours in the log. ASVS 15.4.2, 16.3.1
func TestAccountThatEndsDuringALogin(t *testing.T) {
	s := newTestSite(t)
	s.signUp("Ann")
	s.store.fail(sessions.ErrEnded)
	got := s.send(request{to: "POST /login", form: credentials("Ann")})
	s.store.repair()
	if got.status != 401 || got.id != "" || len(got.header.Values("Set-Cookie")) > 0 {
		t.Errorf("%d, %v", got.status, got.header)
	}
	var login struct{ Level, Msg, Outcome string }
	first, _, _ := strings.Cut(s.log.take(), "\n")
	if err := json.Unmarshal([]byte(first), &login); err != nil || login.Level != "WARN" || login.Msg != "login" || login.Outcome != "refused" {
		t.Errorf("%v: %s", err, first)
	}
}

// If the session cannot be begun after a change, the change holds and says so by
// the log alone; nobody is logged in by half.
func TestFaultAfterAPasswordChange(t *testing.T) {
	s := newTestSite(t)
	id := s.login("Ann")
	ann := s.account("Ann")
	s.store.failBegin(errors.New("the disk is on fire"))
	got := s.send(request{to: "POST /account/password", id: id, form: url.Values{"old": {password}, "new": {"nine loud horns under bridge"}}.Encode()})
	s.store.repair()
	if got.status != 500 || got.id != "" || len(got.header.Values("Set-Cookie")) > 0 {
		t.Errorf("%d, %v", got.status, got.header)
	}
	// The page says what has come about, and nothing of the fault.
	if !strings.Contains(got.body, "Your password is changed. But you could not be logged in.") || strings.Contains(got.body, "fire") {
		t.Errorf("the page:\n%s", got.body)
	}
	if now := s.account("Ann"); now.PasswordChanged.Equal(ann.PasswordChanged) {
		t.Error("the password is the old one")
	}
	s.loggedInAs(id, "")
}

// The flash shows a sentence of ours, once, whatever the cookie holds.
func TestFlash(t *testing.T) {
	s := newTestSite(t)
	for value, want := range map[string]string{
		"password": "Your password is changed.", "deleted": "Your account is deleted", "<script>": "", "nonsense": "", "": "",
	} {
		got := s.send(request{to: "GET /", header: map[string]string{"Cookie": "__Host-flash=" + value}})
		if strings.Contains(got.body, `class="flash"`) != (want != "") || !strings.Contains(got.body, want) || strings.Contains(got.body, "<script>") {
			t.Errorf("%q shows\n%s", value, got.body)
		}
		cleared := strings.HasPrefix(got.header.Get("Set-Cookie"), "__Host-flash=;")
		if cleared != (value != "") {
			t.Errorf("%q: the answer sets %q", value, got.header.Values("Set-Cookie"))
		}
	}
}
