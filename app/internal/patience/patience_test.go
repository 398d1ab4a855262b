package patience_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"latchkey/app/internal/patience"
)

var _ context.Context = (*patience.Context)(nil)

const wait = 10 * time.Second

// open reports whether a channel is not closed.
func open(c <-chan struct{}) bool {
	select {
	case <-c:
		return false
	default:
		return true
	}
}

// The error is that of the time, whether anybody waits or not.
func TestDeadline(t *testing.T) {
	for name, waits := range map[string]bool{"Done was called": true, "Done was not called": false} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				began := time.Now()
				c := patience.New(t.Context(), began.Add(wait))
				defer c.End()
				if waits && !open(c.Done()) {
					t.Error("Done is closed at once")
				}
				if d, ok := c.Deadline(); !ok || !d.Equal(began.Add(wait)) {
					t.Errorf("Deadline: %v, %v", d, ok)
				}
				time.Sleep(wait - time.Nanosecond)
				synctest.Wait()
				if err := c.Err(); err != nil {
					t.Errorf("before the deadline: %v", err)
				}
				time.Sleep(time.Nanosecond)
				synctest.Wait()
				for range 2 {
					if err := c.Err(); err != context.DeadlineExceeded || context.Cause(c) != err {
						t.Errorf("after the deadline: %v, cause %v", err, context.Cause(c))
					}
					if open(c.Done()) {
						t.Error("Done is open after the deadline")
					}
					c.End() // which changes nothing any more
				}
			})
		})
	}
}

func TestDoneWakes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		c := patience.New(t.Context(), began.Add(wait))
		defer c.End()
		<-c.Done()
		if waited := time.Since(began); waited != wait || c.Err() != context.DeadlineExceeded {
			t.Errorf("Done after %s, %v", waited, c.Err())
		}
	})
}

func TestEnd(t *testing.T) {
	for name, waits := range map[string]bool{"Done was called": true, "Done was not called": false} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := patience.New(t.Context(), time.Now().Add(wait))
				if waits {
					c.Done()
				}
				c.End()
				time.Sleep(2 * wait)
				if c.Err() != context.Canceled || context.Cause(c) != context.Canceled || open(c.Done()) {
					t.Errorf("after End: %v, cause %v, open %v", c.Err(), context.Cause(c), open(c.Done()))
				}
				child, cancel := context.WithCancel(c)
				defer cancel()
				if child.Err() != context.Canceled {
					t.Errorf("a context derived after End: %v", child.Err())
				}
			})
		})
	}
}

func TestParent(t *testing.T) {
	type key struct{}
	reason := errors.New("the reason")
	for name, waits := range map[string]bool{"Done was called": true, "Done was not called": false} {
		t.Run(name, func(t *testing.T) {
			early := time.Now().Add(time.Hour)
			parent, end := context.WithDeadline(context.WithValue(t.Context(), key{}, "value"), early)
			defer end()
			parent, cancel := context.WithCancelCause(parent)
			c := patience.New(parent, early.Add(time.Hour))
			defer c.End()
			if waits {
				c.Done()
			}
			if d, ok := c.Deadline(); !ok || !d.Equal(early) {
				t.Errorf("Deadline: %v, %v", d, ok)
			}
			if v := c.Value(key{}); v != "value" || c.Value(new(key)) != nil {
				t.Errorf("Value: %v", v)
			}
			if c.Err() != nil || context.Cause(c) != nil {
				t.Errorf("before: %v", c.Err())
			}
			cancel(reason)
			<-c.Done()
			if c.Err() != context.Canceled || context.Cause(c) != reason {
				t.Errorf("after: %v, cause %v", c.Err(), context.Cause(c))
			}
		})
	}
}

func TestDerived(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := patience.New(t.Context(), time.Now().Add(wait))
		defer c.End()
		first, cancelFirst := context.WithCancel(c)
		second, cancelSecond := context.WithTimeout(c, 2*wait)
		defer cancelSecond()
		called := make(chan struct{})
		context.AfterFunc(c, func() { close(called) })
		cancelFirst()
		if first.Err() != context.Canceled || second.Err() != nil || c.Err() != nil {
			t.Errorf("canceling one: %v, the other: %v, the parent: %v", first.Err(), second.Err(), c.Err())
		}
		<-second.Done()
		<-called
		if second.Err() != context.DeadlineExceeded || first.Err() != context.Canceled {
			t.Errorf("after the deadline: %v, %v", second.Err(), first.Err())
		}
		late, cancel := context.WithCancel(c)
		defer cancel()
		if late.Err() != context.DeadlineExceeded {
			t.Errorf("derived after the deadline: %v", late.Err())
		}
	})
}

// Everybody gets the same channel, and sees one end.
func TestAtOnce(t *testing.T) {
	for range 200 {
		c := patience.New(context.Background(), time.Now().Add(time.Hour))
		begin := make(chan struct{})
		done := make([]<-chan struct{}, 4)
		var all sync.WaitGroup
		for i := range done {
			all.Go(func() {
				<-begin
				done[i] = c.Done()
				<-done[i]
				if c.Err() != context.Canceled {
					t.Errorf("Err: %v", c.Err())
				}
			})
		}
		all.Go(func() { <-begin; c.End() })
		all.Go(func() {
			<-begin
			if err := c.Err(); err != nil && err != context.Canceled {
				t.Errorf("Err: %v", err)
			}
		})
		close(begin)
		all.Wait()
		for _, one := range done {
			if one != done[0] {
				t.Fatal("two channels")
			}
		}
	}
}

// What a page pays that never waits.
func TestAllocations(t *testing.T) {
	deadline := time.Now().Add(time.Hour)
	if n := testing.AllocsPerRun(100, func() {
		c := patience.New(context.Background(), deadline)
		if c.Err() != nil {
			t.Error("it has ended")
		}
		c.End()
	}); n > 1 {
		t.Errorf("%v allocations", n)
	}
}
