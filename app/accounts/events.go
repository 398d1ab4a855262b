package accounts

import "time"

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

// ByAdministration returns the event of one of these, done to an account now.
func ByAdministration(id ID, what string) Event {
	return Event{Account: id, At: time.Now(), What: what, Outcome: "done"}
}

const (
	// EventsKept is how many events of an account are kept, the newest.
	EventsKept = 50
	// EventsFor is how long they are kept.
	EventsFor = 90 * day
)

// EventStore keeps the events of accounts: EventsKept of each, for EventsFor, and
// not longer than the account.
type EventStore interface {
	// Note keeps an event. It does not wait for the disk: whether a name exists
	// must not show in how long a refusal takes. One of an account that is not
	// there is dropped.
	Note(Event)
	// Events returns the events of an account, the newest first.
	Events(ID) ([]Event, error)
}
