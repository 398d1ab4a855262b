package tests

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// rawResult is what came back on one connection.
type rawResult struct {
	received string
	answers  []rawAnswer // as a strict reader takes them apart
	closed   bool        // the server closed the connection within the time given
}

type rawAnswer struct {
	*http.Response
	body string
}

// outline gives the status of each answer.
func (r rawResult) outline() string {
	var lines []string
	for _, answer := range r.answers {
		lines = append(lines, answer.Status)
	}
	return strings.Join(lines, ", then ")
}

// raw sends bytes on a connection of their own and reads until the server closes it, or falls silent.
func (s *server) raw(t testing.TB, sent string) rawResult {
	t.Helper()
	return s.rawFor(t, sent, 2*time.Second)
}

func (s *server) rawFor(t testing.TB, sent string, silence time.Duration) rawResult {
	t.Helper()
	connection := s.dial(t)
	// The server may answer and close before all is sent.
	go io.WriteString(connection, sent)
	var result rawResult
	var received bytes.Buffer
	buffer := make([]byte, 64<<10)
	for {
		connection.SetReadDeadline(time.Now().Add(silence))
		n, err := connection.Read(buffer)
		received.Write(buffer[:n])
		if err != nil {
			// A reset is a close too.
			result.closed = !isTimeout(err)
			break
		}
	}
	result.received = received.String()
	reader := bufio.NewReader(&received)
	for {
		answer, err := http.ReadResponse(reader, nil)
		if err != nil {
			break
		}
		body, _ := io.ReadAll(answer.Body)
		result.answers = append(result.answers, rawAnswer{answer, string(body)})
	}
	return result
}

func isTimeout(err error) bool {
	var n net.Error
	return errors.As(err, &n) && n.Timeout()
}

func (s *server) dial(t testing.TB) net.Conn {
	t.Helper()
	connection, err := net.DialTimeout("tcp", s.addr, patience)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { connection.Close() })
	return connection
}

// ASVS 4.2.1, 4.2.2: a request that two servers could cut in two different places is refused, and the connection goes
// with it. The second request that hides in it is never answered.
func TestRequestSmuggling(t *testing.T) {
	t.Parallel()
	s := start(t)
	const hidden = "GET /smuggled HTTP/1.1\r\nHost: x\r\n\r\n"
	post := "POST /login HTTP/1.1\r\nHost: " + s.addr + "\r\nContent-Type: application/x-www-form-urlencoded\r\n"
	for _, test := range []struct{ what, sent string }{
		{"length and chunked", post + "Content-Length: 6\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nX" + hidden},
		{"chunked and length", post + "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n" + hidden},
		{"two lengths", post + "Content-Length: 0\r\nContent-Length: 35\r\n\r\n" + hidden},
		{"two lengths in one", post + "Content-Length: 0, 35\r\n\r\n" + hidden},
		{"a length with a sign", post + "Content-Length: +0\r\n\r\n" + hidden},
		{"a negative length", post + "Content-Length: -1\r\n\r\n" + hidden},
		{"a length in hex", post + "Content-Length: 0x0\r\n\r\n" + hidden},
		{"an endless length", post + "Content-Length: 99999999999999999999\r\n\r\n" + hidden},
		{"a length that wraps", post + "Content-Length: 18446744073709551616\r\n\r\n" + hidden},
		{"a length of letters", post + "Content-Length: abc\r\n\r\n" + hidden},
		{"an empty length", post + "Content-Length: \r\n\r\n" + hidden},
		{"unknown coding", post + "Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n" + hidden},
		{"identity", post + "Transfer-Encoding: identity\r\n\r\n0\r\n\r\n" + hidden},
		{"identity and length", post + "Transfer-Encoding: identity\r\nContent-Length: 0\r\n\r\n" + hidden},
		{"two codings", post + "Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n" + hidden},
		{"chunked twice", post + "Transfer-Encoding: chunked\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n" + hidden},
		{"chunked in the middle", post + "Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n" + hidden},
		{"space before the colon", post + "Content-Length : 35\r\n\r\n" + hidden},
		{"space before a coding's colon", post + "Transfer-Encoding : chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n" + hidden},
		{"folded coding", post + "Transfer-Encoding:\r\n chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n" + hidden},
		{"return inside a line", post + "X: a\rContent-Length: 0\r\n\r\n" + hidden},
		{"NUL inside a line", post + "X: a\x00b\r\nContent-Length: 0\r\n\r\n" + hidden},
		{"line without a colon", post + "Content-Length 0\r\nContent-Length: 0\r\n\r\n" + hidden},
		{"line without a name", post + ": x\r\nContent-Length: 0\r\n\r\n" + hidden},
		{"bad chunk size", post + "Transfer-Encoding: chunked\r\n\r\nzz\r\nabc\r\n0\r\n\r\n" + hidden},
		{"negative chunk size", post + "Transfer-Encoding: chunked\r\n\r\n-1\r\nabc\r\n0\r\n\r\n" + hidden},
		{"endless chunk size", post + "Transfer-Encoding: chunked\r\n\r\nfffffffffffffffff\r\nabc\r\n0\r\n\r\n" + hidden},
		{"chunk longer than its size", post + "Transfer-Encoding: chunked\r\n\r\n1\r\nabc\r\n0\r\n\r\n" + hidden},
		{"no host", "GET / HTTP/1.1\r\n\r\n" + hidden},
		{"two hosts", "GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n" + hidden},
		{"bad version", "GET / HTTP/1.9x\r\nHost: x\r\n\r\n" + hidden},
		{"the preface of HTTP/2", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + hidden},
		{"nonsense", "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n" + hidden},
		{"a request line alone", "GET /\r\n\r\n" + hidden},
		{"a space in the path", "GET /a b HTTP/1.1\r\nHost: x\r\n\r\n" + hidden},
	} {
		t.Run(test.what, func(t *testing.T) {
			result := s.raw(t, test.sent)
			if !result.closed {
				t.Errorf("the connection stayed open: %s", result.outline())
			}
			if len(result.answers) > 1 {
				t.Errorf("%d answers: %s", len(result.answers), result.outline())
			}
			for _, answer := range result.answers {
				if answer.StatusCode >= 500 || answer.StatusCode < 400 {
					t.Errorf("status %d", answer.StatusCode)
				}
			}
		})
	}
	if got := s.log.requests("/smuggled"); len(got) > 0 {
		t.Errorf("%d hidden requests were answered: %v", len(got), got)
	}
	s.client().mustBeNobody()
}

// ASVS 4.2.1: RFC 9112 lets a server read these in one way, or refuse them. It never reads them in another: nothing
// after a request that asks to close is answered.
func TestLenientReading(t *testing.T) {
	t.Parallel()
	s := start(t)
	const hidden = "GET /smuggled HTTP/1.1\r\nHost: x\r\n\r\n"
	const get = "GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
	const post = "POST /login HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Type: application/x-www-form-urlencoded\r\n"
	for _, test := range []struct{ what, sent string }{
		{"bare newlines", "GET / HTTP/1.1\nHost: x\nConnection: close\n\n"},
		{"a bare newline hides a length", post + "X: y\nContent-Length: 35\r\n\r\n"},
		{"a bare newline in a chunk's size", post + "Transfer-Encoding: chunked\r\n\r\n2\nab\r\n0\r\n\r\n"},
		{"a bare newline after a chunk", post + "Transfer-Encoding: chunked\r\n\r\n2\r\nab\n0\r\n\r\n"},
		{"a chunk's extension", post + "Transfer-Encoding: chunked\r\n\r\n2;x=y\r\nab\r\n0\r\n\r\n"},
		{"a bare newline in an extension", post + "Transfer-Encoding: chunked\r\n\r\n2;\nxx\r\nab\r\n0\r\n\r\n"},
		{"a trailer", post + "Transfer-Encoding: chunked\r\n\r\n0\r\nContent-Length: 35\r\n\r\n"},
		{"one length twice", post + "Content-Length: 0\r\nContent-Length: 0\r\n\r\n"},
		{"a folded line", post + "X-Folded: a\r\n b\r\nContent-Length: 0\r\n\r\n"},
		{"a folded length", post + "Content-Length: 3\r\n 5\r\n\r\n"},
		{"GET with a body", get + "Content-Length: 35\r\n\r\n"},
		{"empty lines first", "\r\n\r\n" + get + "\r\n"},
		{"HTTP/1.0", "GET / HTTP/1.0\r\n\r\n"},
		{"unknown version", "GET / HTTP/7.0\r\nHost: x\r\n\r\n"},
		{"an address for a path", "GET http://evil.example/ HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"},
	} {
		t.Run(test.what, func(t *testing.T) {
			result := s.raw(t, test.sent+hidden)
			if !result.closed {
				t.Error("the connection stayed open")
			}
			if len(result.answers) != 1 {
				t.Errorf("%d answers, not 1: %s", len(result.answers), result.outline())
			}
			for _, answer := range result.answers {
				if answer.StatusCode >= 500 {
					t.Errorf("status %d", answer.StatusCode)
				}
			}
			if strings.Contains(result.received, "evil.example") {
				t.Error("the answer names another site")
			}
		})
	}
	if got := s.log.requests("/smuggled"); len(got) > 0 {
		t.Errorf("%d hidden requests were answered: %v", len(got), got)
	}
}

// Two whole requests on one connection are two answers, in order.
func TestPipelining(t *testing.T) {
	t.Parallel()
	s := start(t)
	result := s.raw(t, "GET /login HTTP/1.1\r\nHost: x\r\n\r\nGET /no-such-page HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
	if len(result.answers) != 2 || result.answers[0].StatusCode != 200 || result.answers[1].StatusCode != 404 {
		t.Errorf("answers: %s", result.outline())
	}
}

// ASVS 15.2.2: what is too large is refused without being read to its end.
func TestTooLarge(t *testing.T) {
	t.Parallel()
	s := start(t)
	post := "POST /login HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-www-form-urlencoded\r\n"
	chunk := "8000\r\n" + strings.Repeat("a", 0x8000) + "\r\n"
	for _, test := range []struct {
		what, sent string
		status     []int
	}{
		{"a body of 65 KiB", post + "Content-Length: 66560\r\n\r\nname=" + strings.Repeat("a", 66555), []int{413}},
		{"a length of 1 GiB and no body", post + "Content-Length: 1073741824\r\n\r\n", []int{413}},
		{"chunks without end", post + "Transfer-Encoding: chunked\r\n\r\n" + strings.Repeat(chunk, 64), []int{413}},
		{"a body where none belongs", "POST /no-such-page HTTP/1.1\r\nHost: x\r\nContent-Length: 1073741824\r\n\r\n", []int{413, 404}},
		{"a header of 64 KiB", "GET / HTTP/1.1\r\nHost: x\r\nX-Big: " + strings.Repeat("a", 64<<10) + "\r\n\r\n", []int{431, 400}},
		{"ten thousand headers", "GET / HTTP/1.1\r\nHost: x\r\n" + strings.Repeat("X: y\r\n", 10000) + "\r\n", []int{431, 400}},
		{"an address of 64 KiB", "GET /" + strings.Repeat("a", 64<<10) + " HTTP/1.1\r\nHost: x\r\n\r\n", []int{431, 400, 414}},
		{"a method of 64 KiB", strings.Repeat("A", 64<<10) + " / HTTP/1.1\r\nHost: x\r\n\r\n", []int{431, 400}},
	} {
		t.Run(test.what, func(t *testing.T) {
			result := s.raw(t, test.sent)
			if !result.closed {
				t.Error("the connection stayed open")
			}
			// The server may reset the connection while we still send; then the answer can be lost on the way.
			if len(result.answers) == 0 && result.received == "" && len(test.sent) > 64<<10 {
				return
			}
			if len(result.answers) != 1 {
				t.Fatalf("%d answers: %q", len(result.answers), result.received)
			}
			if got := result.answers[0].StatusCode; !slices.Contains(test.status, got) {
				t.Errorf("status %d, not %v", got, test.status)
			}
		})
	}
	s.client().mustBeNobody()
}

// A body of just under 64 KiB is read.
func TestLargestBody(t *testing.T) {
	t.Parallel()
	s := start(t)
	s.signUp("Ada")
	c := s.client()
	c.send(request{
		method: http.MethodPost, path: "/login", header: c.sameOrigin(), contentType: "application/x-www-form-urlencoded",
		body: s.proof("Ada").Encode() + "&next=" + strings.Repeat("a", 60<<10),
	}).expect(http.StatusSeeOther)
	c.mustBe("Ada")
}

// ASVS 15.2.2: who sends slowly, or stops, is cut off, and nobody else waits for it.
func TestSlowRequestsAreCutOff(t *testing.T) {
	t.Parallel()
	s := start(t)
	const limit = 40 * time.Second
	for what, sent := range map[string][2]string{
		"nothing at all":     {"", ""},
		"half a header":      {"GET / HTTP/1.1\r\nHost: x\r\n", ""},
		"a header by drops":  {"GET / HTTP/1.1\r\nHost: x\r\n", "X: y\r\n"},
		"half a body":        {"POST /login HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\nname=", ""},
		"a body by drops":    {"POST /login HTTP/1.1\r\nHost: x\r\nContent-Length: 50000\r\n\r\nname=", "a"},
		"a chunk by drops":   {"POST /login HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n", "1\r\na\r\n"},
		"the start of a TLS": {"\x16\x03\x01", ""},
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			connection := s.dial(t)
			io.WriteString(connection, sent[0])
			closed := make(chan struct{})
			go func() {
				defer close(closed)
				io.Copy(io.Discard, connection)
			}()
			drops := time.NewTicker(300 * time.Millisecond)
			defer drops.Stop()
			tooLate := time.After(limit)
			for {
				select {
				case <-closed:
					return
				case <-drops.C:
					io.WriteString(connection, sent[1])
				case <-tooLate:
					t.Errorf("the connection was still open after %s", limit)
					return
				}
			}
		})
	}
	// Meanwhile pages come at once.
	begun := time.Now()
	s.client().mustBeNobody()
	if took := time.Since(begun); took > 5*time.Second {
		t.Errorf("a page took %s beside slow requests", took)
	}
}

// ASVS 15.4.4: a hundred connections that say nothing do not keep anybody out.
func TestIdleConnectionsKeepNobodyOut(t *testing.T) {
	t.Parallel()
	s := start(t)
	for range 100 {
		s.dial(t)
	}
	s.login("Ada").mustBe("Ada")
}

// ASVS 1.4.3: whoever breaks off leaves nothing behind: no open file, no thread.
func TestBrokenConnectionsLeaveNothing(t *testing.T) {
	t.Parallel()
	s := start(t)
	s.login("Ada")
	s.transport.CloseIdleConnections()
	held := func() (files, threads int) {
		t.Helper()
		process := fmt.Sprintf("/proc/%d/", s.command.Process.Pid)
		open, err := os.ReadDir(process + "fd")
		if err != nil {
			return 0, 0 // only Linux tells; elsewhere the server must at least live
		}
		status, err := os.ReadFile(process + "status")
		if err != nil {
			t.Fatal(err)
		}
		_, rest, _ := strings.Cut(string(status), "Threads:")
		threads, err = strconv.Atoi(strings.Fields(rest)[0])
		if err != nil {
			t.Fatal(err)
		}
		return len(open), threads
	}
	await(t, "the clients before to be let go", func() bool { files, _ := held(); return files < 20 })
	files, threads := held()
	const connections = 60
	for _, sent := range []string{
		"", "GET / HTTP/1.1\r\nHost: x\r\n", "GET / HTTP/1.1\r\nHost: x\r\n\r\n",
		"POST /login HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: 1000\r\n\r\nname=",
		"POST /login HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nna",
	} {
		var open []net.Conn
		for range connections {
			connection := s.dial(t)
			io.WriteString(connection, sent)
			open = append(open, connection)
		}
		if files > 0 {
			// The test would see what is left behind: it sees what is there.
			await(t, "the connections to be held", func() bool { now, _ := held(); return now >= connections })
		}
		for _, connection := range open {
			connection.Close()
		}
		await(t, "the connections to be let go", func() bool { now, _ := held(); return now <= files })
	}
	if _, now := held(); now > threads+10 {
		t.Errorf("%d threads, and %d before", now, threads)
	}
	s.client().mustBeNobody()
}
