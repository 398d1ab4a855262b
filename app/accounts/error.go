package accounts

import "time"

// Kind classifies an Error. Package web maps each kind to an HTTP status, and
// the operator's commands map it to an exit code.
type Kind int

const (
	Invalid  Kind = iota + 1 // the input breaks a rule: 422
	Wrong                    // name and password do not match: 401
	TooMany                  // too many attempts, wait RetryAfter: 429
	Busy                     // the server is overloaded, wait RetryAfter: 503
	NotFound                 // the thing does not exist, or not for this visitor: 404
)

// Error is an error that may be shown to the visitor. Message is one plain
// sentence without internal details. Any other error of this package is an
// internal failure: log it and do not show it.
type Error struct {
	Kind       Kind
	Message    string
	Field      string        // what it is about, a Field constant; empty: no single field
	RetryAfter time.Duration // zero unless Kind is TooMany or Busy
}

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
