package tests

import (
	"strings"
	"testing"

	"github.com/chromedp/chromedp"
)

// The whole stay of a visitor, as a person has it.
//
// ASVS 14.3.1, 14.3.2, 14.2.2: after the logout, Back shows nothing private.
func TestVisitInABrowser(t *testing.T) {
	t.Parallel()
	s := start(t)
	visit(t, s, s.browse(t))
}

func TestVisitWithoutScripts(t *testing.T) {
	onlyInAll(t)
	t.Parallel()
	s := start(t)
	b := s.browse(t)
	b.withoutScripts()
	visit(t, s, b)
}

func visit(t *testing.T, s *server, b *browser) {
	const name = "Ada Lovelace"
	b.open("/")
	b.is("")
	b.login(name)
	b.is(name)
	b.hides("You are not logged in.")

	s.restart()
	b.open("/")
	b.is(name)

	b.open("/login")
	b.is(name)
	b.open("/logout")
	b.shows(name)
	b.open("/")

	b.press("/logout")
	b.is("")
	steps := 0
	for b.back() {
		b.is("")
		b.hides(name)
		steps++
	}
	if steps == 0 {
		t.Error("there was nowhere to go back to")
	}
	b.open("/")
	b.is("")
	b.mustNotComplain()
}

func TestEnterSendsTheForm(t *testing.T) {
	onlyInAll(t)
	t.Parallel()
	s := start(t)
	b := s.browse(t)
	s.signUp("Ada")
	b.open("/login")
	b.fill("Ada")
	b.enter()
	b.is("Ada")
	b.mustNotComplain()
}

// ASVS 1.2.1, 3.2.2: in the browser too a name is text: it shows as typed, and runs nothing.
func TestNamesInABrowser(t *testing.T) {
	onlyInAll(t)
	t.Parallel()
	s := start(t)
	b := s.browse(t)
	for _, name := range []string{`<script>alert(1)</script>`, `"><img src=x onerror=alert(1)>`, `"'`, `{{.Name}}`, "שלום 😀"} {
		b.login(name)
		b.is(name)
		b.press("/logout")
		b.is("")
	}
	// An alert would have stopped the page, a blocked script would have spoken up.
	b.mustNotComplain()
}

// A refused name comes back in its field, with a sentence that a screen reader says at once.
func TestRefusalInABrowser(t *testing.T) {
	t.Parallel()
	s := start(t)
	b := s.browse(t)
	b.withoutScripts()
	b.open("/signup")
	b.fill(strings.Repeat("long", 20))
	b.enter()
	if alert := ask(b, "read the refusal", chromedp.Text(chromedp.CSS("[role=alert]"))); !strings.HasSuffix(strings.TrimSpace(alert), ".") {
		t.Errorf("the refusal says %q", alert)
	}
	if kept := ask(b, "read the field", chromedp.Value(chromedp.CSS("input[name=name]"))); kept != strings.Repeat("long", 20) {
		t.Errorf("the field holds %q", kept)
	}
	b.is("")
}

// A form that is too large is answered with a page that a person can read, not with a broken connection.
func TestTooLargeFormInABrowser(t *testing.T) {
	onlyInAll(t)
	t.Parallel()
	s := start(t)
	b := s.browse(t)
	for _, size := range []int{100 << 10, 4 << 20} {
		b.open("/login")
		b.fill("Ada")
		b.do("paste a book", chromedp.SetValue(chromedp.CSS("input[name=name]"), strings.Repeat("a", size)))
		if answer := b.load("press the button", chromedp.Click(chromedp.CSS("form button"))); answer.Status != 413 {
			t.Errorf("status %d for %d bytes", answer.Status, size)
		}
		b.mustHave(`main a[href="/"]`)
		b.is("")
	}
}

// On a phone nothing sticks out at the side, not even with the longest name of the widest letters.
func TestPhone(t *testing.T) {
	onlyInAll(t)
	t.Parallel()
	s := start(t)
	b := s.browse(t)
	b.do("take a phone", chromedp.EmulateViewport(320, 640, chromedp.EmulateMobile, chromedp.EmulateScale(2)))
	fits := func(path string) {
		t.Helper()
		b.open(path)
		b.mustFit(path)
	}
	for _, path := range []string{"/", "/signup", "/login", "/logout", "/no-such-page"} {
		fits(path)
	}
	b.open("/login")
	b.fill(strings.Repeat("W", 65))
	b.enter()
	b.mustFit("the refused form")
	b.login(strings.Repeat("W", 64))
	for _, path := range []string{"/", "/logout", "/account", "/no-such-page"} {
		fits(path)
	}
}

// mustFit wants no scrolling sideways, and room for a finger on what can be pressed.
func (b *browser) mustFit(what string) {
	b.t.Helper()
	if wide := ask(b, "measure", chromedp.Evaluate[float64](`document.scrollingElement.scrollWidth - window.innerWidth`)); wide > 0 {
		b.t.Errorf("%s is %v pixels wider than the phone", what, wide)
	}
	// WCAG 2.2, 2.5.8: at least 24 by 24 pixels.
	small := ask(b, "measure", chromedp.Evaluate[[]string](`[...document.querySelectorAll("button, input:not([type=hidden]), a.button")].filter(e => {
		const box = e.getBoundingClientRect(); return box.width < 24 || box.height < 24 }).map(e => e.outerHTML)`))
	for _, element := range small {
		b.t.Errorf("%s: too small for a finger: %s", what, element)
	}
}

// Two people at two browsers are two people, and one's logout is not the other's.
func TestTwoBrowsers(t *testing.T) {
	onlyInAll(t)
	t.Parallel()
	s := start(t)
	ada, eve := s.browse(t), s.browse(t)
	ada.login("Ada")
	eve.login("Eve")
	ada.open("/")
	ada.is("Ada")
	ada.hides("Eve")
	ada.press("/logout")
	eve.open("/")
	eve.is("Eve")
	eve.hides("Ada")
}

// ASVS 3.5.1, 7.6.2: a page of another site, in a real browser, logs nobody in or out.
func TestAnotherSiteInABrowser(t *testing.T) {
	t.Parallel()
	s, evil := start(t), newEvilSite(t)
	b := s.browse(t)
	s.signUp("Mallory")
	b.login("Ada")
	for _, form := range []string{
		`<form method="post" action="` + b.address("/login") + `"><input name="name" value="Mallory"><input name="password" value="` + password + `"><button>Win</button></form>`,
		`<form method="post" action="` + b.address("/signup") + `"><input name="name" value="Eve"><input name="password" value="` + password + `"><button>Win</button></form>`,
		`<form method="post" action="` + b.address("/account/delete") + `"><input name="password" value="` + password + `"><button>Win</button></form>`,
		`<form method="post" action="` + b.address("/logout") + `"><button>Win</button></form>`,
		`<form method="post" enctype="text/plain" action="` + b.address("/logout") + `"><button>Win</button></form>`,
	} {
		evil.serve(form)
		b.load("visit the other site", chromedp.Navigate(evil.url))
		if answer := b.load("press Win", chromedp.Click(chromedp.CSS("button"))); answer.Status != 403 {
			t.Errorf("status %d to %s", answer.Status, form)
		}
		b.hides("Mallory")
		b.open("/")
		b.is("Ada")
	}
	// ASVS 3.4.6: nor can it put our page into a frame.
	evil.serve(`<iframe src="` + b.address("/") + `"></iframe>`)
	b.load("visit the other site", chromedp.Navigate(evil.url))
	await(t, "the frame to be refused", func() bool {
		b.mu.Lock()
		defer b.mu.Unlock()
		return strings.Contains(strings.Join(b.problems, "\n"), "frame-ancestors")
	})
}
