package accounts

import (
	"context"
	"runtime"
	"time"
)

const (
	maxQueue        = 512             // a longer queue could not be served within the wait
	busyRetry       = 5 * time.Second // value of Retry-After
	defaultHashWait = 3 * time.Second // the default of Settings.HashWait
)

// hashLimiter limits how many passwords are hashed in parallel. One core stays
// free for pages, and memory stays bounded: argon2 in x/crypto allocates 19 MiB
// for each hash, and garbage raises that to about 55 MiB for each slot. Waiting
// callers get slots in the order of their arrival.
type hashLimiter struct {
	slots   chan struct{}
	queue   chan struct{}
	maxWait time.Duration
}

// newHashLimiter returns a limiter with that many slots. Zero means
// GOMAXPROCS-1, but at least one and at most two.
func newHashLimiter(slots int, maxWait time.Duration) *hashLimiter {
	if slots == 0 {
		slots = min(max(1, runtime.GOMAXPROCS(0)-1), 2)
	}
	return &hashLimiter{
		slots:   make(chan struct{}, slots),
		queue:   make(chan struct{}, maxQueue),
		maxWait: maxWait,
	}
}

// do waits for a slot and runs f. If no slot becomes free within maxWait, it
// returns an *Error of kind Busy. If ctx ends first, it returns ctx's error. In
// both cases f has not run.
func (h *hashLimiter) do(ctx context.Context, f func()) error {
	if err := h.wait(ctx); err != nil {
		return err
	}
	defer func() { <-h.slots }()
	f()
	return nil
}

func (h *hashLimiter) wait(ctx context.Context) error {
	if err := context.Cause(ctx); err != nil {
		return err
	}
	select {
	case h.slots <- struct{}{}:
		return nil
	default:
	}
	select {
	case h.queue <- struct{}{}:
		defer func() { <-h.queue }()
	default:
		return errOverloaded
	}
	timer := time.NewTimer(h.maxWait)
	defer timer.Stop()
	select {
	case h.slots <- struct{}{}:
		return nil
	case <-timer.C:
		return errOverloaded
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

var errOverloaded error = &Error{
	Kind:       Busy,
	Message:    "The site is busy just now. Please try again in " + inWords(busyRetry) + ".",
	RetryAfter: busyRetry,
}
