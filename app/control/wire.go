package control

import (
	"errors"

	"latchkey/app/accounts"
)

// A request is the JSON body of an HTTP POST, the reply is JSON, too. HTTP is
// used because the standard library limits its times and sizes.

const (
	maxRequest = 256 << 10 // bytes: all strings of a request, with each byte escaped
	maxReply   = 4 << 20   // bytes: a page of accounts with names of maximum length
)

// reply is an answer or an error in JSON.
type reply struct {
	Answer Answer        `json:"answer,omitzero"`
	Kind   accounts.Kind `json:"kind,omitempty"` // set if the error is an *accounts.Error
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

// result returns the arguments of newReply. An internal failure keeps only its
// text.
func (r reply) result() (Answer, error) {
	switch {
	case r.Error == "":
		return r.Answer, nil
	case r.Kind != 0:
		return r.Answer, &accounts.Error{Kind: r.Kind, Message: r.Error}
	}
	return r.Answer, errors.New(r.Error)
}
