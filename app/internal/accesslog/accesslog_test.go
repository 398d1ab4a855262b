package accesslog

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"
)

// output keeps what was written; lines may come while it is read.
type output struct {
	mu   sync.Mutex
	text bytes.Buffer
	more chan struct{} // receives a value after a write
}

func newOutput() *output { return &output{more: make(chan struct{}, 1)} }

func (o *output) Write(b []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	select {
	case o.more <- struct{}{}:
	default:
	}
	return o.text.Write(b)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.String()
}

// What failed, and what happened to accounts, is on record before the next
// step; the lines of ordinary requests come a moment later, in their order.
func TestLogWritesWhatMattersAtOnce(t *testing.T) {
	out := newOutput()
	log, done := New(out, false)
	log.Info("request", "n", 1)
	log.Error("request", "n", 2)
	if got := out.String(); strings.Count(got, "\n") != 2 || strings.Index(got, `"n":1`) > strings.Index(got, `"n":2`) {
		t.Errorf("after an error: %q", got)
	}
	log.With("a", 1).WithGroup("g").Info("login", "n", 3)
	if got := out.String(); strings.Count(got, "\n") != 3 {
		t.Errorf("after a login: %q", got)
	}
	log.Info("request", "n", 4)
	done()
	if got := out.String(); strings.Count(got, "\n") != 4 {
		t.Errorf("after the end: %q", got)
	}
}

func TestLogLineWaitsForAMomentAtMost(t *testing.T) {
	out := newOutput()
	log, done := New(out, false)
	defer done()
	for n := range 3 { // also after a first flush
		log.Info("request", "n", n)
		select {
		case <-out.more:
		case <-time.After(10 * time.Second):
			t.Fatal("it is not written")
		}
		if got := out.String(); strings.Count(got, "\n") != n+1 {
			t.Errorf("%q", got)
		}
	}
}

// Lines that wait together are written together, once and in order.
func TestLinesShareAWrite(t *testing.T) {
	out := newOutput()
	lines := groupWriter{w: out}
	lines.space.L = &lines.mu
	lines.Write([]byte("mine\n"))
	lines.Write([]byte("another's\n"))
	lines.flush()
	lines.flush()
	if got := out.String(); got != "mine\nanother's\n" {
		t.Errorf("written: %q", got)
	}
}

func TestLogKeepsLinesWhole(t *testing.T) {
	out := newOutput()
	log, done := New(out, false)
	const writers, lines = 8, 300
	var wg sync.WaitGroup
	for w := range writers {
		wg.Go(func() {
			for n := range lines {
				level := slog.LevelInfo
				if n%50 == 0 {
					level = slog.LevelError
				}
				log.Log(t.Context(), level, "request", "id", fmt.Sprintf("%d-%d", w, n), "pad", strings.Repeat("x", 200))
			}
		})
	}
	wg.Wait()
	done()
	got := strings.Split(strings.TrimSuffix(out.String(), "\n"), "\n")
	seen := map[string]bool{}
	for _, line := range got {
		if !strings.HasPrefix(line, `{"time":`) || !strings.HasSuffix(line, `"}`) || seen[line] {
			t.Fatalf("%q", line)
		}
		seen[line] = true
	}
	if len(got) != writers*lines {
		t.Errorf("%d lines, want %d", len(got), writers*lines)
	}
}

// A line of an ordinary request is what slog itself writes, to the byte, and
// nothing in it can make a line of its own (OWASP ASVS 16.4.1).
func TestRequestLines(t *testing.T) {
	at := time.Unix(1e9, 1200).In(time.FixedZone("", 3600))
	for _, text := range []string{"", "/", "GET", "/a b~!", `/"`, `/\`, "/\n{\"level\":\"ERROR\"}", "/\x00\x7f\xff", "/ä\u2028🚲", "/<&>", strings.Repeat("/x", 1000)} {
		for _, ip := range []string{"192.0.2.7", "::1", "::ffff:192.0.2.7", "fe80::1%e\"0", ""} {
			r := Request{Time: at, Method: "GET", Path: text, Status: 200, Duration: 1500}
			r.IP, _ = netip.ParseAddr(ip)
			for range 2 {
				var want strings.Builder
				record := r.record()
				record.Time = at.UTC()
				if err := slog.NewJSONHandler(&want, nil).Handle(t.Context(), record); err != nil {
					t.Fatal(err)
				}
				out := newOutput()
				log, done := New(out, false)
				Log(log, r)
				done()
				if got := out.String(); got != want.String() || strings.Count(got, "\n") != 1 {
					t.Errorf("%q, want %q", got, want.String())
				}
				r.Method, r.Path, r.Status, r.Duration = text, "/", -1, -5
			}
		}
	}
	page := Request{Time: at, Method: "GET", Path: "/", Status: 200, IP: netip.MustParseAddr("::1")}
	if _, ok := appendRequest(nil, page); !ok {
		t.Error("the line of a page is left to slog")
	}
}

// What a logger was given for all its lines is in those of requests, too.
func TestRequestLineOfALoggerWithMore(t *testing.T) {
	out := newOutput()
	log, done := New(out, false)
	Log(log.With("a", 1).WithGroup("g"), Request{Path: "/"})
	done()
	if got := out.String(); !strings.Contains(got, `"a":1,"g":{"method":"","path":"/"`) || strings.Count(got, "\n") != 1 {
		t.Errorf("%q", got)
	}
}

// A request that was refused or failed has more in its line, and a failed one is on
// record at once.
func TestRequestLineOfAFailure(t *testing.T) {
	out := newOutput()
	log, done := New(out, false)
	r := Request{Time: time.Now(), Method: "GET", Path: "/", Status: 404, ID: "x-1"}
	Log(log, r)
	r.Status, r.ID, r.Err = 500, "x-2", errors.New("disk\non fire")
	Log(log, r)
	got := out.String()
	done()
	first, second, _ := strings.Cut(got, "\n")
	if !strings.Contains(first, `"level":"INFO","msg":"request"`) || !strings.HasSuffix(first, `"id":"x-1"}`) || strings.Contains(first, `"error"`) {
		t.Errorf("the refused one: %q", first)
	}
	if !strings.Contains(second, `"level":"ERROR","msg":"request"`) || !strings.HasSuffix(second, `"id":"x-2","error":"disk\non fire"}`+"\n") {
		t.Errorf("the failed one: %q", second)
	}
}

// For people: text.
func TestDevLog(t *testing.T) {
	out := newOutput()
	log, done := New(out, true)
	Log(log, Request{Time: time.Now(), Path: "/x\nforged"})
	done()
	if got := out.String(); !strings.Contains(got, `path="/x\nforged"`) || strings.Count(got, "\n") != 1 || !strings.Contains(got, "Z ") {
		t.Errorf("%q", got)
	}
}

// A log that cannot be written stops nobody.
func TestLogThatFails(t *testing.T) {
	r, w := io.Pipe()
	r.Close()
	log, done := New(w, false)
	for range 500 {
		log.Info("request", "pad", strings.Repeat("x", 200))
	}
	log.Error("request")
	done()
}
