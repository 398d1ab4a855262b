package bolt

import (
	"errors"
	"fmt"
	"sync"

	"go.etcd.io/bbolt"

	"latchkey/app/sessions"
)

// gatherer lets writers share commits. A commit of bbolt waits for the disk
// twice, whether it carries one change or a hundred. While one is on its way the
// next writers queue, and the next commit carries them all: one writer alone
// waits for one commit, and a hundred at once wait for two at the most.
//
// bbolt's own Batch waits for company instead, which makes the lone writer slow.
type gatherer struct {
	db     *bbolt.DB
	queue  chan *write
	done   chan struct{}
	mu     sync.RWMutex // held for writing by close alone
	closed bool
}

// write is one change and the place where its outcome goes.
type write struct {
	change func(*bbolt.Tx) error
	result chan error
}

// maxShared is the most changes that one commit carries, so that none waits
// long for the others.
const maxShared = 1024

var errClosed = errors.New("the database is closed")

func newGatherer(db *bbolt.DB) *gatherer {
	g := &gatherer{db: db, queue: make(chan *write, maxShared), done: make(chan struct{})}
	go g.run()
	return g
}

// do runs change in a transaction and returns when it is on disk, or when it is
// sure not to be. If change returns an error, nothing of it remains and nobody
// else is affected. It may be run more than once, each time on a transaction
// without its earlier traces, so it must set its results anew at every run.
func (g *gatherer) do(change func(*bbolt.Tx) error) error {
	w := &write{change: change, result: make(chan error, 1)}
	g.mu.RLock()
	if g.closed {
		g.mu.RUnlock()
		return errClosed
	}
	g.queue <- w
	g.mu.RUnlock()
	return <-w.result
}

// close lets the writes in hand finish and refuses later ones.
func (g *gatherer) close() {
	g.mu.Lock()
	if !g.closed {
		g.closed = true
		close(g.queue)
	}
	g.mu.Unlock()
	<-g.done
}

func (g *gatherer) run() {
	defer close(g.done)
	var batch []*write
	for first := range g.queue {
		batch = g.gather(append(batch[:0], first))
		g.commit(batch)
		clear(batch)
	}
}

// gather adds to batch whatever is queued by now.
func (g *gatherer) gather(batch []*write) []*write {
	for len(batch) < maxShared {
		select {
		case w, open := <-g.queue:
			if !open {
				return batch
			}
			batch = append(batch, w)
		default:
			return batch
		}
	}
	return batch
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
			return g.db.Update(func(tx *bbolt.Tx) error {
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
			batch[refused].result <- refusal
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
			w.result <- err
		}
		return
	}
}

var errRefused = errors.New("a change refused")
