// Package accounts holds the rules about who may log in. It knows neither the
// web nor the disk.
package accounts

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/secure/precis"
)

// MaxName is the longest name, in code points.
const MaxName = 64

// maxFolded is the longest folded name, in bytes. Normalisation may lengthen a
// name: one U+FDFA becomes 18 code points.
const maxFolded = 4 * MaxName * utf8.UTFMax

// Name is what an account is called: shown as typed, compared folded. Only
// ParseName makes one from text; StoredName is for stores.
type Name struct {
	typed  string
	folded string
}

// ParseName checks a name that somebody typed, after trimming the space around
// it. It must have 1 to 64 code points and pass the PRECIS profile Nickname
// (RFC 8266), which refuses control characters, invisible characters and those
// that turn the direction of text. The error is an *Error of kind Invalid.
func ParseName(typed string) (Name, error) {
	// Counting first keeps the costly steps below away from long input. The
	// bytes are checked before the code points for the same reason.
	if len(typed) > 16*MaxName {
		return Name{}, errNameLong
	}
	if !utf8.ValidString(typed) {
		return Name{}, invalid(FieldName, "The name is not valid text.")
	}
	typed = strings.TrimFunc(typed, unicode.IsSpace)
	switch n := utf8.RuneCountInString(typed); {
	case n == 0:
		return Name{}, invalid(FieldName, "Please type a name.")
	case n > MaxName:
		return Name{}, errNameLong
	}
	if _, err := precis.Nickname.String(typed); err != nil {
		return Name{}, errNameCharacter
	}
	folded, err := precis.Nickname.CompareKey(typed)
	if err != nil {
		return Name{}, errNameCharacter
	}
	// The folded form is a key on disk and stays small, see maxFolded.
	if utf8.RuneCountInString(folded) > 4*MaxName {
		return Name{}, errNameLong
	}
	return Name{typed: typed, folded: folded}, nil
}

// StoredName is for a store that reads back what it was given: it rebuilds the
// name from its two forms and checks nothing.
func StoredName(typed, folded string) Name { return Name{typed: typed, folded: folded} }

// String returns the name as typed.
func (n Name) String() string { return n.typed }

// Folded returns the form in which names are compared: two names are one if
// their folded forms are equal (RFC 8266, section 2.4).
func (n Name) Folded() string { return n.folded }

var (
	errNameLong      = invalid(FieldName, "The name is too long: 64 characters at most.")
	errNameCharacter = invalid(FieldName, "The name has a character that a name cannot have.")
)
