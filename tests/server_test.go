// Package tests meets the built binary from outside, as a visitor, a browser, a builder and an operator do.
//
// It knows the contract and nothing of the code behind it: flags, environment, exit codes, HTTP, HTML, the log
// and the bytes of the database file. Each test has a server and a folder of its own.
package tests

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// patience is how long a test waits for what must happen. What comes, comes in milliseconds; the rest is for a
// busy machine.
const patience = 30 * time.Second

// binary is the program under test. TestMain builds it once, the way the README tells an operator to.
var binary string

func TestMain(m *testing.M) { os.Exit(buildAndRun(m)) }

func buildAndRun(m *testing.M) int {
	dir, err := os.MkdirTemp("", "latchkey-tests-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	// One test runs the binary as another user, who must be able to read it.
	if err := os.Chmod(dir, 0o755); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	binary = filepath.Join(dir, "latchkey")
	build := exec.Command("go", "build", "-trimpath", "-ldflags=-s -w", "-o", binary, "./app")
	build.Dir = ".."
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if output, err := build.CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "go build ./app: %v\n%s", err, output)
		return 1
	}
	return m.Run()
}

// onlyInAll leaves a test out of the quick round: it takes long, or a browser, and another shows the same rule.
func onlyInAll(t *testing.T) {
	t.Helper()
	if testing.Short() {
		t.Skip("runs with tests/run --all")
	}
}

// server is the binary on one database file: one process at a time, several in a row after restart.
type server struct {
	t        testing.TB
	args     []string // beside --addr and --database
	env      []string // KEY=VALUE; the rest of the environment is bare
	dir      string   // the working directory, empty: the binary needs nothing beside it
	database string
	addr     string // HOST:PORT, kept over a restart
	scheme   string
	log      *journal // standard error of every process, in order
	stdout   io.Writer
	faulty   bool // the test makes the server fail, so the log may have errors

	mu       sync.Mutex
	accounts map[string]bool // names that signUp has signed up
	networks int             // how many networks nextNetwork has given

	transport *http.Transport
	command   *exec.Cmd
	ended     chan struct{} // closed when command has ended
}

// newServer prepares a server that is not started yet.
func newServer(t testing.TB, args ...string) *server {
	t.Helper()
	folder := t.TempDir()
	s := &server{
		t:         t,
		args:      args,
		dir:       filepath.Join(folder, "empty"),
		database:  filepath.Join(folder, "data", "latchkey.db"),
		addr:      "127.0.0.1:0",
		scheme:    "http://",
		log:       &journal{},
		accounts:  map[string]bool{},
		transport: &http.Transport{DisableCompression: true, MaxIdleConnsPerHost: 100},
	}
	if err := os.Mkdir(s.dir, 0o755); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if s.running() {
			s.stop()
		}
		s.log.mustBeCalm(t, s.faulty)
		if t.Failed() {
			t.Logf("end of the log:\n%s", s.log.tail(15))
		}
	})
	return s
}

// start gives a server that listens on a free port, with an empty database.
func start(t testing.TB, args ...string) *server {
	t.Helper()
	s := newServer(t, args...)
	s.start()
	return s
}

// start runs a process and returns when it listens.
func (s *server) start() {
	s.t.Helper()
	s.command = exec.Command(binary, append([]string{"--addr", s.addr, "--database", s.database}, s.args...)...)
	s.command.Dir = s.dir
	s.command.Env = append(bareEnvironment(), s.env...)
	s.command.Stdout = s.stdout
	stderr, err := s.command.StderrPipe()
	if err != nil {
		s.t.Fatal(err)
	}
	seen := s.log.len()
	if err := s.command.Start(); err != nil {
		s.t.Fatal(err)
	}
	command, ended := s.command, make(chan struct{})
	s.ended = ended
	go func() {
		s.log.follow(stderr)
		command.Wait()
		close(ended)
	}()
	var addr string
	deadline := time.After(patience)
	for addr == "" {
		grown := s.log.growing()
		for _, r := range s.log.records()[seen:] {
			if r["msg"] == "listening" {
				addr = r["addr"]
			}
		}
		if addr != "" {
			break
		}
		select {
		case <-grown:
		case <-ended:
			s.t.Fatalf("the server ended before it listened (%s):\n%s", command.ProcessState, s.log.tail(20))
		case <-deadline:
			s.t.Fatalf("the server does not listen:\n%s", s.log.tail(20))
		}
	}
	s.addr = addr
}

func (s *server) url() string { return s.scheme + s.addr }

func (s *server) running() bool {
	if s.command == nil {
		return false
	}
	select {
	case <-s.ended:
		return false
	default:
		return true
	}
}

// signal sends one signal and does not wait.
func (s *server) signal(sig os.Signal) {
	s.t.Helper()
	if err := s.command.Process.Signal(sig); err != nil {
		s.t.Fatalf("%v: %v", sig, err)
	}
}

// exit waits for the end of the process and gives its exit code.
func (s *server) exit() int {
	s.t.Helper()
	select {
	case <-s.ended:
	case <-time.After(patience):
		s.command.Process.Signal(syscall.SIGQUIT)
		s.t.Fatal("the server did not end")
	}
	s.transport.CloseIdleConnections()
	return s.command.ProcessState.ExitCode()
}

// stop ends the process as an operator does, and expects a clean end.
func (s *server) stop() {
	s.t.Helper()
	// A connection that a client keeps open must not hold up the end: the clients keep theirs.
	s.signal(syscall.SIGTERM)
	if code := s.exit(); code != 0 {
		s.t.Errorf("exit code after SIGTERM is %d, not 0:\n%s", code, s.log.tail(10))
	}
}

// kill ends the process as a power cut does.
func (s *server) kill() {
	s.t.Helper()
	s.signal(syscall.SIGKILL)
	s.exit()
}

// restart stops the process and starts another on the same address and file.
func (s *server) restart() {
	s.t.Helper()
	s.stop()
	s.start()
}

// file reads the database file as it is on disk now.
func (s *server) file() []byte {
	s.t.Helper()
	data, err := os.ReadFile(s.database)
	if err != nil {
		s.t.Fatal(err)
	}
	return data
}

// command runs the binary to its end, for runs that are not meant to serve.
func command(t testing.TB, env []string, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	var out, err bytes.Buffer
	c := exec.CommandContext(ctx, binary, args...)
	c.Dir = t.TempDir()
	c.Env = append(bareEnvironment(), env...)
	c.Stdout, c.Stderr = &out, &err
	if e := c.Run(); e != nil && !errors.As(e, new(*exec.ExitError)) {
		t.Fatal(e)
	}
	if ctx.Err() != nil {
		t.Fatalf("latchkey %s did not end:\n%s", strings.Join(args, " "), err.String())
	}
	return c.ProcessState.ExitCode(), out.String(), err.String()
}

// bareEnvironment keeps the settings of whoever runs the tests away from the binary.
func bareEnvironment() []string {
	return []string{"PATH=" + os.Getenv("PATH"), "HOME=" + os.Getenv("HOME"), "TMPDIR=" + os.TempDir()}
}

// await polls until done says so. What stands in the log is awaited by journal.await.
func await(t testing.TB, what string, done func() bool) {
	t.Helper()
	deadline := time.Now().Add(patience)
	for !done() {
		if time.Now().After(deadline) {
			t.Fatalf("waited %s in vain for %s", patience, what)
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// journal keeps the lines of a log while they are written.
type journal struct {
	mu     sync.Mutex
	kept   []string
	parsed []map[string]string // kept, as records
	grown  chan struct{}       // closed at the next line
}

func (j *journal) follow(r io.Reader) {
	lines := bufio.NewReader(r)
	for {
		line, err := lines.ReadString('\n')
		if line != "" {
			j.mu.Lock()
			line = strings.TrimSuffix(line, "\n")
			j.kept, j.parsed = append(j.kept, line), append(j.parsed, parseRecord(line))
			if j.grown != nil {
				close(j.grown)
				j.grown = nil
			}
			j.mu.Unlock()
		}
		if err != nil {
			return
		}
	}
}

// growing gives a channel that is closed when the next line comes.
func (j *journal) growing() <-chan struct{} {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.grown == nil {
		j.grown = make(chan struct{})
	}
	return j.grown
}

// await waits until the log has what done looks for, and looks when a line comes.
func (j *journal) await(t testing.TB, what string, done func() bool) {
	t.Helper()
	for deadline := time.After(patience); ; {
		grown := j.growing()
		if done() {
			return
		}
		select {
		case <-grown:
		case <-deadline:
			t.Fatalf("waited %s in vain for %s:\n%s", patience, what, j.tail(20))
		}
	}
}

func (j *journal) lines() []string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return append([]string(nil), j.kept...)
}

func (j *journal) len() int     { return len(j.lines()) }
func (j *journal) text() string { return strings.Join(j.lines(), "\n") }

func (j *journal) tail(n int) string {
	lines := j.lines()
	return strings.Join(lines[max(0, len(lines)-n):], "\n")
}

// records reads each line as a record. A line that is none gives an empty one, so that indexes stay those of lines.
func (j *journal) records() []map[string]string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return slices.Clone(j.parsed)
}

// requests gives the records of requests for one path.
func (j *journal) requests(path string) []map[string]string {
	var found []map[string]string
	for _, r := range j.records() {
		if r["msg"] == "request" && r["path"] == path {
			found = append(found, r)
		}
	}
	return found
}

var crash = regexp.MustCompile(`(?m)^(panic|fatal error|unexpected fault address|goroutine \d+ )|SIGSEGV|SIGBUS`)

// mustBeCalm fails the test if the server ever panicked or, unless it may, logged an error. A recovered panic counts:
// no request may cause one.
func (j *journal) mustBeCalm(t testing.TB, faulty bool) {
	t.Helper()
	if at := crash.FindString(j.text()); at != "" {
		t.Errorf("the log has %q:\n%s", at, j.tail(40))
	}
	for _, r := range j.records() {
		if strings.Contains(r["error"], "panic") || r["level"] == "ERROR" && !faulty {
			t.Errorf("the log has an error: %v", r)
		}
	}
}
