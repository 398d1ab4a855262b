package tests

import (
	"testing"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
)

// The whole life of an account, as a person has it with a keyboard: sign up, log out, log in, change the password,
// delete the account.
func TestAccountInABrowser(t *testing.T) {
	onlyInAll(t)
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
	b.follow("/signup")
	b.fill(name)
	b.press("/signup")
	b.is(name)
	b.mustHave(`form[action="/account/password"]`) // back at the page that asked
	b.press("/logout")
	b.is("")

	b.follow("/login")
	b.fill(name)
	b.enter()
	b.is(name)
	b.follow("/account")
	b.typeInto("old", "wrong")
	b.typeInto("new", another)
	b.press("/account/password")
	b.mustHave("[role=alert]")
	b.typeInto("old", password)
	b.typeInto("new", another)
	b.press("/account/password")
	b.mustHave("[role=status]")
	b.mustHaveEmptyPasswords()
	b.open("/account")
	if b.has("[role=status]") {
		t.Error("the page says it twice")
	}

	b.typeInto("password", password)
	b.press("/account/delete")
	b.mustHave("[role=alert]")
	b.mustHaveEmptyPasswords()
	b.typeInto("password", another)
	b.press("/account/delete")
	b.mustHave("[role=status]")
	b.is("")
	// What the browser kept leads nowhere.
	b.open("/account")
	b.hides(name)
	b.fill(name) // sent to the login
	b.enter()
	b.mustHave("[role=alert]")
	b.is("")
}

// mustHave wants an element on the page.
func (b *browser) mustHave(selector string) {
	b.t.Helper()
	if !b.has(selector) {
		b.t.Errorf("the page has no %s: %s", selector, b.text())
	}
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
