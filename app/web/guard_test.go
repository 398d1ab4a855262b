package web

import (
	"net/url"
	"strings"
	"testing"
)

// ASVS 3.5.1, 3.5.3, 7.6.2
func TestRequestsOfOtherSites(t *testing.T) {
	s := newTestSite(t, "--origin", "https://site.example")
	own := "http://" + s.addr
	origins := map[string]string{"none": "", "own": own, "set": "https://site.example", "null": "null", "other": "https://evil.example", "longer": "https://site.example.evil.example", "plain": "http://site.example"}
	for _, method := range []string{"GET", "HEAD", "OPTIONS", "POST", "PUT", "PATCH", "DELETE"} {
		for _, fetch := range []string{"", "none", "same-origin", "same-site", "cross-site", "nonsense"} {
			for which, origin := range origins {
				r := request{to: method + " /logout", header: map[string]string{}}
				if fetch != "" {
					r.header["Sec-Fetch-Site"] = fetch
				}
				if origin != "" {
					r.header["Origin"] = origin
				}
				safe := method == "GET" || method == "HEAD" || method == "OPTIONS"
				trusted := fetch == "same-origin" || fetch == "none" || which == "set" ||
					fetch == "" && (which == "none" || which == "own")
				want := map[string]int{"GET": 200, "HEAD": 200, "POST": 303}[method]
				switch {
				case !safe && !trusted:
					want = 403
				case want == 0:
					want = 405
				}
				if got := s.send(r); got.status != want {
					t.Errorf("%s, Sec-Fetch-Site %q, Origin %s: %d, want %d", r.to, fetch, which, got.status, want)
				}
			}
		}
	}
}

// What another site sends changes nothing: it logs nobody in or out.
func TestRefusedRequestsChangeNothing(t *testing.T) {
	s := newTestSite(t)
	s.signUp("Eve")
	id := s.login("Ann")
	for _, header := range []map[string]string{
		{"Sec-Fetch-Site": "cross-site"},
		{"Sec-Fetch-Site": "same-site"},
		{"Origin": "https://evil.example"},
		{"Origin": "null"},
		{"Origin": "http://" + s.addr, "Sec-Fetch-Site": "cross-site"},
	} {
		for _, r := range []request{
			{to: "POST /logout"}, {to: "POST /login", form: credentials("Eve")}, {to: "POST /signup", form: credentials("Mallory")},
			{to: "POST /account/password", form: "old=" + url.QueryEscape(password) + "&new=nine+loud+horns+under+bridge"}, {to: "POST /account/delete", form: credentials("Ann")},
		} {
			r.id, r.header = id, header
			got := s.send(r)
			if got.status != 403 || got.id != "" || len(got.header.Values("Set-Cookie")) > 0 || got.header.Get("Clear-Site-Data") != "" {
				t.Errorf("%s with %v: %d, %v", r.to, header, got.status, got.header)
			}
			s.loggedInAs(id, "Ann")
		}
	}
	if got := s.send(request{to: "GET /logout", id: id, header: map[string]string{"Sec-Fetch-Site": "cross-site"}}); got.status != 200 {
		t.Errorf("%d", got.status)
	}
	s.loggedInAs(id, "Ann")
}

// With --dev a name logs in, so a stranger's page whose name points here must
// not look like ours.
func TestDevAnswersOnLocalhostOnly(t *testing.T) {
	s := newTestSite(t, "--dev", "--addr", "127.0.0.1:0")
	for host, want := range map[string]int{
		"localhost": 200, "localhost:3000": 200, "127.0.0.1": 200, "127.0.0.1:99": 200, "[::1]": 200, "[::1]:3000": 200,
		"evil.example": 403, "evil.example:3000": 403, "localhost.evil.example": 403, "10.0.0.1": 403, "192.0.2.1": 403, "0.0.0.0": 403, "127.0.0.1.evil.example:3000": 403, "[2001:db8::1]": 403,
	} {
		got := s.send(request{to: "GET /dev/reload.js", header: map[string]string{"Host": host}})
		if got.status != want || want == 403 && !strings.Contains(got.body, "localhost only") {
			t.Errorf("at %s: %d, want %d", host, got.status, want)
		}
		r := request{to: "POST /login", form: "name=Eve", header: map[string]string{"Host": host, "Origin": "http://" + host}}
		if got := s.send(r); (got.status == 303) != (want == 200) || (got.id != "") != (want == 200) {
			t.Errorf("login at %s: %d", host, got.status)
		}
	}
}

// Behind a proxy that keeps Host, the site by plain http has the same host as
// the site by https, and is a stranger all the same. ASVS 3.5.1, 4.1.2
func TestFormsByPlainHTTP(t *testing.T) {
	for setting, want := range map[string]map[string]int{
		"https://site.example":      {"https://site.example": 303, "http://site.example": 403, "http://site.example:8443": 403, "null": 403, "": 303},
		"https://site.example:8443": {"https://site.example:8443": 303, "http://site.example:8443": 403, "https://site.example": 403, "": 303},
		"http://localhost:3000":     {"http://localhost:3000": 303, "null": 403, "": 303},
	} {
		s := newTestSite(t, "--origin", setting)
		_, host, _ := strings.Cut(setting, "://")
		for origin, want := range want {
			r := request{to: "POST /logout", header: map[string]string{"Host": host}}
			if origin != "" {
				r.header["Origin"] = origin
			}
			if got := s.send(r); got.status != want {
				t.Errorf("--origin %s, Origin %q: %d, want %d", setting, origin, got.status, want)
			}
		}
	}
}
