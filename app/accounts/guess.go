package accounts

// The port of zxcvbn is trustelem's: it agrees with the original in its last
// version, 4.4.2, where the others score as before version 4 (dropbox/zxcvbn,
// pull request 375). It reads its lists when the process starts, which takes
// some 30 ms and 10 MiB.

import (
	"math"
	"slices"
	"strings"
	"unicode"

	"github.com/trustelem/zxcvbn"
	"golang.org/x/text/unicode/norm"
)

const (
	// enoughGuesses is what a password must withstand: zxcvbn's highest score.
	enoughGuesses = 1e10
	// judgedAtOnce is how many characters zxcvbn is given. Its work grows with
	// more than the square of the length: 32 signs that can be read as letters
	// in many ways take as long as a hash, 128 take half a second.
	judgedAtOnce = 32
	// minWord is the shortest word that a password can be made of, in code
	// points.
	minWord = 3
)

// withstands tells whether a plain password is worth enough guesses to somebody
// who tries leaked passwords, common words and names, dates, repetitions and
// walks over the keyboard first (zxcvbn: Wheeler, USENIX Security 2016). A long
// password is judged part by part: the whole is no weaker than its strongest
// part.
func withstands(password string, enough float64) bool {
	for part := range slices.Chunk([]byte(password), judgedAtOnce) {
		if zxcvbn.PasswordStrength(string(part), nil).Guesses >= enough {
			return true
		}
	}
	return false
}

// enough returns what a password must withstand where the shortest has so many
// code points. zxcvbn counts ten guesses for each that is part of nothing, so
// that a random one of the least length always passes.
func enough(shortest int) float64 { return min(enoughGuesses, math.Pow10(shortest)) }

// plain writes a text in ASCII, one character for each code point, because
// zxcvbn knows no other letters and counts bytes where it means characters.
// Accents and width go, so that "Pässwort" is found as "Passwort". Other scripts
// become control characters, which no password has: what was the same stays the
// same, and neighbours in the alphabet stay neighbours.
func plain(s string) string {
	return strings.Map(func(r rune) rune {
		if first := []rune(norm.NFKD.String(string(r)))[0]; first <= unicode.MaxASCII {
			return first
		}
		return 1 + r%31
	}, norm.NFC.String(s))
}

// contextWords returns the texts as read makes them, whole and in parts,
// forwards and backwards, the longest first.
func contextWords(texts ...string) []string {
	var words []string
	for _, text := range texts {
		parts := strings.FieldsFunc(text, func(r rune) bool {
			return !unicode.IsLetter(r) && !unicode.IsDigit(r) && !unicode.IsMark(r)
		})
		for _, word := range append(parts, strings.Join(parts, "")) {
			letters := []byte(read(plain(word)))
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

// read writes a plain text in lower case, with signs as the letters they often
// stand for, one for one.
func read(plain string) string {
	return strings.Map(func(r rune) rune {
		if i := strings.IndexRune("4@8({[<3691!|l0$57+%2", r); i >= 0 {
			return rune("aabcccceggiiiiossttxz"[i])
		}
		return unicode.ToLower(r)
	}, plain)
}

// without returns a plain password with the words taken out, as it was typed.
func without(password string, words []string) string {
	text := read(password)
	for _, word := range words {
		for i := strings.Index(text, word); i >= 0; i = strings.Index(text, word) {
			text = text[:i] + text[i+len(word):]
			password = password[:i] + password[i+len(word):]
		}
	}
	return password
}
