package soak

import (
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strings"
	"sync/atomic"

	"latchkey/tests/rig"
)

// registrations are a visitor's registrations with the URLs of their forms, and
// a form that another visitor has seen.
type registrations struct {
	sports map[string]string
	seen   *atomic.Pointer[button]
}

// newRegistrations returns a function that creates the registrations of each
// visitor.
func newRegistrations() func() registrations {
	seen := new(atomic.Pointer[button])
	return func() registrations { return registrations{map[string]string{}, seen} }
}

// readRegistrations checks that the page has the visitor's registrations and no
// others.
func (v *visitor) readRegistrations() error {
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
	have, want := slices.Sorted(maps.Keys(sports)), slices.Sorted(maps.Keys(v.registrations.sports))
	if !slices.Equal(have, want) {
		return fmt.Errorf("registered for %q, not for %q", have, want)
	}
	for sport, address := range v.registrations.sports {
		if address != "" && sports[sport] != address {
			return fmt.Errorf("%s has the address %q, not %q", sport, sports[sport], address)
		}
	}
	v.registrations.sports = sports
	for _, address := range sports {
		v.registrations.seen.Store(&button{v, address})
	}
	return v.mine(answer)
}

func (v *visitor) addRegistration() error {
	sport := rig.Sports()[v.random.IntN(len(rig.Sports()))]
	form := url.Values{"sport": {sport}}.Encode()
	_, there := v.registrations.sports[sport]
	switch {
	case !v.in:
		return v.expect("POST", "/registrations", form, 401)
	case there:
		return v.expect("POST", "/registrations", form, 422)
	}
	v.registrations.sports[sport] = "" // the URL is read from the next page of registrations
	return v.expect("POST", "/registrations", form, 303)
}

func (v *visitor) dropRegistration() error {
	for sport, address := range v.registrations.sports {
		switch {
		case address == "":
			return v.readRegistrations()
		case !v.in:
			return v.expect("POST", address, "", 401)
		}
		delete(v.registrations.sports, sport)
		return v.expect("POST", address, "", 303)
	}
	return v.readRegistrations()
}

// dropAnothersRegistration submits a form of another visitor's registration,
// which may be gone.
func (v *visitor) dropAnothersRegistration() error {
	button := v.registrations.seen.Load()
	switch {
	case button == nil || button.owner == v:
		return v.readRegistrations()
	case !v.in:
		return v.expect("POST", button.address, "", 401)
	}
	return v.expect("POST", button.address, "", 404)
}

// button is a form on a visitor's page.
type button struct {
	owner   *visitor
	address string
}
