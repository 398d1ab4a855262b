package accounts

import (
	"context"
	"time"
)

// Event records something that happened to an account and that its owner should
// see: a login, a failed login, a new password, an ended session.
type Event struct {
	Account ID
	At      time.Time // UTC, whole milliseconds
	What    string    // the event's name in the log, such as "login" or "password change", or a constant below
	Outcome string    // the outcome in the log, such as "done" or "wrong"
	Agent   string    // the User-Agent header; empty if the owner did not do it
	Address string    // the client's address; empty if the owner did not do it
}

// Values of Event.What for actions of administrators and of the operator. The
// owner sees what was done and when. Who did it, and from which address, is
// only in the log.
const (
	EventSessionsEnded = "sessions ended by the administration"
	EventDisabled      = "disabled by the administration"
	EventResetLink     = "reset link by the administration"
)

// EventTime returns t in UTC, truncated to the precision of Event.At.
func EventTime(t time.Time) time.Time { return t.UTC().Truncate(time.Millisecond) }

// ByAdministration returns an event for the account, dated now. What is one of
// the constants above.
func ByAdministration(id ID, what string) Event {
	return Event{Account: id, At: EventTime(time.Now()), What: what, Outcome: "done"}
}

const (
	// EventsKept is the number of events kept for each account; older ones are
	// dropped.
	EventsKept = 50
	// EventsFor is the age at which an event is dropped.
	EventsFor = 90 * day
)

// EventStore keeps the newest EventsKept events of each account for EventsFor,
// or until the account is deleted. Package storetest holds the tests that every
// event store must pass.
type EventStore interface {
	// Note queues an event and returns before it is durable, so that the response
	// time does not reveal whether a name exists. A power failure may lose the
	// events of the last second. An event of a missing account is dropped.
	Note(ctx context.Context, e Event)
	// Events returns the events of an account, newest first. Events of the same
	// millisecond come in reverse order of their Note calls.
	Events(ctx context.Context, id ID) ([]Event, error)
}
