package tests

import (
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// newDevServer prepares a server under --dev in a copy of the views and the public files, which a test may edit.
func newDevServer(t testing.TB) *server {
	t.Helper()
	s := newServer(t, "--dev")
	copyFolder(t, "../views", filepath.Join(s.dir, "views"))
	copyFolder(t, "../public", filepath.Join(s.dir, "public"))
	return s
}

func copyFolder(t testing.TB, from, to string) {
	t.Helper()
	if err := os.CopyFS(to, os.DirFS(from)); err != nil {
		t.Fatal(err)
	}
}

// edit rewrites one text in one file, as an editor does: a new file moved over the old one. "" is the beginning.
func edit(t testing.TB, path, from, to string) {
	t.Helper()
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(content), from) {
		t.Fatalf("%s has no %q to edit", path, from)
	}
	edited := strings.Replace(string(content), from, to, 1)
	if err := os.WriteFile(path+"~", []byte(edited), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(path+"~", path); err != nil {
		t.Fatal(err)
	}
}

// A saved view shows at the next request.
func TestDevShowsAnEditedView(t *testing.T) {
	t.Parallel()
	s := newDevServer(t)
	s.start()
	c := s.client()
	c.get("/").hides("Hello, stranger.")
	edit(t, filepath.Join(s.dir, "views", "index.html"), "", "<p>Hello, stranger.</p>")
	c.get("/").shows("Hello, stranger.")
	edit(t, filepath.Join(s.dir, "views", "layout.html"), "<main", `<p>Edited.</p><main`)
	c.get("/").shows("Edited.")
	c.get("/login").shows("Edited.")
}

// A saved style shows at the next request too, under whatever address the page gives it.
func TestDevShowsAnEditedStyle(t *testing.T) {
	t.Parallel()
	s := newDevServer(t)
	s.start()
	c := s.client()
	style := func() *page {
		for _, address := range c.get("/").loads() {
			if strings.Contains(address, ".css") {
				return c.get(address).expect(http.StatusOK)
			}
		}
		t.Fatal("the page has no style")
		return nil
	}
	before := style()
	edit(t, filepath.Join(s.dir, "public", "site.css"), "body {", ".edited { color: red }\nbody {")
	after := style()
	if !strings.Contains(after.body, ".edited") {
		t.Error("the style is the old one")
	}
	if after.path == before.path && strings.Contains(after.header.Get("Cache-Control"), "immutable") {
		t.Error("a browser would keep the old style for a year")
	}
}

// A view that does not parse is a page that says where, not the end of the server; mended, it shows.
func TestDevSurvivesABrokenView(t *testing.T) {
	t.Parallel()
	s := newDevServer(t)
	s.faulty = true
	s.start()
	path := filepath.Join(s.dir, "views", "index.html")
	edit(t, path, "", "{{.Broken")
	// This one status of 500 is right, so the answer is not read by a client, which forbids it.
	answer, err := http.Get(s.url() + "/")
	if err != nil {
		t.Fatal(err)
	}
	answer.Body.Close()
	if answer.StatusCode != http.StatusInternalServerError {
		t.Errorf("status %d with a broken view", answer.StatusCode)
	}
	edit(t, path, "{{.Broken", "Mended.")
	s.client().get("/").shows("Mended.")
}

// Without --dev the views in the binary are what counts, even with others beside it.
func TestProductionReadsNoFiles(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	copyFolder(t, "../views", filepath.Join(s.dir, "views"))
	copyFolder(t, "../public", filepath.Join(s.dir, "public"))
	edit(t, filepath.Join(s.dir, "views", "index.html"), "", "Planted.")
	s.start()
	s.client().get("/").is("").hides("Planted.")
}

// ASVS 13.4.2: what --dev adds is not there without it: no script, no stream, no plain cookie.
func TestProductionHasNothingOfDev(t *testing.T) {
	t.Parallel()
	dev := newDevServer(t)
	dev.start()
	s := start(t)
	c := s.client()
	for _, address := range dev.client().get("/").loads() {
		if strings.Contains(address, ".js") || strings.Contains(address, "reload") {
			clean, _, _ := strings.Cut(address, "?")
			c.get(clean).expect(http.StatusNotFound)
		}
	}
	if all(c.get("/").html(), "script") != nil {
		t.Error("the page has a script")
	}
	thief := s.client()
	thief.cookies[devSessionCookie] = s.login("Ada").session()
	thief.mustBeNobody()
}

// The cookie of --dev is plain, since not every browser keeps a Secure one on http. client.keep checks the rest.
func TestDevLogsIn(t *testing.T) {
	t.Parallel()
	s := newDevServer(t)
	s.start()
	c := s.login("Ada")
	if _, ok := c.cookies[devSessionCookie]; !ok {
		t.Error("no cookie of --dev")
	}
	s.restart()
	c.mustBe("Ada")
	c.logout()
	c.mustBeNobody()
}

// Under --dev every answer is as safe as in production, but for the one script with its nonce.
func TestHeadersOfDev(t *testing.T) {
	t.Parallel()
	s := newDevServer(t)
	s.start()
	c := s.login("Ada")
	nonces := map[string]bool{}
	for _, path := range []string{"/", "/login", "/logout", "/no-such-page", "/"} {
		p := c.get(path)
		policy := directives(p.header.Get("Content-Security-Policy"))
		if policy["default-src"] != "'none'" || strings.Contains(p.header.Get("Content-Security-Policy"), "unsafe") {
			t.Errorf("%s: Content-Security-Policy %q", p, p.header.Get("Content-Security-Policy"))
		}
		for _, script := range all(p.html(), "script") {
			nonce := attribute(script, "nonce")
			if nonce == "" || nonces[nonce] || !strings.Contains(policy["script-src"], "'nonce-"+nonce+"'") {
				t.Errorf("%s: nonce %q, policy %q", p, nonce, policy["script-src"])
			}
			nonces[nonce] = true
		}
	}
}

// --dev writes nothing beside the database.
func TestDevWritesNothingElse(t *testing.T) {
	t.Parallel()
	s := newDevServer(t)
	list := func() string {
		var names []string
		filepath.WalkDir(s.dir, func(path string, _ fs.DirEntry, _ error) error {
			names = append(names, path)
			return nil
		})
		return strings.Join(names, "\n")
	}
	before := list()
	s.start()
	s.login("Ada")
	if after := list(); after != before {
		t.Errorf("before:\n%s\nafter:\n%s", before, after)
	}
}
