package bolt

import (
	"errors"
	"fmt"
	"runtime"
	"sync"
	"time"

	"go.etcd.io/bbolt"

	"latchkey/app/sessions"
)

// gatherer lets writers share commits. A commit of bbolt waits for the disk
// twice, whether it carries one change or a hundred. While one is on its way the
// next writers queue, and the next commit carries them all: one writer alone
// waits for one commit, and a hundred at once wait for two at the most.
//
// The first of those who queue makes the commit, for itself and for the others.
// A goroutine of its own for that would cost the lone writer two changes of
// goroutine. bbolt's own Batch waits for company, which makes it slower still.
type gatherer struct {
	readers *readers

	mu     sync.Mutex
	queue  []*write // who waits for the next commit
	busy   bool     // somebody makes a commit
	closed bool
	idle   sync.Cond // busy has become false

	shared bool // the last commit was for more than one; it belongs to whoever makes the next

	decided chan struct{} // closed once it is known whether writes are admitted
	verdict error         // why not, once that is known
	decide  sync.Once
}

// write is one change and the place where its outcome goes.
type write struct {
	change func(*bbolt.Tx) error
	news   chan news
}

// news is what a writer in the queue waits for: the outcome of its change, or
// that it is its turn to make the commit.
type news struct {
	turn bool
	err  error
}

// maxShared is the most changes that one commit carries, so that none waits
// long for the others.
const maxShared = 1024

var errClosed = errors.New("the database is closed")

func newGatherer(r *readers) *gatherer {
	g := &gatherer{readers: r, decided: make(chan struct{})}
	g.idle.L = &g.mu
	return g
}

// admit lets writes in, or if err is not nil, answers them with it. The first call
// counts.
func (g *gatherer) admit(err error) {
	g.decide.Do(func() {
		g.verdict = err
		close(g.decided)
	})
}

// longestWait is how long a write waits to be let in.
const longestWait = 5 * time.Second

// await waits until writes are let in.
func (g *gatherer) await() error {
	select {
	case <-g.decided:
		return g.verdict
	default:
	}
	select {
	case <-g.decided:
		return g.verdict
	case <-time.After(longestWait):
		return sessions.ErrBusy
	}
}

// do runs change in a transaction and returns when it is on disk, or when it is
// sure not to be. If change returns an error, nothing of it remains and nobody
// else is affected. It may be run more than once, each time on a transaction
// without its earlier traces, so it must set its results anew at every run. It
// may be run by another writer's goroutine.
func (g *gatherer) do(change func(*bbolt.Tx) error) error {
	if err := g.await(); err != nil {
		return err
	}
	w := &write{change: change, news: make(chan news, 1)} // with room: nobody waits to tell it
	g.mu.Lock()
	if g.closed {
		g.mu.Unlock()
		return errClosed
	}
	g.queue = append(g.queue, w)
	first := !g.busy
	g.busy = true
	g.mu.Unlock()
	if !first {
		if n := <-w.news; !n.turn {
			return n.err
		}
	}
	g.commit(g.gather())
	g.pass()
	return (<-w.news).err
}

// gather takes whoever is in the queue, the caller first among them. Those who
// are about to queue, as the writers of a shared commit often are, come before it
// in the scheduler. A lone writer does not wait for them: to step back wakes
// another thread, which takes a tenth of a login.
func (g *gatherer) gather() []*write {
	if g.shared {
		runtime.Gosched()
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	n := min(len(g.queue), maxShared)
	g.shared = n > 1
	batch := g.queue[:n:n]
	g.queue = append([]*write(nil), g.queue[n:]...)
	return batch
}

// pass gives the turn to the first in the queue.
func (g *gatherer) pass() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if len(g.queue) > 0 {
		g.queue[0].news <- news{turn: true}
		return
	}
	g.busy = false
	g.idle.Broadcast()
}

// close lets the writes in hand finish and refuses later ones.
func (g *gatherer) close() {
	g.admit(errClosed)
	g.mu.Lock()
	defer g.mu.Unlock()
	g.closed = true
	for g.busy {
		g.idle.Wait()
	}
}

// commit writes the batch in one transaction. A change that refuses is told so
// and taken out, and the rest start over without it: a refused change may have
// written half of itself before it refused. A commit that meets damage is made
// anew for each change alone, so that those elsewhere come through.
func (g *gatherer) commit(batch []*write) {
	for len(batch) > 0 {
		var refused int
		var refusal error
		err := guard(func() error {
			return g.readers.commit(func(tx *bbolt.Tx) error {
				for i, w := range batch {
					if err := guard(func() error { return w.change(tx) }); err != nil {
						refused, refusal = i, err
						return errRefused
					}
				}
				return nil
			})
		})
		if errors.Is(err, errRefused) {
			batch[refused].news <- news{err: refusal}
			batch = append(batch[:refused], batch[refused+1:]...)
			continue
		}
		if errors.Is(err, ErrDamaged) && len(batch) > 1 {
			// One of them touches a part of the file that cannot be written anew.
			for _, w := range batch {
				g.commit([]*write{w})
			}
			return
		}
		if full(err) {
			err = fmt.Errorf("%w: %w", sessions.ErrFull, err)
		}
		for _, w := range batch {
			w.news <- news{err: err}
		}
		return
	}
}

var errRefused = errors.New("a change refused")
