package control_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"latchkey/app/accounts"
	"latchkey/app/bolt"
	"latchkey/app/control"
	"latchkey/app/sessions"
)

const password = "seven otters juggle lamps"

// fake is an Operator that does what the test says.
type fake func(context.Context, control.Request) (control.Answer, error)

func (f fake) Do(ctx context.Context, r control.Request) (control.Answer, error) { return f(ctx, r) }

// record is a log whose lines the test reads.
type record struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (r *record) Write(line []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.text.Write(line)
}

func (r *record) String() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.text.String()
}

// folder is a temporary folder whose path is short enough for a socket; that of
// t.TempDir has the test's name in it.
func folder(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "lk")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

func listen(t *testing.T, database string, o control.Operator) (*control.Client, *record) {
	t.Helper()
	log := new(record)
	server, err := control.Listen(database, o, slog.New(slog.NewJSONHandler(log, nil)))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := server.Close(); err != nil {
			t.Error(err)
		}
	})
	client, err := control.Dial(t.Context(), database)
	if err != nil {
		t.Fatal(err)
	}
	return client, log
}

// What goes over the socket arrives as it was.
func TestSocketChangesNothing(t *testing.T) {
	var asked control.Request
	var answer control.Answer
	var refusal error
	client, _ := listen(t, filepath.Join(folder(t), "x.db"), fake(func(_ context.Context, r control.Request) (control.Answer, error) {
		asked = r
		return answer, refusal
	}))
	at := time.Date(2026, 3, 1, 12, 0, 0, 123456789, time.UTC)
	someone := control.Account{ID: "id", Name: "Ånn <&> \u200d 漢", Admin: true, Disabled: true, Created: at, LastLogin: at, PasswordChanged: at}
	for _, r := range []control.Request{
		{Action: control.Show, Name: "Ann"},
		{Action: control.Add, Name: "\x00\n<>&\u2028\"\\", Password: " pass\tword\x7f ", Admin: true, Link: true, Off: true},
		{Action: control.List, Search: "a", After: strings.Repeat("\x01", 8<<10)},
		{Action: "nonsense"},
	} {
		for _, a := range []control.Answer{{}, {Account: someone, Link: "https://example.com/reset/x"}, {Accounts: []control.Account{someone, {Name: "Bob"}}, Next: "bob"}} {
			for _, e := range []error{nil, accounts.ErrNotFound, accounts.ErrLastAdmin, &accounts.Error{Kind: accounts.Busy, Message: "Busy."}, errors.New("a fault: \x1b \u202e")} {
				answer, refusal = a, e
				got, err := client.Do(t.Context(), r)
				if asked != r {
					t.Errorf("%+v arrives as %+v", r, asked)
				}
				if !reflect.DeepEqual(got, a) {
					t.Errorf("answer %+v arrives as %+v", a, got)
				}
				var want, is *accounts.Error
				if (e == nil) != (err == nil) || e != nil && e.Error() != err.Error() || errors.As(e, &want) != errors.As(err, &is) || want != nil && want.Kind != is.Kind {
					t.Errorf("error %v arrives as %v", e, err)
				}
			}
		}
	}
}

// What the socket would change is refused with it and without.
func TestTextThatIsNone(t *testing.T) {
	never := fake(func(context.Context, control.Request) (control.Answer, error) { panic("asked") })
	client, _ := listen(t, filepath.Join(folder(t), "x.db"), never)
	for _, o := range []control.Operator{client, control.NewDirect(nil, nil, nil, "")} {
		for _, text := range []string{"a\xffb", strings.Repeat("a", 8<<10+1)} {
			for _, r := range []control.Request{{Action: control.Show, Name: text}, {Action: control.Add, Password: text}, {Action: control.List, Search: text}} {
				var refusal *accounts.Error
				if _, err := o.Do(t.Context(), r); !errors.As(err, &refusal) || refusal.Kind != accounts.Invalid {
					t.Errorf("%T: %v", o, err)
				}
			}
		}
	}
}

// ASVS 13.3.2
func TestSocketIsTheOwners(t *testing.T) {
	database := filepath.Join(folder(t), "x.db")
	server, err := control.Listen(database, fake(nil), slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	info, err := os.Lstat(database + ".sock")
	if err != nil || info.Mode() != fs.ModeSocket|0o600 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
	if err := server.Close(); err != nil {
		t.Error(err)
	}
	if _, err := os.Lstat(database + ".sock"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("after Close: %v", err)
	}
	if _, err := control.Dial(t.Context(), database); !errors.Is(err, control.ErrNoServer) {
		t.Errorf("after Close: %v", err)
	}
}

func TestStaleSocketIsReplaced(t *testing.T) {
	database := filepath.Join(folder(t), "x.db")
	dead, err := net.ListenUnix("unix", &net.UnixAddr{Name: database + ".sock", Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	dead.SetUnlinkOnClose(false)
	dead.Close()
	if _, err := control.Dial(t.Context(), database); !errors.Is(err, control.ErrNoServer) {
		t.Errorf("stale: %v", err)
	}
	client, _ := listen(t, database, fake(func(context.Context, control.Request) (control.Answer, error) {
		return control.Answer{Next: "here"}, nil
	}))
	if a, err := client.Do(t.Context(), control.Request{Action: control.List}); err != nil || a.Next != "here" {
		t.Errorf("%+v, %v", a, err)
	}
}

func TestWhatIsInTheWayStays(t *testing.T) {
	quiet := slog.New(slog.DiscardHandler)
	dir := folder(t)
	file := filepath.Join(dir, "file.db")
	if err := os.WriteFile(file+".sock", []byte("mine"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := control.Listen(file, fake(nil), quiet); err == nil || !strings.Contains(err.Error(), "not a socket") {
		t.Errorf("a file: %v", err)
	}
	if content, err := os.ReadFile(file + ".sock"); err != nil || string(content) != "mine" {
		t.Errorf("%q, %v", content, err)
	}
	if _, err := control.Dial(t.Context(), file); !errors.Is(err, control.ErrNoServer) {
		t.Errorf("a file: %v", err)
	}

	database := filepath.Join(dir, "x.db")
	client, _ := listen(t, database, fake(func(context.Context, control.Request) (control.Answer, error) { return control.Answer{}, nil }))
	if _, err := control.Listen(database, fake(nil), quiet); err == nil || !strings.Contains(err.Error(), "another server") {
		t.Errorf("another server: %v", err)
	}
	if _, err := client.Do(t.Context(), control.Request{}); err != nil {
		t.Errorf("the first server after that: %v", err)
	}
}

// Whoever closes late leaves the socket of its successor alone.
func TestCloseLeavesTheSocketOfAnother(t *testing.T) {
	database := filepath.Join(folder(t), "x.db")
	first, err := control.Listen(database, fake(nil), slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(database+".sock", database+".old"); err != nil {
		t.Fatal(err)
	}
	client, _ := listen(t, database, fake(func(context.Context, control.Request) (control.Answer, error) { return control.Answer{}, nil }))
	if err := first.Close(); err != nil {
		t.Error(err)
	}
	if _, err := client.Do(t.Context(), control.Request{}); err != nil {
		t.Error(err)
	}
}

func TestSocketPaths(t *testing.T) {
	dir := folder(t)
	// A link to the file leads to the socket beside the file.
	file, link := filepath.Join(dir, "x.db"), filepath.Join(dir, "link.db")
	if err := errors.Join(os.WriteFile(file, nil, 0o600), os.Symlink(file, link)); err != nil {
		t.Fatal(err)
	}
	listen(t, link, fake(nil))
	for _, name := range []string{file, link} {
		if _, err := control.Dial(t.Context(), name); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	long := filepath.Join(dir, strings.Repeat("x", 100), "x.db")
	if err := os.Mkdir(filepath.Dir(long), 0o700); err != nil {
		t.Fatal(err)
	}
	_, err := control.Listen(long, fake(nil), slog.New(slog.DiscardHandler))
	_, dialErr := control.Dial(t.Context(), long)
	for _, err := range []error{err, dialErr} {
		if !errors.Is(err, control.ErrPathLong) || strings.Contains(err.Error(), "\n") {
			t.Errorf("a long path: %v", err)
		}
	}
	t.Chdir(filepath.Dir(long))
	if client, _ := listen(t, "x.db", fake(nil)); client == nil {
		t.Error("from its own folder the long path is none")
	}
}

func TestCloseFinishesWhatIsInHand(t *testing.T) {
	database := filepath.Join(folder(t), "x.db")
	begun, end := make(chan bool), make(chan bool)
	server, err := control.Listen(database, fake(func(ctx context.Context, _ control.Request) (control.Answer, error) {
		close(begun)
		<-end
		return control.Answer{Next: "done"}, ctx.Err()
	}), slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	client, err := control.Dial(t.Context(), database)
	if err != nil {
		t.Fatal(err)
	}
	answered := make(chan string)
	go func() {
		a, err := client.Do(context.Background(), control.Request{})
		answered <- fmt.Sprint(a.Next, err)
	}()
	<-begun
	closed := make(chan error)
	go func() { closed <- server.Close() }()
	for !errors.Is(err, control.ErrNoServer) {
		_, err = control.Dial(t.Context(), database)
		time.Sleep(time.Millisecond)
	}
	// A command that had found the server just before.
	if _, err := client.Do(t.Context(), control.Request{}); err == nil || strings.Contains(err.Error(), "\n") {
		t.Errorf("a command that comes late: %v", err)
	}
	select {
	case err := <-closed:
		t.Fatalf("closed before the answer: %v", err)
	default:
	}
	close(end)
	if got := <-answered; got != "done<nil>" {
		t.Error(got)
	}
	if err := <-closed; err != nil {
		t.Error(err)
	}
}

// A change is carried out although whoever asked for it has gone.
func TestChangeOutlivesItsCommand(t *testing.T) {
	begun, done := make(chan bool), make(chan error, 1)
	client, _ := listen(t, filepath.Join(folder(t), "x.db"), fake(func(ctx context.Context, _ control.Request) (control.Answer, error) {
		close(begun)
		select {
		case <-ctx.Done():
		case <-time.After(100 * time.Millisecond):
		}
		done <- ctx.Err()
		return control.Answer{}, nil
	}))
	ctx, cancel := context.WithCancel(t.Context())
	go func() { <-begun; cancel() }()
	if _, err := client.Do(ctx, control.Request{}); !errors.Is(err, context.Canceled) {
		t.Errorf("the command: %v", err)
	}
	if err := <-done; err != nil {
		t.Errorf("the change: %v", err)
	}
}

// Whatever comes over the socket, the next command is served. ASVS 1.5.2
func TestNonsense(t *testing.T) {
	database := filepath.Join(folder(t), "x.db")
	client, log := listen(t, database, fake(func(_ context.Context, r control.Request) (control.Answer, error) {
		if r.Name == "panic" {
			panic("of the test")
		}
		return control.Answer{}, nil
	}))
	post := func(body string) string {
		return fmt.Sprintf("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%s", len(body), body)
	}
	for _, test := range []struct{ sent, want string }{
		{"GET / HTTP/1.1\r\nHost: x\r\n\r\n", "another version"},
		{"PUT / HTTP/1.1\r\nHost: x\r\nContent-Length: 17\r\n\r\n{\"action\":\"list\"}", "another version"},
		{post(""), "another version"},
		{post("nonsense"), "another version"},
		{post(`{"action":"list","unknown":1}`), "another version"},
		{post(`{"name":"` + strings.Repeat("a", 300<<10) + `"}`), "another version"},
		{"nonsense\r\n\r\n", "400"},
		{"GET / HTTP/1.1\r\nHost: x\r\nX: " + strings.Repeat("x", 64<<10) + "\r\n\r\n", "431"},
		{post(`{"name":"panic"}`), ""},
		{"", ""},
	} {
		conn, err := net.Dial("unix", database+".sock")
		if err != nil {
			t.Fatal(err)
		}
		conn.SetDeadline(time.Now().Add(8 * time.Second))
		go io.WriteString(conn, test.sent)
		if test.sent != "" {
			answer, _ := io.ReadAll(conn)
			if !strings.Contains(string(answer), test.want) {
				t.Errorf("%.40q is answered with %q, want %s", test.sent, answer, test.want)
			}
		}
		conn.Close()
		if _, err := client.Do(t.Context(), control.Request{}); err != nil {
			t.Errorf("after %.40q: %v", test.sent, err)
		}
	}
	if !strings.Contains(log.String(), "of the test") {
		t.Error("the panic is not in the log")
	}
	var refused error
	if _, refused = client.Do(t.Context(), control.Request{Name: "panic"}); refused == nil || strings.Contains(refused.Error(), "\n") {
		t.Errorf("a panic is %v to the command", refused)
	}
}

// whole is a real database with a Direct on it, and a Client of that.
func whole(t *testing.T) (*bolt.DB, *accounts.Accounts, map[string]control.Operator, *record) {
	t.Helper()
	database := filepath.Join(folder(t), "x.db")
	db, err := bolt.Open(database, bolt.Options{Limits: sessions.Limits{Idle: time.Hour, Lifetime: time.Hour}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	people, err := accounts.New(t.Context(), db.Accounts(), accounts.Settings{Cost: accounts.Cost{Memory: 64, Passes: 1, Lanes: 1}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	direct := control.NewDirect(people, db.Sessions(), db.Events(), "https://example.com")
	client, log := listen(t, database, direct)
	return db, people, map[string]control.Operator{"direct": direct, "socket": client}, log
}

func TestActions(t *testing.T) {
	for _, way := range []string{"direct", "socket"} {
		t.Run(way, func(t *testing.T) {
			db, people, operators, log := whole(t)
			ctx, o := t.Context(), operators[way]
			do := func(r control.Request) control.Answer {
				t.Helper()
				a, err := o.Do(ctx, r)
				if err != nil {
					t.Fatalf("%+v: %v", r, err)
				}
				return a
			}
			refused := func(r control.Request, want error) {
				t.Helper()
				if _, err := o.Do(ctx, r); err == nil || err.Error() != want.Error() {
					t.Errorf("%s %s: %v, want %v", r.Action, r.Name, err, want)
				}
			}
			ann, bob := "Ann Smith", "Bob"
			if a := do(control.Request{Action: control.Add, Name: ann, Password: password, Admin: true}).Account; !a.Admin || a.Disabled || a.PasswordChanged.IsZero() || a.Name != ann {
				t.Errorf("%+v", a)
			}
			made := do(control.Request{Action: control.Add, Name: bob, Link: true})
			if !made.Account.PasswordChanged.IsZero() || made.Account.Admin {
				t.Errorf("%+v", made)
			}
			secret, found := strings.CutPrefix(made.Link, "https://example.com/reset/")
			if a, err := people.CheckReset(t.Context(), secret); !found || err != nil || a.Name.String() != bob {
				t.Errorf("link %s: %v, %v", made.Link, a, err)
			}
			refused(control.Request{Action: control.Add, Name: strings.ToUpper(ann), Password: password}, accounts.ErrTaken)
			refused(control.Request{Action: control.Add, Name: ann, Link: true}, accounts.ErrTaken)
			refused(control.Request{Action: control.Remove, Name: ann}, accounts.ErrLastAdmin)
			refused(control.Request{Action: control.Admin, Name: ann, Off: true}, accounts.ErrLastAdmin)
			refused(control.Request{Action: control.Disable, Name: ann}, accounts.ErrLastAdmin)
			for _, action := range []control.Action{control.Show, control.Admin, control.Disable, control.Reset, control.Logout, control.Remove} {
				refused(control.Request{Action: action, Name: "Nobody"}, accounts.ErrNotFound)
				refused(control.Request{Action: action, Name: "no\nname"}, accounts.ErrNotFound)
			}
			refused(control.Request{Action: "nonsense", Name: ann}, errors.New(`there is no action "nonsense"`))

			if a := do(control.Request{Action: control.Admin, Name: bob}).Account; !a.Admin {
				t.Errorf("%+v", a)
			}
			if a := do(control.Request{Action: control.Admin, Name: bob, Off: true}).Account; a.Admin {
				t.Errorf("%+v", a)
			}

			again := do(control.Request{Action: control.Reset, Name: bob})
			if _, err := people.CheckReset(t.Context(), secret); err == nil || again.Link == made.Link {
				t.Error("the former link works")
			}
			secret, _ = strings.CutPrefix(again.Link, "https://example.com/reset/")
			account, err := people.Reset(ctx, secret, password)
			if err != nil {
				t.Fatal(err)
			}
			begin := func(id string) {
				t.Helper()
				now := time.Now().UTC().Truncate(time.Millisecond)
				if err := db.Sessions().Begin(t.Context(), sessions.KeyOf(id), sessions.Key{}, sessions.Session{Account: sessions.Account(account.ID), PasswordVersion: account.PasswordVersion, Began: now, Seen: now}, nil); err != nil {
					t.Fatal(err)
				}
			}
			ended := func(id string) {
				t.Helper()
				if _, err := db.Sessions().Read(t.Context(), sessions.KeyOf(id)); !errors.Is(err, sessions.ErrEnded) {
					t.Errorf("session %s: %v", id, err)
				}
			}
			begin("one")
			begin("two")
			do(control.Request{Action: control.Show, Name: bob})
			if _, err := db.Sessions().Read(t.Context(), sessions.KeyOf("one")); err != nil {
				t.Error(err)
			}
			do(control.Request{Action: control.Logout, Name: bob})
			ended("one")
			ended("two")
			begin("three")
			if a := do(control.Request{Action: control.Disable, Name: bob}).Account; !a.Disabled { // ASVS 7.4.2
				t.Errorf("%+v", a)
			}
			ended("three")
			if _, err := o.Do(ctx, control.Request{Action: control.Reset, Name: bob}); err == nil || !strings.Contains(err.Error(), "disabled") {
				t.Errorf("a reset of a disabled account: %v", err)
			}
			if a := do(control.Request{Action: control.Disable, Name: bob, Off: true}).Account; a.Disabled {
				t.Errorf("%+v", a)
			}
			if list := do(control.Request{Action: control.List, Search: "BO"}).Accounts; len(list) != 1 || list[0] != do(control.Request{Action: control.Show, Name: bob}).Account {
				t.Errorf("%+v", list)
			}
			if a := do(control.Request{Action: control.Remove, Name: bob}).Account; a.Name != bob {
				t.Errorf("%+v", a)
			}
			refused(control.Request{Action: control.Show, Name: bob}, accounts.ErrNotFound)
			if text := log.String(); strings.Contains(text, password) || strings.Contains(text, secret) {
				t.Errorf("a secret is in the log:\n%s", text)
			}
		})
	}
}

// The owner of an account reads of what the operator did to it and what ended
// their sessions, and of nothing that came to nothing.
func TestOwnerIsTold(t *testing.T) {
	for _, way := range []string{"direct", "socket"} {
		t.Run(way, func(t *testing.T) {
			db, people, operators, _ := whole(t)
			ids := map[string]accounts.ID{}
			for _, name := range []string{"Ann", "Bob"} {
				a, err := people.Add(t.Context(), name)
				if err != nil {
					t.Fatal(err)
				}
				ids[name] = a.ID
			}
			if err := people.SetAdmin(t.Context(), ids["Bob"], true); err != nil { // one must be left
				t.Fatal(err)
			}
			began := time.Now().Truncate(time.Millisecond)
			for _, r := range []control.Request{
				{Action: control.Show}, {Action: control.Logout}, {Action: control.Admin}, {Action: control.Admin, Off: true},
				{Action: control.Reset}, {Action: control.Disable}, {Action: control.Reset}, {Action: control.Disable, Off: true},
			} {
				r.Name = "Ann"
				_, err := operators[way].Do(t.Context(), r)
				var refusal *accounts.Error
				if err != nil && !errors.As(err, &refusal) {
					t.Fatal(err)
				}
			}
			want := []string{accounts.EventDisabled, accounts.EventResetLink, accounts.EventSessionsEnded} // the newest first
			var events []accounts.Event
			for deadline := time.Now().Add(10 * time.Second); len(events) < len(want) && time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
				var err error
				if events, err = db.Events().Events(t.Context(), ids["Ann"]); err != nil {
					t.Fatal(err)
				}
			}
			var found []string
			for _, e := range events {
				found = append(found, e.What)
				if e.Outcome != "done" || e.Agent+e.Address != "" || e.At.Before(began) || e.At.After(time.Now()) {
					t.Errorf("%+v", e)
				}
			}
			if !reflect.DeepEqual(found, want) {
				t.Errorf("Ann reads of %q, want %q", found, want)
			}
			if events, err := db.Events().Events(t.Context(), ids["Bob"]); err != nil || len(events) > 0 {
				t.Errorf("Bob reads of %+v, %v", events, err)
			}
		})
	}
}

func TestListPages(t *testing.T) {
	_, people, operators, _ := whole(t)
	const n = 2*accounts.PageSize + 1
	for i := range n {
		if _, err := people.Add(t.Context(), fmt.Sprintf("Ann %03d", i)); err != nil {
			t.Fatal(err)
		}
	}
	for way, o := range operators {
		var names []string
		r := control.Request{Action: control.List, Search: "ANN"}
		for {
			page, err := o.Do(t.Context(), r)
			if err != nil {
				t.Fatal(err)
			}
			for _, a := range page.Accounts {
				names = append(names, a.Name)
			}
			if r.After = page.Next; r.After == "" {
				break
			}
		}
		if len(names) != n || names[0] != "Ann 000" || names[n-1] != fmt.Sprintf("Ann %03d", n-1) {
			t.Errorf("%s: %d names: %q", way, len(names), names)
		}
	}
}

// ASVS 16.2.5, 16.3.1
func TestLog(t *testing.T) {
	_, _, operators, log := whole(t)
	for _, test := range []struct {
		r    control.Request
		want []string // nothing: no line
	}{
		{control.Request{Action: control.Add, Name: "Ann", Password: password, Admin: true}, []string{`"action":"add"`, `"name":"Ann"`, `"outcome":"done"`, `"level":"INFO"`}},
		{control.Request{Action: control.Add, Name: "Bob", Link: true}, []string{`"action":"add"`, `"name":"Bob"`, `"outcome":"done"`}},
		{control.Request{Action: control.Add, Name: "hunter22", Password: "x"}, []string{`"action":"add"`, `"account":"unknown"`, `"outcome":"refused"`, `"level":"WARN"`}},
		{control.Request{Action: control.Disable, Name: "Ann"}, []string{`"action":"disable"`, `"name":"Ann"`, `"outcome":"refused"`}},
		{control.Request{Action: control.Disable, Name: "bob", Off: true}, []string{`"action":"disable off"`, `"name":"Bob"`, `"outcome":"done"`}},
		{control.Request{Action: control.Reset, Name: "bob"}, []string{`"action":"reset"`, `"name":"Bob"`, `"outcome":"done"`}},
		{control.Request{Action: control.Remove, Name: "hunter22"}, []string{`"action":"remove"`, `"account":"unknown"`, `"outcome":"refused"`}},
		{control.Request{Action: control.Remove, Name: "bob"}, []string{`"action":"remove"`, `"name":"Bob"`, `"outcome":"done"`}},
		{control.Request{Action: control.Show, Name: "Ann"}, nil},
		{control.Request{Action: control.List}, nil},
	} {
		before := len(log.String())
		a, _ := operators["socket"].Do(t.Context(), test.r)
		line := log.String()[before:]
		if strings.Count(line, "\n") != min(1, len(test.want)) || strings.Count(line, `"msg":"operator"`) != min(1, len(test.want)) {
			t.Errorf("%+v is in the log as %q", test.r, line)
		}
		for _, want := range test.want {
			if !strings.Contains(line, want) {
				t.Errorf("%+v: no %s in %s", test.r, want, line)
			}
		}
		for _, secret := range []string{password, "hunter22", a.Link} {
			if secret != "" && strings.Contains(line, secret) {
				t.Errorf("%+v: %q is in the log: %s", test.r, secret, line)
			}
		}
	}
}

func TestAtOnce(t *testing.T) {
	_, people, operators, _ := whole(t)
	var wg sync.WaitGroup
	var mu sync.Mutex
	won := 0
	for i := range 32 {
		wg.Go(func() {
			o := operators[[]string{"direct", "socket"}[i%2]]
			_, err := o.Do(t.Context(), control.Request{Action: control.Add, Name: "Ann", Link: true})
			mu.Lock()
			defer mu.Unlock()
			if err == nil {
				won++
			} else if err.Error() != accounts.ErrTaken.Error() {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if page, err := people.List(t.Context(), "", ""); won != 1 || err != nil || len(page.Accounts) != 1 {
		t.Errorf("%d won, %+v, %v", won, page, err)
	}
}
