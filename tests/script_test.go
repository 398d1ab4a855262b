package tests

import (
	"net/http"
	"strings"
	"testing"
)

// ASVS 3.5.6: no answer is a script that another site could load, however it is asked for. ASVS 3.5.7: so nothing that
// is somebody's own is in one: a page holds no script at all.
func TestNoAnswerIsAScript(t *testing.T) {
	t.Parallel()
	s := start(t)
	nobody, ada := s.client(), s.login("Ada")
	paths := []string{"/", "/login", "/signup", "/logout", "/account", "/reauthenticate", "/admin", "/no-such-page", "/robots.txt"}
	paths = append(paths, "/registrations")
	paths = append(paths, nobody.get("/").loads()...)
	asScript := map[string]string{"Accept": "text/javascript, application/json", "Sec-Fetch-Dest": "script", "Sec-Fetch-Mode": "no-cors", "Sec-Fetch-Site": "cross-site"}
	const canary = "canaryCall"
	for _, c := range []*client{nobody, ada} {
		for _, path := range paths {
			plain := c.get(path)
			join := "?"
			if strings.Contains(path, "?") {
				join = "&"
			}
			asked := []*page{plain, c.send(request{method: http.MethodGet, path: path, header: asScript})}
			for _, field := range []string{"callback", "jsonp", "jsoncallback", "cb", "_callback"} {
				asked = append(asked, c.get(path+join+field+"="+canary), c.send(request{method: http.MethodGet, path: path + join + field + "=" + canary, header: asScript}))
			}
			for _, p := range asked {
				if p.status != plain.status || p.header.Get("Content-Type") != plain.header.Get("Content-Type") {
					t.Errorf("%s: %d %q, without the query %d %q", p, p.status, p.header.Get("Content-Type"), plain.status, plain.header.Get("Content-Type"))
				}
				for _, kind := range []string{"script", "json"} {
					if strings.Contains(p.header.Get("Content-Type"), kind) {
						t.Errorf("%s is %q", p, p.header.Get("Content-Type"))
					}
				}
				if strings.Contains(p.body, canary) {
					t.Errorf("%s: the answer calls what it was told to", p)
				}
				if strings.HasPrefix(p.header.Get("Content-Type"), "text/html") && len(all(p.html(), "script")) > 0 {
					t.Errorf("%s: the page has a script", p)
				}
			}
			if plain.status == http.StatusOK && path == "/" && c == ada {
				// The test would see what is hers: it is on the page.
				plain.shows("Ada")
			}
		}
	}
}

// ASVS 3.5.7: the one script there is, with --dev, is the same for all.
func TestTheScriptOfDevIsTheSameForAll(t *testing.T) {
	t.Parallel()
	s := newDevServer(t)
	s.start()
	nobody, ada := s.client(), s.login("Ada")
	found := 0
	for _, c := range []*client{nobody, ada} {
		for _, script := range all(c.get("/").html(), "script") {
			found++
			address := attribute(script, "src")
			if address == "" || textOf(script) != "" || script.FirstChild != nil {
				t.Error("the script stands in the page")
			}
			clean, _, _ := strings.Cut(address, "?")
			one := nobody.get(clean).expect(http.StatusOK)
			for _, other := range []*page{nobody.get(address), ada.get(address), ada.get(clean), ada.get(clean + "?callback=canaryCall")} {
				if other.body != one.body || len(other.header.Values("Set-Cookie")) > 0 {
					t.Errorf("%s differs from %s:\n%s", other, one, other.body)
				}
			}
			if strings.Contains(one.body, "Ada") {
				t.Errorf("the script knows who asks:\n%s", one.body)
			}
		}
	}
	if found != 2 {
		t.Errorf("%d scripts on two pages", found)
	}
}
