package crash

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net/url"
	"slices"

	"latchkey/tests/rig"
)

// client is a visitor with several accounts and browsers. It remembers all
// acknowledged changes, and the one request that was in flight when the server
// was killed.
type client struct {
	number   int
	figures  *counts
	random   *rand.Rand
	line     *rig.Line
	created  int // number of accounts created
	accounts []*account
	ended    []string // cookies of the latest sessions that ended
	gone     []*gone  // the latest accounts that were deleted
	flight   *flight
}

type account struct {
	name, password string
	cookies        []string        // of the sessions that are logged in
	sports         map[string]bool // registrations
}

// gone is a deleted account. Its name is available again, and a new account of
// that name must have nothing of the old one.
type gone struct {
	name    string
	cookies []string
}

// flight is a request that was sent and not acknowledged. After a restart,
// settle finds out whether it was executed. Either is right, but not a partial
// change.
type flight struct {
	settle func() error
}

const (
	mostAccounts = 3
	mostSessions = 4 // per account
	mostEnded    = 12
	mostGone     = 2
)

// live makes random changes until the server is killed. An error before that is
// a failure.
func (c *client) live(line *rig.Line, killed <-chan struct{}) error {
	c.line = line
	for {
		err := c.step()
		select {
		case <-killed:
			return nil
		default:
		}
		if err != nil {
			return err
		}
	}
}

func (c *client) browser(cookie string) *rig.Browser {
	return &rig.Browser{Line: c.line, Cookie: cookie}
}

// step makes one change or reads a page.
func (c *client) step() error {
	if len(c.accounts) == 0 {
		return c.newAccount()
	}
	a := c.accounts[c.random.IntN(len(c.accounts))]
	if len(a.cookies) == 0 {
		return c.logIn(a)
	}
	switch n := c.random.IntN(100); {
	case n < 10 && len(c.accounts) < mostAccounts:
		return c.newAccount()
	case n < 25 && len(a.cookies) < mostSessions:
		return c.logIn(a)
	case n < 40:
		return c.logOut(a, c.random.IntN(len(a.cookies)))
	case n < 44:
		return c.endOthers(a)
	case n < 65:
		return c.addRegistration(a)
	case n < 80:
		return c.dropRegistration(a)
	case n < 86 && len(c.accounts) == mostAccounts:
		return c.remove(a)
	}
	return c.readPages(a)
}

// errRefused means that the server rejected a request for the moment and
// changed nothing.
var errRefused = errors.New("refused for now")

// send posts a change. A successful answer acknowledges it.
func (c *client) send(b *rig.Browser, path string, form url.Values, settle func() error) error {
	c.flight = &flight{settle}
	had := b.Cookie
	answer, err := b.Post(path, form.Encode())
	if err != nil {
		return err
	}
	c.flight = nil
	if answer.Status == 503 && answer.RetryAfter != "" && b.Cookie == had {
		return errRefused
	}
	if answer.Status != 303 {
		return fmt.Errorf("POST %s: status %d: %.2000s", path, answer.Status, answer.Body)
	}
	c.figures.acknowledged.Add(1)
	return nil
}

// newAccount creates an account: by logging in with --dev or, for two of the
// clients, by signing up with a password.
func (c *client) newAccount() error {
	a := &account{name: fmt.Sprintf("c%d-%d", c.number, c.created)}
	c.created++
	b := c.browser("")
	path, form := "/login", url.Values{"name": {a.name}}
	settle := func() error { return c.settleNew(a) }
	if c.number < 2 && c.created%4 == 0 {
		a.password = "four unrelated mushrooms whistle"
		path, form = "/signup", url.Values{"name": {a.name}, "password": {a.password}}
	}
	if err := c.send(b, path, form, settle); err != nil {
		return err
	}
	a.cookies = append(a.cookies, b.Cookie)
	c.accounts = append(c.accounts, a)
	return nil
}

// settleNew logs in to an account that may exist. If it does not, its name must
// be available.
func (c *client) settleNew(a *account) error {
	b := c.browser("")
	answer, err := b.Post("/login", url.Values{"name": {a.name}, "password": {a.password}}.Encode())
	if err == nil && answer.Status == 401 && a.password != "" {
		answer, err = b.Post("/signup", url.Values{"name": {a.name}, "password": {a.password}}.Encode())
	}
	if err != nil {
		return err
	}
	if answer.Status != 303 {
		return fmt.Errorf("%w: the account %s: status %d: %.2000s", errHalf, a.name, answer.Status, answer.Body)
	}
	a.cookies = append(a.cookies, b.Cookie)
	c.accounts = append(c.accounts, a)
	return nil
}

func (c *client) logIn(a *account) error {
	b := c.browser("")
	// An account that was never acknowledged is not tracked.
	err := c.send(b, "/login", url.Values{"name": {a.name}, "password": {a.password}}, func() error { return nil })
	if err == nil {
		a.cookies = append(a.cookies, b.Cookie)
	}
	return err
}

func (c *client) logOut(a *account, i int) error {
	err := c.send(c.browser(a.cookies[i]), "/logout", nil, func() error {
		name, err := c.who(a.cookies[i])
		if err == nil && name == "" {
			c.end(a, a.cookies[i])
		}
		return err
	})
	if err == nil {
		c.end(a, a.cookies[i])
	}
	return err
}

// endOthers ends all sessions but the first.
func (c *client) endOthers(a *account) error {
	others := slices.Clone(a.cookies[1:])
	err := c.send(c.browser(a.cookies[0]), "/account/sessions/end-others", nil, func() error {
		return c.settleAll(a, others, nil)
	})
	if err == nil {
		c.end(a, others...)
	}
	return err
}

// settleAll checks that all of the sessions have ended, or none.
func (c *client) settleAll(a *account, cookies []string, gone func()) error {
	out := 0
	for _, cookie := range cookies {
		name, err := c.who(cookie)
		if err != nil {
			return err
		}
		if name == "" {
			out++
		}
	}
	if out != 0 && out != len(cookies) {
		return fmt.Errorf("%w: of %d sessions of %s, %d ended", errHalf, len(cookies), a.name, out)
	}
	if out > 0 {
		c.end(a, cookies...)
		if gone != nil {
			gone()
		}
	}
	return nil
}

func (c *client) end(a *account, cookies ...string) {
	a.cookies = slices.DeleteFunc(a.cookies, func(cookie string) bool { return slices.Contains(cookies, cookie) })
	c.ended = append(c.ended, cookies...)
	c.ended = c.ended[max(0, len(c.ended)-mostEnded):]
}

// remove deletes the account with everything it owns.
func (c *client) remove(a *account) error {
	cookies := slices.Clone(a.cookies)
	forget := func() {
		c.accounts = slices.DeleteFunc(c.accounts, func(other *account) bool { return other == a })
		c.gone = append(c.gone, &gone{a.name, cookies})
		c.gone = c.gone[max(0, len(c.gone)-mostGone):]
	}
	err := c.send(c.browser(cookies[0]), "/account/delete", url.Values{"password": {a.password}}, func() error {
		return c.settleAll(a, cookies, forget)
	})
	if err == nil {
		c.end(a, cookies...)
		forget()
	}
	return err
}

func (c *client) who(cookie string) (string, error) {
	answer, err := c.browser(cookie).Get("/")
	if err != nil {
		return "", err
	}
	return answer.Who()
}

// readPages reads the pages of an account.
func (c *client) readPages(a *account) error {
	name, err := c.who(a.cookies[c.random.IntN(len(a.cookies))])
	if err == nil && name != a.name {
		err = fmt.Errorf("the page of %q, not of %q", name, a.name)
	}
	return err
}
