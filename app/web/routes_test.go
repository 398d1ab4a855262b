package web

import (
	"cmp"
	"encoding/json"
	"flag"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/gofiber/fiber/v2"

	"latchkey/app/accounts"
	"latchkey/app/sessions"
)

// example is a request that a route answers for whoever may use it. What a path and
// a form name belongs to the owner.
type example struct {
	path, form string
	want       string            // for whoever may use the route; empty: 200, or 303 for a POST
	except     map[string]string // for some of them; "kept" is added where nothing on file may change
}

// examples has the requests of routes that need more than their own path. A route
// that is not here is asked for under its path, without a form.
var examples = map[string][]example{
	"POST /signup": {{form: "name=Zoe&password=PASSWORD", want: "303 /"}},
	"POST /login": {
		{form: "name=owner&password=PASSWORD", want: "303 /"},
		{form: "name=disabled&password=PASSWORD", want: "401"},
	},
	"POST /logout": {{want: "303 /", except: map[string]string{"nobody": "303 / kept", "disabled": "303 / kept"}}},
	"GET /reset/:secret": {
		{path: "/reset/SECRET"},
		{path: "/reset/another", want: "404"},
	},
	"POST /reset/:secret": {
		{path: "/reset/SECRET", form: "password=PASSWORD", want: "303 /"},
		{path: "/reset/another", form: "password=PASSWORD", want: "404"},
	},
	"POST /account/password": {{form: "old=PASSWORD&new=another+zebra+walks+home", want: "303 /account"}},
	"POST /account/delete":   {{form: "password=PASSWORD", want: "303 /", except: map[string]string{"administrator": "422 kept"}}},

	"POST /account/sessions/end-others": {{want: "303 /account"}},
	"POST /account/sessions/:key/end": {
		{path: "/account/sessions/SESSION/end", want: "404", except: map[string]string{"owner": "303 /"}},
		{path: "/account/sessions/x/end", want: "404"},
	},
	"GET /reauthenticate":  {{path: "/reauthenticate?next=/admin", want: "303 /admin"}},
	"POST /reauthenticate": {{form: "next=/admin", want: "303 /admin"}},

	"POST /registrations":                {{form: "sport=Swimming&note=a%0D%0Ab", want: "303 /registrations"}},
	"GET /registrations/:id":             {{path: "/registrations/REGISTRATION"}},
	"GET /registrations/:id/edit":        {{path: "/registrations/REGISTRATION/edit"}},
	"POST /registrations/:id/edit":       {{path: "/registrations/REGISTRATION/edit", form: "sport=Climbing&note=x", want: "303 /registrations/REGISTRATION"}},
	"GET /registrations/:id/deregister":  {{path: "/registrations/REGISTRATION/deregister"}},
	"POST /registrations/:id/deregister": {{path: "/registrations/REGISTRATION/deregister", want: "303 /registrations", except: map[string]string{"administrator": "303 /admin/accounts/ACCOUNT"}}},

	"GET /admin":              {{}, {path: "/admin?q=own&after=a"}},
	"GET /admin/accounts/:id": {{path: "/admin/accounts/ACCOUNT"}},
	"GET /admin/accounts/:id/:action": {
		{path: "/admin/accounts/ACCOUNT/disable"},
		{path: "/admin/accounts/ACCOUNT/enable"},
		{path: "/admin/accounts/ACCOUNT/end-sessions"},
		{path: "/admin/accounts/ACCOUNT/make-admin"},
		{path: "/admin/accounts/ACCOUNT/unmake-admin"},
		{path: "/admin/accounts/ACCOUNT/remove"},
		{path: "/admin/accounts/ACCOUNT/reset"},
		{path: "/admin/accounts/ACCOUNT/promote", want: "404"},
	},
	"POST /admin/accounts/:id/:action": {
		{path: "/admin/accounts/ACCOUNT/disable", want: "303 /admin/accounts/ACCOUNT"},
		{path: "/admin/accounts/ACCOUNT/enable", want: "303 /admin/accounts/ACCOUNT"},
		{path: "/admin/accounts/ACCOUNT/end-sessions", want: "303 /admin/accounts/ACCOUNT"},
		{path: "/admin/accounts/ACCOUNT/make-admin", want: "303 /admin/accounts/ACCOUNT"},
		{path: "/admin/accounts/ACCOUNT/unmake-admin", want: "303 /admin/accounts/ACCOUNT"},
		{path: "/admin/accounts/ACCOUNT/remove", want: "303 /admin"},
		{path: "/admin/accounts/ACCOUNT/reset", want: "200"},
		{path: "/admin/accounts/ACCOUNT/promote", want: "404"},
	},

	"GET /public/*": {{path: "STYLE"}},
}

// expected is what a visitor gets from a route that follows the table in routes.go.
// "login" is the way there and back. kept means that nothing on file may change.
func (r route) expected(visitor string, e example) (want string, kept bool) {
	loggedOutVisitor := visitor == "nobody" || visitor == "disabled" // the disabled one was logged in before
	refused := ""
	switch r.who &^ reauthenticated {
	case loggedOut:
		if !loggedOutVisitor {
			refused = "303 /"
		}
	case administrator:
		if visitor != "administrator" {
			refused = "404"
		}
	case anyone, sameForAll:
	default: // loggedIn, and what is owned
		switch {
		case loggedOutVisitor && r.method == "GET":
			refused = "login"
		case loggedOutVisitor:
			refused = "401"
		case r.load != nil && visitor == "another":
			refused = "404"
		}
	}
	if refused != "" {
		return refused, true
	}
	if want = e.except[visitor]; want == "" {
		want = e.want
	}
	want, kept = strings.CutSuffix(want, " kept")
	if want == "" {
		want = map[string]string{"GET": "200", "POST": "303"}[r.method]
	}
	return want, kept || r.method == "GET" || want == "401" || want == "404"
}

// ASVS 8.2.1, 8.2.2: every route with every kind of visitor. ASVS 3.5.3: GET
// changes nothing. ASVS 7.4.2: the old cookie of a disabled account is nobody's.
func TestMatrix(t *testing.T) {
	unchanged := newWorld(t)
	fillUnchanged := unchanged.filler()
	for _, r := range unchanged.routes() {
		name := r.method + " " + r.path
		tries := examples[name]
		if tries == nil {
			if strings.ContainsAny(r.path, ":*") {
				t.Errorf("%s needs a line in examples, for its path", name)
			}
			tries = []example{{}}
		}
		for _, try := range tries {
			t.Run(name, func(t *testing.T) {
				for _, visitor := range visitors {
					want, kept := r.expected(visitor, try)
					w, fill := unchanged, fillUnchanged
					if !kept {
						w = newWorld(t)
						fill = w.filler()
					}
					path := fill.Replace(cmp.Or(try.path, r.path))
					if want == "login" {
						want = "303 /login?next=" + url.QueryEscape(path)
					}
					before := w.file()
					got, want := w.send(visitor, r.method, path, fill.Replace(try.form)), fill.Replace(want)
					if got.String() != want && (want != "303" || got.status != 303) {
						t.Errorf("%s %s by %s: %s, want %s", r.method, path, visitor, got, want)
					}
					if kept && w.file() != before {
						t.Errorf("%s %s by %s has changed something", r.method, path, visitor)
					}
				}
			})
		}
	}
}

// sessionKey returns what a visitor's session is called in lists.
func (w *world) sessionKey(visitor string) string {
	_, id, _ := strings.Cut(w.cookies[visitor], "=")
	return fmt.Sprintf("%x", sessions.KeyOf(id))
}

// filler fills in what a row names, after making it.
func (w *world) filler() *strings.Replacer {
	w.t.Helper()
	secret, err := w.accounts.StartReset(w.t.Context(), w.ids["owner"])
	w.must(err)
	files, err := w.public()
	w.must(err)
	pairs := []string{"ACCOUNT", w.ids["owner"].String(), "SECRET", secret, "STYLE", files.URL("site.css"), "PASSWORD", url.QueryEscape(password)}
	pairs = append(pairs, "SESSION", w.sessionKey("owner"))
	pairs = append(pairs, "REGISTRATION", w.registration("owner", "Football").String())
	return strings.NewReplacer(pairs...)
}

// ASVS 8.2.1: what the matrix tries is what is served.
func TestMatrixIsWhole(t *testing.T) {
	w := newWorld(t)
	names, tried := map[string]bool{}, map[string]bool{}
	for _, r := range w.routes() {
		names[r.method+" "+r.path] = true
	}
	for name, tries := range examples {
		if !names[name] {
			t.Errorf("%s has examples, and there is no such route", name)
		}
		for _, try := range tries {
			tried[strings.SplitN(name, " ", 2)[0]+" "+try.path] = true
		}
	}
	for _, act := range w.actions() {
		for _, method := range []string{"GET", "POST"} {
			if !tried[method+" /admin/accounts/ACCOUNT/"+act.Name] {
				t.Errorf("%s of the action %s has no example", method, act.Name)
			}
		}
	}
	// What Fiber serves is what the table has.
	for _, r := range w.app.GetRoutes(true) {
		known := func(k route) bool {
			return k.path == r.Path && (k.method == r.Method || k.method == "GET" && r.Method == "HEAD")
		}
		if !slices.ContainsFunc(w.routes(), known) {
			t.Errorf("%s %s is served and not in the table", r.Method, r.Path)
		}
	}
}

// ASVS 8.1.1: fails closed. Whoever forgets to say who may use a route finds
// that the site does not start.
func TestRouteWithoutWho(t *testing.T) {
	serve := func(*fiber.Ctx, Visitor) error { return nil }
	for _, w := range []who{0, -1, sameForAll + 1, reauthenticated} {
		if err := handle("GET", "/x", w, serve).check(); err == nil {
			t.Errorf("who %d was registered", w)
		}
	}
	if err := handle("GET", "/x", anyone, serve).check(); err != nil {
		t.Error(err)
	}
	// A nil loader compiles, and is refused here.
	owners := func(*fiber.Ctx, Visitor, int) error { return nil }
	if err := owned("GET", "/x", nil, owners).check(); err == nil {
		t.Error("a route without a loader was registered")
	}
	load := func(*fiber.Ctx) (int, accounts.ID, error) { return 0, accounts.ID{}, nil }
	if err := owned("GET", "/x", load, owners).check(); err != nil {
		t.Error(err)
	}
}

// ASVS 8.2.2: a route to something that is owned does not compile without a loader
// that fits.
func TestOwnedNeedsALoader(t *testing.T) {
	for file, want := range map[string]string{
		"owned_with_loader.txt":    "",
		"owned_without_loader.txt": "not enough arguments in call to owned",
		"owned_wrong_loader.txt":   "does not match",
		"owned_constant.txt":       "undefined: owner",
	} {
		folder, err := filepath.Abs(".")
		if err != nil {
			t.Fatal(err)
		}
		overlay, err := json.Marshal(map[string]any{"Replace": map[string]string{
			filepath.Join(folder, "overlaid.go"): filepath.Join(folder, "testdata", file),
		}})
		if err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(t.TempDir(), "overlay.json")
		if err := os.WriteFile(path, overlay, 0o600); err != nil {
			t.Fatal(err)
		}
		out, err := exec.CommandContext(t.Context(), "go", "build", "-overlay", path, ".").CombinedOutput()
		if (err != nil) != (want != "") || !strings.Contains(string(out), want) {
			t.Errorf("%s: %v, want %q\n%s", file, err, want, out)
		}
	}
}

var update = flag.Bool("update", false, "renew the table of routes in SECURITY.md")

// securityTable returns the table of routes for SECURITY.md. The last column is
// written by hand; what holds it for each route.
func securityTable(routes []route, what map[string]string) string {
	words := map[who]string{
		anyone: "anyone", loggedOut: "logged out", loggedIn: "logged in", 0: "owner",
		administrator: "administrator", sameForAll: "the same for all",
	}
	var table strings.Builder
	table.WriteString("| route | who | what |\n|---|---|---|\n")
	for _, r := range routes {
		name, who := r.method+" "+r.path, words[r.who&^reauthenticated]
		if r.who&reauthenticated != 0 {
			who += ", re-authenticated"
		}
		fmt.Fprintf(&table, "| `%s` | %s |%s |\n", name, who, what[name])
	}
	return table.String()
}

// ASVS 8.1.1, 8.1.2: SECURITY.md says who may do what, and says it as it is.
func TestSecurityTable(t *testing.T) {
	const file = "../../SECURITY.md"
	content, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	text := string(content)
	start := strings.Index(text, "| route | who | what |\n")
	if start < 0 {
		t.Fatal("SECURITY.md has no table of routes")
	}
	end := start + strings.Index(text[start:], "\n\n") + 1
	what := map[string]string{}
	for _, row := range regexp.MustCompile("(?m)^\\| `([A-Z]+ [^`]+)` \\|[^|]*\\|(.*?) ?\\|$").FindAllStringSubmatch(text[start:end], -1) {
		what[row[1]] = row[2]
	}
	want := securityTable(newWorld(t).routes(), what)
	if text[start:end] == want {
		return
	}
	if *update {
		if err := os.WriteFile(file, []byte(text[:start]+want+text[end:]), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	t.Errorf("the table of routes in SECURITY.md is stale. Renew it with\n\n\tgo test ./app/web -run SecurityTable -update\n\nand say in its last column what a new route does. It should be:\n%s", want)
}

// The line that a refused visit to the back office leaves.
//
// ASVS 16.3.2
func TestBackOfficeRefusalIsLogged(t *testing.T) {
	w := newWorld(t)
	stranger := w.get("nobody", "/there/is/no/such/page")
	for visitor, want := range map[string]int{"nobody": 0, "another": 1, "administrator": 0} {
		before := len(w.events("back office"))
		got := w.get(visitor, "/admin")
		events := w.events("back office")[before:]
		if len(events) != want || want == 1 && (field(events[0], "by.name") != visitor || field(events[0], "outcome") != "refused") {
			t.Errorf("by %s: %v", visitor, events)
		}
		if visitor == "nobody" && got.page() != stranger.page() {
			t.Errorf("the back office can be told from a page that is not there:\n%s", got.body)
		}
	}
}

// ASVS 8.3.1, 8.3.2: powers count as they are at the moment of the request.
func TestPowersCountAtTheNextRequest(t *testing.T) {
	w := newWorld(t)
	theirs := "/admin/accounts/" + w.ids["owner"].String()
	status := func(visitor string, want int) {
		t.Helper()
		before := w.file()
		for _, got := range []answer{w.get(visitor, "/admin"), w.get(visitor, theirs), w.get(visitor, theirs+"/remove")} {
			if got.status != want {
				t.Errorf("by %s: %s, want %d", visitor, got, want)
			}
		}
		if want == fiber.StatusNotFound {
			for _, action := range []string{"remove", "disable", "make-admin", "reset"} {
				if got := w.post(visitor, theirs+"/"+action, ""); got.status != want {
					t.Errorf("%s by %s: %s, want %d", action, visitor, got, want)
				}
			}
			if strings.Contains(w.get(visitor, "/").body, "/admin") {
				t.Error("there is a link to the back office")
			}
		}
		if w.file() != before {
			t.Errorf("%s has changed something", visitor)
		}
	}
	status("another", 404)
	w.must(w.accounts.SetAdmin(t.Context(), w.ids["another"], true))
	status("another", 200)
	status("administrator", 200)
	w.must(w.accounts.SetAdmin(t.Context(), w.ids["administrator"], false))
	status("administrator", 404)
	if got := w.get("administrator", "/account"); got.status != 200 {
		t.Errorf("who is unmade stays logged in: %s", got)
	}
	w.must(w.accounts.SetAdmin(t.Context(), w.ids["administrator"], true))
	status("administrator", 200)
	w.must(w.accounts.SetDisabled(t.Context(), w.ids["administrator"], true))
	status("administrator", 404)
}
