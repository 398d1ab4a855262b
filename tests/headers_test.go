package tests

import (
	"fmt"
	"net/http"
	"net/url"
	"path"
	"slices"
	"strings"
	"testing"
)

// crawl visits every route in every state, and every error that a visitor can cause.
func crawl(t *testing.T, s *server) []*page {
	t.Helper()
	nobody, somebody := s.client(), s.login("Ada")
	var pages []*page
	for _, c := range []*client{nobody, somebody} {
		for _, p := range []string{"/", "/signup", "/login", "/logout", "/account", "/no-such-page", "/robots.txt", "/public/", "/%2e%2e/%2e%2e/etc/passwd"} {
			pages = append(pages, c.get(p), c.send(request{method: http.MethodHead, path: p}))
		}
		for _, load := range c.get("/").loads() {
			pages = append(pages, c.get(load), c.get(load+"x"))
		}
	}
	post := func(path, contentType, body string, header map[string]string) {
		pages = append(pages, s.client().send(request{method: http.MethodPost, path: path, contentType: contentType, body: body, header: header}))
	}
	const formType = "application/x-www-form-urlencoded"
	own := nobody.sameOrigin()
	eve := s.proof("Eve").Encode()
	post("/signup", formType, eve, own)          // 303
	post("/signup", formType, eve, own)          // 422, taken
	post("/signup", formType, "name=", own)      // 422
	post("/login", formType, eve, own)           // 303
	post("/login", formType, "name=", own)       // 401
	post("/account/password", formType, "", own) // 401
	post("/account/delete", formType, "", own)   // 401
	for range 6 {
		post("/login", formType, "name=Bob", own) // 401, and at last 429
	}
	pages = append(pages, somebody.post("/account/password", url.Values{}), somebody.post("/account/delete", url.Values{})) // 422, 401
	post("/login", formType, "name=Eve", map[string]string{"Sec-Fetch-Site": "cross-site"})                                 // 403
	post("/logout", formType, "", own)                                                                                      // 303
	post("/", formType, "", own)                                                                                            // 405
	post("/login", "multipart/form-data; boundary=b", "--b\r\nbroken", own)                                                 // 400 or 422
	post("/no-such-page", formType, "", own)                                                                                // 404
	post("/no-such-page", formType, "", map[string]string{"Sec-Fetch-Site": "cross-site"})                                  // 403 or 404
	pages = append(pages, nobody.send(request{method: "BREW", path: "/"}))                                                  // 400 or 405
	pages = append(pages, nobody.send(request{method: http.MethodTrace, path: "/"}))                                        // 405
	pages = append(pages, nobody.send(request{method: http.MethodOptions, path: "/"}))                                      // 204 or 405
	for _, raw := range []string{
		"GET /%zz HTTP/1.1\r\nHost: x\r\n\r\n",
		"NONSENSE\r\n\r\n",
		"OPTIONS * HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
		"GET / HTTP/1.1\r\nHost: x\r\nX-Big: " + strings.Repeat("a", 64<<10) + "\r\n\r\n",
		"POST /login HTTP/1.1\r\nHost: x\r\nContent-Length: 66560\r\n\r\n", // 413
	} {
		for _, answer := range s.raw(t, raw).answers {
			pages = append(pages, &page{client: nobody, method: "raw", path: raw[:min(20, len(raw))], status: answer.StatusCode, header: answer.Header, body: answer.body})
		}
	}
	return pages
}

// ASVS 3.4.3, 3.4.4, 3.4.5, 3.4.6, 3.4.8, 3.5.8, 4.1.1, 3.4.2, 13.4.6, 14.2.2: the headers of every answer.
// ASVS 16.5.1: an error is a page of the site that says what happened, and nothing of how.
func TestHeadersOfEveryAnswer(t *testing.T) {
	t.Parallel()
	s := start(t, "--title=The Shop")
	layout := s.client().get("/").loads()
	seen := map[int]bool{}
	for _, p := range crawl(t, s) {
		seen[p.status] = true
		for name, problem := range faults(p) {
			t.Errorf("%s, %d: %s %s", p, p.status, name, problem)
		}
		if p.header.Get("Strict-Transport-Security") != "" {
			t.Errorf("%s, %d: HSTS though the site is http", p, p.status)
		}
		if p.status < 400 || p.method == http.MethodHead {
			continue
		}
		if !strings.HasSuffix(p.title(), "The Shop") {
			t.Errorf("%s, %d: the title is %q\n%s", p, p.status, p.title(), p.body)
		}
		if !slices.Equal(p.loads(), layout) {
			t.Errorf("%s, %d: the page is not in the layout: it loads %q", p, p.status, p.loads())
		}
		for _, detail := range []string{"fiber", "fasthttp", "bbolt", "goroutine", ".go:", "panic", "template:", "Cannot GET"} {
			if strings.Contains(strings.ToLower(p.body), detail) {
				t.Errorf("%s, %d: the page says %q", p, p.status, detail)
			}
		}
	}
	for _, status := range []int{200, 303, 400, 401, 403, 404, 405, 413, 422, 429} {
		if !seen[status] {
			t.Errorf("the crawl met no answer with status %d", status)
		}
	}
}

// faults says what is wrong with the headers of an answer.
func faults(p *page) map[string]string {
	wrong := map[string]string{}
	for name, want := range map[string]string{
		"X-Content-Type-Options":       "nosniff",
		"Referrer-Policy":              "same-origin",
		"Cross-Origin-Opener-Policy":   "same-origin",
		"Cross-Origin-Resource-Policy": "same-origin",
	} {
		if have := p.header.Values(name); !slices.Equal(have, []string{want}) {
			wrong[name] = fmt.Sprintf("is %q, not %q", have, want)
		}
	}
	if p.header.Get("Permissions-Policy") == "" {
		wrong["Permissions-Policy"] = "is missing"
	}
	policy := directives(p.header.Get("Content-Security-Policy"))
	for name, want := range map[string]string{
		"default-src": "'none'", "style-src": "'self'", "img-src": "'self'", "form-action": "'self'", "frame-ancestors": "'none'", "base-uri": "'none'",
	} {
		if policy[name] != want {
			wrong["Content-Security-Policy "+name] = fmt.Sprintf("is %q, not %q", policy[name], want)
		}
	}
	if extra := len(policy) - 6; extra > 0 {
		wrong["Content-Security-Policy"] = fmt.Sprintf("allows more: %q", p.header.Get("Content-Security-Policy"))
	}
	for name := range p.header {
		if name == "Server" || name == "X-Powered-By" || strings.HasPrefix(name, "Access-Control-") {
			wrong[name] = "has no business here"
		}
	}
	contentType := p.header.Get("Content-Type")
	if isText := strings.HasPrefix(contentType, "text/"); p.body != "" && isText && !strings.HasSuffix(strings.ToLower(strings.ReplaceAll(contentType, " ", "")), ";charset=utf-8") {
		wrong["Content-Type"] = fmt.Sprintf("is %q", contentType)
	}
	if p.body != "" && contentType == "" {
		wrong["Content-Type"] = "is missing"
	}
	if strings.HasPrefix(contentType, "text/html") && p.header.Get("Cache-Control") != "no-store" {
		wrong["Cache-Control"] = fmt.Sprintf("is %q on a page", p.header.Get("Cache-Control"))
	}
	if p.status >= 300 && p.header.Get("Cache-Control") != "no-store" {
		wrong["Cache-Control"] = fmt.Sprintf("is %q", p.header.Get("Cache-Control"))
	}
	if p.status >= 400 && p.body != "" && !strings.HasPrefix(contentType, "text/html") {
		wrong["Content-Type"] = fmt.Sprintf("is %q on an error", contentType)
	}
	return wrong
}

func directives(policy string) map[string]string {
	found := map[string]string{}
	for _, part := range strings.Split(policy, ";") {
		if name, value, _ := strings.Cut(strings.TrimSpace(part), " "); name != "" {
			found[name] = value
		}
	}
	return found
}

// ASVS 16.5.1: the id on an error's page leads to its line in the log.
func TestErrorsCarryTheirID(t *testing.T) {
	t.Parallel()
	s := start(t)
	first, second := s.client().get("/no-such-page").expect(http.StatusNotFound), s.client().get("/no-such-page")
	s.log.await(t, "the requests to be logged", func() bool { return len(s.log.requests("/no-such-page")) == 2 })
	records := s.log.requests("/no-such-page")
	for i, p := range []*page{first, second} {
		id := records[i]["id"]
		if len(id) < 8 || !strings.Contains(p.text(), id) {
			t.Errorf("the page lacks the id %q of its record:\n%s", id, p.text())
		}
		if records[i]["status"] != "404" {
			t.Errorf("the record has status %s", records[i]["status"])
		}
	}
	if records[0]["id"] == records[1]["id"] {
		t.Error("two errors have one id")
	}
}

// ASVS 3.6.1: a page loads from here only. What it loads is kept for a year, under an address that changes with it.
func TestStaticFiles(t *testing.T) {
	t.Parallel()
	s := start(t)
	c := s.client()
	types := map[string]string{".css": "text/css", ".svg": "image/svg+xml", ".png": "image/png", ".ico": "image/", ".js": "text/javascript"}
	loads := c.get("/").loads()
	if len(loads) < 2 {
		t.Fatalf("the page loads only %q", loads)
	}
	for _, address := range loads {
		if !strings.HasPrefix(address, "/") || strings.HasPrefix(address, "//") {
			t.Errorf("the page loads %q", address)
			continue
		}
		p := c.get(address).expect(http.StatusOK)
		if have := p.header.Get("Cache-Control"); have != "public, max-age=31536000, immutable" {
			t.Errorf("%s: Cache-Control %q", p, have)
		}
		if len(p.header.Values("Set-Cookie")) > 0 || p.header.Get("Vary") != "" && strings.Contains(p.header.Get("Vary"), "Cookie") {
			t.Errorf("%s: a file depends on the visitor", p)
		}
		clean, _, _ := strings.Cut(address, "?")
		if want := types[path.Ext(clean)]; want == "" || !strings.HasPrefix(p.header.Get("Content-Type"), want) {
			t.Errorf("%s: Content-Type %q", p, p.header.Get("Content-Type"))
		}
	}
	robots := c.get("/robots.txt").expect(http.StatusOK)
	if !strings.Contains(robots.body, "User-agent:") || !strings.HasPrefix(robots.header.Get("Content-Type"), "text/plain") {
		t.Errorf("robots.txt is %q", robots.body)
	}
}

// The first page, with all that it loads, fits into the first ten packets of a connection, headers included.
func TestFirstPageIsSmall(t *testing.T) {
	t.Parallel()
	s := start(t)
	c := s.client()
	home := c.get("/")
	if all(home.html(), "script") != nil {
		t.Error("the page has a script")
	}
	total := 0
	fetched := map[string]bool{}
	for _, address := range append(home.loads(), "/") {
		if fetched[address] {
			continue
		}
		fetched[address] = true
		total += len(s.raw(t, "GET "+address+" HTTP/1.1\r\nHost: "+s.addr+"\r\nAccept-Encoding: gzip, br\r\nConnection: close\r\n\r\n").received)
	}
	if total > 14<<10 {
		t.Errorf("the first page takes %d bytes, more than 14 KiB", total)
	}
}

// ASVS 13.4.1, 13.4.3, 13.4.5, 13.4.7: nothing is published that no page links to. ASVS 1.1.1, 1.5.3, 5.3.2: a path is
// decoded once, and alike by all that read it.
func TestForcedBrowsing(t *testing.T) {
	t.Parallel()
	s := start(t)
	c := s.client()
	for _, address := range []string{
		"/.git/config", "/.git/HEAD", "/.env", "/.air.toml", "/go.mod", "/README.md", "/app/main.go", "/app", "/config/config.go",
		"/views/layout.html", "/layout.html", "/layout", "/error", "/index.html", "/index", "/public", "/public/", "/public/public.go", "/public/.hidden",
		"/data/latchkey.db", "/latchkey.db", "/tmp/latchkey", "/debug/pprof/", "/debug/vars", "/metrics", "/health", "/server-status", "/monitor",
		"/swagger", "/admin.php", "/wp-login.php", "/backup.zip", "/dev", "/dev/reload", "/reload", "/livereload.js",
		"/public/%2e%2e/public.go", "/public/..%2fgo.mod", "/public/..%5cgo.mod", "/%2e%2e/%2e%2e/etc/passwd", "/..%252f..%252fetc/passwd", "/public/%252e%252e/go.mod",
		"/public/site.css%00.html", "/public/site.css%2500", "/public/site.css/", "/public//site.css/x", "/public/%c0%ae%c0%ae/go.mod",
		"/login/", "/login/x", "/LOGIN", "//", "//login", "/./login/..", "/login;x=1", "/login%3Fname=x", "/%6cogin", "/%2flogin", "/login%20", "/login.html", "/logout/",
	} {
		p := c.get(address)
		switch {
		case p.status == http.StatusNotFound || p.status == http.StatusBadRequest:
		case p.status == http.StatusOK && p.leadsTo("/login"):
			// Another way to write the path of a page, and it showed that page.
		case p.status >= 300 && p.status < 400 && strings.HasPrefix(p.header.Get("Location"), "/") && !strings.HasPrefix(p.header.Get("Location"), "//"):
		default:
			t.Errorf("%s: status %d", p, p.status)
		}
		for _, secret := range []string{"package ", "module latchkey", "root:x:", "{{", "[core]"} {
			if strings.Contains(p.body, secret) {
				t.Errorf("%s shows %q", p, secret)
			}
		}
	}
	// ASVS 14.2.5: a page does not pass for a file, so that no cache keeps it.
	ada := s.login("Ada")
	for _, address := range []string{"/x.css", "/login/x.css", "/logout.css", "/;x.css", "/?x.css", "/%0Ax.css", "/public/x.css", "/index.css"} {
		if p := ada.get(address); p.header.Get("Cache-Control") != "no-store" {
			t.Errorf("%s, %d: Cache-Control %q", p, p.status, p.header.Get("Cache-Control"))
		}
	}
}

// A site's name is what it is set to, and other pages put their own before it.
func TestTitles(t *testing.T) {
	t.Parallel()
	s := newServer(t, "--title=The Shop")
	s.start()
	c := s.client()
	if title := c.get("/").title(); title != "The Shop" {
		t.Errorf("the start page is titled %q", title)
	}
	for _, p := range []*page{c.get("/login"), c.get("/signup"), c.get("/logout"), c.get("/no-such-page"), c.post("/login", url.Values{"name": {""}})} {
		if title := p.title(); !strings.HasSuffix(title, "The Shop") || title == "The Shop" {
			t.Errorf("%s is titled %q", p, title)
		}
	}
}
