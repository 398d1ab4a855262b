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

// writers implements group commit. A commit of bbolt waits for the disk,
// whether it carries one change or a hundred. Writers that arrive during a
// commit queue up, and the next commit carries all their changes.
//
// The first writer in the queue is the leader: it commits for the others on its
// own goroutine, so a lone writer needs no goroutine switch. bbolt's Batch
// would make a lone writer wait for company.
type writers struct {
	db *DB

	mu     sync.Mutex
	queue  []*pendingWrite
	busy   bool // there is a leader
	closed bool
	idle   sync.Cond // signals that busy became false

	shared bool // the last commit carried several changes; used by the leader only

	decided    chan struct{} // closed when verification has admitted or rejected writers
	admitErr   error         // nil if admitted; set before decided is closed
	decideOnce sync.Once
}

// pendingWrite is a queued change.
type pendingWrite struct {
	change func(*Tx) error
	leads  bool // has been made leader; guarded by writers.mu
	result chan result
}

// result is what a queued writer receives: either lead, which makes it the
// leader, or the outcome of its change.
type result struct {
	lead  bool
	err   error
	panic *changePanic
}

// changePanic carries a panic of a change to the goroutine of its writer, with
// the original stack.
type changePanic struct {
	value any
	stack []byte
}

func (p *changePanic) Error() string { return fmt.Sprintf("%v\n%s", p.value, p.stack) }

// maxShared is the maximum number of changes in one commit.
const maxShared = 1024

// admitWait is how long a write waits for the verification of the file.
const admitWait = 5 * time.Second

func (w *writers) init(db *DB) {
	w.db, w.decided = db, make(chan struct{})
	w.idle.L = &w.mu
}

// admit admits writers, or rejects them with err if it is not nil. Only the
// first call has an effect.
func (w *writers) admit(err error) {
	w.decideOnce.Do(func() {
		w.admitErr = err
		close(w.decided)
	})
}

func (w *writers) admitted(ctx context.Context) error {
	select {
	case <-w.decided:
		return w.admitErr
	default:
	}
	timer := time.NewTimer(admitWait)
	defer timer.Stop()
	select {
	case <-w.decided:
		return w.admitErr
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
	one := &pendingWrite{change: change, result: make(chan result, 2)} // two results at most, so that sending never blocks
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
	w.commit(w.takeBatch())
	w.mu.Lock()
	w.passLead()
	w.mu.Unlock()
	return (<-one.result).outcome()
}

// wait waits for the result of a queued write. If ctx ends while the write is
// still in the queue, wait withdraws it. Once the write belongs to a commit,
// wait waits for the outcome, because the change may already be durable.
func (w *writers) wait(ctx context.Context, one *pendingWrite) result {
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

// withdraw removes a write from the queue and reports whether it was still
// there. If the write was the leader, the next one in the queue becomes leader.
func (w *writers) withdraw(one *pendingWrite) bool {
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

// ended returns the error of a write that was withdrawn because ctx ended.
func ended(ctx context.Context) error {
	return fmt.Errorf("%w: %w", store.ErrBusy, context.Cause(ctx))
}

func (r result) outcome() error {
	if r.panic != nil {
		panic(r.panic)
	}
	return r.err
}

// takeBatch removes up to maxShared changes from the queue, beginning with the
// leader's.
func (w *writers) takeBatch() []*pendingWrite {
	if w.shared {
		// Let the writers of the last commit queue again. A lone writer skips this.
		runtime.Gosched()
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	n := min(len(w.queue), maxShared)
	w.shared = n > 1
	batch := w.queue[:n:n]
	w.queue = append([]*pendingWrite(nil), w.queue[n:]...)
	return batch
}

// passLead makes the first writer in the queue the leader. The caller holds
// w.mu.
func (w *writers) passLead() {
	if len(w.queue) == 0 {
		w.busy = false
		w.idle.Broadcast()
		return
	}
	w.queue[0].leads = true
	w.queue[0].result <- result{lead: true}
}

// close rejects new writes and waits for the queued ones.
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

// commit runs the changes in one transaction and sends each writer its result.
// If a change fails, the transaction is rolled back and repeated without it,
// because the change may have written something before it failed. If the
// transaction hits a damaged page, each change is committed separately, so that
// changes elsewhere in the file succeed.
func (w *writers) commit(batch []*pendingWrite) {
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
				w.commit([]*pendingWrite{one})
			}
			return
		}
		if diskFull(err) {
			err = fmt.Errorf("%w: %w", store.ErrFull, err)
		}
		for _, one := range batch {
			one.result <- result{err: err}
		}
		return
	}
}

// run applies the change. It catches a panic, which must reach the goroutine of
// the writer and not the leader.
func (p *pendingWrite) run(tx *Tx) (r result) {
	defer func() {
		if p := recover(); p != nil {
			r = result{panic: &changePanic{p, debug.Stack()}}
		}
	}()
	return result{err: guard(func() error { return p.change(tx) })}
}
