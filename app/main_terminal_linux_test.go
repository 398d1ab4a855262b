package main

import (
	"fmt"
	"os"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// pty is a terminal whose person the test plays.
type pty struct {
	h     *fixture
	ours  *os.File
	shown *output
	end   func() int // waits for the command and returns its exit code
}

// onTerminal starts a command on a terminal.
func (f *fixture) onTerminal(args ...string) *pty {
	f.t.Helper()
	ours, err := os.OpenFile("/dev/ptmx", os.O_RDWR|syscall.O_NOCTTY, 0)
	if err != nil {
		f.t.Fatalf("the system gives no terminal to ask for a password on: %v", err)
	}
	f.t.Cleanup(func() { ours.Close() })
	if err := unix.IoctlSetPointerInt(int(ours.Fd()), unix.TIOCSPTLCK, 0); err != nil {
		f.t.Fatal(err)
	}
	n, err := unix.IoctlGetInt(int(ours.Fd()), unix.TIOCGPTN)
	if err != nil {
		f.t.Fatal(err)
	}
	theirs, err := os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|syscall.O_NOCTTY, 0)
	if err != nil {
		f.t.Fatal(err)
	}
	// Held open, for without anybody reading fails.
	f.t.Cleanup(func() { theirs.Close() })
	cmd := f.process(args...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = theirs, theirs, theirs
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	if err := cmd.Start(); err != nil {
		f.t.Fatal(err)
	}
	f.t.Cleanup(func() { cmd.Process.Kill() })
	p := &pty{h: f, ours: ours, shown: new(output)}
	go func() {
		buffer := make([]byte, 4096)
		for {
			n, err := ours.Read(buffer)
			p.shown.Write(buffer[:n])
			if err != nil {
				return
			}
		}
	}()
	p.end = func() int { cmd.Wait(); return cmd.ProcessState.ExitCode() }
	return p
}

func (p *pty) echoes() bool {
	state, err := unix.IoctlGetTermios(int(p.ours.Fd()), unix.TCGETS)
	return err == nil && state.Lflag&unix.ECHO != 0
}

// answer waits for a question, shown or hidden as it should be, and types.
func (p *pty) answer(question, typed string, hidden bool) {
	p.h.t.Helper()
	p.h.wait(func() bool { return strings.HasSuffix(p.shown.String(), question) && p.echoes() != hidden })
	if _, err := p.ours.WriteString(typed); err != nil {
		p.h.t.Fatal(err)
	}
}

func (p *pty) expect(code int, shown string) {
	p.h.t.Helper()
	if got := p.end(); got != code {
		p.h.t.Errorf("exit %d, want %d: %q", got, code, p.shown)
	}
	p.h.wait(func() bool { return strings.Contains(p.shown.String(), shown) })
	if strings.Contains(p.shown.String(), "otters") {
		p.h.t.Errorf("the password is on the terminal: %q", p.shown)
	}
	if !p.echoes() {
		p.h.t.Error("the terminal is left without echo")
	}
}

func TestTerminalPassword(t *testing.T) {
	h := newFixture(t)
	p := h.onTerminal("user", "add", "Ann")
	p.answer(`Password for "Ann": `, password+"\n", true)
	p.answer("Repeat the password: ", password+"\n", true)
	p.expect(0, "Ann was added.")

	p = h.onTerminal("user", "add", "Bob")
	p.answer(`Password for "Bob": `, password+"\n", true)
	p.answer("Repeat the password: ", password+"!\n", true)
	p.expect(1, "latchkey: the passwords differ; nothing was changed")

	p = h.onTerminal("user", "add", "B\x1bb")
	p.answer(`Password for "B\x1bb": `, "\n", true)
	p.answer("Repeat the password: ", "\n", true)
	p.expect(1, `latchkey: "B\x1bb": `)

	p = h.onTerminal("user", "add", "Bob")
	p.answer(`Password for "Bob": `, "otters\x03", true) // Ctrl-C
	p.expect(1, "latchkey: interrupted")

	if got := h.succeed("list"); strings.Count(got, "\n") != 2 {
		t.Error(got)
	}
}

func TestTerminalRemove(t *testing.T) {
	h := newFixture(t)
	h.succeed("add", "Ann")
	const question = `Remove the account "ann" and everything it owns? Type yes: `
	for _, typed := range []string{"\n", "no\n", "y e s\n", "\x04", "\x03"} {
		p := h.onTerminal("user", "remove", "ann")
		p.answer(question, typed, false)
		p.expect(1, "latchkey: ")
		h.succeed("show", "Ann")
	}
	p := h.onTerminal("user", "remove", "ann")
	p.answer(question, "Yes\n", false)
	p.expect(0, "Ann was removed")
	if r := h.command("show", "Ann"); r.code != 1 {
		t.Error(r)
	}
}
