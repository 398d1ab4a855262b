package storetest

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"latchkey/app/accounts"
)

// EventStores are the two stores of one engine: events belong to accounts.
type EventStores struct {
	Events   accounts.EventStore
	Accounts accounts.Store
	Close    func() error // once
}

// OpenEvents opens the stores that are kept in dir, which a first call makes, with
// the time that now says. To open dir again after Close is a restart. The tests
// close what they open.
type OpenEvents func(t *testing.T, dir string, now func() time.Time) EventStores

// TestEvents runs all tests of an event store, each in a folder of its own.
func TestEvents(t *testing.T, open OpenEvents) {
	for _, test := range []struct {
		name string
		run  func(*testing.T, *events)
	}{
		{"Order", testEventsOrder},
		{"Kept", testEventsKept},
		{"KeptFor", testEventsKeptFor},
		{"Texts", testEventTexts},
		{"UnknownAccount", testEventsOfNobody},
		{"DeletedAccount", testEventsDeleted},
		{"EndedContext", testEventsEndedContext},
	} {
		t.Run(test.name, func(t *testing.T) {
			e := &events{t: t, open: open, dir: t.TempDir(), now: noon.Truncate(time.Millisecond)}
			e.start()
			defer e.stop()
			test.run(t, e)
		})
	}
}

// events is an event store in a folder, and its clock.
type events struct {
	EventStores
	t    *testing.T
	open OpenEvents
	dir  string
	now  time.Time
}

func (e *events) start() {
	now := e.now // background work reads the clock at any time
	e.EventStores = e.open(e.t, e.dir, func() time.Time { return now })
}

func (e *events) stop() {
	e.t.Helper()
	if err := e.Close(); err != nil {
		e.t.Fatal(err)
	}
}

// restart closes and opens the stores. Every event that was noted is kept then, so
// nothing has to be waited for.
func (e *events) restart() {
	e.t.Helper()
	e.stop()
	e.start()
}

func (e *events) account(name string) accounts.ID {
	e.t.Helper()
	return create(e.t, e.Accounts, name).ID
}

// note notes an event of that moment, and returns it.
func (e *events) note(id accounts.ID, at time.Time, what string) accounts.Event {
	event := accounts.Event{Account: id, At: at, What: what, Outcome: "done", Agent: "agent", Address: "192.0.2.1"}
	e.Events.Note(e.t.Context(), event)
	return event
}

// has fails unless these, in this order, are all events of the account.
func (e *events) has(id accounts.ID, want ...accounts.Event) {
	e.t.Helper()
	got, err := e.Events.Events(e.t.Context(), id)
	if err != nil {
		e.t.Fatal(err)
	}
	if len(got) != len(want) {
		e.t.Fatalf("%d events, want %d: %+v", len(got), len(want), got)
	}
	for i := range want {
		if got[i] != want[i] || got[i].At.Location() != time.UTC {
			e.t.Errorf("event %d is %+v, want %+v", i, got[i], want[i])
		}
	}
}

// The newest comes first, and of one millisecond the one noted last, whatever the
// order in which they were noted, and across a restart.
func testEventsOrder(t *testing.T, e *events) {
	ann, bob := e.account("ann"), e.account("bob")
	at := e.now
	second := e.note(ann, at.Add(-time.Second), "second")
	var same []accounts.Event
	for i := range 12 { // 9 and 10 sort otherwise as texts
		same = append(same, e.note(ann, at, fmt.Sprint(i)))
	}
	first := e.note(ann, at.Add(-time.Minute), "first") // late, as of a clock that was set back
	bobs := e.note(bob, at, "login")
	e.restart()
	for i := range 3 {
		same = append(same, e.note(ann, at, fmt.Sprint("after ", i)))
	}
	last := e.note(ann, at.Add(time.Millisecond), "last")
	e.restart()
	want := []accounts.Event{last}
	for i := range same {
		want = append(want, same[len(same)-1-i])
	}
	e.has(ann, append(want, second, first)...)
	e.has(bob, bobs)
}

// EventsKept of each account are kept, the newest, and nobody's push out another's.
func testEventsKept(t *testing.T, e *events) {
	// In figures, for they are a promise.
	const kept = 50
	ann, bob := e.account("ann"), e.account("bob")
	bobs := e.note(bob, e.now.Add(-time.Hour), "login")
	var anns []accounts.Event
	for i := range kept + 20 {
		anns = append(anns, e.note(ann, e.now.Add(time.Duration(i/3)*time.Millisecond), fmt.Sprint(i)))
	}
	newest := func() (want []accounts.Event) {
		for i := range kept {
			want = append(want, anns[len(anns)-1-i])
		}
		return want
	}
	e.restart()
	e.has(ann, newest()...)
	e.has(bob, bobs)
	// Those that are kept make room for newer ones.
	for i := range 3 {
		anns = append(anns, e.note(ann, e.now.Add(time.Second), fmt.Sprint("later ", i)))
	}
	e.restart()
	e.has(ann, newest()...)
	e.has(bob, bobs)
	// One that is older than all of them takes no place.
	e.note(ann, e.now.Add(-time.Hour), "late")
	e.restart()
	e.has(ann, newest()...)
}

// Events are shown for EventsFor, by the clock of the store.
func testEventsKeptFor(t *testing.T, e *events) {
	const keptFor = 90 * 24 * time.Hour // a promise as well
	ann := e.account("ann")
	e.note(ann, e.now.Add(-keptFor-time.Millisecond), "too old already")
	old := e.note(ann, e.now.Add(-keptFor+time.Hour), "old")
	fresh := e.note(ann, e.now, "fresh")
	e.restart()
	e.has(ann, fresh, old)
	e.now = e.now.Add(time.Hour + time.Millisecond)
	e.restart()
	e.has(ann, fresh)
	e.now = fresh.At.Add(keptFor - time.Millisecond)
	e.restart()
	e.has(ann, fresh)
	e.now = fresh.At.Add(keptFor + time.Millisecond)
	e.restart()
	e.has(ann)
}

// Whatever is valid UTF-8 without NUL comes back as it was (ASVS 1.2.4).
func testEventTexts(t *testing.T, e *events) {
	ann := e.account("ann")
	var want []accounts.Event
	for i, text := range []string{
		"", " ", "\n\r\t", "\x01\x1b[31m\x7f", `\`, `\x00`, `%00`, "'; DROP TABLE events; --", `"`, "<script>", "{}", "NULL", "🔑é山\u200d\u202e\ufffd\U0010ffff",
		"ends with a space ", strings.Repeat("é", 128), "192.0.2.1",
	} {
		event := accounts.Event{Account: ann, At: e.now.Add(time.Duration(i) * time.Millisecond), What: text, Outcome: text, Agent: text, Address: text}
		e.Events.Note(t.Context(), event)
		want = append([]accounts.Event{event}, want...)
	}
	e.restart()
	e.has(ann, want...)
}

// An event of an account that is not there is dropped, and harms no other.
func testEventsOfNobody(t *testing.T, e *events) {
	ann := e.account("ann")
	next := ann
	next[15]++
	before := e.note(ann, e.now, "before")
	for _, id := range []accounts.ID{{}, {7}, next} {
		e.note(id, e.now, "of nobody")
	}
	after := e.note(ann, e.now, "after")
	e.restart()
	e.has(ann, after, before)
	for _, id := range []accounts.ID{{}, {7}, next} {
		e.has(id)
	}
	// Whoever gets such an id later does not inherit them.
	a := account(t, "later")
	a.ID = next
	if err := e.Accounts.Create(t.Context(), a); err != nil {
		t.Fatal(err)
	}
	e.has(next)
}

// Events go with their account, those too that are still on their way.
func testEventsDeleted(t *testing.T, e *events) {
	ann, bob := e.account("ann"), e.account("bob")
	e.note(ann, e.now, "on file")
	bobs := e.note(bob, e.now, "on file")
	e.restart()
	e.note(ann, e.now, "on its way")
	if err := e.Accounts.Delete(t.Context(), ann); err != nil {
		t.Fatal(err)
	}
	e.note(ann, e.now, "too late")
	e.has(ann)
	e.restart()
	e.has(ann)
	e.has(bob, bobs)
	if _, err := e.Accounts.ByID(t.Context(), ann); !errors.Is(err, accounts.ErrNotFound) {
		t.Errorf("the account: %v", err)
	}
	e.has(create(t, e.Accounts, "ann").ID)
}

// Note does not fail, and a context that has ended does no harm to other events.
func testEventsEndedContext(t *testing.T, e *events) {
	ann := e.account("ann")
	before := e.note(ann, e.now, "before")
	ended, cancel := context.WithCancel(t.Context())
	noted := accounts.Event{Account: ann, At: e.now.Add(time.Millisecond), What: "meanwhile"}
	e.Events.Note(ended, noted)
	cancel() // which does not take back what was noted
	after := e.note(ann, e.now.Add(2*time.Millisecond), "after")
	e.restart()
	e.has(ann, after, noted, before)
}
