package tests

import (
	"net/http"
	"testing"

	"github.com/chromedp/chromedp"
)

// The operator makes the first administrator, who sees every account, and whom
// another cannot become.
func TestBackOfficeInABrowser(t *testing.T) {
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
	eve.hides("Back office")
	if answer := eve.load("look behind the door", chromedp.Navigate(eve.address("/admin"))); answer.Status != http.StatusNotFound {
		t.Errorf("status %d", answer.Status)
	}
	ada.follow("Back office")
	ada.follow("Eve")
	ada.follow("Disable")
	ada.shows("it cannot log in until it is enabled again")
	ada.press("Disable")
	ada.shows("Disabled.")
	eve.open("/account")
	eve.hides("Eve", "Change password")
	eve.shows("Log in")
}

// A person sees where they are logged in, and ends what is not theirs.
//
// ASVS 7.5.2
func TestSessionsInABrowser(t *testing.T) {
	t.Parallel()
	s := start(t)
	ada := s.browse(t)
	ada.withoutScripts()
	ada.login("Ada")
	lost := s.login("Ada")
	ada.open("/account")
	ada.shows("this one")
	ada.shows("What happened lately")
	ada.press("End all others")
	ada.shows("You are logged out everywhere else.")
	lost.mustBeNobody()
	ada.open("/")
	ada.shows("You are logged in as Ada.")
}
