package accounts

import (
	"context"
	"time"
)

// Event is something that happened to an account and that its owner should know
// of: a login, a failure against its name, another password, a session ended.
type Event struct {
	Account ID
	At      time.Time // UTC, to the millisecond
	What    string    // as the log calls it: "login", "password change"; or one of those below
	Outcome string    // as the log calls it: "done", "wrong"
	Agent   string    // the browser's own words about itself; empty if another did it
	Address string    // where it came from; empty likewise
}

// What an administrator or the operator does to an account. Its owner learns what
// was done and when; by whom and from where is for the log alone.
const (
	EventSessionsEnded = "sessions ended by the administration"
	EventDisabled      = "disabled by the administration"
	EventResetLink     = "reset link by the administration"
)

// EventTime returns a time as events have it.
func EventTime(t time.Time) time.Time { return t.UTC().Truncate(time.Millisecond) }

// ByAdministration returns the event of one of these, done to an account now.
func ByAdministration(id ID, what string) Event {
	return Event{Account: id, At: EventTime(time.Now()), What: what, Outcome: "done"}
}

const (
	// EventsKept is how many events of an account are kept, the newest.
	EventsKept = 50
	// EventsFor is how long they are kept.
	EventsFor = 90 * day
)

// EventStore keeps the events of accounts: EventsKept of each, the newest, for
// EventsFor, and not longer than the account. Package storetest holds the tests
// that every event store must pass.
type EventStore interface {
	// Note keeps an event. It does not wait until that is durable: whether a name
	// exists must not show in how long a refusal takes. A loss of power may cost
	// the events of the last second. One of an account that is not there is
	// dropped.
	Note(ctx context.Context, e Event)
	// Events returns the events of an account, the newest first; of those of one
	// millisecond, the one noted last first.
	Events(ctx context.Context, id ID) ([]Event, error)
}
