package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"go.etcd.io/bbolt"

	"latchkey/app/bolt"
	"latchkey/app/sessions"
)

// output is what a program wrote; log lines may come while it is read.
type output struct {
	mu   sync.Mutex
	text bytes.Buffer
	more chan struct{} // gets a value when something was written
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

// program is a run of ours, in this process.
type program struct {
	t      *testing.T
	url    string
	stderr *output
	stop   context.CancelFunc
	done   chan struct{} // closed when run has returned
	err    error         // what run returned, once it is done
}

// start runs the program on a free port until stop, and waits until it listens.
func start(t *testing.T, args ...string) *program {
	t.Helper()
	ctx, stop := context.WithCancel(context.Background())
	p := &program{t: t, stderr: newOutput(), stop: stop, done: make(chan struct{})}
	t.Cleanup(func() { p.end() })
	go func() {
		defer close(p.done)
		p.err = run(ctx, append([]string{"--addr=127.0.0.1:0"}, args...), strings.NewReader(""), io.Discard, p.stderr)
	}()
	for p.url == "" {
		select {
		case <-p.stderr.more:
		case <-p.done:
			t.Fatalf("it did not start: %v", p.err)
		case <-time.After(10 * time.Second):
			t.Fatalf("it does not listen; the log is\n%s", p.stderr)
		}
		first, _, whole := strings.Cut(p.stderr.String(), "\n")
		var l struct{ Msg, Addr string }
		if whole && json.Unmarshal([]byte(first), &l) == nil && l.Msg == "listening" {
			p.url = "http://" + l.Addr
		}
	}
	return p
}

// end stops the program and returns what run returned.
func (p *program) end() error {
	p.t.Helper()
	p.stop()
	select {
	case <-p.done:
		return p.err
	case <-time.After(shutdownTimeout):
		p.t.Fatal("it does not stop")
		return nil
	}
}

// file is the argument for a database in a folder of its own.
func file(t *testing.T) string {
	return "--database=" + filepath.Join(t.TempDir(), "data", "latchkey.db")
}

func TestRunServesAndStops(t *testing.T) {
	t.Chdir(t.TempDir()) // it needs no file beside it
	database := file(t)
	p := start(t, database)
	got, err := http.Get(p.url)
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(got.Body)
	got.Body.Close()
	if err != nil || got.StatusCode != 200 || !strings.HasPrefix(string(body), "<!doctype html>") {
		t.Errorf("%v %d %s", err, got.StatusCode, body)
	}
	if err := p.end(); err != nil {
		t.Errorf("stopped: %v", err)
	}
	if conn, err := net.Dial("tcp", strings.TrimPrefix(p.url, "http://")); err == nil {
		conn.Close()
		t.Error("the port is still open")
	}
	// The log is whole: JSON by lines, in UTC. ASVS 16.2.2
	text := strings.TrimSuffix(p.stderr.String(), "\n")
	var messages []string
	for _, line := range strings.Split(text, "\n") {
		var l struct{ Time, Msg string }
		if err := json.Unmarshal([]byte(line), &l); err != nil || !strings.HasSuffix(l.Time, "Z") {
			t.Errorf("%v: %s", err, line)
		}
		messages = append(messages, l.Msg)
	}
	if got := strings.Join(messages, ", "); got != "listening, request, stopping" {
		t.Errorf("the log has %s", got)
	}
	// Nothing but the database is written.
	if left, err := os.ReadDir("."); err != nil || len(left) > 0 {
		t.Errorf("%v, %v", left, err)
	}
	// The file is closed, so that another may open it at once.
	if err := start(t, database).end(); err != nil {
		t.Error(err)
	}
}

// Every failure is one line that says what is wrong and what to do, with an
// exit code. Nothing of it goes to standard output.
func TestRunFails(t *testing.T) {
	taken := start(t, file(t))
	held := file(t)
	start(t, held)
	folder := t.TempDir()
	text := filepath.Join(folder, "notes.txt")
	if err := os.WriteFile(text, []byte(strings.Repeat("these are my notes\n", 1000)), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		name string
		args []string
		code int
		says []string
	}{
		{"flag", []string{"--nonsense"}, 2, []string{"--nonsense", "--help"}},
		{"setting", []string{"--title="}, 2, []string{"--title", "--help"}},
		{"origin", []string{"--origin=http://example.com"}, 2, []string{"--origin", "https"}},
		{"dev elsewhere", []string{"--dev", "--addr=0.0.0.0:0"}, 2, []string{"--addr", "--dev"}},
		{"port", []string{file(t), "--addr", strings.TrimPrefix(taken.url, "http://")}, 1, []string{"in use", "--addr"}},
		{"address", []string{file(t), "--addr=192.0.2.1:0"}, 1, []string{"192.0.2.1:0", "--addr"}},
		{"held file", []string{held, "--addr=127.0.0.1:0"}, 1, []string{"latchkey.db", "in use by another process"}},
		{"folder", []string{"--database=" + folder}, 1, []string{folder, "is a directory"}},
		{"foreign file", []string{"--database=" + text}, 1, []string{text, "not a database of this app"}},
		{"part of the path", []string{"--database=" + filepath.Join(text, "x.db")}, 1, []string{"x.db", "not a directory"}},
		{"dev without a checkout", []string{file(t), "--dev", "--addr=127.0.0.1:0"}, 1, []string{"--dev", "views", "checkout"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Chdir(t.TempDir())
			// Ends by itself long before that.
			ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
			defer cancel()
			var stdout, log, stderr bytes.Buffer
			err := run(ctx, test.args, strings.NewReader(""), &stdout, &log)
			if code := exit(err, &stderr); code != test.code {
				t.Errorf("exit %d, want %d", code, test.code)
			}
			line := stderr.String()
			if strings.Count(line, "\n") != 1 || !strings.HasPrefix(line, "latchkey: ") || stdout.Len() > 0 || log.Len() > 0 {
				t.Errorf("standard error %q, log %q, standard output %q", line, log.String(), stdout.String())
			}
			for _, want := range test.says {
				if !strings.Contains(line, want) {
					t.Errorf("no %q in %q", want, line)
				}
			}
		})
	}
	// Their notes are as they were.
	if got, err := os.ReadFile(text); err != nil || len(got) != 19*1000 {
		t.Errorf("%d bytes, %v", len(got), err)
	}
	// And whoever was there first goes on.
	if got, err := http.Get(taken.url); err != nil || got.StatusCode != 200 {
		t.Errorf("%v", err)
	} else {
		got.Body.Close()
	}
}

// A large file is served before all of it has been looked at. If it turns out to
// be damaged, the server stops by itself, and says so as it would have at once.
func TestRunEndsWhenDamageIsFound(t *testing.T) {
	if testing.Short() {
		t.Skip("runs with tests/run --all")
	}
	path := filepath.Join(t.TempDir(), "large.db")
	db, err := bolt.Open(path, bolt.Options{Limits: sessions.Limits{Idle: time.Hour, Lifetime: time.Hour}})
	if err != nil {
		t.Fatal(err)
	}
	conn := db.Bolt()
	conn.NoSync = true
	if err := conn.Update(func(tx *bbolt.Tx) error {
		b := tx.Bucket([]byte("sessions"))
		for i := range byte(40) {
			if err := b.Put([]byte{i}, make([]byte, 2<<20)); err != nil {
				return err
			}
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	var leaves []int64
	if err := conn.View(func(tx *bbolt.Tx) error {
		for id := 4; ; id++ {
			page, err := tx.Page(id)
			if err != nil || page == nil {
				return err
			}
			if page.Type == "leaf" && page.OverflowCount > 0 { // one of these
				leaves = append(leaves, int64(id)*int64(os.Getpagesize()))
			}
			id += page.OverflowCount
		}
	}); err != nil || len(leaves) < 5 {
		t.Fatal(leaves, err)
	}
	leaf := leaves[len(leaves)/2] // the first and the last are looked at early
	if err := errors.Join(conn.Sync(), db.Close()); err != nil {
		t.Fatal(err)
	}
	whole := start(t, "--database="+path)
	if err := whole.end(); err != nil {
		t.Fatalf("while it is whole: %v", err)
	}

	file, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	_, err = file.WriteAt([]byte{0xff}, leaf+12) // how far the page goes on
	if err := errors.Join(err, file.Close()); err != nil {
		t.Fatal(err)
	}
	damaged := start(t, "--database="+path)
	select {
	case <-damaged.done:
	case <-time.After(shutdownTimeout):
		t.Fatal("it goes on")
	}
	if err := damaged.err; err == nil || !strings.HasSuffix(err.Error(), "is damaged; restore a backup") || strings.Contains(err.Error(), "\n") {
		t.Errorf("it ends with %v", err)
	}
}

// A signal may come before the server accepts its first connection.
func TestStopWhileStarting(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	for range 5 {
		stopped := make(chan error, 1)
		database := file(t)
		go func() {
			stopped <- run(ctx, []string{"--addr=127.0.0.1:0", database}, strings.NewReader(""), io.Discard, io.Discard)
		}()
		select {
		case err := <-stopped:
			if err != nil {
				t.Error(err)
			}
		case <-time.After(shutdownTimeout):
			t.Fatal("it does not stop")
		}
	}
}

func TestHelp(t *testing.T) {
	var stdout, stderr bytes.Buffer
	err := run(t.Context(), []string{"--help"}, strings.NewReader(""), &stdout, &stderr)
	if code := exit(err, &stderr); code != 0 || stderr.Len() > 0 || !strings.Contains(stdout.String(), "--trusted-proxies") {
		t.Errorf("exit %d, %q\n%s", code, stderr.String(), stdout.String())
	}
}

func TestExit(t *testing.T) {
	for _, test := range []struct {
		err  error
		code int
		line string
	}{
		{nil, 0, ""},
		{errors.New("the disk is on fire"), 1, "latchkey: the disk is on fire\n"},
		{usageError{errors.New("--addr: wrong")}, 2, "latchkey: --addr: wrong (see latchkey --help)\n"},
		{context.Canceled, 1, "latchkey: context canceled\n"},
		{errors.Join(errors.New("one"), errors.New("two")), 1, "latchkey: one; two\n"},
	} {
		var stderr bytes.Buffer
		if code := exit(test.err, &stderr); code != test.code || stderr.String() != test.line {
			t.Errorf("%v: exit %d, %q, want %d, %q", test.err, code, stderr.String(), test.code, test.line)
		}
	}
}
