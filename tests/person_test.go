package tests

import (
	"testing"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
)

// The whole life of an account, as a person has it with a keyboard: sign up, log out, log in, change the password,
// delete the account.
func TestAccountInABrowser(t *testing.T) {
	t.Parallel()
	s := start(t)
	live(t, s, s.browse(t))
}

func TestAccountWithoutScripts(t *testing.T) {
	t.Parallel()
	s := start(t)
	b := s.browse(t)
	b.withoutScripts()
	live(t, s, b)
}

func live(t *testing.T, s *server, b *browser) {
	const name = "Grace Hopper"
	b.open("/account") // private, so it leads to the login, and from there to the sign-up
	b.shows("Log in")
	b.follow("Sign up")
	b.fill("Grace Hopper")
	b.press("Sign up")
	b.shows("You are logged in as " + name + ".")
	b.shows("Change password") // back at the page that asked
	b.press("Log out")
	b.shows("You are not logged in.")

	b.follow("Log in")
	b.fill(name)
	b.enter()
	b.shows("You are logged in as " + name + ".")
	b.follow("Account")
	b.typeInto("old", "wrong")
	b.typeInto("new", another)
	b.press("Change password")
	b.shows("The password is not right.")
	b.typeInto("old", password)
	b.typeInto("new", another)
	b.press("Change password")
	b.shows("Your password is changed. You are logged out everywhere else.")
	b.mustHaveEmptyPasswords()
	b.open("/account")
	b.hides("Your password is changed.")

	b.typeInto("password", password)
	b.press("Delete account")
	b.shows("The password is not right.")
	b.mustHaveEmptyPasswords()
	b.typeInto("password", another)
	b.press("Delete account")
	b.shows("Your account is deleted, with everything that belonged to it.")
	b.shows("You are not logged in.")
	// What the browser kept leads nowhere.
	b.open("/account")
	b.hides(name)
	b.fill(name) // sent to the login
	b.enter()
	b.shows("The name or the password is not right.")
}

// typeInto clicks a field and types.
func (b *browser) typeInto(field, text string) {
	b.t.Helper()
	at := chromedp.CSS("input[name=" + field + "]")
	b.do("type into "+field, chromedp.Click(at), chromedp.KeyEvent(kb.End), chromedp.SendKeys(at, text))
}

// mustHaveEmptyPasswords wants no password on the page, not even one that dots hide.
func (b *browser) mustHaveEmptyPasswords() {
	b.t.Helper()
	for _, kept := range ask(b, "read the fields", chromedp.Evaluate[[]string](`[...document.querySelectorAll("input[type=password]")].map(e => e.value)`)) {
		if kept != "" {
			b.t.Error("a password came back with the page")
		}
	}
}
