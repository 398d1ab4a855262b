package web

import (
	"net/url"
	"path"
	"strings"
)

// localPath returns next if it is a path on this site, and "" otherwise, to prevent open
// redirects (OWASP ASVS 3.7.2). It refuses //host, /\host, a scheme, and tabs or line
// breaks, which browsers strip before parsing.
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
	// Refuse double slashes and dot segments, which parsers interpret differently.
	// u.Path is decoded, because some proxies decode a path before forwarding it.
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
