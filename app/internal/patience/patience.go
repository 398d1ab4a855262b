// Package patience provides contexts with a deadline for each request.
//
// context.WithTimeout starts and stops a timer for every request, and most
// pages never wait. Context compares times in Err, and starts a timer only when
// Done is called. It fulfils the contract of context.Context, including derived
// contexts and context.Cause.
package patience

import (
	"context"
	"sync"
	"sync/atomic"
	"time"
)

// Context ends at its deadline, with its parent, or when End is called. Its
// methods are safe for concurrent use.
type Context struct {
	parent   context.Context
	deadline time.Time

	mu    sync.Mutex            // held to set timed or err; only one of them is ever set
	timed atomic.Pointer[timed] // set by the first call of Done
	err   atomic.Pointer[error] // set when the context ends before the first call of Done
}

// timed is the standard context that takes over once Done is called.
type timed struct {
	context.Context
	cancel context.CancelFunc
}

var (
	canceled   = context.Canceled
	exceeded   = context.DeadlineExceeded
	closedChan = func() chan struct{} { c := make(chan struct{}); close(c); return c }()
)

// New returns a context that ends at the deadline. The deadline should have a
// monotonic clock reading, as from time.Now. The caller must call End when the
// work is done.
func New(parent context.Context, deadline time.Time) *Context {
	return &Context{parent: parent, deadline: deadline}
}

// End cancels the context and releases its resources.
func (c *Context) End() {
	_ = c.end(&canceled)
	if t := c.timed.Load(); t != nil {
		t.cancel()
	}
}

// end ends the context with this error unless it has already ended. It returns
// the error with which the context ended.
func (c *Context) end(why *error) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if t := c.timed.Load(); t != nil {
		return t.Err()
	}
	c.err.CompareAndSwap(nil, why)
	return *c.err.Load()
}

// Deadline returns the earlier of the deadline and the parent's.
func (c *Context) Deadline() (deadline time.Time, ok bool) {
	if d, ok := c.parent.Deadline(); ok && d.Before(c.deadline) {
		return d, true
	}
	return c.deadline, true
}

// Done returns the same channel each time. The first call starts a timer.
func (c *Context) Done() <-chan struct{} {
	if t := c.timed.Load(); t != nil {
		return t.Done()
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.err.Load() != nil {
		return closedChan
	}
	if c.timed.Load() == nil {
		ctx, cancel := context.WithDeadline(c.parent, c.deadline)
		c.timed.Store(&timed{ctx, cancel})
	}
	return c.timed.Load().Done()
}

// Err returns nil until the context ends, and then the same error each time:
// context.DeadlineExceeded, the parent's error, or context.Canceled after End.
func (c *Context) Err() error {
	if t := c.timed.Load(); t != nil {
		return t.Err()
	}
	if why := c.err.Load(); why != nil {
		return *why
	}
	if c.parent.Err() != nil {
		err := c.parent.Err() // declared here, because it escapes to the heap
		return c.end(&err)
	}
	if !time.Now().Before(c.deadline) {
		return c.end(&exceeded)
	}
	return nil
}

// Value returns the parent's value.
func (c *Context) Value(key any) any {
	if t := c.timed.Load(); t != nil {
		// Package context finds its own contexts by a private key. This way a derived
		// context needs no goroutine.
		return t.Value(key)
	}
	return c.parent.Value(key)
}
