package control

import (
	"context"
	"errors"
	"fmt"

	"latchkey/app/accounts"
	"latchkey/app/sessions"
)

// Sessions is the part of a session store that Direct needs.
type Sessions interface {
	// EndAll ends all sessions of an account, if there are any.
	EndAll(ctx context.Context, account sessions.Account) error
}

// Events is the part of an event store that Direct needs.
type Events interface {
	// Note queues an event. It is durable when the engine is closed, at the
	// latest.
	Note(ctx context.Context, e accounts.Event)
}

// Direct is an Operator that works on the open database in this process.
type Direct struct {
	accounts *accounts.Accounts
	sessions Sessions
	events   Events
	origin   string
}

var _ Operator = (*Direct)(nil)

// NewDirect returns an Operator on an open database. Reset links begin with
// origin.
func NewDirect(accounts *accounts.Accounts, sessions Sessions, events Events, origin string) *Direct {
	return &Direct{accounts: accounts, sessions: sessions, events: events, origin: origin}
}

// Do executes the request. With an error, the answer contains at most the
// account concerned.
func (d *Direct) Do(ctx context.Context, r Request) (Answer, error) {
	if err := r.check(); err != nil {
		return Answer{}, err
	}
	answer, err := d.do(ctx, r)
	var refusal *accounts.Error
	if errors.As(err, &refusal) {
		err = refusal // drop the context that was wrapped around it
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
	if what := ownerEvent(r); what != "" {
		d.events.Note(context.WithoutCancel(ctx), accounts.ByAdministration(a.ID, what))
	}
	if a, err = d.accounts.Get(ctx, a.ID); err != nil {
		return answer, err
	}
	answer.Account = describe(a)
	return answer, nil
}

// ownerEvent returns the event to record for the account's owner, or "".
func ownerEvent(r Request) string {
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

// reset returns a reset link for the account. A disabled account gets none,
// because the link would not work.
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
