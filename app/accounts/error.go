package accounts

import "time"

// A Kind says what sort of refusal an Error is. The web turns each into one
// status, a command into one exit code.
type Kind int

const (
	Invalid  Kind = iota + 1 // what was typed breaks a rule: 422
	Wrong                    // name and password do not fit together: 401
	TooMany                  // too many tries, wait RetryAfter: 429
	Busy                     // too much at once, wait RetryAfter: 503
	NotFound                 // there is no such thing, or not for this visitor: 404
)

// Error is a refusal that is fit to be shown: its Message is one plain
// sentence for the visitor, and holds no detail of ours. Every other error of
// this package is a fault, to be logged and never shown.
type Error struct {
	Kind       Kind
	Message    string
	Field      string        // the field it is about, one of those below; empty: none
	RetryAfter time.Duration // how long to wait; zero unless TooMany or Busy
}

// Error returns the message.
func (e *Error) Error() string { return e.Message }

// The fields that a refusal may be about.
const (
	FieldName            = "name"
	FieldPassword        = "password"         // one that is chosen
	FieldCurrentPassword = "current password" // one that is asked for again
)

func invalid(field, message string) error {
	return &Error{Kind: Invalid, Field: field, Message: message}
}
