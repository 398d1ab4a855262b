package crash

import (
	"fmt"
	"maps"
	"net/url"
	"slices"

	"latchkey/tests/rig"
)

func (a *account) remember(sport string) {
	if a.sports == nil {
		a.sports = map[string]bool{}
	}
	a.sports[sport] = true
}

// addRegistration registers the account for a sport, unless it is registered.
func (c *client) addRegistration(a *account) error {
	sport := rig.Sports()[c.random.IntN(len(rig.Sports()))]
	if a.sports[sport] {
		return c.readPages(a)
	}
	err := c.send(c.browser(a.cookies[0]), "/registrations", url.Values{"sport": {sport}}, func() error {
		return c.settleSport(a, sport)
	})
	if err == nil {
		a.remember(sport)
	}
	return err
}

func (c *client) dropRegistration(a *account) error {
	sports, err := c.registrations(a)
	if err != nil || len(sports) == 0 {
		return err
	}
	names := slices.Sorted(maps.Keys(sports))
	sport := names[c.random.IntN(len(names))]
	err = c.send(c.browser(a.cookies[0]), sports[sport], nil, func() error { return c.settleSport(a, sport) })
	if err == nil {
		delete(a.sports, sport)
	}
	return err
}

func (c *client) settleSport(a *account, sport string) error {
	sports, err := c.registrations(a)
	if err != nil {
		return err
	}
	if _, there := sports[sport]; there {
		a.remember(sport)
	} else {
		delete(a.sports, sport)
	}
	return nil
}

func (c *client) registrations(a *account) (map[string]string, error) {
	answer, err := c.browser(a.cookies[0]).Get("/registrations")
	if err != nil {
		return nil, err
	}
	return answer.Registrations()
}

// verifyRegistrations compares the page with what the client remembers.
func (c *client) verifyRegistrations(a *account) error {
	c.figures.checks.Add(int64(len(a.sports)))
	sports, err := c.registrations(a)
	if err != nil {
		return err
	}
	have, want := slices.Sorted(maps.Keys(sports)), slices.Sorted(maps.Keys(a.sports))
	if !slices.Equal(have, want) {
		c.figures.lost.Add(1)
		return fmt.Errorf("%s is registered for %q, not for %q", a.name, have, want)
	}
	return nil
}
