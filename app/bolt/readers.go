package bolt

import (
	"sync"

	"go.etcd.io/bbolt"

	"latchkey/app/sessions"
)

// readers lets those who read one after the other, with no commit between them,
// use the same transaction of bbolt. To begin one, to open its buckets and to end
// it costs more than what a page reads with it.
//
// It never shows what was before the newest commit: whoever commits first ends
// the transactions that wait for the next reader, and one that was begun before
// the commit is over is not kept. They are ended for another reason, too: a commit
// that makes the file grow waits for every reader, and would wait for ever for
// one that waits itself.
type readers struct {
	db *bbolt.DB

	mu      sync.Mutex
	idle    []*reader // begun after the newest commit
	commits uint64    // begun and ended ones, so an odd number while one is on its way
}

// reader is a transaction and cursors in the buckets that every page reads. It is
// used by one goroutine at a time.
type reader struct {
	tx                 *bbolt.Tx
	sessions, accounts *bbolt.Cursor
	key                sessions.Key // of the session that is read: here it takes no new memory
}

// mostIdle is how many transactions wait for a reader. More than there are cores
// can hardly be in use at one moment.
const mostIdle = 64

// use runs f with a transaction. What f returns or keeps must be copied.
func (r *readers) use(f func(*reader) error) error {
	one, commits, err := r.begin()
	if err != nil {
		return err
	}
	whole := false
	defer func() {
		// After a panic nobody else should have it.
		if !whole || !r.keep(one, commits) {
			_ = one.tx.Rollback() // the only error there is: it has ended already
		}
	}()
	if one.sessions == nil {
		one.sessions, one.accounts = one.tx.Bucket(bucketSessions).Cursor(), one.tx.Bucket(bucketAccounts).Cursor()
	}
	err = f(one)
	whole = true
	return err
}

func (r *readers) begin() (one *reader, commits uint64, err error) {
	r.mu.Lock()
	commits = r.commits
	if last := len(r.idle) - 1; last >= 0 {
		one = r.idle[last]
		r.idle = r.idle[:last]
	}
	r.mu.Unlock()
	if one != nil {
		return one, commits, nil
	}
	tx, err := r.db.Begin(false)
	if err != nil {
		return nil, 0, err
	}
	return &reader{tx: tx}, commits, nil
}

// keep reports whether it has kept a transaction that was begun, or taken, when
// there had been so many commits.
func (r *readers) keep(one *reader, commits uint64) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if commits != r.commits || commits%2 == 1 || len(r.idle) == mostIdle {
		return false
	}
	r.idle = append(r.idle, one)
	return true
}

// commit runs f in a write transaction, of which there is one at a time.
func (r *readers) commit(f func(*bbolt.Tx) error) error {
	r.turn()
	defer r.turn()
	return r.db.Update(f)
}

// turn is the beginning of a commit, or its end.
func (r *readers) turn() {
	r.mu.Lock()
	r.commits++
	idle := r.idle
	r.idle = nil
	r.mu.Unlock()
	for _, one := range idle {
		_ = one.tx.Rollback()
	}
}
