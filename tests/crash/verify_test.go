package crash

import (
	"bytes"
	"errors"
	"fmt"
	"net/url"
	"strings"

	"latchkey/tests/rig"
)

// verify compares the server with what the client remembers.
func (c *client) verify(line *rig.Line) error {
	c.line = line
	if c.flight != nil {
		c.figures.hanging.Add(1)
		settle := c.flight.settle
		c.flight = nil
		if err := settle(); err != nil {
			if errors.Is(err, errHalf) {
				c.figures.half.Add(1)
			}
			return err
		}
	}
	for _, a := range c.accounts {
		if err := c.verifyAccount(a); err != nil {
			return err
		}
	}
	for _, cookie := range c.ended {
		c.figures.checks.Add(1)
		if in, err := c.isIn(cookie); err != nil || in {
			c.figures.undone.Add(1)
			return fmt.Errorf("a session that had ended is logged in, %v", err)
		}
	}
	for _, g := range c.gone {
		if err := c.verifyGone(g); err != nil {
			return fmt.Errorf("the account %s, which was removed: %w", g.name, err)
		}
	}
	return nil
}

// verifyGone takes the name of an account that was removed, for which --dev makes
// a new one, if it is free. That must have nothing but its own session. Then it is
// removed as well, for the next time.
func (c *client) verifyGone(g *gone) error {
	c.figures.checks.Add(1)
	b := c.browser("")
	err := c.send(b, "/login", url.Values{"name": {g.name}}, func() error { return nil })
	if err != nil {
		return err
	}
	fresh := &account{name: g.name, cookies: []string{b.Cookie}}
	err = errors.Join(
		c.verifySessions(fresh),
		c.verifyUneventful(fresh),
		c.verifyRegistrations(fresh),
	)
	for _, cookie := range g.cookies {
		in, wrong := c.isIn(cookie)
		if in {
			wrong = errors.New("a session of it is logged in")
		}
		err = errors.Join(err, wrong)
	}
	if err != nil {
		c.figures.undone.Add(1)
		return err
	}
	g.cookies = fresh.cookies // the others have ended with one account, these with the next
	return c.send(b, "/account/delete", nil, func() error { return nil })
}

// verifyUneventful looks for what happened to an account before its first login.
func (c *client) verifyUneventful(a *account) error {
	answer, err := c.browser(a.cookies[0]).Get("/account")
	if n := bytes.Count(answer.Body, []byte(" UTC, ")); n > 1 {
		err = fmt.Errorf("%d things have happened to it", n)
	}
	return err
}

// verifySessions compares the list of sessions with what the client remembers. It
// is for accounts of which nothing was on its way at a kill: a session that nobody
// was told of is in the list, too.
func (c *client) verifySessions(a *account) error {
	answer, err := c.browser(a.cookies[0]).Get("/account")
	if err != nil {
		return err
	}
	if n := bytes.Count(answer.Body, []byte(`action="/account/sessions/`)) - 1; answer.Status != 200 || n != len(a.cookies) {
		return fmt.Errorf("%s: status %d with a list of %d sessions, not %d", a.name, answer.Status, n, len(a.cookies)) // one form ends all others
	}
	return nil
}

func (c *client) verifyAccount(a *account) error {
	for _, cookie := range a.cookies {
		c.figures.checks.Add(1)
		if in, err := c.isIn(cookie); err != nil || !in {
			c.figures.lost.Add(1)
			return fmt.Errorf("a session of %s is not logged in, %v", a.name, err)
		}
	}
	if len(a.cookies) == 0 {
		c.figures.checks.Add(1)
		if err := c.logIn(a); err != nil {
			c.figures.lost.Add(1)
			return fmt.Errorf("the account %s: %w", a.name, err)
		}
	}
	return errors.Join(
		c.look(a),
		c.verifyRegistrations(a),
	)
}

// isIn reports whether a session is logged in, and has no page made for that.
func (c *client) isIn(cookie string) (bool, error) {
	// Whoever typed the password recently is led on, nobody is led to the login.
	answer, err := c.browser(cookie).Get("/reauthenticate?next=/account")
	switch {
	case err != nil:
		return false, err
	case answer.Status == 303 && answer.Location == "/account":
		return true, nil
	case answer.Status == 303 && strings.HasPrefix(answer.Location, "/login?"):
		return false, nil
	}
	return false, fmt.Errorf("status %d: %.2000s", answer.Status, answer.Body)
}
