package accounts

import (
	"fmt"
	"unicode/utf8"

	"golang.org/x/text/secure/precis"
)

// Lengths of a password in code points, after normalisation (NIST 800-63B-4
// section 3.1.1.2, ASVS 5.0 6.2.1 and 6.2.9).
const (
	MinPassword       = 15  // default minimum, for a password without a second factor
	LowestMinPassword = 8   // lower bound of Settings.MinPassword
	MaxPassword       = 128 // maximum, to bound the cost of a check
	maxPasswordTyped  = 16 * MaxPassword
)

// passwords checks new passwords. No rule demands certain kinds of characters
// (ASVS 6.2.5).
type passwords struct {
	min   int
	title string
}

// check returns the normalised password, or an *Error of kind Invalid whose
// message says what to change.
func (p passwords) check(typed string, name Name) (string, error) {
	password, err := normalise(typed)
	if err != nil {
		return "", err
	}
	if utf8.RuneCountInString(password) < p.min {
		return "", invalid(FieldPassword, fmt.Sprintf("The password is too short: %d characters at least.", p.min))
	}
	// ASVS 6.2.4, 6.2.11, 6.2.12. The password must also be strong enough without
	// the words of the account's name and of the site's title.
	letters := toASCII(password)
	if !strongEnough(letters, requiredGuesses(p.min)) {
		return "", errPasswordGuessable
	}
	if !strongEnough(removeWords(letters, contextWords(name.Folded(), p.title)), requiredGuesses(p.min)) {
		return "", errPasswordContext
	}
	return password, nil
}

// normalise applies the PRECIS profile OpaqueString (RFC 8265): all kinds of
// spaces become U+0020, and text is composed (NFC). Nothing else changes, so a
// password typed on different keyboards compares equal. Control characters are
// rejected. The error is an *Error of kind Invalid.
func normalise(typed string) (string, error) {
	if typed == "" {
		return "", invalid(FieldPassword, "Please type a password.")
	}
	// Check the length in bytes first: normalisation is expensive for long input.
	if len(typed) > maxPasswordTyped {
		return "", errPasswordLong
	}
	if !utf8.ValidString(typed) {
		return "", invalid(FieldPassword, "The password is not valid text.")
	}
	password, err := precis.OpaqueString.String(typed)
	if err != nil {
		return "", invalid(FieldPassword, "The password has a character that a password cannot have.")
	}
	if utf8.RuneCountInString(password) > MaxPassword {
		return "", errPasswordLong
	}
	return password, nil
}

var (
	errPasswordLong      = invalid(FieldPassword, fmt.Sprintf("The password is too long: %d characters at most.", MaxPassword))
	errPasswordGuessable = invalid(FieldPassword, "The password is too easy to guess. Please take a few words that have nothing to do with each other.")
	errPasswordContext   = invalid(FieldPassword, "The password is made of the name or of this site's title. Please take other words.")
)
