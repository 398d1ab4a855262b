// Package rig runs the built binary for long tests. It starts and kills the
// server and visits it with a lightweight browser. It uses only the external
// interface of the binary.
package rig

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"
)

// timeout is the longest wait for anything that must happen.
const timeout = 30 * time.Second

// Build builds the binary into a directory. It must be called from a test
// package two levels below the repository root.
func Build(folder string) (binary string, err error) {
	binary = filepath.Join(folder, "latchkey")
	build := exec.Command("go", "build", "-trimpath", "-ldflags=-s -w", "-o", binary, "./app")
	build.Dir = root
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		return "", fmt.Errorf("go build ./app: %w\n%s", err, out)
	}
	return binary, nil
}

var root = filepath.Join("..", "..")

// Views creates a working directory for --dev with the views that these tests
// visit, and with placeholder files in public. Fewer and smaller files matter
// because --dev reads all of them at every request.
func Views(folder string) error {
	for _, name := range []string{
		"layout.html",
		"index.html",
		"login.html",
		"account.html",
		"error.html",
		"registrations.html",
	} {
		content, err := os.ReadFile(filepath.Join(root, "views", name))
		if err := errors.Join(err, write(filepath.Join(folder, "views", name), content)); err != nil {
			return err
		}
	}
	for _, name := range []string{"site.css", "icon.svg", "apple-touch-icon.png", "robots.txt"} {
		if err := write(filepath.Join(folder, "public", name), []byte("x")); err != nil {
			return err
		}
	}
	return nil
}

func write(path string, content []byte) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	return os.WriteFile(path, content, 0o644)
}

// Server is the binary running on one database file. It may be restarted.
type Server struct {
	Binary   string
	Database string
	Folder   string   // working directory, see Views
	Args     []string // in addition to --addr and --database
	Prefix   []string // command that runs the binary, such as a wrapper that limits it

	addr    string // reused after a restart
	command *exec.Cmd
	ended   chan struct{}

	mu         sync.Mutex
	faults     []string // log lines that must not appear in any test
	last       []string // the latest log lines
	goroutines int      // number of goroutines in the trace after SIGQUIT
}

// Start starts the process and waits until it listens.
func (s *Server) Start() error {
	addr := s.addr
	if addr == "" {
		addr = "127.0.0.1:0"
	}
	args := append(append([]string{}, s.Prefix...), s.Binary, "--addr", addr, "--database", s.Database)
	args = append(args, s.Args...)
	command := exec.Command(args[0], args[1:]...)
	command.Dir = s.Folder
	command.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + os.Getenv("HOME"), "TMPDIR=" + os.TempDir()}
	stderr, err := command.StderrPipe()
	if err != nil {
		return err
	}
	if err := command.Start(); err != nil {
		return err
	}
	s.command, s.ended = command, make(chan struct{})
	listens, ended := make(chan string, 1), s.ended
	go func() {
		defer close(ended)
		for lines := bufio.NewScanner(stderr); lines.Scan(); {
			if addr := s.note(lines.Text()); addr != "" {
				listens <- addr
			}
		}
		command.Wait()
	}()
	select {
	case s.addr = <-listens:
		return nil
	case <-ended:
		return fmt.Errorf("it ended before it listened: %s", s.Tail())
	case <-time.After(timeout):
		command.Process.Kill()
		return errors.New("it does not listen")
	}
}

// note records a log line. If the line says that the server listens, it returns
// the address.
func (s *Server) note(line string) (addr string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.last = append(s.last, line); len(s.last) > 40 {
		s.last = s.last[1:]
	}
	for _, sign := range []string{"panic", "fatal error", "SIGSEGV", "SIGBUS", "unexpected fault", "is damaged"} {
		if strings.Contains(line, sign) && len(s.faults) < 20 {
			s.faults = append(s.faults, line)
			break
		}
	}
	// Goroutine 0 is a runtime thread, not a goroutine.
	if strings.HasPrefix(line, "goroutine ") && !strings.HasPrefix(line, "goroutine 0 ") {
		s.goroutines++
	}
	var record struct{ Msg, Addr string }
	if json.Unmarshal([]byte(line), &record) == nil && record.Msg == "listening" {
		return record.Addr
	}
	if _, rest, ok := strings.Cut(line, "msg=listening addr="); ok {
		return strings.Fields(rest)[0]
	}
	return ""
}

// Faults returns log lines that report a panic, recovered or not, or damage.
func (s *Server) Faults() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]string(nil), s.faults...)
}

// Tail returns the latest log lines.
func (s *Server) Tail() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return strings.Join(s.last, "\n")
}

// PID returns the process id.
func (s *Server) PID() int { return s.command.Process.Pid }

// Running reports whether the process is running.
func (s *Server) Running() bool {
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

// Kill sends SIGKILL and waits for the process to end.
func (s *Server) Kill() error {
	if err := s.command.Process.Kill(); err != nil {
		return err
	}
	return s.wait()
}

// Quit sends SIGQUIT, on which the Go runtime prints all goroutines and exits.
// It returns their number.
func (s *Server) Quit() (goroutines int, err error) {
	s.mu.Lock()
	s.goroutines = 0
	s.mu.Unlock()
	if err := s.command.Process.Signal(syscall.SIGQUIT); err != nil {
		return 0, err
	}
	if err := s.wait(); err != nil {
		return 0, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.goroutines == 0 {
		return 0, fmt.Errorf("it wrote of no goroutine: %s", strings.Join(s.last, "\n"))
	}
	return s.goroutines, nil
}

// Stop sends SIGTERM and returns an error unless the process exits with 0.
// Close idle connections first.
func (s *Server) Stop() error {
	if err := s.command.Process.Signal(syscall.SIGTERM); err != nil {
		return err
	}
	if err := s.wait(); err != nil {
		return err
	}
	if code := s.command.ProcessState.ExitCode(); code != 0 {
		return fmt.Errorf("exit code %d: %s", code, s.Tail())
	}
	return nil
}

// Ended waits until the process ends, and returns its exit code and its last line.
func (s *Server) Ended() (code int, line string) {
	if err := s.wait(); err != nil {
		return -1, err.Error()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.last) > 0 {
		line = s.last[len(s.last)-1]
	}
	return s.command.ProcessState.ExitCode(), line
}

func (s *Server) wait() error {
	select {
	case <-s.ended:
		return nil
	case <-time.After(timeout):
		s.command.Process.Kill()
		return errors.New("the process does not end")
	}
}

// Run runs another command of the binary on the same database and waits for it.
func (s *Server) Run(args ...string) (output string, code int) { return s.RunWith("", args...) }

// RunWith does the same with standard input.
func (s *Server) RunWith(input string, args ...string) (output string, code int) {
	command := exec.Command(s.Binary, append(args, "--database", s.Database)...)
	command.Stdin = strings.NewReader(input)
	out, err := command.CombinedOutput()
	if err != nil && command.ProcessState == nil {
		return err.Error(), -1
	}
	return string(out), command.ProcessState.ExitCode()
}
