package tests

import (
	"context"
	"fmt"
	"os/exec"
	"strings"
	"sync"
	"testing"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
)

// browser is one headless Chromium with one tab, and a person in front of it.
type browser struct {
	t      testing.TB
	server *server
	tab    context.Context

	mu       sync.Mutex
	problems []string // what the console complained about
}

// chromium finds the browser. A test that cannot find it fails: a skipped test shows nothing.
func chromium(t testing.TB) string {
	t.Helper()
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome-stable", "google-chrome", "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome"} {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	t.Fatal("Chromium is missing. Install it with `apt-get install chromium`, or start tests/run, which does.")
	return ""
}

// browse opens a browser with an empty profile.
func (s *server) browse(t testing.TB) *browser {
	t.Helper()
	options := append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.ExecPath(chromium(t)),
		// Root, as in a container, has no sandbox to use. The pages are ours.
		chromedp.NoSandbox,
		chromedp.DisableGPU,
		chromedp.Flag("disable-quic", true),
		chromedp.Flag("disable-component-update", true),
		// The browser has no business outside this machine.
		chromedp.Flag("host-resolver-rules", "MAP * ~NOTFOUND , EXCLUDE localhost , EXCLUDE 127.0.0.1"),
	)
	allocator, stop := chromedp.NewExecAllocator(context.Background(), options...)
	tab, leave := chromedp.NewContext(allocator)
	b := &browser{t: t, server: s, tab: tab}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("the browser shows:\n%s", b.look())
		}
		chromedp.Cancel(tab)
		leave()
		stop()
	})
	if err := chromedp.Do(tab); err != nil {
		t.Fatalf("start Chromium: %v", err)
	}
	// The window has the focus, as one in front of a person does; several browsers at once would fight for it.
	if _, err := chromedp.Call(tab, emulation.SetFocusEmulationEnabled, emulation.SetFocusEmulationEnabledParams{Enabled: true}); err != nil {
		t.Fatal(err)
	}
	go func() {
		for message, err := range chromedp.Console(tab) {
			if err != nil {
				return
			}
			switch message.Type {
			case chromedp.ConsoleError, chromedp.ConsoleWarning, chromedp.ConsoleException:
				b.mu.Lock()
				b.problems = append(b.problems, string(message.Type)+": "+message.Text)
				b.mu.Unlock()
			}
		}
	}()
	return b
}

// address is where a person goes: localhost, where browsers keep a Secure cookie without https.
func (b *browser) address(path string) string {
	return "http://localhost" + b.server.addr[strings.LastIndex(b.server.addr, ":"):] + path
}

func (b *browser) do(what string, steps ...chromedp.Action[chromedp.Void]) {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.tab, patience)
	defer cancel()
	if err := chromedp.Do(ctx, steps...); err != nil {
		b.t.Fatalf("%s: %v", what, err)
	}
}

// ask runs an action that has an answer.
func ask[T any](b *browser, what string, action chromedp.Action[T]) T {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.tab, patience)
	defer cancel()
	answer, err := chromedp.Run(ctx, action)
	if err != nil {
		b.t.Fatalf("%s: %v", what, err)
	}
	return answer
}

// load does something that leads to a page and waits for it.
func (b *browser) load(what string, steps ...chromedp.Action[chromedp.Void]) *network.Response {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.tab, patience)
	defer cancel()
	response, err := chromedp.RunResponse(ctx, steps...)
	if err != nil {
		b.t.Fatalf("%s: %v", what, err)
	}
	return response
}

func (b *browser) open(path string) {
	b.t.Helper()
	b.load("open "+path, chromedp.Navigate(b.address(path)))
}

// login logs in as a person does: from the start page by its link, typing into the field that is already focused. The
// account is made if need be.
func (b *browser) login(name string) {
	b.t.Helper()
	b.server.signUp(name)
	b.open("/")
	b.follow("/login")
	b.fill(name)
	b.press("/login")
}

// fill types what the login form and the sign-up form ask for.
func (b *browser) fill(name string) {
	b.t.Helper()
	b.do("type the name", chromedp.WaitReady(chromedp.CSS("input[name=name]:focus")), chromedp.KeyEvent(name))
	b.do("type the password", chromedp.KeyEvent(kb.Tab), chromedp.WaitReady(chromedp.CSS("input[name=password]:focus")), chromedp.KeyEvent(b.server.password()))
}

// follow clicks the link to a path, whatever its query is.
func (b *browser) follow(path string) {
	b.t.Helper()
	b.click(`a[href="` + path + `"], a[href^="` + path + `?"]`)
}

// press clicks the button of the form that is sent to a path.
func (b *browser) press(action string) {
	b.t.Helper()
	b.click(`form[action="` + action + `"] button`)
}

// click clicks what leads to a page and waits for it.
func (b *browser) click(selector string) {
	b.t.Helper()
	b.load("click "+selector, chromedp.Click(chromedp.CSS(selector)))
}

// enter presses the Enter key, which sends the form that has the focus.
func (b *browser) enter() {
	b.t.Helper()
	b.load("press Enter", chromedp.KeyEvent(kb.Enter))
}

// back presses the browser's Back button. It tells whether there was anywhere to go.
func (b *browser) back() bool {
	b.t.Helper()
	if ask(b, "history", chromedp.NavigationEntries()).CurrentIndex == 0 {
		return false
	}
	b.do("go back", chromedp.NavigateBack())
	return true
}

// withoutScripts turns scripts off, as some people do.
func (b *browser) withoutScripts() {
	b.t.Helper()
	if _, err := chromedp.Call(b.tab, emulation.SetScriptExecutionDisabled, emulation.SetScriptExecutionDisabledParams{Value: true}); err != nil {
		b.t.Fatal(err)
	}
}

// bodyText reads the page in one go: a node that was found first might be gone when it is read.
var bodyText = chromedp.Evaluate[string](`document.body?.innerText ?? ""`)

// text gives what the page shows now, in one line.
func (b *browser) text() string {
	b.t.Helper()
	return strings.Join(strings.Fields(ask(b, "read the page", bodyText)), " ")
}

// look is text for a test that has failed already.
func (b *browser) look() string {
	ctx, cancel := context.WithTimeout(b.tab, patience)
	defer cancel()
	text, err := chromedp.Run(ctx, bodyText)
	if err != nil {
		return err.Error()
	}
	return text
}

// has tells whether the page has an element.
func (b *browser) has(selector string) bool {
	b.t.Helper()
	return ask(b, "find "+selector, chromedp.Evaluate[bool](fmt.Sprintf("document.querySelector(%q) !== null", selector)))
}

// is wants a page of whoever has that name, by the page's own marker; "" is nobody.
func (b *browser) is(name string) {
	b.t.Helper()
	if have := ask(b, "read who is logged in", chromedp.Evaluate[string](`document.body.dataset.account ?? ""`)); have != name {
		b.t.Errorf("a page of %q, not of %q: %s", have, name, b.text())
	}
}

func (b *browser) shows(text string) {
	b.t.Helper()
	if have := b.text(); !strings.Contains(have, text) {
		b.t.Errorf("the page does not show %q but: %s", text, have)
	}
}

func (b *browser) hides(texts ...string) {
	b.t.Helper()
	have := b.text()
	for _, text := range texts {
		if strings.Contains(have, text) {
			b.t.Errorf("the page shows %q: %s", text, have)
		}
	}
}

// comes waits until the page shows a text by itself.
func (b *browser) comes(text string) {
	b.t.Helper()
	await(b.t, "the page to show "+text, func() bool {
		ctx, cancel := context.WithTimeout(b.tab, patience)
		defer cancel()
		// While the page is replaced it cannot be read; the next look will.
		have, err := chromedp.Run(ctx, bodyText)
		return err == nil && strings.Contains(strings.Join(strings.Fields(have), " "), text)
	})
}

// mustNotComplain wants a silent console: no script error, no missing file, nothing that the CSP had to block.
func (b *browser) mustNotComplain() {
	b.t.Helper()
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, problem := range b.problems {
		b.t.Errorf("the console says: %s", problem)
	}
}
