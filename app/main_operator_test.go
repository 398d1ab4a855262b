package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"latchkey/app/accounts"
	"latchkey/app/bolt"
	"latchkey/app/sessions"
	"latchkey/config"
)

const password = "seven otters juggle lamps"

// TestMain lets the test binary be the program, for tests that need a process.
func TestMain(m *testing.M) {
	if os.Getenv("LATCHKEY_TEST_IS_MAIN") != "" {
		main()
	}
	os.Exit(m.Run())
}

// fixture is a directory with a database and, while one runs, a server.
type fixture struct {
	t        *testing.T
	database string
	log      *output
	stop     func() int // stops the server and returns its exit code
}

func newFixture(t *testing.T) *fixture {
	t.Helper()
	dir, err := os.MkdirTemp("", "lk") // short enough for a socket
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return &fixture{t: t, database: filepath.Join(dir, "data", "latchkey.db"), log: new(output)}
}

// serve starts a server. It stops at the end of the test at the latest.
func (f *fixture) serve() {
	f.t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	code := make(chan int, 1)
	begins := len(f.log.String())
	go func() {
		code <- exit(run(ctx, []string{"--addr", "127.0.0.1:0", "--database", f.database}, strings.NewReader(""), io.Discard, f.log), f.log)
	}()
	stop := sync.OnceValue(func() int { cancel(); return <-code })
	f.stop = stop
	f.t.Cleanup(func() { stop() })
	f.wait(func() bool { return strings.Contains(f.log.String()[begins:], `"listening"`) })
}

func (f *fixture) wait(until func() bool) {
	f.t.Helper()
	for deadline := time.Now().Add(10 * time.Second); !until(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			f.t.Fatalf("timeout; the log is\n%s", f.log)
		}
	}
}

// result is the output and the exit code of a command.
type result struct {
	out, err string
	code     int
}

func (r result) String() string {
	return fmt.Sprintf("exit %d\n%s%s", r.code, r.out, r.err)
}

// runWithInput runs a user command with this standard input.
func (f *fixture) runWithInput(stdin string, args ...string) result {
	var out, err bytes.Buffer
	args = append([]string{"user"}, args...)
	args = append(args, "--database", f.database)
	code := exit(run(context.Background(), args, strings.NewReader(stdin), &out, &err), &err)
	return result{out.String(), err.String(), code}
}

func (f *fixture) command(args ...string) result { return f.runWithInput("", args...) }

// succeed runs a user command that must succeed, and returns its output.
func (f *fixture) succeed(args ...string) string {
	f.t.Helper()
	r := f.runWithInput(password+"\n", args...)
	if r.code != 0 || r.err != "" {
		f.t.Fatalf("%q: %s", args, r)
	}
	return r.out
}

// varying is what differs from one database to the next.
var varying = regexp.MustCompile(`[0-9a-f]{32}|/reset/[\w-]{43}|\d{4}-\d\d-\d\d[ T]\d\d:\d\d(:\d\d\.\d+Z)?`)

// What a command prints does not depend on whether a server runs.
func TestOperatorWithServerAndWithout(t *testing.T) {
	script := func(h *fixture) (transcript string) {
		for _, line := range []struct {
			stdin string
			args  []string
		}{
			{password + "\n", []string{"add", "Ann", "--admin"}},
			{password + "\r\nmore\n", []string{"add", "Bob Smith"}},
			{password, []string{"add", "--json", "Carl"}},
			{"", []string{"add", "Dora", "--link"}},
			{"", []string{"add", "Emil", "--link", "--admin", "--json"}},
			{"", []string{"add", "Nobody"}},
			{"short\n", []string{"add", "Nobody"}},
			{strings.Repeat("x", 1<<20), []string{"add", "Nobody"}},
			{"seven\xffotters juggle lamps", []string{"add", "Nobody"}},
			{"seven\x00otters juggle lamps", []string{"add", "Nobody"}},
			{password, []string{"add", "bob SMITH"}},
			{password, []string{"add", "a\x1b[31mb"}},
			{password, []string{"add", "a\xffb"}},
			{password, []string{"add", ""}},
			{password, []string{"add", strings.Repeat("a", 65)}},
			{password, []string{"add", strings.Repeat("a", 100_000)}},
			{"", []string{"list"}},
			{"", []string{"list", "--json"}},
			{"", []string{"list", "--search", "bo"}},
			{"", []string{"list", "--search", "zz"}},
			{"", []string{"list", "--search", "zz", "--json"}},
			{"", []string{"list", "--search", "\x1b"}},
			{"", []string{"list", "--search", "\xff"}},
			{"", []string{"show", "ANN"}},
			{"", []string{"show", "Dora"}},
			{"", []string{"show", "ann", "--json"}},
			{"", []string{"show", "a\u202eb\n"}},
			{"", []string{"admin", "carl"}},
			{"", []string{"admin", "carl", "--json", "--off"}},
			{"", []string{"admin", "Emil", "--off"}},
			{"", []string{"admin", "Ann", "--off"}},
			{"", []string{"disable", "Ann"}},
			{"", []string{"disable", "Bob Smith"}},
			{"", []string{"show", "Bob Smith"}},
			{"", []string{"reset", "Bob Smith"}},
			{"", []string{"disable", "Bob Smith", "--off"}},
			{"", []string{"reset", "Bob Smith"}},
			{"", []string{"reset", "Bob Smith", "--json"}},
			{"", []string{"logout", "Ann"}},
			{"", []string{"logout", "Ann", "--json"}},
			{"", []string{"remove", "Carl"}},
			{"yes\n", []string{"remove", "Carl"}},
			{"", []string{"remove", "Carl", "--yes"}},
			{"", []string{"remove", "Carl", "--yes"}},
			{"", []string{"remove", "Ann", "--yes", "--json"}},
			{"", []string{"remove", "Dora", "--yes", "--json"}},
			{"", []string{"nonsense"}},
			{"", []string{"show"}},
			{"", []string{"list"}},
		} {
			r := h.runWithInput(line.stdin, line.args...)
			transcript += fmt.Sprintf("$ %.60q\n%s", line.args, r)
			// One line says what is wrong, and then nothing else was printed.
			if r.code != 0 && (r.out != "" || strings.Count(r.err, "\n") != 1 || !strings.HasPrefix(r.err, "latchkey: ")) || r.code == 0 && r.err != "" {
				h.t.Errorf("%q: %s", line.args, r)
			}
			if strings.ContainsAny(r.out+r.err, "\x1b\x00\u202e\r") || strings.Contains(r.out+r.err, password) {
				h.t.Errorf("%q writes %q %q", line.args, r.out, r.err)
			}
		}
		return transcript
	}
	without := newFixture(t)
	want := varying.ReplaceAllString(script(without), "…")
	with := newFixture(t)
	with.serve()
	got := varying.ReplaceAllString(script(with), "…")
	if got != want {
		t.Errorf("with a server:\n%s\nwithout:\n%s", got, want)
	}
	for _, says := range []string{
		"$ [\"add\" \"Ann\" \"--admin\"]\nexit 0\nAnn was added.\n",
		"exit 1\nlatchkey: \"bob SMITH\": This name is taken.",
		"exit 1\nlatchkey: \"Ann\": This is the last administrator.",
		"exit 1\nlatchkey: \"Carl\": There is no such account.",
		"$ [\"remove\" \"Carl\"]\nexit 2\nlatchkey: ",
		"$ [\"nonsense\"]\nexit 2\nlatchkey: ",
		"http://localhost:3000…\n",
	} {
		if !strings.Contains(want, says) {
			t.Errorf("no %q in\n%s", says, want)
		}
	}

	// On one file it is the same to the last byte.
	read := func() (all string) {
		for _, args := range [][]string{{"list"}, {"list", "--json"}, {"show", "Ann"}, {"show", "Ann", "--json"}, {"show", "nobody"}, {"list", "--search", "b"}} {
			all += with.command(args...).String()
		}
		return all
	}
	served := read()
	if code := with.stop(); code != 0 {
		t.Errorf("the server exits with %d:\n%s", code, with.log)
	}
	if alone := read(); alone != served {
		t.Errorf("with a server:\n%s\nwithout:\n%s", served, alone)
	}
	if text := with.log.String(); strings.Contains(text, password) || strings.Contains(text, "/reset/") || !strings.Contains(text, `"msg":"operator","action":"logout"`) {
		t.Errorf("the log is\n%s", text)
	}
}

func TestOperatorJSON(t *testing.T) {
	h := newFixture(t)
	h.succeed("add", "Ann", "--admin")
	for range 2 {
		name := fmt.Sprint("Zoe", len(h.log.String()))
		var made struct{ ID, Name, Link string }
		if err := json.Unmarshal([]byte(h.succeed("add", name, "--link", "--json")), &made); err != nil || made.Name != name || len(made.ID) != 32 || !strings.HasPrefix(made.Link, "http://localhost:3000/reset/") {
			t.Errorf("%+v, %v", made, err)
		}
		for _, args := range [][]string{
			{"add", "Bob"}, {"show", "Bob"}, {"admin", "Bob"}, {"admin", "Bob", "--off"}, {"disable", "Bob"}, {"disable", "Bob", "--off"},
			{"reset", "Bob"}, {"logout", "Bob"}, {"remove", "Bob", "--yes"},
		} {
			var a map[string]any
			if err := json.Unmarshal([]byte(h.succeed(append(args, "--json")...)), &a); err != nil || a["name"] != "Bob" {
				t.Errorf("%q: %v, %v", args, a, err)
			}
			for _, secret := range []string{"hash", "Hash", "password", "Password"} {
				if _, found := a[secret]; found {
					t.Errorf("%q shows %s: %v", args, secret, a)
				}
			}
		}
		var list []struct {
			Name            string
			Admin, Disabled bool
			Created         time.Time
			LastLogin       time.Time `json:"last_login"`
		}
		if err := json.Unmarshal([]byte(h.succeed("list", "--json", "--search", "ann")), &list); err != nil || len(list) != 1 || list[0].Name != "Ann" || !list[0].Admin || time.Since(list[0].Created) > time.Minute || !list[0].LastLogin.IsZero() {
			t.Errorf("%+v, %v", list, err)
		}
		if err := json.Unmarshal([]byte(h.succeed("list", "--json", "--search", "none")), &list); err != nil || list == nil || len(list) != 0 {
			t.Errorf("%+v, %v", list, err)
		}
		if h.stop == nil {
			h.serve()
		}
	}
}

// More than a page of accounts is listed whole.
func TestOperatorLongList(t *testing.T) {
	h := newFixture(t)
	db, people, err := open(t.Context(), config.Settings{Database: h.database, SessionIdle: time.Hour, SessionLifetime: time.Hour, PasswordMin: 15}, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	for i := range 120 {
		if _, err := people.Add(t.Context(), fmt.Sprintf("Ann %03d", i)); err != nil {
			t.Fatal(err)
		}
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	text, list := h.succeed("list"), h.succeed("list", "--json")
	h.serve()
	if h.succeed("list") != text || h.succeed("list", "--json") != list {
		t.Error("with a server it is another list")
	}
	var all []any
	if err := json.Unmarshal([]byte(list), &all); err != nil || len(all) != 120 || strings.Count(text, "\n") != 121 {
		t.Errorf("%d accounts, %v:\n%s", len(all), err, text)
	}
}

func TestOperatorExitCodes(t *testing.T) {
	h := newFixture(t)
	for _, test := range []struct {
		args []string
		code int
		says string
	}{
		{[]string{"list"}, 1, "does not exist"}, // and is not made
		{[]string{"show", "Ann"}, 1, "does not exist"},
		{[]string{}, 2, "expected"},
		{[]string{"add"}, 2, "name"},
		{[]string{"add", "Ann", "Bob"}, 2, "Bob"},
		{[]string{"add", "Ann", "--off"}, 2, "--off"},
		{[]string{"add", "Ann", "--password", password}, 2, "--password"},
		{[]string{"show"}, 2, "name"},
		{[]string{"frobnicate", "Ann"}, 2, "frobnicate"},
		{[]string{"remove", "Ann"}, 2, "--yes"},
		{[]string{"list", "--addr", "nowhere"}, 2, "--addr"},
	} {
		r := h.command(test.args...)
		if r.code != test.code || r.out != "" || !strings.Contains(r.err, test.says) || strings.Count(r.err, "\n") != 1 {
			t.Errorf("%q: %s", test.args, r)
		}
	}
	if _, err := os.Stat(filepath.Dir(h.database)); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a command that only looks has made the folder: %v", err)
	}
	h.succeed("add", "Ann")
	if r := h.command("show", "Ann"); r.code != 0 {
		t.Error(r)
	}
}

// ASVS 13.3.2
func TestOperatorSocket(t *testing.T) {
	h := newFixture(t)
	h.serve()
	for name, want := range map[string]fs.FileMode{h.database + ".sock": fs.ModeSocket | 0o600, filepath.Dir(h.database): fs.ModeDir | 0o700} {
		if info, err := os.Lstat(name); err != nil || info.Mode() != want {
			t.Errorf("%s has the mode %v, %v", name, info.Mode(), err)
		}
	}
	if code := h.stop(); code != 0 {
		t.Errorf("exit %d", code)
	}
	if _, err := os.Lstat(h.database + ".sock"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("after the server: %v", err)
	}
}

// A long path has no socket; the server serves nevertheless and says so, and
// the command says what to do.
func TestOperatorLongPath(t *testing.T) {
	h := newFixture(t)
	h.database = filepath.Join(filepath.Dir(h.database), strings.Repeat("x", 100), "x.db")
	h.succeed("add", "Ann")
	h.serve()
	if !strings.Contains(h.log.String(), `"level":"WARN","msg":"control"`) {
		t.Errorf("the log is\n%s", h.log)
	}
	r := h.command("list")
	if r.code != 1 || r.out != "" || strings.Count(r.err, "\n") != 1 || !strings.Contains(r.err, "too long for a socket") {
		t.Error(r)
	}
}

// Whatever holds the file and does not answer, the command ends.
func TestOperatorFileInUse(t *testing.T) {
	h := newFixture(t)
	db, err := bolt.Open(h.database, bolt.Options{Limits: sessions.Limits{Idle: time.Hour, Lifetime: time.Hour}})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	began := time.Now()
	r := h.command("list")
	if r.code != 1 || !strings.Contains(r.err, "in use by another process") || strings.Count(r.err, "\n") != 1 || time.Since(began) > 15*time.Second {
		t.Errorf("after %s: %s", time.Since(began), r)
	}
	// Somebody may not want to wait so long.
	ctx, cancel := context.WithTimeout(context.Background(), 100*time.Millisecond)
	defer cancel()
	err = run(ctx, []string{"user", "list", "--database", h.database}, strings.NewReader(""), io.Discard, io.Discard)
	if err == nil || err.Error() != "interrupted" {
		t.Errorf("interrupted: %v", err)
	}
}

// Commands and servers at once: nobody is in anybody's way for long.
func TestOperatorAtOnce(t *testing.T) {
	h := newFixture(t)
	for round := range 2 {
		var wg sync.WaitGroup
		for i := range 6 {
			wg.Go(func() {
				if r := h.command("add", fmt.Sprintf("Ann %d %d", round, i), "--link"); r.code != 0 {
					t.Error(r)
				}
			})
		}
		var mu sync.Mutex
		taken := 0
		for range 4 {
			wg.Go(func() {
				r := h.command("add", fmt.Sprintf("Bob %d", round), "--link")
				mu.Lock()
				defer mu.Unlock()
				switch {
				case r.code == 1 && strings.Contains(r.err, "taken"):
					taken++
				case r.code != 0:
					t.Error(r)
				}
			})
		}
		wg.Wait()
		if n := strings.Count(h.succeed("list"), "\n") - 1; taken != 3 || n != 7*(round+1) {
			t.Errorf("round %d: %d accounts, %d refused", round, n, taken)
		}
		if round == 0 {
			h.serve()
		}
	}
}

// A command that meets a server on its way out is carried out by somebody or
// fails with one line, and does not hang.
func TestOperatorAtShutdown(t *testing.T) {
	h := newFixture(t)
	h.succeed("add", "Ann")
	for range 5 {
		h.serve()
		var wg sync.WaitGroup
		var done atomic.Int32
		for range 4 {
			wg.Go(func() {
				for range 10 {
					began := time.Now()
					r := h.command("show", "Ann")
					if r.code != 0 && (r.code != 1 || r.out != "" || strings.Count(r.err, "\n") != 1) || r.code == 0 && r.err != "" || time.Since(began) > 10*time.Second {
						t.Errorf("after %s: %s", time.Since(began), r)
					}
					done.Add(1)
				}
			})
		}
		h.wait(func() bool { return done.Load() > 0 }) // so the server is asked, and most is still to come
		if code := h.stop(); code != 0 {
			t.Errorf("the server exits with %d", code)
		}
		wg.Wait()
	}
	h.succeed("show", "Ann")
}

// process starts the program as a process of its own.
func (f *fixture) process(args ...string) *exec.Cmd {
	cmd := exec.Command(os.Args[0], append(args, "--database", f.database)...)
	cmd.Env = append(os.Environ(), "LATCHKEY_TEST_IS_MAIN=1")
	return cmd
}

// What kill -9 leaves behind is in nobody's way.
func TestOperatorAfterKill(t *testing.T) {
	h := newFixture(t)
	server := h.process("--addr", "127.0.0.1:0")
	server.Stderr = h.log
	if err := server.Start(); err != nil {
		t.Fatal(err)
	}
	defer server.Process.Kill()
	h.wait(func() bool { return strings.Contains(h.log.String(), `"listening"`) })
	h.succeed("add", "Ann")
	// By the server, not past it. Its log comes through a pipe, and so a moment later.
	h.wait(func() bool { return strings.Contains(h.log.String(), `"action":"add"`) })
	if err := server.Process.Signal(syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	server.Wait()
	if _, err := os.Lstat(h.database + ".sock"); err != nil {
		t.Fatalf("no stale socket: %v", err)
	}
	h.succeed("add", "Bob")
	h.serve()
	h.succeed("add", "Carl")
	if got := h.succeed("list"); strings.Count(got, "\n") != 4 {
		t.Error(got)
	}
	if !strings.Contains(h.log.String(), `"name":"Carl"`) {
		t.Error("the second server was not asked")
	}
}

// The password comes on standard input, and is nowhere else to be seen.
func TestOperatorProcess(t *testing.T) {
	h := newFixture(t)
	add := h.process("user", "add", "Ann", "--admin")
	add.Stdin = strings.NewReader(password + "\n")
	out, err := add.CombinedOutput()
	if err != nil || string(out) != "Ann was added.\n" {
		t.Errorf("%q, %v", out, err)
	}
	for args, want := range map[string]int{"user show Ann": 0, "user show Bob": 1, "user remove Ann --yes": 1, "user show": 2, "user remove Ann": 2, "users": 2} {
		cmd := h.process(strings.Fields(args)...)
		cmd.Run()
		if code := cmd.ProcessState.ExitCode(); code != want {
			t.Errorf("%s: exit %d", args, code)
		}
	}
	content, err := os.ReadFile(h.database)
	if err != nil || bytes.Contains(content, []byte(password)) {
		t.Errorf("the password is in the file, %v", err)
	}
}

// What a command did is there for the owner of the account to read, although the
// command that opened the file itself ended at once.
func TestCommandsTellTheOwner(t *testing.T) {
	for _, server := range []bool{true, false} {
		h := newFixture(t)
		h.succeed("add", "Ann")
		if server {
			h.serve()
		}
		h.succeed("logout", "Ann")
		h.succeed("reset", "Ann")
		if server {
			h.stop()
		}
		db, err := bolt.Open(h.database, bolt.Options{Limits: sessions.Limits{Idle: time.Hour, Lifetime: time.Hour}})
		if err != nil {
			t.Fatal(err)
		}
		ann, err := db.Accounts().ByName(t.Context(), "ann")
		if err != nil {
			t.Fatal(err)
		}
		events, err := db.Events().Events(t.Context(), ann.ID)
		if err != nil || len(events) != 2 || events[0].What != accounts.EventResetLink || events[1].What != accounts.EventSessionsEnded {
			t.Errorf("server %t: %+v, %v", server, events, err)
		}
		db.Close()
	}
}
