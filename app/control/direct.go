package control

import (
	"context"
	"errors"
	"fmt"

	"latchkey/app/accounts"
	"latchkey/app/sessions"
)

// Sessions is what Direct needs of the store of sessions.
type Sessions interface {
	// EndAll ends every session of an account. That there is none is no error.
	EndAll(ctx context.Context, account sessions.Account) error
}

// Events is what Direct needs of the store of events.
type Events interface {
	// Note keeps an event for the owner of the account, without waiting until it is
	// durable. It is when the engine is closed, at the latest.
	Note(ctx context.Context, e accounts.Event)
}

// Direct is the Operator in the process that holds the database.
type Direct struct {
	accounts *accounts.Accounts
	sessions Sessions
	events   Events
	origin   string
}

var _ Operator = (*Direct)(nil)

// NewDirect returns an Operator on what an open database keeps. Links begin with
// origin.
func NewDirect(accounts *accounts.Accounts, sessions Sessions, events Events, origin string) *Direct {
	return &Direct{accounts: accounts, sessions: sessions, events: events, origin: origin}
}

// Do does what the request asks. Beside an error the answer holds at most the
// account that it is about.
func (d *Direct) Do(ctx context.Context, r Request) (Answer, error) {
	if err := r.check(); err != nil {
		return Answer{}, err
	}
	answer, err := d.do(ctx, r)
	var refusal *accounts.Error
	if errors.As(err, &refusal) {
		err = refusal // where it came from is nothing to the operator
	}
	return answer, err
}

func (d *Direct) do(ctx context.Context, r Request) (Answer, error) {
	switch r.Action {
	case Add:
		return d.add(ctx, r)
	case List:
		return d.list(ctx, r)
	}
	a, err := d.accounts.Find(ctx, r.Name)
	if err != nil {
		return Answer{}, err
	}
	answer := Answer{Account: describe(a)}
	switch r.Action {
	case Show:
		return answer, nil
	case Admin:
		err = d.accounts.SetAdmin(ctx, a.ID, !r.Off)
	case Disable:
		err = d.accounts.SetDisabled(ctx, a.ID, !r.Off)
	case Reset:
		answer.Link, err = d.reset(ctx, a)
	case Logout:
		err = d.sessions.EndAll(ctx, sessions.Account(a.ID))
	case Remove:
		return answer, d.accounts.Remove(ctx, a.ID)
	default:
		err = fmt.Errorf("there is no action %q", r.Action)
	}
	if err != nil {
		return answer, err
	}
	if what := told(r); what != "" {
		d.events.Note(context.WithoutCancel(ctx), accounts.ByAdministration(a.ID, what))
	}
	if a, err = d.accounts.Get(ctx, a.ID); err != nil {
		return answer, err
	}
	answer.Account = describe(a)
	return answer, nil
}

// told returns the event that the owner of an account reads of after the request,
// or nothing.
func told(r Request) string {
	switch {
	case r.Action == Logout:
		return accounts.EventSessionsEnded
	case r.Action == Disable && !r.Off:
		return accounts.EventDisabled
	case r.Action == Reset:
		return accounts.EventResetLink
	}
	return ""
}

func (d *Direct) add(ctx context.Context, r Request) (Answer, error) {
	if !r.Link {
		a, err := d.accounts.AddWithPassword(ctx, r.Name, r.Password, r.Admin)
		if err != nil {
			return Answer{}, err
		}
		return Answer{Account: describe(a)}, nil
	}
	a, secret, err := d.accounts.AddWithReset(ctx, r.Name, r.Admin)
	if err != nil {
		return Answer{}, err
	}
	return Answer{Account: describe(a), Link: d.link(secret)}, nil
}

func (d *Direct) list(ctx context.Context, r Request) (Answer, error) {
	page, err := d.accounts.List(ctx, r.Search, r.After)
	if err != nil {
		return Answer{}, err
	}
	answer := Answer{Next: page.Next}
	for _, a := range page.Accounts {
		answer.Accounts = append(answer.Accounts, describe(a))
	}
	return answer, nil
}

// reset returns a link for the owner of the account. It would not work for one
// that is disabled.
func (d *Direct) reset(ctx context.Context, a accounts.Account) (string, error) {
	if a.Disabled {
		return "", &accounts.Error{Kind: accounts.Invalid, Message: "The account is disabled. Please enable it first."}
	}
	secret, err := d.accounts.StartReset(ctx, a.ID)
	if err != nil {
		return "", err
	}
	return d.link(secret), nil
}

func (d *Direct) link(secret string) string { return d.origin + "/reset/" + secret }
