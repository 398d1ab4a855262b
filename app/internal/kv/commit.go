package kv

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"runtime/debug"
	"slices"
	"sync"
	"time"

	"latchkey/app/internal/store"
)

// writers is group commit. A commit of bbolt waits for the disk, whether it
// carries one change or a hundred. While one is under way the next writers queue,
// and the next commit carries them all: a lone writer waits for one commit, a
// hundred at once wait for two at most.
//
// The first writer of the queue leads: it commits for the others, too. That saves
// the lone writer two switches of goroutine. bbolt's own Batch waits for company,
// which a lone writer pays for.
type writers struct {
	db *DB

	mu     sync.Mutex
	queue  []*write
	busy   bool // somebody leads
	closed bool
	idle   sync.Cond // busy has become false

	shared bool // the last commit carried more than one change; belongs to the leader

	decided chan struct{} // closed once it is known whether writers are admitted
	verdict error         // why they are not, set before decided is closed
	decide  sync.Once
}

// write is a queued change and where its result goes.
type write struct {
	change func(*Tx) error
	leads  bool // was told to lead; guarded by writers.mu
	result chan result
}

// result is what a queued writer waits for: the outcome of its change, or that it
// leads now.
type result struct {
	lead  bool
	err   error
	panic *changePanic
}

// changePanic is a panic of a change, raised again on its writer's goroutine with
// the stack of the goroutine that ran it.
type changePanic struct {
	value any
	stack []byte
}

func (p *changePanic) Error() string { return fmt.Sprintf("%v\n%s", p.value, p.stack) }

// maxShared is how many changes one commit carries at most, so that no writer
// waits long for the others.
const maxShared = 1024

// admitWait is how long a write waits for the file to be verified.
const admitWait = 5 * time.Second

func (w *writers) init(db *DB) {
	w.db, w.decided = db, make(chan struct{})
	w.idle.L = &w.mu
}

// admit lets writers in or, if err is not nil, refuses them with it. The first
// call counts.
func (w *writers) admit(err error) {
	w.decide.Do(func() {
		w.verdict = err
		close(w.decided)
	})
}

func (w *writers) admitted(ctx context.Context) error {
	select {
	case <-w.decided:
		return w.verdict
	default:
	}
	timer := time.NewTimer(admitWait)
	defer timer.Stop()
	select {
	case <-w.decided:
		return w.verdict
	case <-timer.C:
		return store.ErrBusy
	case <-ctx.Done():
		return ended(ctx)
	}
}

func (w *writers) update(ctx context.Context, change func(*Tx) error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if err := w.admitted(ctx); err != nil {
		return err
	}
	one := &write{change: change, result: make(chan result, 2)} // never blocks who sends
	w.mu.Lock()
	if w.closed {
		w.mu.Unlock()
		return errClosed
	}
	w.queue = append(w.queue, one)
	leads := !w.busy
	w.busy = true
	w.mu.Unlock()
	if !leads {
		if r := w.wait(ctx, one); !r.lead {
			return r.outcome()
		}
		if ctx.Err() != nil && w.withdraw(one) {
			return ended(ctx)
		}
	}
	w.commit(w.take())
	w.mu.Lock()
	w.passLead()
	w.mu.Unlock()
	return (<-one.result).outcome()
}

// wait waits for the result of a queued write, or takes it out of the queue when
// ctx ends. Once a commit has taken it, its outcome is waited for: it may be
// durable already.
func (w *writers) wait(ctx context.Context, one *write) result {
	select {
	case r := <-one.result:
		return r
	case <-ctx.Done():
	}
	if w.withdraw(one) {
		return result{err: ended(ctx)}
	}
	return <-one.result
}

// withdraw takes a write out of the queue and reports whether it was still there.
// If it was told to lead, the next one leads.
func (w *writers) withdraw(one *write) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	i := slices.Index(w.queue, one)
	if i < 0 {
		return false
	}
	w.queue = slices.Delete(w.queue, i, i+1)
	if one.leads {
		w.passLead()
	}
	return true
}

// ended returns the error of a write that ctx has kept from the file.
func ended(ctx context.Context) error {
	return fmt.Errorf("%w: %w", store.ErrBusy, context.Cause(ctx))
}

func (r result) outcome() error {
	if r.panic != nil {
		panic(r.panic)
	}
	return r.err
}

// take returns the queue, the caller first, up to maxShared changes.
func (w *writers) take() []*write {
	if w.shared {
		// The writers of the last commit are about to queue again. A lone writer
		// does not yield: that would wake another thread.
		runtime.Gosched()
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	n := min(len(w.queue), maxShared)
	w.shared = n > 1
	batch := w.queue[:n:n]
	w.queue = append([]*write(nil), w.queue[n:]...)
	return batch
}

// passLead lets the first of the queue lead. The caller holds w.mu.
func (w *writers) passLead() {
	if len(w.queue) == 0 {
		w.busy = false
		w.idle.Broadcast()
		return
	}
	w.queue[0].leads = true
	w.queue[0].result <- result{lead: true}
}

// close refuses later writes and waits for those that are queued.
func (w *writers) close() {
	w.admit(errClosed)
	w.mu.Lock()
	defer w.mu.Unlock()
	w.closed = true
	for w.busy {
		w.idle.Wait()
	}
}

var errRefused = errors.New("a change was refused")

// commit runs the changes in one transaction and tells each writer its result. A
// change that fails leaves, and the others start again without it: it may have
// written before it failed. If the commit meets damage, each change gets a commit
// of its own, so that those elsewhere in the file succeed.
func (w *writers) commit(batch []*write) {
	for len(batch) > 0 {
		refused := 0
		var refusal result
		err := guard(func() error {
			return w.db.readers.commit(func(tx *Tx) error {
				for i, one := range batch {
					if r := one.run(tx); r.err != nil || r.panic != nil {
						refused, refusal = i, r
						return errRefused
					}
				}
				return nil
			})
		})
		if errors.Is(err, errRefused) {
			batch[refused].result <- refusal
			batch = slices.Delete(slices.Clone(batch), refused, refused+1)
			continue
		}
		if errors.Is(err, store.ErrDamaged) && len(batch) > 1 {
			for _, one := range batch {
				w.commit([]*write{one})
			}
			return
		}
		if noRoom(err) {
			err = fmt.Errorf("%w: %w", store.ErrFull, err)
		}
		for _, one := range batch {
			one.result <- result{err: err}
		}
		return
	}
}

// run applies the change. A programming error in it is its own writer's panic, not
// the leader's.
func (one *write) run(tx *Tx) (r result) {
	defer func() {
		if p := recover(); p != nil {
			r = result{panic: &changePanic{p, debug.Stack()}}
		}
	}()
	return result{err: guard(func() error { return one.change(tx) })}
}
