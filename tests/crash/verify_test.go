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

// verifyGone logs in with the name of a deleted account. With --dev that
// creates a new account, which must have nothing but its own session. Then it
// deletes the new account.
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
	g.cookies = fresh.cookies // the old ones ended with the deleted account, these end with the new one
	return c.send(b, "/account/delete", nil, func() error { return nil })
}

// verifyUneventful checks that the account has no event from before its first
// login.
func (c *client) verifyUneventful(a *account) error {
	answer, err := c.browser(a.cookies[0]).Get("/account")
	if n := bytes.Count(answer.Body, []byte("<li data-event>")); n > 1 {
		err = fmt.Errorf("%d things have happened to it", n)
	}
	return err
}

// verifySessions compares the list of sessions with what the client remembers.
// It is for accounts without a request in flight at a kill: the list also
// contains sessions that were never acknowledged.
func (c *client) verifySessions(a *account) error {
	answer, err := c.browser(a.cookies[0]).Get("/account")
	if err != nil {
		return err
	}
	if n := bytes.Count(answer.Body, []byte(`action="/account/sessions/`)) - 1; answer.Status != 200 || n != len(a.cookies) {
		return fmt.Errorf("%s: status %d with a list of %d sessions, not %d", a.name, answer.Status, n, len(a.cookies)) // one form is the button that ends all others
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
		c.readPages(a),
		c.verifyRegistrations(a),
	)
}

// isIn reports whether a session is logged in, without rendering a page for it.
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
