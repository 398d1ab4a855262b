package crash

import (
	"errors"
	"fmt"
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
	// Whoever has proved themselves lately is led on, nobody is led to the login.
	answer, err := c.browser(cookie).Get("/prove?next=/account")
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
