package tests

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"
)

// register registers the client for a sport and gives the address that its
// Deregister button posts to.
func (c *client) register(sport string) string {
	c.t.Helper()
	page := c.post("/registrations", url.Values{"sport": {sport}}).expect(http.StatusSeeOther).follow()
	id := page.registrations()[sport]
	if id == "" {
		c.t.Fatalf("not registered: %s", page.text())
	}
	page.form("/registrations/" + id + "/deregister")
	return "/registrations/" + id + "/deregister"
}

// registrations gives the sports on the page of registrations, each with its id.
func (p *page) registrations() map[string]string {
	p.client.t.Helper()
	ids := map[string]string{}
	for _, row := range all(p.html(), "li") {
		if id := attribute(row, "data-registration"); id != "" {
			ids[attribute(row, "data-sport")] = id
		}
	}
	return ids
}

// mustHaveRegistrations wants the page of registrations to show so many.
func (c *client) mustHaveRegistrations(n int) {
	c.t.Helper()
	if have := c.get("/registrations").expect(http.StatusOK).registrations(); len(have) != n {
		c.t.Errorf("registered for %v, not for %d", have, n)
	}
}

// ASVS 8.2.2: whoever knows the address of somebody else's thing does not reach
// it, and learns nothing of it.
func TestOthersCannotDeregister(t *testing.T) {
	t.Parallel()
	s := start(t)
	ada, eve := s.login("Ada"), s.login("Eve")
	mine := ada.register("Football")
	theirs := eve.register("Football")
	guessed := mine[:len("/registrations/")] + strings.Repeat("0", 32) + "/deregister"

	for _, path := range []string{mine, guessed} {
		p := eve.post(path, url.Values{"owner": {"Eve"}, "id": {theirs}}).expect(http.StatusNotFound).hides("Football", "Ada")
		if p.text() == "" {
			t.Error("an empty page")
		}
	}
	s.client().post(mine, nil).expect(http.StatusUnauthorized)
	ada.mustHaveRegistrations(1)
	ada.post(mine, nil).expect(http.StatusSeeOther)
	ada.mustHaveRegistrations(0)
	eve.mustHaveRegistrations(1)
	s.restart()
	eve.mustHaveRegistrations(1)
}

// ASVS 8.2.3, 15.3.3: a form cannot give what it has no field for.
func TestFieldsThatMakeNobodyPowerful(t *testing.T) {
	t.Parallel()
	s := start(t)
	eve := s.login("Eve")
	eve.post("/registrations", url.Values{"sport": {"Football"}, "admin": {"true"}, "owner": {"Ada"}, "role": {"administrator"}}).expect(http.StatusBadRequest)
	eve.get("/registrations").shows("You are not registered for any sport.")
	eve.get("/admin").expect(http.StatusNotFound)
	for _, sport := range []string{"", "Chess-boxing", "football", "Football\x00"} {
		eve.post("/registrations", url.Values{"sport": {sport}}).expect(http.StatusUnprocessableEntity)
	}
}

// Two people at two browsers: one presses the other's button.
func TestOthersButtonInABrowser(t *testing.T) {
	onlyInAll(t)
	t.Parallel()
	s := start(t)
	ada, eve := s.browse(t), s.browse(t)
	const football = `[data-registration][data-sport="Football"]`
	for name, b := range map[string]*browser{"Ada": ada, "Eve": eve} {
		b.login(name)
		b.open("/registrations")
		b.do("choose", chromedp.SetValue(chromedp.CSS("select[name=sport]"), "Football"))
		b.press("/registrations")
		b.mustHave(football)
	}
	action := ask(ada, "read Ada's button", chromedp.Evaluate[string](`document.querySelector("[data-registration] form").getAttribute("action")`))
	ask(eve, "put it into Eve's page", chromedp.Evaluate[bool](`document.querySelector("[data-registration] form").setAttribute("action", "`+action+`") === undefined`))
	if answer := eve.load("press it", chromedp.Click(chromedp.CSS("[data-registration] form button"))); answer.Status != http.StatusNotFound {
		t.Errorf("status %d", answer.Status)
	}
	eve.hides("Football")
	ada.open("/registrations")
	ada.mustHave(football)
	ada.press(action)
	if ada.has(football) {
		t.Error("Ada is still registered")
	}
	eve.open("/registrations")
	eve.mustHave(football)
}
