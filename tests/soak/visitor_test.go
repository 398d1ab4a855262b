package soak

import (
	"bytes"
	"fmt"
	"html"
	"maps"
	"math/rand/v2"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"sync/atomic"

	"latchkey/tests/rig"
)

// visitor is somebody who knows what their pages must show.
type visitor struct {
	name, password string
	browser        *rig.Browser
	in             bool              // logged in
	sports         map[string]string // registrations, each with the address of its button
	style          []byte            // where the stylesheet is
	seen           *atomic.Pointer[button]
	random         *rand.Rand
}

var styleSheet = regexp.MustCompile(`href="(/public/[^"]*\.css[^"]*)"`)

// step makes one request and compares the answer with what it must be.
func (v *visitor) step() error {
	switch n := v.random.IntN(100); {
	case v.password != "" && v.random.IntN(loginEvery*withSecret/visitors) == 0:
		return v.logInOrOut()
	case n < 36:
		return v.index()
	case n < 56:
		return v.registrations()
	case n < 62:
		return v.register()
	case n < 68:
		return v.deregister()
	case n < 74:
		return v.account()
	case n < 86:
		return v.static()
	case n < 92:
		return v.expect("GET", "/no-such-page", "", 404)
	case n < 96:
		return v.anothers()
	}
	return (&visitor{browser: &rig.Browser{Line: v.browser.Line}}).index() // nobody
}

// expect makes a request that must be answered with the status and show nobody
// else's name.
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

// mine returns an error if a page has the name of anybody else.
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

func (v *visitor) registrations() error {
	answer, err := v.browser.Get("/registrations")
	if err != nil {
		return err
	}
	if !v.in {
		if answer.Status != 303 || !strings.HasPrefix(answer.Location, "/login?next=") {
			return fmt.Errorf("registrations of nobody: status %d", answer.Status)
		}
		return nil
	}
	sports, err := answer.Registrations()
	if err != nil {
		return err
	}
	have, want := slices.Sorted(maps.Keys(sports)), slices.Sorted(maps.Keys(v.sports))
	if !slices.Equal(have, want) {
		return fmt.Errorf("registered for %q, not for %q", have, want)
	}
	for sport, address := range v.sports {
		if address != "" && sports[sport] != address {
			return fmt.Errorf("%s has the address %q, not %q", sport, sports[sport], address)
		}
	}
	v.sports = sports
	for _, address := range sports {
		v.seen.Store(&button{v, address})
	}
	return v.mine(answer)
}

func (v *visitor) register() error {
	sport := rig.Sports()[v.random.IntN(len(rig.Sports()))]
	form := url.Values{"sport": {sport}}.Encode()
	_, there := v.sports[sport]
	switch {
	case !v.in:
		return v.expect("POST", "/registrations", form, 401)
	case there:
		return v.expect("POST", "/registrations", form, 422)
	}
	v.sports[sport] = "" // the next page of registrations tells its address
	return v.expect("POST", "/registrations", form, 303)
}

func (v *visitor) deregister() error {
	for sport, address := range v.sports {
		switch {
		case address == "":
			return v.registrations()
		case !v.in:
			return v.expect("POST", address, "", 401)
		}
		delete(v.sports, sport)
		return v.expect("POST", address, "", 303)
	}
	return v.registrations()
}

// anothers presses a button that belongs to somebody else, or did.
func (v *visitor) anothers() error {
	button := v.seen.Load()
	switch {
	case button == nil || button.owner == v:
		return v.registrations()
	case !v.in:
		return v.expect("POST", button.address, "", 401)
	}
	return v.expect("POST", button.address, "", 404)
}

// button is one that somebody has on their page.
type button struct {
	owner   *visitor
	address string
}

func (v *visitor) account() error {
	if !v.in {
		return v.expect("GET", "/account", "", 303)
	}
	answer, err := v.browser.Get("/account")
	if err != nil {
		return err
	}
	if !bytes.Contains(answer.Body, []byte("You are logged in as <bdi>"+html.EscapeString(v.name)+"</bdi>.")) {
		return fmt.Errorf("not the account of %s: status %d: %.3000s", v.name, answer.Status, answer.Body)
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
		v.browser.Cookie = cookie // it must be worth nothing
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
