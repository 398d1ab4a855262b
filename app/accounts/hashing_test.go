package accounts

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// ASVS 15.2.2.
func TestHashingAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHashLimiter(2, time.Hour)
		var now, most atomic.Int32
		var done sync.WaitGroup
		for range 50 {
			done.Go(func() {
				err := h.do(t.Context(), func() {
					if n := now.Add(1); n > most.Load() {
						most.Store(n)
					}
					time.Sleep(time.Second)
					now.Add(-1)
				})
				if err != nil {
					t.Error(err)
				}
			})
		}
		done.Wait()
		if most.Load() != 2 {
			t.Errorf("%d at once, want 2", most.Load())
		}
	})
}

func TestHashingBusy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHashLimiter(1, 3*time.Second)
		free := make(chan struct{})
		go h.do(t.Context(), func() { <-free })
		synctest.Wait()

		begun := time.Now()
		err := h.do(t.Context(), func() { t.Error("has run") })
		var refusal *Error
		if !errors.As(err, &refusal) || refusal.Kind != Busy || refusal.RetryAfter != 5*time.Second ||
			refusal.Message != "The site is busy just now. Please try again in 5 seconds." {
			t.Errorf("%#v, want busy", err)
		}
		if waited := time.Since(begun); waited != 3*time.Second {
			t.Errorf("waited %v, want 3 s", waited)
		}

		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := h.do(ctx, func() { t.Error("has run") }); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%v, want the end of the context", err)
		}
		if err := h.do(ctx, func() { t.Error("has run") }); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%v, want the end of the context at once", err)
		}

		// The queue is bounded: the next caller is refused immediately.
		for range maxQueue {
			go h.do(t.Context(), func() {})
		}
		synctest.Wait()
		begun = time.Now()
		if err := h.do(t.Context(), func() { t.Error("has run") }); err != errOverloaded || time.Since(begun) != 0 {
			t.Errorf("%v after %v, want busy at once", err, time.Since(begun))
		}

		close(free)
		synctest.Wait()
		if err := h.do(t.Context(), func() {}); err != nil {
			t.Errorf("after all: %v", err)
		}
	})
}

// A slot is released even if the function panics.
func TestHashingPanic(t *testing.T) {
	h := newHashLimiter(1, time.Millisecond)
	func() {
		defer func() { recover() }()
		h.do(t.Context(), func() { panic("test") })
	}()
	if err := h.do(t.Context(), func() {}); err != nil {
		t.Error(err)
	}
}
