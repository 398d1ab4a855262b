package accounts

// This package uses trustelem's port of zxcvbn because it matches the
// original's latest version, 4.4.2. Other ports score like versions before 4
// (dropbox/zxcvbn, pull request 375). The port loads its word lists when the
// process starts.

import (
	"math"
	"slices"
	"strings"
	"unicode"

	"github.com/trustelem/zxcvbn"
	"golang.org/x/text/unicode/norm"
)

const (
	// enoughGuesses is the number of guesses a password must withstand. It is the
	// threshold of zxcvbn's highest score.
	enoughGuesses = 1e10
	// chunkSize is how many characters zxcvbn gets at once. Its running time grows
	// faster than the square of the length: 128 ambiguous characters would take
	// half a second.
	chunkSize = 32
	// minWord is the length in code points from which a context word is removed
	// from a password.
	minWord = 3
)

// strongEnough reports whether a password in ASCII withstands that many
// guesses. The attacker is assumed to try leaked passwords, common words and
// names, dates, repetitions and keyboard patterns first (zxcvbn: Wheeler,
// USENIX Security 2016). A long password is checked in chunks: it is at least
// as strong as its strongest chunk.
func strongEnough(password string, guesses float64) bool {
	for part := range slices.Chunk([]byte(password), chunkSize) {
		if zxcvbn.PasswordStrength(string(part), nil).Guesses >= guesses {
			return true
		}
	}
	return false
}

// requiredGuesses returns the number of guesses that a password must withstand
// if the minimum length is minLength. zxcvbn counts ten guesses for a character
// that belongs to no pattern, so a random password of the minimum length always
// passes.
func requiredGuesses(minLength int) float64 { return min(enoughGuesses, math.Pow10(minLength)) }

// toASCII maps each code point to one ASCII character, because zxcvbn supports
// no other letters and takes bytes for characters. Accents and width are
// removed: "Pässwort" becomes "Passwort". Characters of other scripts become
// control characters, which no password contains. Equal characters stay equal,
// and neighbours in an alphabet stay neighbours, so that repetitions and
// sequences are still found.
func toASCII(s string) string {
	return strings.Map(func(r rune) rune {
		if first := []rune(norm.NFKD.String(string(r)))[0]; first <= unicode.MaxASCII {
			return first
		}
		return 1 + r%31
	}, norm.NFC.String(s))
}

// contextWords returns the words of the texts, and each whole text without its
// separators, in the form that fromLeet returns. Each is also returned
// reversed. The longest come first.
func contextWords(texts ...string) []string {
	var words []string
	for _, text := range texts {
		parts := strings.FieldsFunc(text, func(r rune) bool {
			return !unicode.IsLetter(r) && !unicode.IsDigit(r) && !unicode.IsMark(r)
		})
		for _, word := range append(parts, strings.Join(parts, "")) {
			letters := []byte(fromLeet(toASCII(word)))
			if len(letters) < minWord {
				continue
			}
			words = append(words, string(letters))
			slices.Reverse(letters)
			words = append(words, string(letters))
		}
	}
	slices.SortFunc(words, func(a, b string) int { return len(b) - len(a) })
	return words
}

// fromLeet lowers the case of an ASCII text and replaces digits and signs by
// the letters they often stand for. The length stays the same.
func fromLeet(plain string) string {
	return strings.Map(func(r rune) rune {
		if i := strings.IndexRune("4@8({[<3691!|l0$57+%2", r); i >= 0 {
			return rune("aabcccceggiiiiossttxz"[i])
		}
		return unicode.ToLower(r)
	}, plain)
}

// removeWords returns the password without the context words. The rest keeps
// its original spelling.
func removeWords(password string, words []string) string {
	text := fromLeet(password)
	for _, word := range words {
		for i := strings.Index(text, word); i >= 0; i = strings.Index(text, word) {
			text = text[:i] + text[i+len(word):]
			password = password[:i] + password[i+len(word):]
		}
	}
	return password
}
