// Package accounts holds the rules for accounts, names, passwords and login
// throttling. It is independent of HTTP and of the storage engine.
package accounts

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/secure/precis"
)

// MaxName is the maximum length of a name in code points.
const MaxName = 64

// maxFolded is the maximum length of a folded name in bytes. Folding may
// lengthen a name: the single code point U+FDFA becomes 18.
const maxFolded = 4 * MaxName * utf8.UTFMax

// Name is the name of an account: shown as typed, compared in its folded form.
// ParseName makes a Name from input, StoredName from stored data.
type Name struct {
	typed  string
	folded string
}

// ParseName trims spaces around the input and checks it. A name has 1 to 64
// code points and conforms to the PRECIS profile Nickname (RFC 8266), which
// rejects control characters, invisible characters and bidirectional overrides.
// The error is an *Error of kind Invalid.
func ParseName(typed string) (Name, error) {
	// Check the length first, in bytes and then in code points: the checks below
	// are expensive for long input.
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
	// The folded form is a key in the store, so its length is limited.
	if utf8.RuneCountInString(folded) > 4*MaxName {
		return Name{}, errNameLong
	}
	return Name{typed: typed, folded: folded}, nil
}

// StoredName rebuilds a Name from the two forms in a store. It checks nothing.
func StoredName(typed, folded string) Name { return Name{typed: typed, folded: folded} }

// String returns the name as typed.
func (n Name) String() string { return n.typed }

// Folded returns the form in which names are compared: names are equal if their
// folded forms are (RFC 8266, section 2.4).
func (n Name) Folded() string { return n.folded }

var (
	errNameLong      = invalid(FieldName, "The name is too long: 64 characters at most.")
	errNameCharacter = invalid(FieldName, "The name has a character that a name cannot have.")
)
