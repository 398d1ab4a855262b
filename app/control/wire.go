package control

import (
	"errors"

	"latchkey/app/accounts"
)

// A request goes over the socket as the JSON body of a POST, and its reply comes
// back as JSON: HTTP because the standard library bounds its time and its size.

const (
	maxRequest = 256 << 10 // bytes: all texts of a request, each byte escaped
	maxReply   = 4 << 20   // bytes: a page of accounts with the longest names
)

// reply is an answer and what went wrong.
type reply struct {
	Answer Answer        `json:"answer,omitzero"`
	Kind   accounts.Kind `json:"kind,omitempty"` // of a refusal
	Error  string        `json:"error,omitempty"`
}

func newReply(a Answer, err error) reply {
	if err == nil {
		return reply{Answer: a}
	}
	r := reply{Answer: a, Error: err.Error()}
	var refusal *accounts.Error
	if errors.As(err, &refusal) {
		r.Kind = refusal.Kind
	}
	return r
}

// result returns what newReply was given, as far as it matters.
func (r reply) result() (Answer, error) {
	switch {
	case r.Error == "":
		return r.Answer, nil
	case r.Kind != 0:
		return r.Answer, &accounts.Error{Kind: r.Kind, Message: r.Error}
	}
	return r.Answer, errors.New(r.Error)
}
