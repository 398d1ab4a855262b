// Package patience makes contexts that end a fixed time after a request began.
//
// context.WithTimeout starts and stops a timer for every request, and most pages
// never wait. A Context compares times in Err, and starts a timer only when
// somebody asks for Done. It keeps every promise of context.Context: derived
// contexts and context.Cause work.
package patience

import (
	"context"
	"sync"
	"sync/atomic"
	"time"
)

// Context ends at its deadline, with its parent, or at End. Its methods may be
// called at the same time.
type Context struct {
	parent   context.Context
	deadline time.Time

	mu    sync.Mutex            // to set one of these, never both
	timed atomic.Pointer[timed] // set by the first Done
	err   atomic.Pointer[error] // why it ended before anybody called Done
}

// timed is an ordinary context, which does the work once somebody waits.
type timed struct {
	context.Context
	cancel context.CancelFunc
}

var (
	canceled = context.Canceled
	exceeded = context.DeadlineExceeded
	closed   = func() chan struct{} { c := make(chan struct{}); close(c); return c }()
)

// New returns a context that ends at the deadline, which should be made from
// time.Now, for its monotonic clock. The caller calls End when the work is done.
func New(parent context.Context, deadline time.Time) *Context {
	return &Context{parent: parent, deadline: deadline}
}

// End releases what the context holds. It cancels a context that had not ended.
func (c *Context) End() {
	_ = c.end(&canceled)
	if t := c.timed.Load(); t != nil {
		t.cancel()
	}
}

// end notes why the context ended, unless that is known, and returns why.
func (c *Context) end(why *error) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if t := c.timed.Load(); t != nil {
		return t.Err()
	}
	c.err.CompareAndSwap(nil, why)
	return *c.err.Load()
}

// Deadline returns the deadline, or that of the parent if it is earlier.
func (c *Context) Deadline() (deadline time.Time, ok bool) {
	if d, ok := c.parent.Deadline(); ok && d.Before(c.deadline) {
		return d, true
	}
	return c.deadline, true
}

// Done starts a timer at the first call, and returns the same channel each time.
func (c *Context) Done() <-chan struct{} {
	if t := c.timed.Load(); t != nil {
		return t.Done()
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.err.Load() != nil {
		return closed
	}
	if c.timed.Load() == nil {
		ctx, cancel := context.WithDeadline(c.parent, c.deadline)
		c.timed.Store(&timed{ctx, cancel})
	}
	return c.timed.Load().Done()
}

// Err returns nil until the context has ended, and then the same error each time:
// context.DeadlineExceeded, the error of the parent, or context.Canceled after End.
func (c *Context) Err() error {
	if t := c.timed.Load(); t != nil {
		return t.Err()
	}
	if why := c.err.Load(); why != nil {
		return *why
	}
	if c.parent.Err() != nil {
		err := c.parent.Err() // in here, for it takes new memory
		return c.end(&err)
	}
	if !time.Now().Before(c.deadline) {
		return c.end(&exceeded)
	}
	return nil
}

// Value returns that of the parent.
func (c *Context) Value(key any) any {
	if t := c.timed.Load(); t != nil {
		// Package context finds its own contexts by a key. So a derived context needs
		// no goroutine that waits for Done.
		return t.Value(key)
	}
	return c.parent.Value(key)
}
