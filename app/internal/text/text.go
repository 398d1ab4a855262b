// Package text makes untrusted input storable. Stores require valid UTF-8
// without NUL: PostgreSQL rejects anything else, and it would corrupt a page.
package text

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// Clean replaces each run of invalid bytes and each NUL by U+FFFD and cuts the
// result to at most max bytes, at a character boundary. If nothing changes, the
// result shares memory with s.
func Clean(s string, max int) string {
	s = s[:min(len(s), max+utf8.UTFMax)] // the rest would be cut anyway
	s = strings.ToValidUTF8(s, replacement)
	s = strings.ReplaceAll(s, "\x00", replacement)
	if len(s) <= max {
		return s
	}
	end := max
	for end > 0 && !utf8.RuneStart(s[end]) {
		end--
	}
	return s[:end]
}

const replacement = string(utf8.RuneError)

// Lines returns text of many lines as a store takes it: valid UTF-8 without control
// characters but newline and tab, newlines as \n, no space around it.
func Lines(s string) string {
	s = strings.ToValidUTF8(s, replacement)
	s = strings.NewReplacer("\r\n", "\n", "\r", "\n").Replace(s)
	return strings.TrimSpace(strings.Map(func(r rune) rune {
		if unicode.IsControl(r) && r != '\n' && r != '\t' {
			return utf8.RuneError
		}
		return r
	}, s))
}
