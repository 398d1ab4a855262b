package accounts

import (
	"context"
	"runtime"
	"time"
)

const (
	maxWaiting   = 512             // more could not be served in time anyway
	busyRetry    = 5 * time.Second // by then the queue has moved on
	defaultQueue = 3 * time.Second // longest wait for a turn
)

// hashing lets few passwords be worked on at once, so that a core is left for
// pages and memory stays small: the argon2 of x/crypto allocates its 19 MiB anew
// each time, and what the collector has not yet taken back makes it some 55 MiB
// for each turn at the peak. Those who wait cost a goroutine each, and come up in
// the order in which they came.
type hashing struct {
	turns   chan struct{}
	waiting chan struct{}
	longest time.Duration
}

// newHashing makes turns for atOnce; zero means one less than there are cores,
// but one at least and, to stay below 150 MiB, two at most.
func newHashing(atOnce int, longest time.Duration) *hashing {
	if atOnce == 0 {
		atOnce = min(max(1, runtime.GOMAXPROCS(0)-1), 2)
	}
	return &hashing{
		turns:   make(chan struct{}, atOnce),
		waiting: make(chan struct{}, maxWaiting),
		longest: longest,
	}
}

// do runs f when its turn has come. It returns an *Error of kind Busy if that
// takes too long, and ctx's error if ctx ends first; then f has not run.
func (h *hashing) do(ctx context.Context, f func()) error {
	if err := h.wait(ctx); err != nil {
		return err
	}
	defer func() { <-h.turns }()
	f()
	return nil
}

func (h *hashing) wait(ctx context.Context) error {
	if err := context.Cause(ctx); err != nil {
		return err
	}
	select {
	case h.turns <- struct{}{}:
		return nil
	default:
	}
	select {
	case h.waiting <- struct{}{}:
		defer func() { <-h.waiting }()
	default:
		return errBusy
	}
	timer := time.NewTimer(h.longest)
	defer timer.Stop()
	select {
	case h.turns <- struct{}{}:
		return nil
	case <-timer.C:
		return errBusy
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

var errBusy error = &Error{
	Kind:       Busy,
	Message:    "The site is busy just now. Please try again in " + inWords(busyRetry) + ".",
	RetryAfter: busyRetry,
}
