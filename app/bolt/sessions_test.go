package bolt

import (
	"bytes"
	"encoding/base64"
	"errors"
	"os"
	"testing"
	"time"

	"latchkey/app/accounts"
	"latchkey/app/internal/kv"
	"latchkey/app/sessions"
)

// Nobody can log in with a stolen copy of the file.
//
// ASVS 7.2.3
func TestNoIDInTheFile(t *testing.T) {
	path := temp(t)
	db := openAt(t, path, Options{})
	id := sessions.NewID(time.Now())
	noError(t, begin(db, keyOf(id), create(t, db, "Ann"), time.Now()))
	noError(t, db.Close())
	content, err := os.ReadFile(path)
	noError(t, err)
	raw, _ := base64.RawURLEncoding.DecodeString(id)
	if bytes.Contains(content, []byte(id)) || bytes.Contains(content, raw) {
		t.Error("the id is in the file")
	}
	if !bytes.Contains(content, []byte("Ann")) {
		t.Error("the test looks for nothing: the name is not in the file either")
	}
}

// The signing key is not in the program: each file has its own. ASVS 13.3.1
func TestTheKeyIsMadeWithTheFile(t *testing.T) {
	keyIn := func(path string) [32]byte {
		t.Helper()
		db := openAt(t, path, Options{})
		defer db.Close()
		key, err := db.Accounts().Key(t.Context())
		noError(t, err)
		return key
	}
	one, other := temp(t), temp(t)
	first, second := keyIn(one), keyIn(other)
	if first == second || first == ([32]byte{}) || second == ([32]byte{}) {
		t.Errorf("two files have the keys %x and %x", first[:4], second[:4])
	}
	if keyIn(one) != first {
		t.Error("the key has changed")
	}
	noError(t, os.Remove(one))
	if keyIn(one) == first {
		t.Error("the key is not in the file alone")
	}
}

// Ending sessions deletes their records and index entries in the same
// transaction, and no others. ASVS 7.4.2, 7.4.3
func TestEndedSessionsLeaveTheFile(t *testing.T) {
	sum := [32]byte{1}
	for what, end := range map[string]func(accounts.Store, accounts.Account) error{
		"disabled": func(s accounts.Store, a accounts.Account) error { return s.SetDisabled(t.Context(), a.ID, true) },
		"deleted":  func(s accounts.Store, a accounts.Account) error { return s.Delete(t.Context(), a.ID) },
		"another password": func(s accounts.Store, a accounts.Account) error {
			_, err := s.SetPassword(t.Context(), a, "other", time.Now())
			return err
		},
		"a reset": func(s accounts.Store, a accounts.Account) error {
			noError(t, s.StartReset(t.Context(), a.ID, sum, time.Now().Add(time.Hour)))
			_, err := s.Reset(t.Context(), sum, "other", time.Now())
			return err
		},
	} {
		for _, indexed := range []bool{false, true} {
			db := openNew(t)
			ann, bob := create(t, db, "Ann"), create(t, db, "Bob")
			now := time.Now()
			noError(t,
				begin(db, keyOf("ann 1"), ann, now), begin(db, keyOf("ann 2"), ann, now), begin(db, keyOf("bob"), bob, now),
				db.Sessions().Begin(t.Context(), keyOf("nobody"), sessions.Key{}, sessions.Session{Began: now, Seen: now}, nil),
			)
			if indexed {
				indexAll(t, db)
			}
			hasSessions(t, db, what+", before", 4, 3)
			noError(t, end(db.Accounts(), ann))
			hasSessions(t, db, what, 2, 1)
			if err := begin(db, keyOf("late"), ann, now); !errors.Is(err, sessions.ErrEnded) {
				t.Errorf("%s: a login that was authenticated before: %v", what, err)
			}
			hasSessions(t, db, what+", after a late login", 2, 1)
			noError(t, db.Close())
		}
	}
}

// No way of deleting sessions leaves an index entry.
func TestNoIndexEntryIsLeft(t *testing.T) {
	now := time.Now()
	for what, test := range map[string]struct {
		remove    func(*DB) error
		all, left int
	}{
		"sweep": {func(db *DB) error { _, err := db.kv.Sweep(t.Context()); return err }, 2, 1},
		"end": {func(db *DB) error {
			s := db.Sessions()
			return errors.Join(s.End(t.Context(), keyOf("new")), s.End(t.Context(), keyOf("old")), s.End(t.Context(), keyOf("no such")))
		}, 2, 0},
		"replace": {func(db *DB) error {
			return db.Sessions().Begin(t.Context(), keyOf("other"), keyOf("new"), sessions.Session{Began: now, Seen: now}, nil)
		}, 4, 1},
		"rotate": {func(db *DB) error { return db.Sessions().Rotate(t.Context(), keyOf("newer"), keyOf("new"), now) }, 4, 2},
		"rotate, end by the alias": {func(db *DB) error {
			return errors.Join(db.Sessions().Rotate(t.Context(), keyOf("newer"), keyOf("new"), now), db.Sessions().End(t.Context(), keyOf("new")))
		}, 3, 1},
	} {
		t.Run(what, func(t *testing.T) {
			db := openNew(t)
			ann := create(t, db, "Ann")
			old := now.Add(-2 * time.Hour)
			noError(t,
				begin(db, keyOf("new"), ann, now), begin(db, keyOf("old"), ann, old),
				db.Sessions().Begin(t.Context(), keyOf("nobody"), sessions.Key{}, sessions.Session{Began: now, Seen: now}, nil),
				db.Sessions().Begin(t.Context(), keyOf("nobody, old"), sessions.Key{}, sessions.Session{Began: old, Seen: old}, nil),
			)
			hasSessions(t, db, "before", 4, 2)
			noError(t, test.remove(db))
			hasSessions(t, db, "after", test.all, test.left)
		})
	}
}

// Expired aliases are swept.
func TestAliasesAreSwept(t *testing.T) {
	now := time.Now()
	clock := now
	db := openAt(t, temp(t), Options{Now: func() time.Time { return clock }})
	noError(t, begin(db, keyOf("old"), create(t, db, "Ann"), now))
	noError(t, db.Sessions().Rotate(t.Context(), keyOf("new"), keyOf("old"), now))
	for _, after := range []struct {
		passed time.Duration
		keys   int
	}{{sessions.AliasFor - time.Millisecond, 2}, {sessions.AliasFor + time.Millisecond, 1}} {
		clock = now.Add(after.passed)
		_, err := db.kv.Sweep(t.Context())
		noError(t, err)
		if n := count(t, db, bucketSessions); n != after.keys {
			t.Errorf("after %v the file has %d sessions and aliases, want %d", after.passed, n, after.keys)
		}
	}
	if _, err := db.Sessions().Read(t.Context(), keyOf("new")); err != nil {
		t.Error(err)
	}
}

// A sweep deletes all expired records, and no others.
func TestSweep(t *testing.T) {
	const day = 24 * time.Hour
	now := time.Now()
	clock := now
	db := openAt(t, temp(t), Options{Now: func() time.Time { return clock }})
	ann := create(t, db, "Ann")
	noError(t, begin(db, keyOf("session"), ann, now), db.Accounts().StartReset(t.Context(), ann.ID, [32]byte{1}, now.Add(2*time.Hour)))
	update(t, db, func(tx *kv.Tx) error {
		var events []accounts.Event
		for _, days := range []int{91, 89, 1} {
			events = append(events, accounts.Event{Account: ann.ID, At: now.Add(-time.Duration(days) * day), What: "login"})
		}
		return db.noteEvents(tx, events)
	})
	for _, after := range []struct {
		passed                   time.Duration
		events, sessions, resets int
	}{{0, 2, 1, 1}, {time.Hour - time.Minute, 2, 1, 1}, {time.Hour + time.Minute, 2, 0, 1}, {2*time.Hour + time.Minute, 2, 0, 0}, {day + time.Hour, 1, 0, 0}} {
		clock = now.Add(after.passed)
		_, err := db.kv.Sweep(t.Context())
		noError(t, err)
		for bucket, want := range map[string]int{bucketEvents: after.events, bucketSessions: after.sessions, bucketResets: after.resets, bucketAccountResets: after.resets, bucketAccounts: 1} {
			if n := count(t, db, bucket); n != want {
				t.Errorf("after %v there are %d %s, want %d", after.passed, n, bucket, want)
			}
		}
	}
}

// Ending a missing session makes no commit.
func TestEndOfNothingCommitsNothing(t *testing.T) {
	db := openNew(t)
	before := txid(t, db)
	noError(t, db.Sessions().End(t.Context(), keyOf("no such")))
	if after := txid(t, db); after != before {
		t.Errorf("%d commits", after-before)
	}
	noError(t, begin(db, keyOf("one"), create(t, db, "Ann"), time.Now()))
	noError(t, db.Sessions().End(t.Context(), keyOf("one")))
	if after := txid(t, db); after == before {
		t.Error("the test counts nothing")
	}
}

func txid(t testing.TB, db *DB) (id int) {
	t.Helper()
	read(t, db, func(tx *kv.Tx) { id = tx.ID() })
	return id
}
