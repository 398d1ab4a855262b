package web

import (
	"net/url"
	"strings"
	"testing"
)

// ASVS 3.7.2
func TestLocalPath(t *testing.T) {
	for _, next := range []string{
		"/", "/x", "/x/", "/x/y.html", "/x?y=1&z=/a", "/x?next=https://evil.example", "/x?next=//evil.example", "/%C5%BE", "/a%20b", "/@evil.example", "/x:y",
		"/" + strings.Repeat("x", 2047),
	} {
		if got := localPath(next); got != next {
			t.Errorf("%q becomes %q", next, got)
		}
	}
	for _, next := range []string{
		"", "x", "login", "?x", "#x", ".", "./", "../", " /", "\t/", "*",
		"//evil.example", "///evil.example", "////evil.example", "//", "/\\/evil.example", "\t//evil.example", " //evil.example", "%09//evil.example", "%2F%2Fevil.example",
		"evil.example", "@evil.example", "\uff0f\uff0fevil.example", "http:///evil.example", "/\\evil.example", "\\/evil.example", "\\\\evil.example", "/x\\y",
		"/\t/evil.example", "/\n/evil.example", "/\r/evil.example", "/ /evil.example", "/x\x00", "/x\x7f", "/x\r\nSet-Cookie: a=b",
		"https://evil.example", "https:evil.example", "https:/evil.example", "HTTPS://evil.example", "http://example.com/", "//example.com/",
		"javascript:alert(1)", "data:text/html,x", "mailto:a@b",
		"/%2f/evil.example", "/%2Fevil.example", "/..//evil.example", "/.//evil.example", "/x/..//evil.example", "/../x", "/x/../y", "/x//y", "/./", "/.", "/..",
		"/%2e%2e/x", "/%2e/%2fevil.example", "/%", "/%zz", "/x#fragment", "/žluť", "/\u2028", "/\xff", "/\uff0fevil.example",
		"/" + strings.Repeat("x", 2048),
	} {
		if got := localPath(next); got != "" {
			t.Errorf("%q is accepted as %q", next, got)
		}
	}
}

// Whatever is accepted stays on the site, as a browser reads it. ASVS 1.5.3: two
// readers of one address agree.
func FuzzLocalPath(f *testing.F) {
	for _, next := range []string{"/", "/x?y#z", "//evil", "/\\evil", "/\t/evil", "https:evil", "/%2f%2fevil", "/..//evil", "/x/%2e%2e//evil", "/?//evil", "/;//evil"} {
		f.Add(next)
	}
	login, err := url.Parse("https://site.example/login")
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, next string) {
		got := localPath(next)
		if got == "" {
			return
		}
		if got != next {
			t.Errorf("%q becomes %q", next, got)
		}
		if got[0] != '/' || strings.HasPrefix(got, "//") || strings.Contains(got, `\`) {
			t.Errorf("%q is accepted", got)
		}
		for _, b := range []byte(got) {
			if b <= ' ' || b >= 0x7f {
				t.Errorf("%q has the byte %#x", got, b)
			}
		}
		u, err := login.Parse(got)
		if err != nil || u.Scheme != "https" || u.Host != "site.example" || u.User != nil || strings.HasPrefix(u.Path, "//") {
			t.Errorf("%q leads to %v, %v", got, u, err)
		}
	})
}
