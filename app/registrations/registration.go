// Package registrations is the example of a resource, to replace with your own: an
// account's answer "I play this sport". It knows neither the web nor the disk.
package registrations

import (
	"errors"
	"slices"
	"time"
	"unicode/utf8"

	"latchkey/app/accounts"
	"latchkey/app/internal/text"
)

// Registration says that an account plays a sport. Its owner never changes.
type Registration struct {
	ID    ID
	Owner accounts.ID
	Sport string
	Note  string    // free text of many lines, may be empty
	At    time.Time // UTC
}

// MaxNote is the longest note, in code points.
const MaxNote = 280

// New returns a registration of an account, without sport and note.
func New(owner accounts.ID) Registration {
	return Registration{ID: ID(accounts.NewID()), Owner: owner, At: time.Now().UTC().Truncate(time.Microsecond)}
}

// Set takes what somebody typed, or returns ErrSport, ErrNote or both joined.
func (r *Registration) Set(sport, note string) error {
	var wrong error
	if sport != r.Sport && !slices.Contains(Sports(), sport) || sport == "" {
		wrong = ErrSport // by a list of what is right (OWASP ASVS 2.2.1)
	}
	if note = text.Lines(note); utf8.RuneCountInString(note) > MaxNote {
		wrong = errors.Join(wrong, ErrNote)
	}
	if wrong == nil {
		r.Sport, r.Note = sport, note
	}
	return wrong
}

// Sports returns what one may register for, in the order in which it is shown.
func Sports() []string {
	return []string{"Badminton", "Basketball", "Climbing", "Football", "Swimming", "Table tennis", "Volleyball"}
}

// Open returns the sports for which there is no registration in list.
func Open(list []Registration) []string {
	return slices.DeleteFunc(Sports(), func(sport string) bool {
		return slices.ContainsFunc(list, func(r Registration) bool { return r.Sport == sport })
	})
}

// ID identifies a registration. It is never reused, is no secret and grants no access.
type ID accounts.ID

func (id ID) String() string { return accounts.ID(id).String() }
