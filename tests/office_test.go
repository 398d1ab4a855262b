package tests

import (
	"net/http"
	"testing"

	"github.com/chromedp/chromedp"
)

// The operator makes the first administrator, who sees every account, and whom
// another cannot become.
func TestBackOfficeInABrowser(t *testing.T) {
	onlyInAll(t)
	t.Parallel()
	s := start(t)
	s.signUp("Ada")
	s.signUp("Eve")
	if code, _, stderr := command(t, nil, "user", "admin", "Ada", "--database", s.database); code != 0 {
		t.Fatalf("exit code %d: %s", code, stderr)
	}
	ada, eve := s.browse(t), s.browse(t)
	ada.withoutScripts()
	ada.login("Ada")
	eve.login("Eve")
	if eve.has(`a[href^="/admin"]`) {
		t.Error("the page leads to the back office")
	}
	if answer := eve.load("look behind the door", chromedp.Navigate(eve.address("/admin"))); answer.Status != http.StatusNotFound {
		t.Errorf("status %d", answer.Status)
	}
	ada.follow("/admin")
	row := ask(ada, "find Eve", chromedp.Evaluate[string](`[...document.querySelectorAll("td a")].find(a => a.textContent === "Eve").getAttribute("href")`))
	ada.follow(row)
	ada.follow(row + "/disable")
	ada.shows("Eve")
	ada.press(row + "/disable")
	ada.mustHave("[role=status]")
	ada.mustHave(`a[href="` + row + `/enable"]`)
	eve.open("/account")
	eve.is("")
	eve.hides("Eve")
	eve.mustHave(`form[action="/login"]`)
}

// A person sees where they are logged in, and ends what is not theirs.
//
// ASVS 7.5.2
func TestSessionsInABrowser(t *testing.T) {
	onlyInAll(t)
	t.Parallel()
	s := start(t)
	ada := s.browse(t)
	ada.withoutScripts()
	ada.login("Ada")
	lost := s.login("Ada")
	ada.open("/account")
	ada.mustHave("#sessions")
	ada.mustHave("#events")
	ada.press("/account/sessions/end-others")
	ada.mustHave("[role=status]")
	lost.mustBeNobody()
	ada.open("/")
	ada.is("Ada")
}
