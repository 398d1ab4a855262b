package main

import (
	"fmt"
	"io"
	"log/slog"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"latchkey/app/web"
)

// What failed, and what happened to accounts, is on record before the next
// step; the lines of ordinary requests come a moment later, in their order.
func TestLogWritesWhatMattersAtOnce(t *testing.T) {
	out := newOutput()
	log, done := newLog(false, out)
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
	log, done := newLog(false, out)
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

// Those who share a write do not write, each anew, what came after their own lines.
func TestSharedWriteIsNotRepeated(t *testing.T) {
	out := newOutput()
	lines := gathered{w: out}
	lines.Write([]byte("mine\nanother's\n"))
	end := uint64(len("mine\n"))
	lines.flush(end)
	if got := out.String(); got != "mine\nanother's\n" {
		t.Fatalf("written: %q", got)
	}
	lines.Write([]byte("of a page\n"))
	lines.flush(end)
	lines.flush(uint64(len("mine\nanother's\n")))
	if got := out.String(); got != "mine\nanother's\n" {
		t.Errorf("written though nobody waits for it: %q", got)
	}
	lines.share()
	if got := out.String(); got != "mine\nanother's\nof a page\n" {
		t.Errorf("not written though one waits for it: %q", got)
	}
}

func TestLogKeepsLinesWhole(t *testing.T) {
	out := newOutput()
	log, done := newLog(false, out)
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
			r := web.Request{At: at, Method: "GET", Path: text, Status: 200, Duration: 1500}
			r.IP, _ = netip.ParseAddr(ip)
			for range 2 {
				var want strings.Builder
				record := r.Record()
				record.Time = at.UTC()
				if err := slog.NewJSONHandler(&want, nil).Handle(t.Context(), record); err != nil {
					t.Fatal(err)
				}
				out := newOutput()
				log, done := newLog(false, out)
				log.Handler().(web.RequestHandler).HandleRequest(r)
				done()
				if got := out.String(); got != want.String() || strings.Count(got, "\n") != 1 {
					t.Errorf("%q, want %q", got, want.String())
				}
				r.Method, r.Path, r.Status, r.Duration = text, "/", -1, -5
			}
		}
	}
	page := web.Request{At: at, Method: "GET", Path: "/", Status: 200, IP: netip.MustParseAddr("::1")}
	if _, ok := appendRequest(nil, page); !ok {
		t.Error("the line of a page is left to slog")
	}
}

// What a logger was given for all its lines is in those of requests, too.
func TestRequestLineOfALoggerWithMore(t *testing.T) {
	out := newOutput()
	log, done := newLog(false, out)
	log.With("a", 1).WithGroup("g").Handler().(web.RequestHandler).HandleRequest(web.Request{Path: "/"})
	done()
	if got := out.String(); !strings.Contains(got, `"a":1,"g":{"method":"","path":"/"`) || strings.Count(got, "\n") != 1 {
		t.Errorf("%q", got)
	}
}

// For people: text.
func TestDevLog(t *testing.T) {
	out := newOutput()
	log, done := newLog(true, out)
	log.Handler().(web.RequestHandler).HandleRequest(web.Request{At: time.Now(), Path: "/x\nforged"})
	done()
	if got := out.String(); !strings.Contains(got, `path="/x\nforged"`) || strings.Count(got, "\n") != 1 || !strings.Contains(got, "Z ") {
		t.Errorf("%q", got)
	}
}

// A log that cannot be written stops nobody.
func TestLogThatFails(t *testing.T) {
	r, w := io.Pipe()
	r.Close()
	log, done := newLog(false, w)
	for range 500 {
		log.Info("request", "pad", strings.Repeat("x", 200))
	}
	log.Error("request")
	done()
}
