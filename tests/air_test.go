package tests

import (
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// builder is somebody at work: a copy of the repository with `go tool air` running in it.
type builder struct {
	*server // addr, url and clients; its process is air's, not ours
	repo    string
	air     *exec.Cmd
	gone    chan struct{}
}

// startAir copies the repository and runs the one command of the README there.
func startAir(t *testing.T) *builder {
	t.Helper()
	b := &builder{server: newServer(t, "--dev"), gone: make(chan struct{})}
	b.repo = filepath.Join(t.TempDir(), "clone")
	for _, name := range []string{"app", "config", "views", "public", "tests"} {
		copyFolder(t, filepath.Join("..", name), filepath.Join(b.repo, name))
	}
	for _, name := range []string{"go.mod", "go.sum", ".air.toml"} {
		content, err := os.ReadFile(filepath.Join("..", name))
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(b.repo, name), content, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	b.addr = freeAddress(t)
	b.air = exec.Command("go", "tool", "air")
	b.air.Dir = b.repo
	b.air.Env = append(os.Environ(), "ADDR="+b.addr, "DATABASE="+b.database)
	// A group of its own, so that the test can press Ctrl-C for it: a terminal signals the whole group.
	b.air.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	output, input, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	b.air.Stdout, b.air.Stderr = input, input
	if err := b.air.Start(); err != nil {
		t.Fatal(err)
	}
	input.Close()
	go b.log.follow(output)
	go func() {
		b.air.Wait()
		close(b.gone)
	}()
	t.Cleanup(func() {
		b.interrupt()
		if t.Failed() {
			t.Logf("air says:\n%s", b.log.tail(40))
		}
	})
	b.awaitAnswer(`<html lang="en">`)
	return b
}

// freeAddress finds a port that is free now. air starts the server anew on each change, so the port must stay one.
func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// awaitAnswer polls the start page until it holds a text. A build may take long on a cold machine.
func (b *builder) awaitAnswer(text string) time.Duration {
	b.t.Helper()
	begun := time.Now()
	deadline := begun.Add(3 * time.Minute)
	for {
		if answer, err := http.Get(b.url() + "/"); err == nil {
			body, _ := io.ReadAll(answer.Body)
			answer.Body.Close()
			if strings.Contains(string(body), text) {
				return time.Since(begun)
			}
		}
		if time.Now().After(deadline) {
			b.t.Fatalf("waited in vain for a page that shows %q", text)
		}
		select {
		case <-b.gone:
			b.t.Fatal("air ended")
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// interrupt presses Ctrl-C and waits until air is gone.
func (b *builder) interrupt() {
	select {
	case <-b.gone:
		return
	default:
	}
	syscall.Kill(-b.air.Process.Pid, syscall.SIGINT)
	select {
	case <-b.gone:
	case <-time.After(patience):
		syscall.Kill(-b.air.Process.Pid, syscall.SIGKILL)
		b.t.Error("air did not end")
	}
}

// starts counts how often the server has begun to listen.
func (b *builder) starts() int {
	return strings.Count(b.log.text(), "msg=listening")
}

// awaitStart waits until a server that says a word at its start listens.
func (b *builder) awaitStart(word string) {
	b.t.Helper()
	b.log.await(b.t, "a server that says "+word, func() bool {
		_, since, said := strings.Cut(b.log.text(), word)
		return said && strings.Contains(since, "msg=listening")
	})
}

// A builder's morning: one command, a login, an edited view, an edited style, an edited Go file, Ctrl-C.
func TestAir(t *testing.T) {
	onlyInAll(t)
	b := startAir(t)
	c := b.client()
	c.login("Ada")
	screen := b.browse(t)
	screen.open("/")
	screen.is("")
	first := b.starts()
	if first != 1 {
		t.Errorf("the server listened %d times before any edit", first)
	}

	// A view shows without a build, and the browser fetches it by itself.
	edit(t, filepath.Join(b.repo, "views", "index.html"), "", "<p>Edited view.</p>")
	begun := time.Now()
	screen.comes("Edited view.")
	t.Logf("an edited view was on screen after %s", time.Since(begun))
	// A style too.
	edit(t, filepath.Join(b.repo, "public", "site.css"), "body {", "body { text-transform: uppercase;")
	begun = time.Now()
	screen.comes("EDITED VIEW.")
	t.Logf("an edited style was on screen after %s", time.Since(begun))
	c.get("/").is("Ada")
	if b.starts() != first {
		t.Error("a view or a style led to a new start")
	}

	// A Go file shows after a build, in the same browser, to the same session.
	source := filepath.Join(b.repo, "app", "edited.go")
	save := func(text string) {
		t.Helper()
		if err := os.WriteFile(source, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	begun = time.Now()
	save("package main\n\nfunc init() { println(\"first-edit\") }\n")
	b.awaitStart("first-edit")
	t.Logf("an edited Go file ran after %s", time.Since(begun))
	b.awaitAnswer("Edited view.")
	c.mustBe("Ada")
	// The tab that was open comes back by itself, and hears of the next edit.
	edit(t, filepath.Join(b.repo, "views", "index.html"), "Edited view.", "Edited again.")
	screen.comes("EDITED AGAIN.")

	// A Go file that does not build is told, and takes the site away no longer than a moment. The next save mends it.
	save("package main\n\nthis is no Go\n")
	b.log.await(t, "air to say that it does not build", func() bool { return strings.Contains(b.log.text(), "edited.go:3") })
	b.awaitAnswer("Edited again.")
	save("package main\n\nfunc init() { println(\"second-edit\") }\n")
	b.awaitStart("second-edit")
	b.awaitAnswer("Edited again.")
	c.mustBe("Ada")

	// Ctrl-C leaves nothing behind: the port and the file are free.
	b.interrupt()
	if _, err := net.DialTimeout("tcp", b.addr, time.Second); err == nil {
		t.Error("a server outlived air")
	}
	after := newServer(t)
	after.addr, after.database = b.addr, b.database
	after.start()
	after.client().mustBeNobody()
	if strings.Contains(b.log.text(), "signal: killed") {
		t.Error("air killed a server instead of asking it to end")
	}
}
