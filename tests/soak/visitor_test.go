package soak

import (
	"bytes"
	"fmt"
	"html"
	"math/rand/v2"
	"net/url"
	"regexp"

	"latchkey/tests/rig"
)

// visitor is a visitor with what their pages must show.
type visitor struct {
	name, password string
	browser        *rig.Browser
	in             bool   // logged in
	style          []byte // URL of the stylesheet
	random         *rand.Rand

	registrations registrations
}

var styleSheet = regexp.MustCompile(`href="(/public/[^"]*\.css[^"]*)"`)

// step makes one request and checks the answer.
func (v *visitor) step() error {
	switch n := v.random.IntN(100); {
	case v.password != "" && v.random.IntN(loginEvery*withPassword/visitors) == 0:
		return v.logInOrOut()
	case n < 36:
		return v.index()
	case n < 56:
		return v.readRegistrations()
	case n < 62:
		return v.addRegistration()
	case n < 68:
		return v.dropRegistration()
	case n < 74:
		return v.account()
	case n < 86:
		return v.static()
	case n < 92:
		return v.expect("GET", "/no-such-page", "", 404)
	case n < 96:
		return v.dropAnothersRegistration()
	}
	return (&visitor{browser: &rig.Browser{Line: v.browser.Line}}).index() // anonymous
}

// expect makes a request. The answer must have the status and must not contain
// another visitor's name.
func (v *visitor) expect(method, path, form string, status int) error {
	send := func() (rig.Answer, error) { return v.browser.Get(path) }
	if method == "POST" {
		send = func() (rig.Answer, error) { return v.browser.Post(path, form) }
	}
	answer, err := send()
	if err != nil {
		return err
	}
	if answer.Status != status {
		return fmt.Errorf("%s %s: status %d, not %d: %.2000s", method, path, answer.Status, status, answer.Body)
	}
	return v.mine(answer)
}

// mine returns an error if a page contains another visitor's name.
func (v *visitor) mine(answer rig.Answer) error {
	own := []byte(html.EscapeString(v.name))
	for at, body := 0, answer.Body; ; {
		next := bytes.Index(body[at:], []byte("Visitor "))
		if next < 0 {
			return nil
		}
		if at += next; !v.in || !bytes.HasPrefix(body[at:], own) {
			return fmt.Errorf("another's page: %.2000s", body)
		}
		at++
	}
}

func (v *visitor) index() error {
	answer, err := v.browser.Get("/")
	if err != nil {
		return err
	}
	who, err := answer.Who()
	if err != nil {
		return err
	}
	if want := map[bool]string{true: v.name}[v.in]; who != want {
		return fmt.Errorf("the page of %q, not of %q", who, want)
	}
	if v.style == nil {
		found := styleSheet.FindSubmatch(answer.Body)
		if found == nil {
			return fmt.Errorf("no stylesheet in %s", answer.Body)
		}
		v.style = found[1]
	}
	return v.mine(answer)
}

func (v *visitor) account() error {
	if !v.in {
		return v.expect("GET", "/account", "", 303)
	}
	answer, err := v.browser.Get("/account")
	if err != nil {
		return err
	}
	if who, err := answer.Who(); err != nil || who != v.name {
		return fmt.Errorf("not the account of %s: %w: %.3000s", v.name, err, answer.Body)
	}
	return v.mine(answer)
}

func (v *visitor) static() error {
	if v.style == nil {
		return v.index()
	}
	return v.expect("GET", string(v.style), "", 200)
}

func (v *visitor) logInOrOut() error {
	if v.in {
		cookie := v.browser.Cookie
		if err := v.expect("POST", "/logout", "", 303); err != nil {
			return err
		}
		v.in = false
		v.browser.Cookie = cookie // it must no longer be valid
		return v.index()
	}
	answer, err := v.browser.Post("/login", url.Values{"name": {v.name}, "password": {v.password}}.Encode())
	if err != nil {
		return err
	}
	if answer.Status != 303 {
		return fmt.Errorf("login: status %d: %.2000s", answer.Status, answer.Body)
	}
	v.in = true
	return v.index()
}
