package web

import (
	"net/url"
	"path"
	"strings"
)

// localPath returns next if it is a path on this site, and "" otherwise. What
// browsers would read as another site is refused (OWASP ASVS 3.7.2): //host,
// /\host, a scheme, and tabs or line breaks, which they drop before they read.
func localPath(next string) string {
	const longest = 2048
	if len(next) > longest || !strings.HasPrefix(next, "/") {
		return ""
	}
	for _, b := range []byte(next) {
		// A real address has printable ASCII only; the rest comes %-encoded.
		if b <= ' ' || b >= 0x7f || b == '\\' {
			return ""
		}
	}
	u, err := url.Parse(next)
	if err != nil || u.Scheme != "" || u.Host != "" || u.User != nil || u.Fragment != "" {
		return ""
	}
	// Double slashes and dots are not needed and are read in many ways. u.Path is
	// decoded: some proxies decode before they pass an address on.
	clean := path.Clean(u.Path)
	if strings.Contains(u.Path, `\`) || clean != u.Path && (clean == "/" || clean+"/" != u.Path) {
		return ""
	}
	return next
}

// localPathOr returns next if it is a path on this site, and instead otherwise.
func localPathOr(next, instead string) string {
	if next = localPath(next); next == "" {
		return instead
	}
	return next
}
