package web

import (
	"io"
	"net"
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
}

func (c *conn) Close() error {
	if tcp, ok := c.Conn.(*net.TCPConn); ok && c.linger.Load() {
		// Errors here mean that the visitor has gone.
		_ = tcp.CloseWrite()
		_ = tcp.SetReadDeadline(time.Now().Add(lingerTime))
		_, _ = io.CopyN(io.Discard, tcp, lingerBytes)
	}
	return c.Conn.Close()
}

// linger is for a request that was refused before it was read.
func linger(c *fiber.Ctx) {
	if unread, ok := c.Context().Conn().(*conn); ok {
		unread.linger.Store(true)
	}
}
