package accounts

import (
	"fmt"
	"unicode/utf8"

	"golang.org/x/text/secure/precis"
)

// Lengths of a password in code points, after normalisation (NIST 800-63B-4
// section 3.1.1.2, ASVS 5.0 6.2.1 and 6.2.9).
const (
	MinPassword       = 15  // where the password stands alone, the default
	LowestMinPassword = 8   // the least that Settings may ask for
	MaxPassword       = 128 // the most, so that checking it stays cheap
	maxPasswordTyped  = 16 * MaxPassword
)

// passwords holds the rules for a password that is chosen. There are none about
// which kinds of characters it has (ASVS 6.2.5).
type passwords struct {
	min   int
	title string
}

// check returns the password as it is hashed, or an *Error of kind Invalid that
// says what to do about it.
func (p passwords) check(typed string, name Name) (string, error) {
	password, err := normalise(typed)
	if err != nil {
		return "", err
	}
	if utf8.RuneCountInString(password) < p.min {
		return "", invalid(FieldPassword, fmt.Sprintf("The password is too short: %d characters at least.", p.min))
	}
	// ASVS 6.2.4, 6.2.11, 6.2.12. What is left without the words of the context
	// must withstand as much by itself.
	letters := plain(password)
	if !withstands(letters, enough(p.min)) {
		return "", errPasswordGuessable
	}
	if !withstands(without(letters, contextWords(name.Folded(), p.title)), enough(p.min)) {
		return "", errPasswordContext
	}
	return password, nil
}

// normalise applies the PRECIS profile OpaqueString (RFC 8265): spaces of every
// kind become one kind, composed and decomposed letters become the same, and
// nothing else changes, so that a password fits on every keyboard it is typed
// on. It refuses control characters. The error is an *Error of kind Invalid.
func normalise(typed string) (string, error) {
	if typed == "" {
		return "", invalid(FieldPassword, "Please type a password.")
	}
	// The bytes come first: normalising costs something for each.
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
