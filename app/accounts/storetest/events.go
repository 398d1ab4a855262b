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

// EventStores are the event store and the account store of one engine.
type EventStores struct {
	Events   accounts.EventStore
	Accounts accounts.Store
	Close    func() error // called once
}

// OpenEvents opens the stores in dir, and creates them at the first call. now
// is their clock. Opening dir again after Close simulates a restart. The tests
// call Close.
type OpenEvents func(t *testing.T, dir string, now func() time.Time) EventStores

// TestEvents runs all tests of an event store, each in its own directory.
func TestEvents(t *testing.T, open OpenEvents) {
	for _, test := range []struct {
		name string
		run  func(*testing.T, *events)
	}{
		{"Order", testEventsOrder},
		{"Kept", testEventsKept},
		{"KeptFor", testEventsKeptFor},
		{"Texts", testEventTexts},
		{"UnknownAccount", testEventsMissingAccount},
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

// events is an event store in a directory, with its clock.
type events struct {
	EventStores
	t    *testing.T
	open OpenEvents
	dir  string
	now  time.Time
}

func (e *events) start() {
	now := e.now // copied: background work may read the clock at any time
	e.EventStores = e.open(e.t, e.dir, func() time.Time { return now })
}

func (e *events) stop() {
	e.t.Helper()
	if err := e.Close(); err != nil {
		e.t.Fatal(err)
	}
}

// restart closes and reopens the stores. Close waits until every noted event is
// stored.
func (e *events) restart() {
	e.t.Helper()
	e.stop()
	e.start()
}

func (e *events) account(name string) accounts.ID {
	e.t.Helper()
	return create(e.t, e.Accounts, name).ID
}

// note notes an event at that time and returns it.
func (e *events) note(id accounts.ID, at time.Time, what string) accounts.Event {
	event := accounts.Event{Account: id, At: at, What: what, Outcome: "done", Agent: "agent", Address: "192.0.2.1"}
	e.Events.Note(e.t.Context(), event)
	return event
}

// has fails the test unless the account has exactly these events, in this
// order.
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

// Events are sorted newest first. Events of the same millisecond are in reverse
// order of their Note calls, also across a restart.
func testEventsOrder(t *testing.T, e *events) {
	ann, bob := e.account("ann"), e.account("bob")
	at := e.now
	second := e.note(ann, at.Add(-time.Second), "second")
	var same []accounts.Event
	for i := range 12 { // more than 9, so that an order by decimal text would fail
		same = append(same, e.note(ann, at, fmt.Sprint(i)))
	}
	first := e.note(ann, at.Add(-time.Minute), "first") // noted late, as after the clock was set back
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

// The newest EventsKept events of each account are kept, independently of other
// accounts.
func testEventsKept(t *testing.T, e *events) {
	// A literal: the number is part of the contract.
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
	// Newer events replace the oldest.
	for i := range 3 {
		anns = append(anns, e.note(ann, e.now.Add(time.Second), fmt.Sprint("later ", i)))
	}
	e.restart()
	e.has(ann, newest()...)
	e.has(bob, bobs)
	// An event older than all kept ones is dropped.
	e.note(ann, e.now.Add(-time.Hour), "late")
	e.restart()
	e.has(ann, newest()...)
}

// Events are returned until they are older than EventsFor by the store's clock.
func testEventsKeptFor(t *testing.T, e *events) {
	const keptFor = 90 * 24 * time.Hour // a literal, as above
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

// Any valid UTF-8 without NUL is read back unchanged (ASVS 1.2.4).
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

// An event of a missing account is dropped; other events are unaffected.
func testEventsMissingAccount(t *testing.T, e *events) {
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
	// An account created later with the same id does not inherit the events.
	a := account(t, "later")
	a.ID = next
	if err := e.Accounts.Create(t.Context(), a); err != nil {
		t.Fatal(err)
	}
	e.has(next)
}

// Deleting an account deletes its events, including those still queued.
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

// Note never fails; a context that has ended does not affect other events.
func testEventsEndedContext(t *testing.T, e *events) {
	ann := e.account("ann")
	before := e.note(ann, e.now, "before")
	ended, cancel := context.WithCancel(t.Context())
	noted := accounts.Event{Account: ann, At: e.now.Add(time.Millisecond), What: "meanwhile"}
	e.Events.Note(ended, noted)
	cancel() // does not cancel what was noted
	after := e.note(ann, e.now.Add(2*time.Millisecond), "after")
	e.restart()
	e.has(ann, after, noted, before)
}
