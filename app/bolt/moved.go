package bolt

import (
	"slices"
	"sync"
	"time"

	"latchkey/app/sessions"
)

// moved remembers which session goes on under another id. A logout that was on
// its way with the old id when the visitor proved themselves must end it all the
// same: it is told that the session is gone, and it must not come back.
//
// It is kept in memory alone: after a restart nothing is on its way any more.
type moved struct {
	mu    sync.Mutex
	moves []move // in the order of time
}

type move struct {
	old, key sessions.Key
	at       time.Time
}

// movedFor is longer than a request can take.
const movedFor = time.Minute

// note says that the session under old goes on under key. It comes before the
// write, so that nobody sees that without this.
func (m *moved) note(old, key sessions.Key, now time.Time) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.moves = slices.DeleteFunc(m.moves, func(one move) bool { return now.Sub(one.at) > movedFor })
	m.moves = append(m.moves, move{old, key, now})
}

// forget is for a write that came to nothing.
func (m *moved) forget(key sessions.Key) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.moves = slices.DeleteFunc(m.moves, func(one move) bool { return one.key == key })
}

// chain returns k and the keys under which its session went on.
func (m *moved) chain(k sessions.Key) []sessions.Key {
	m.mu.Lock()
	defer m.mu.Unlock()
	keys := []sessions.Key{k}
	for _, one := range m.moves {
		if slices.Contains(keys, one.old) {
			keys = append(keys, one.key)
		}
	}
	return keys
}
