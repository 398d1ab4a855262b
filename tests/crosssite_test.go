package tests

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
)

// ASVS 3.5.1, 3.5.2, 7.6.2: another site can neither log somebody in nor out. The whole matrix of methods,
// Sec-Fetch-Site and Origin is in app/web; here is what comes of each verdict, and that no content type gets around it.
func TestPostsFromOtherSites(t *testing.T) {
	t.Parallel()
	s := start(t)
	type verdict int
	const (
		passes verdict = iota
		refused
		either // no browser sends this pair
	)
	origins := map[string]string{
		"absent": "", "own": s.url(), "null": "null", "other site": "https://evil.example",
		"other port": "http://127.0.0.1:1", "own as a prefix": s.url() + ".evil.example", "nonsense": "%%%",
	}
	judge := func(site, origin string) verdict {
		foreign := origin != "absent" && origin != "own"
		switch site {
		case "same-origin", "none":
			if foreign {
				return either
			}
			return passes
		case "":
			if foreign {
				return refused
			}
			return passes
		}
		return refused // same-site, cross-site, and words nobody knows yet
	}
	s.signUp("Mallory")
	form := s.proof("Mallory").Encode()
	bodies := map[string]string{
		"application/x-www-form-urlencoded": form,
		"text/plain":                        form,
		"multipart/form-data; boundary=b":   "--b\r\nContent-Disposition: form-data; name=\"name\"\r\n\r\nMallory\r\n--b--\r\n",
		"application/json":                  `{"name":"Mallory","password":"` + password + `"}`,
	}
	victim := s.login("Ada")
	for _, site := range []string{"", "same-origin", "none", "same-site", "cross-site", "CROSS-SITE", "unheard-of"} {
		for origin, value := range origins {
			for contentType, body := range bodies {
				// Each site and each origin meets one content type, and the most likely pairs meet all.
				likely := site == "cross-site" && origin == "other site" || site == "" && origin != "absent"
				if !likely && contentType != "application/x-www-form-urlencoded" {
					continue
				}
				want := judge(site, origin)
				t.Run(fmt.Sprintf("%s/%s/%s", site, origin, contentType), func(t *testing.T) {
					header := map[string]string{"Sec-Fetch-Site": site, "Origin": value}
					c := s.client()
					c.t = t
					login := c.send(request{method: http.MethodPost, path: "/login", contentType: contentType, body: body, header: header})
					if login.header.Get("Access-Control-Allow-Origin") != "" {
						t.Error("the answer lets another site read it")
					}
					switch want {
					case refused:
						login.expect(http.StatusForbidden).hides("Mallory")
						if c.session() != "" {
							t.Error("a login from another site made a session")
						}
						victim.t = t
						for _, path := range []string{"/logout", "/signup", "/account/password", "/account/delete"} {
							p := victim.send(request{method: http.MethodPost, path: path, contentType: contentType, body: body, header: header})
							p.expect(http.StatusForbidden)
							if len(p.header.Values("Set-Cookie")) > 0 {
								t.Errorf("%s from another site touched a cookie", p)
							}
						}
						victim.mustBe("Ada")
					case passes:
						if login.status == http.StatusForbidden {
							t.Error("refused")
						}
						if strings.HasSuffix(contentType, "urlencoded") {
							login.expect(http.StatusSeeOther)
							c.mustBe("Mallory")
						}
					}
				})
			}
		}
	}
}

// Another site may link here: a GET from there is a visit like any other.
func TestLinksFromOtherSites(t *testing.T) {
	t.Parallel()
	s := start(t)
	c := s.login("Ada")
	for _, site := range []string{"cross-site", "same-site"} {
		p := c.send(request{method: http.MethodGet, path: "/", header: map[string]string{"Sec-Fetch-Site": site, "Origin": "https://evil.example", "Referer": "https://evil.example/"}})
		p.expect(http.StatusOK).is("Ada")
		// ASVS 3.4.2
		for name := range p.header {
			if strings.HasPrefix(name, "Access-Control-") {
				t.Errorf("the answer has %s", name)
			}
		}
	}
}

// ASVS 4.1.3, 15.3.4: what a stranger says about proxies changes nothing: not the guard, the cookie, the redirect or
// the address in the log.
func TestForwardedHeadersFromStrangers(t *testing.T) {
	t.Parallel()
	s := start(t)
	forged := map[string]string{
		"X-Forwarded-For": "203.0.113.9", "X-Real-Ip": "203.0.113.9", "Forwarded": "for=203.0.113.9;host=evil.example;proto=https",
		"X-Forwarded-Host": "evil.example", "X-Forwarded-Proto": "https", "X-Forwarded-Protocol": "https", "X-Forwarded-Ssl": "on",
		"X-Url-Scheme": "https", "X-Http-Method-Override": "DELETE", "X-Original-Url": "/logout", "X-Rewrite-Url": "/logout",
	}
	s.signUp("Ada")
	form := s.proof("Ada").Encode()
	c := s.client()
	header := map[string]string{"Origin": "https://evil.example", "Sec-Fetch-Site": ""}
	for name, value := range forged {
		header[name] = value
	}
	c.send(request{method: http.MethodPost, path: "/login", contentType: "application/x-www-form-urlencoded", body: form, header: header}).expect(http.StatusForbidden)
	c.mustBeNobody()

	for name, value := range c.sameOrigin() {
		header[name] = value
	}
	p := c.send(request{method: http.MethodPost, path: "/login", contentType: "application/x-www-form-urlencoded", body: form, header: header}).expect(http.StatusSeeOther)
	if to := p.header.Get("Location"); to != "/" {
		t.Errorf("leads to %q", to)
	}
	page := c.send(request{method: http.MethodGet, path: "/", header: forged}).expect(http.StatusOK).is("Ada")
	if strings.Contains(page.body, "evil.example") || strings.Contains(page.body, "203.0.113.9") {
		t.Error("the page believes a stranger")
	}
	s.log.await(t, "the requests to be logged", func() bool { return len(s.log.requests("/")) >= 2 })
	for _, r := range s.log.records() {
		if r["path"] != "/signup" && r["msg"] != "sign-up" && r["ip"] != "127.0.0.1" && r["ip"] != "" {
			t.Errorf("the log has the address %q", r["ip"])
		}
	}
}

// Behind a proxy of the operator's own, the address is the last hop that is not a proxy; what stands before it is the
// visitor's own word.
func TestForwardedHeadersFromATrustedProxy(t *testing.T) {
	t.Parallel()
	s := start(t, "--trusted-proxies=127.0.0.0/8,10.0.0.1")
	for path, test := range map[string]struct{ forwarded, ip string }{
		"/one":     {"203.0.113.9", "203.0.113.9"},
		"/claimed": {"198.51.100.1, 203.0.113.9", "203.0.113.9"},
		"/hops":    {"198.51.100.1, 203.0.113.9, 10.0.0.1", "203.0.113.9"},
		"/none":    {"", "127.0.0.1"},
		"/forged":  {"nonsense", "127.0.0.1"},
		"/six":     {"2001:db8::1", "2001:db8::1"},
	} {
		s.client().send(request{method: http.MethodGet, path: path, header: map[string]string{"X-Forwarded-For": test.forwarded}})
		s.log.await(t, "the request to be logged", func() bool { return len(s.log.requests(path)) == 1 })
		if ip := s.log.requests(path)[0]["ip"]; ip != test.ip {
			t.Errorf("forwarded for %q: the log has %q, not %q", test.forwarded, ip, test.ip)
		}
	}
}

// ASVS 4.1.2: nothing leads from http to https behind anybody's back. A form that a browser sends by plain http is
// refused, so whoever has sent a password in the open learns of it, and where https is spoken is left to the proxy.
func TestPlainHTTPIsNotLedToHTTPS(t *testing.T) {
	t.Parallel()
	s := start(t, "--origin=https://shop.example", "--trusted-proxies=127.0.0.1")
	ada := s.login("Ada")
	plainly := map[string]string{"Host": "shop.example", "Origin": "http://shop.example", "Sec-Fetch-Site": ""}
	form := s.proof("Ada").Encode()
	for _, proto := range []string{"", "http", "https"} {
		plainly["X-Forwarded-Proto"] = proto
		for _, path := range []string{"/login", "/signup", "/logout", "/account/password", "/account/delete", "/account/sessions/end-others", "/no-such-page", "/"} {
			for _, c := range []*client{s.client(), ada} {
				p := c.send(request{method: http.MethodPost, path: path, contentType: "application/x-www-form-urlencoded", body: form, header: plainly})
				if p.status < 400 || p.header.Get("Location") != "" {
					t.Errorf("%s by http, X-Forwarded-Proto %q: status %d, leads to %q", p, proto, p.status, p.header.Get("Location"))
				}
				if len(p.header.Values("Set-Cookie")) > 0 {
					t.Errorf("%s by http: it sets a cookie", p)
				}
			}
		}
		ada.mustBe("Ada")
		// Pages and programs are not led there either.
		for _, r := range []request{
			{method: http.MethodGet, path: "/"}, {method: http.MethodGet, path: "/account"}, {method: http.MethodHead, path: "/login"}, {method: "PUT", path: "/"},
			{method: http.MethodPost, path: "/login", contentType: "application/x-www-form-urlencoded", body: form},
		} {
			r.header = map[string]string{"Host": "shop.example", "X-Forwarded-Proto": proto, "Sec-Fetch-Site": ""}
			p := s.client().send(r)
			if to := p.header.Get("Location"); to != "" && !strings.HasPrefix(to, "/") {
				t.Errorf("%s, X-Forwarded-Proto %q: leads to %q", p, proto, to)
			}
		}
	}
}
