// Package text prepares what strangers send for any store. Stores take valid
// UTF-8 without NUL: PostgreSQL refuses everything else, and a page that holds
// anything else is corrupt.
package text

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// Clean returns s as a store takes it. Each run of invalid bytes, and each NUL,
// becomes U+FFFD. The result has at most max bytes and is cut between characters.
// It shares memory with s only if nothing had to change.
func Clean(s string, max int) string {
	s = s[:min(len(s), max+utf8.UTFMax)] // the rest cannot matter
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
