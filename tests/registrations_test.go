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
	page := c.post("/registrations", url.Values{"sport": {sport}}).expect(http.StatusSeeOther).follow().shows(sport)
	_, rest, found := strings.Cut(page.body, `action="/registrations/`)
	id, _, _ := strings.Cut(rest, `"`)
	if !found {
		c.t.Fatalf("no way to deregister: %s", page.body)
	}
	return "/registrations/" + id
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
	ada.get("/registrations").shows("Football")
	ada.post(mine, nil).expect(http.StatusSeeOther)
	ada.get("/registrations").shows("You are not registered for any sport.")
	eve.get("/registrations").shows("since")
	s.restart()
	eve.get("/registrations").shows("since")
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
	t.Parallel()
	s := start(t)
	ada, eve := s.browse(t), s.browse(t)
	for name, b := range map[string]*browser{"Ada": ada, "Eve": eve} {
		b.login(name)
		b.open("/registrations")
		b.do("choose", chromedp.SetValue(chromedp.CSS("select[name=sport]"), "Football"))
		b.press("Register")
		b.shows("Football since")
	}
	action := ask(ada, "read Ada's button", chromedp.Evaluate[string](`document.querySelector("main form").getAttribute("action")`))
	ask(eve, "put it into Eve's page", chromedp.Evaluate[bool](`document.querySelector("main form").setAttribute("action", "`+action+`") === undefined`))
	if answer := eve.load("press it", chromedp.Click(chromedp.CSS("main form button"))); answer.Status != http.StatusNotFound {
		t.Errorf("status %d", answer.Status)
	}
	eve.hides("Football")
	ada.open("/registrations")
	ada.shows("Football since")
	ada.press("Deregister")
	ada.shows("You are not registered for any sport.")
	eve.open("/registrations")
	eve.shows("Football since")
}
