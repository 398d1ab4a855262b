package tests

import (
	"net/http"
	"testing"

	"github.com/chromedp/chromedp"
)

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
