// Package rig runs the built binary for tests that wear it down: it starts and
// kills it, and visits it with a browser that costs little. It knows the contract
// from outside and nothing of the code.
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

// patience is how long to wait for what must happen.
const patience = 30 * time.Second

// Build builds the binary into a folder, from the folder of a test package two
// levels below the top.
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

// Views makes a folder for --dev with the views that these tests visit and no
// others, and with empty files in public. For --dev reads every file at every
// request, and that would be most of what a test does.
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

// Server is the binary on one database file, one process after the other.
type Server struct {
	Binary   string
	Database string
	Folder   string   // where it runs, see Views
	Args     []string // beside --addr and --database
	Prefix   []string // put before the command, to run it inside another

	addr    string // kept, so that the next process has the same
	command *exec.Cmd
	ended   chan struct{}

	mu         sync.Mutex
	faults     []string // lines of the log that no run may have
	last       []string // lines of the log
	goroutines int      // in the traces that a process wrote when it was quit
}

// Start runs a process and returns when it listens.
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
	case <-time.After(patience):
		command.Process.Kill()
		return errors.New("it does not listen")
	}
}

// note keeps a line of the log, and returns the address if it listens there.
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
	// Go numbers goroutines from 1; what it shows as 0 is a thread of its own.
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

// Faults returns lines of the log that say that something broke: a panic, also
// one that was caught, or damage.
func (s *Server) Faults() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]string(nil), s.faults...)
}

// Tail returns the end of the log.
func (s *Server) Tail() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return strings.Join(s.last, "\n")
}

// PID returns the id of the process.
func (s *Server) PID() int { return s.command.Process.Pid }

// Running reports whether the process has not ended.
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

// Kill ends the process at once and returns when it is gone.
func (s *Server) Kill() error {
	if err := s.command.Process.Kill(); err != nil {
		return err
	}
	return s.wait()
}

// Quit ends the process as Go's runtime does on SIGQUIT, which writes where each
// goroutine stands, and returns how many there were.
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

// Stop ends the process as an operator does, and returns an error unless it ends
// well. The visitors should have hung up.
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
	case <-time.After(patience):
		s.command.Process.Kill()
		return errors.New("the process does not end")
	}
}

// Run runs another command of the binary on the same file, to its end.
func (s *Server) Run(args ...string) (output string, code int) { return s.RunWith("", args...) }

// RunWith runs a command that reads input.
func (s *Server) RunWith(input string, args ...string) (output string, code int) {
	command := exec.Command(s.Binary, append(args, "--database", s.Database)...)
	command.Stdin = strings.NewReader(input)
	out, err := command.CombinedOutput()
	if err != nil && command.ProcessState == nil {
		return err.Error(), -1
	}
	return string(out), command.ProcessState.ExitCode()
}
