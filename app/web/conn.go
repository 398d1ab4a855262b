package web

import (
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gofiber/fiber/v2"
)

// When the server refuses a request that it has not read to its end, closing the
// connection makes the kernel send a reset, and the browser throws away the page
// that says why. A connection that lingers is first closed for writing alone,
// and what still comes is thrown away, up to a limit.
const (
	lingerTime  = 2 * time.Second
	lingerBytes = 8 << 20
)

// lingering is a listener whose connections can linger.
type lingering struct{ net.Listener }

func (l lingering) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return &conn{Conn: c}, nil
}

type conn struct {
	net.Conn
	linger atomic.Bool // Shutdown closes connections from another goroutine

	reading, writing deadline
}

func (c *conn) Read(b []byte) (n int, err error) {
	for {
		n, err = c.Conn.Read(b)
		if n > 0 || !errors.Is(err, os.ErrDeadlineExceeded) || c.reading.passed(c.Conn.SetReadDeadline) {
			return n, err
		}
	}
}

func (c *conn) Write(b []byte) (n int, err error) {
	for {
		var m int
		m, err = c.Conn.Write(b[n:])
		n += m
		if !errors.Is(err, os.ErrDeadlineExceeded) || c.writing.passed(c.Conn.SetWriteDeadline) {
			return n, err
		}
	}
}

func (c *conn) SetReadDeadline(t time.Time) error  { return c.reading.set(t, c.Conn.SetReadDeadline) }
func (c *conn) SetWriteDeadline(t time.Time) error { return c.writing.set(t, c.Conn.SetWriteDeadline) }

func (c *conn) SetDeadline(t time.Time) error {
	return errors.Join(c.SetReadDeadline(t), c.SetWriteDeadline(t))
}

// deadline is that of a connection for reading, or for writing. The server moves
// it on three times in each request, and each time the runtime would have to move
// a timer, which takes a tenth of a page. So a timer that is set already is left
// to end early, and only then, if the deadline has not passed, set anew.
type deadline struct {
	mu     sync.Mutex // Shutdown sets deadlines from another goroutine
	wanted time.Time  // zero: none
	timer  time.Time  // not later than wanted, unless it is zero: none
}

func (d *deadline) set(t time.Time, timer func(time.Time) error) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.wanted = t
	if !d.timer.IsZero() && (t.IsZero() || !t.Before(d.timer)) || t.Equal(d.timer) {
		return nil
	}
	d.timer = t
	return timer(t)
}

// passed is called when the timer has ended. It reports whether the deadline has
// passed; otherwise it sets the timer for the rest.
func (d *deadline) passed(timer func(time.Time) error) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if !d.wanted.IsZero() && !time.Now().Before(d.wanted) {
		return true
	}
	d.timer = d.wanted
	return timer(d.timer) != nil
}

func (c *conn) Close() error {
	if tcp, ok := c.Conn.(*net.TCPConn); ok && c.linger.Load() {
		// Errors here mean that the visitor has gone.
		_ = tcp.CloseWrite()
		_ = c.SetReadDeadline(time.Now().Add(lingerTime))
		_, _ = io.CopyN(io.Discard, c, lingerBytes)
	}
	return c.Conn.Close()
}

// linger is for a request that was refused before it was read.
func linger(c *fiber.Ctx) {
	if unread, ok := c.Context().Conn().(*conn); ok {
		unread.linger.Store(true)
	}
}
