package web

import (
	"fmt"
	"net/url"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/gofiber/fiber/v2"

	"latchkey/app/sessions"
)

// matrix says of every route what each kind of visitor gets. What a path and a
// form name belongs to the owner. "login" is the way there and back; with
// "login", 401 and 404, and where "kept" is added, nothing on file may change.
var matrix = []struct {
	route, path, form string
	want              [len(visitors)]string // nobody, owner, another, administrator, disabled
}{
	{"GET /", "/", "", [...]string{"200", "200", "200", "200", "200"}},

	{"GET /signup", "/signup", "", [...]string{"200", "303 /", "303 /", "303 /", "200"}},
	{"POST /signup", "/signup", "name=Zoe&password=PASSWORD", [...]string{"303 /", "303 / kept", "303 / kept", "303 / kept", "303 /"}},
	{"GET /login", "/login", "", [...]string{"200", "303 /", "303 /", "303 /", "200"}},
	{"POST /login", "/login", "name=owner&password=PASSWORD", [...]string{"303 /", "303 /", "303 /", "303 /", "303 /"}},
	{"POST /login", "/login", "name=disabled&password=PASSWORD", [...]string{"401", "401", "401", "401", "401"}},
	{"GET /logout", "/logout", "", [...]string{"200", "200", "200", "200", "200"}},
	{"POST /logout", "/logout", "", [...]string{"303 / kept", "303 /", "303 /", "303 /", "303 / kept"}},
	{"GET /reset/:secret", "/reset/SECRET", "", [...]string{"200", "200", "200", "200", "200"}},
	{"POST /reset/:secret", "/reset/SECRET", "password=PASSWORD", [...]string{"303 /", "303 /", "303 /", "303 /", "303 /"}},
	{"GET /reset/:secret", "/reset/another", "", [...]string{"404", "404", "404", "404", "404"}},
	{"POST /reset/:secret", "/reset/another", "password=PASSWORD", [...]string{"404", "404", "404", "404", "404"}},

	{"GET /account", "/account", "", [...]string{"login", "200", "200", "200", "login"}},
	{"POST /account/password", "/account/password", "old=PASSWORD&new=another+zebra+walks+home", [...]string{"401", "303 /account", "303 /account", "303 /account", "401"}},
	{"POST /account/delete", "/account/delete", "password=PASSWORD", [...]string{"401", "303 /", "303 /", "422 kept", "401"}},

	{"POST /account/sessions/end-others", "/account/sessions/end-others", "", [...]string{"401", "303 /account", "303 /account", "303 /account", "401"}},
	{"POST /account/sessions/:key/end", "/account/sessions/SESSION/end", "", [...]string{"401", "303 /", "404", "404", "401"}},
	{"POST /account/sessions/:key/end", "/account/sessions/x/end", "", [...]string{"401", "404", "404", "404", "401"}},
	{"GET /prove", "/prove?next=/admin", "", [...]string{"login", "303 /admin", "303 /admin", "303 /admin", "login"}},
	{"POST /prove", "/prove", "next=/admin", [...]string{"401", "303 /admin", "303 /admin", "303 /admin", "401"}},

	{"GET /registrations", "/registrations", "", [...]string{"login", "200", "200", "200", "login"}},
	{"POST /registrations", "/registrations", "sport=Swimming", [...]string{"401", "303 /registrations", "303 /registrations", "303 /registrations", "401"}},
	{"GET /registrations/:id/deregister", "/registrations/REGISTRATION/deregister", "", [...]string{"login", "200", "404", "200", "login"}},
	{"POST /registrations/:id/deregister", "/registrations/REGISTRATION/deregister", "", [...]string{"401", "303 /registrations", "404", "303 /admin/accounts/ACCOUNT", "401"}},

	{"GET /admin", "/admin", "", administrators("200")},
	{"GET /admin", "/admin?q=own&after=a", "", administrators("200")},
	{"GET /admin/accounts/:id", "/admin/accounts/ACCOUNT", "", administrators("200")},
	{"GET /admin/accounts/:id/:action", "/admin/accounts/ACCOUNT/disable", "", administrators("200")},
	{"GET /admin/accounts/:id/:action", "/admin/accounts/ACCOUNT/enable", "", administrators("200")},
	{"GET /admin/accounts/:id/:action", "/admin/accounts/ACCOUNT/end-sessions", "", administrators("200")},
	{"GET /admin/accounts/:id/:action", "/admin/accounts/ACCOUNT/make-admin", "", administrators("200")},
	{"GET /admin/accounts/:id/:action", "/admin/accounts/ACCOUNT/unmake-admin", "", administrators("200")},
	{"GET /admin/accounts/:id/:action", "/admin/accounts/ACCOUNT/remove", "", administrators("200")},
	{"GET /admin/accounts/:id/:action", "/admin/accounts/ACCOUNT/reset", "", administrators("200")},
	{"GET /admin/accounts/:id/:action", "/admin/accounts/ACCOUNT/promote", "", administrators("404")},
	{"POST /admin/accounts/:id/:action", "/admin/accounts/ACCOUNT/disable", "", administrators("303 /admin/accounts/ACCOUNT")},
	{"POST /admin/accounts/:id/:action", "/admin/accounts/ACCOUNT/enable", "", administrators("303 /admin/accounts/ACCOUNT")},
	{"POST /admin/accounts/:id/:action", "/admin/accounts/ACCOUNT/end-sessions", "", administrators("303 /admin/accounts/ACCOUNT")},
	{"POST /admin/accounts/:id/:action", "/admin/accounts/ACCOUNT/make-admin", "", administrators("303 /admin/accounts/ACCOUNT")},
	{"POST /admin/accounts/:id/:action", "/admin/accounts/ACCOUNT/unmake-admin", "", administrators("303 /admin/accounts/ACCOUNT")},
	{"POST /admin/accounts/:id/:action", "/admin/accounts/ACCOUNT/remove", "", administrators("303 /admin")},
	{"POST /admin/accounts/:id/:action", "/admin/accounts/ACCOUNT/reset", "", administrators("200")},
	{"POST /admin/accounts/:id/:action", "/admin/accounts/ACCOUNT/promote", "", administrators("404")},

	{"GET /public/*", "STYLE", "", [...]string{"200", "200", "200", "200", "200"}},
	{"GET /robots.txt", "/robots.txt", "", [...]string{"200", "200", "200", "200", "200"}},
}

// administrators is a row of a route that there is for administrators only.
func administrators(want string) [len(visitors)]string {
	return [...]string{"404", "404", "404", want, "404"}
}

// ASVS 8.2.1, 8.2.2: every route with every kind of visitor. ASVS 3.5.3: GET
// changes nothing. ASVS 7.4.2: the old cookie of a disabled account is nobody's.
func TestMatrix(t *testing.T) {
	unchanged := newWorld(t)
	fillUnchanged := unchanged.filler()
	for _, row := range matrix {
		t.Run(row.route, func(t *testing.T) {
			method, _, _ := strings.Cut(row.route, " ")
			for i, visitor := range visitors {
				want, kept := strings.CutSuffix(row.want[i], " kept")
				kept = kept || want == "login" || want == "401" || want == "404" || method == "GET"
				w, fill := unchanged, fillUnchanged
				if !kept {
					w = newWorld(t)
					fill = w.filler()
				}
				path := fill.Replace(row.path)
				if want == "login" {
					want = "303 /login?next=" + url.QueryEscape(path)
				}
				before := w.file()
				if got := w.send(visitor, method, path, fill.Replace(row.form)); got.String() != fill.Replace(want) {
					t.Errorf("%s %s by %s: %s, want %s", method, path, visitor, got, fill.Replace(want))
				}
				if kept && w.file() != before {
					t.Errorf("%s %s by %s has changed something", method, path, visitor)
				}
			}
		})
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

// ASVS 8.2.1: a route without a row is one that nobody has thought about.
func TestMatrixIsWhole(t *testing.T) {
	w := newWorld(t)
	rows, actions := map[string]bool{}, map[string]bool{}
	for _, row := range matrix {
		rows[row.route] = true
		actions[strings.TrimPrefix(row.route, "POST ")+row.path] = true
	}
	for _, r := range w.routes() {
		if !rows[r.method+" "+r.path] {
			t.Errorf("%s %s has no row in the table of this test", r.method, r.path)
		}
		delete(rows, r.method+" "+r.path)
	}
	for row := range rows {
		t.Errorf("%s has a row, and there is no such route", row)
	}
	for _, act := range w.actions() {
		if !actions["/admin/accounts/:id/:action/admin/accounts/ACCOUNT/"+act.Name] {
			t.Errorf("the action %s has no row in the table of this test", act.Name)
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
	for _, w := range []who{0, -1, nobody + 1} {
		if err := (route{method: "GET", path: "/x", who: w}).check(); err == nil {
			t.Errorf("who %d was registered", w)
		}
	}
	if err := (route{method: "GET", path: "/x", who: anyone}).check(); err != nil {
		t.Error(err)
	}
}

// ASVS 8.1.1, 8.1.2: SECURITY.md says who may do what, and says it as it is.
func TestSecurityTable(t *testing.T) {
	text, err := os.ReadFile("../../SECURITY.md")
	if err != nil {
		t.Fatal(err)
	}
	_, section, _ := strings.Cut(string(text), "\n## Who may do what\n")
	section, _, _ = strings.Cut(section, "\n## ")
	written := map[string]string{}
	for _, row := range regexp.MustCompile("(?m)^\\| `([A-Z]+ [^`]+)` \\| ([a-z, ]+) \\|").FindAllStringSubmatch(section, -1) {
		if written[row[1]] != "" {
			t.Errorf("SECURITY.md has %s twice", row[1])
		}
		written[row[1]] = row[2]
	}
	words := map[who]string{
		anyone: "anyone", loggedOut: "logged out", loggedIn: "logged in",
		owner: "owner", administrator: "administrator", nobody: "the same for all",
	}
	for _, r := range newWorld(t).routes() {
		name := r.method + " " + r.path
		want := words[r.who&^proved]
		if r.who&proved != 0 {
			want += ", proved"
		}
		if got := written[name]; got != want {
			t.Errorf("SECURITY.md says of %s: %q, want %q", name, got, want)
		}
		delete(written, name)
	}
	for name := range written {
		t.Errorf("SECURITY.md has %s, and there is no such route", name)
	}
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
