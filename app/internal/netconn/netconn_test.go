package netconn

import (
	"errors"
	"net"
	"os"
	"testing"
	"testing/synctest"
	"time"
)

// pipe returns the server's end of a connection, which counts how often a timer is
// set, and the visitor's end.
func pipe(t *testing.T) (c *conn, counts *counting, visitor net.Conn) {
	ours, theirs := net.Pipe()
	t.Cleanup(func() { ours.Close(); theirs.Close() })
	counts = &counting{Conn: ours}
	return &conn{Conn: counts}, counts, theirs
}

// counting counts how often a timer is set.
type counting struct {
	net.Conn
	reads, writes int
}

func (c *counting) SetReadDeadline(t time.Time) error {
	c.reads++
	return c.Conn.SetReadDeadline(t)
}

func (c *counting) SetWriteDeadline(t time.Time) error {
	c.writes++
	return c.Conn.SetWriteDeadline(t)
}

// ASVS 15.2.2: a visitor who sends nothing is let go at the deadline that was set
// last, neither sooner nor later.
func TestDeadlines(t *testing.T) {
	type step struct{ after, deadline time.Duration } // both from the beginning; a deadline of 0: none
	for _, test := range []struct {
		name  string
		steps []step
		reads int // the step from which on somebody reads
		ends  time.Duration
	}{
		{"one", []step{{0, 10}}, 0, 10},
		{"moved on", []step{{0, 10}, {9, 19}, {18, 28}}, 0, 28},
		{"moved on in one moment", []step{{0, 10}, {0, 60}}, 0, 60},
		{"moved on and back", []step{{0, 10}, {1, 60}, {2, 12}}, 0, 12},
		{"brought forward", []step{{0, 60}, {0, 10}}, 0, 10},
		{"brought forward, into the past", []step{{5, 60}, {6, 2}}, 0, 6},
		{"removed and set again", []step{{0, 10}, {1, 0}, {20, 30}}, 0, 30},
		{"moved on before anybody reads", []step{{0, 10}, {5, 20}, {12, 20}}, 2, 20},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c, _, _ := pipe(t)
				began := time.Now()
				ended := make(chan time.Duration)
				read := func() {
					_, err := c.Read(make([]byte, 1))
					if !errors.Is(err, os.ErrDeadlineExceeded) {
						t.Errorf("it ends with %v", err)
					}
					ended <- time.Since(began)
				}
				for i, s := range test.steps {
					time.Sleep(time.Until(began.Add(s.after * time.Second)))
					deadline := time.Time{}
					if s.deadline != 0 {
						deadline = began.Add(s.deadline * time.Second)
					}
					if err := c.SetReadDeadline(deadline); err != nil {
						t.Fatal(err)
					}
					if i == test.reads {
						go read()
					}
				}
				if took := <-ended; took != test.ends*time.Second {
					t.Errorf("it ended after %v, not %vs", took, int(test.ends))
				}
			})
		})
	}
}

// A visitor who reads slowly, but reads, gets all of it, and once; one who does
// not is let go.
func TestDeadlinesOfWriting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, _, visitor := pipe(t)
		began := time.Now()
		c.SetWriteDeadline(began.Add(10 * time.Second))
		c.SetWriteDeadline(began.Add(30 * time.Second))
		got := make(chan string)
		go func() {
			b := make([]byte, 4)
			text := ""
			for range 3 {
				time.Sleep(9 * time.Second)
				n, _ := visitor.Read(b)
				text += string(b[:n])
			}
			got <- text
		}()
		if n, err := c.Write([]byte("abcdefghijklm")); n != 12 || !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("%d bytes, %v", n, err)
		}
		if took := time.Since(began); took != 30*time.Second {
			t.Errorf("it ended after %v", took)
		}
		if text := <-got; text != "abcdefghijkl" {
			t.Errorf("the visitor got %q", text)
		}
	})
}

// A timer is set for the time that passes, not for each request.
func TestDeadlinesRarelySetATimer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, counts, visitor := pipe(t)
		go func() {
			for b := make([]byte, 1); ; {
				if _, err := visitor.Read(b); err != nil {
					return
				}
				visitor.Write(b)
			}
		}()
		const readTimeout, writeTimeout, idleTimeout = 10 * time.Second, 10 * time.Second, time.Minute
		began := time.Now()
		for range 600 { // a minute, ten requests a second
			c.SetReadDeadline(time.Now().Add(readTimeout))
			c.SetWriteDeadline(time.Now().Add(writeTimeout))
			b := []byte{1}
			if _, err := c.Write(b); err != nil {
				t.Fatal(err)
			}
			if _, err := c.Read(b); err != nil {
				t.Fatal(err)
			}
			c.SetReadDeadline(time.Now().Add(idleTimeout))
			time.Sleep(100 * time.Millisecond)
		}
		if most := 2 * int(time.Since(began)/readTimeout); counts.reads > most || counts.writes > most {
			t.Errorf("timers were set %d and %d times, more than %d", counts.reads, counts.writes, most)
		}
		visitor.Close()
		synctest.Wait()
	})
}
