package crash

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"latchkey/tests/rig"
)

// volume is a place for a database that can be filled up and emptied again.
type volume struct {
	folder string
	prefix []string // see rig.Server
	fill   func(t *testing.T, s *rig.Server)
	clear  func(t *testing.T, s *rig.Server)
}

// smallDisk returns a file system of its own. Only root can create one.
func smallDisk(t *testing.T) volume {
	folder := t.TempDir()
	if err := unix.Mount("latchkey-test", folder, "tmpfs", 0, "size=4m"); err != nil {
		t.Skipf("no file system can be mounted here (%v); the limited file stands for it", err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(folder, unix.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	ballast := filepath.Join(folder, "ballast")
	return volume{
		folder: folder,
		fill: func(t *testing.T, _ *rig.Server) {
			file, err := os.Create(ballast)
			if err != nil {
				t.Fatal(err)
			}
			defer file.Close()
			for err == nil {
				_, err = file.Write(make([]byte, 4096))
			}
			if !errors.Is(err, syscall.ENOSPC) {
				t.Fatal(err)
			}
		},
		clear: func(t *testing.T, _ *rig.Server) {
			if err := os.Remove(ballast); err != nil {
				t.Fatal(err)
			}
		},
	}
}

// limitedFile limits the file size of the server process. The limit can be
// lifted.
func limitedFile(t *testing.T) volume {
	limit := func(t *testing.T, s *rig.Server, to func(old unix.Rlimit) uint64) {
		var old unix.Rlimit
		if err := unix.Prlimit(s.PID(), unix.RLIMIT_FSIZE, nil, &old); err != nil {
			t.Fatal(err)
		}
		if err := unix.Prlimit(s.PID(), unix.RLIMIT_FSIZE, &unix.Rlimit{Cur: to(old), Max: old.Max}, nil); err != nil {
			t.Fatal(err)
		}
	}
	return volume{
		folder: t.TempDir(),
		fill: func(t *testing.T, s *rig.Server) {
			info, err := os.Stat(s.Database)
			if err != nil {
				t.Fatal(err)
			}
			limit(t, s, func(unix.Rlimit) uint64 { return uint64(info.Size()) })
		},
		clear: func(t *testing.T, s *rig.Server) {
			limit(t, s, func(old unix.Rlimit) uint64 { return old.Max })
		},
	}
}

// serveIn starts a server with a database on the volume. The server runs until
// the end of the test.
func serveIn(t *testing.T, disk volume, args ...string) *rig.Server {
	folder := t.TempDir()
	if err := rig.Views(folder); err != nil {
		t.Fatal(err)
	}
	server := &rig.Server{
		Binary:   binary,
		Folder:   folder,
		Database: filepath.Join(disk.folder, "data", "latchkey.db"),
		Args:     append([]string{"--dev"}, args...),
		Prefix:   disk.prefix,
	}
	if err := server.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if server.Running() {
			server.Kill()
		}
	})
	return server
}

func TestFullDisk(t *testing.T) {
	for name, make := range map[string]func(*testing.T) volume{"small disk": smallDisk, "limited file": limitedFile} {
		t.Run(name, func(t *testing.T) {
			t.Parallel() // mostly waits
			testFull(t, make(t))
		})
	}
}

// testFull fills the volume twice. The server must keep running and recover.
func testFull(t *testing.T, disk volume) {
	server := serveIn(t, disk, "--session-idle=20s") // with renewals that need space, too
	line := server.Line()
	people := &logins{line: line}
	for range 20 {
		if status := people.logIn(t); status != 303 {
			t.Fatalf("a login: status %d", status)
		}
	}
	for round := range 2 {
		disk.fill(t, server)
		refused := 0
		// Free pages of the file still have room for some changes.
		for range 400 {
			if people.logIn(t) == 503 {
				refused++
			}
			if refused == 5 {
				break
			}
		}
		if refused < 5 {
			t.Fatalf("round %d: %d logins were refused on a full disk\n%s", round, refused, server.Tail())
		}
		people.checkLoggedIn(t, sampleSize)
		people.checkRegistrations(t)
		time.Sleep(2100 * time.Millisecond) // a renewal is due
		people.checkLoggedIn(t, sampleSize)
		disk.clear(t, server)
		for i := range 15 {
			if status := people.logIn(t); status != 303 {
				t.Fatalf("round %d: login %d after space was freed: status %d\n%s", round, i, status, server.Tail())
			}
		}
		people.checkLoggedIn(t, sampleSize)
	}
	killAndStart(t, server, line)
	people.line = server.Line()
	people.checkLoggedIn(t, len(people.cookies))
	t.Logf("%d logins refused, %d acknowledged, none lost", people.refused, len(people.cookies))
}

// The clients of TestKill make changes concurrently while the volume fills up,
// is full, and is emptied again. A request answered with 503 must have changed
// nothing, pages must keep working, and afterwards the same process must accept
// every kind of change.
func TestFullDiskUnderLoad(t *testing.T) {
	for name, make := range map[string]func(*testing.T) volume{"small disk": smallDisk, "limited file": limitedFile} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			testFullUnderLoad(t, make(t))
		})
	}
}

func testFullUnderLoad(t *testing.T, disk volume) {
	server := serveIn(t, disk)
	pid, line := server.PID(), server.Line()
	people := &logins{line: line}
	var f counts
	var refused atomic.Int64
	var all []*client
	for i := range 8 {
		// The first two clients also sign up, which may create an account and then
		// answer 503.
		all = append(all, &client{number: i, figures: &f, random: rand.New(rand.NewPCG(uint64(i), 0))})
	}
	stop, failed := make(chan struct{}), make(chan struct{}, len(all))
	var group sync.WaitGroup
	for _, c := range all {
		group.Go(func() {
			if err := c.liveRefused(line, stop, &refused); err != nil {
				t.Errorf("client %d: %v", c.number, err)
				failed <- struct{}{}
			}
		})
	}
	// until logs new accounts in again and again: their sessions use up space.
	until := func(what string, done func() bool) {
		t.Helper()
		for deadline := time.Now().Add(time.Minute); !done(); {
			people.logIn(t)
			if len(failed) > 0 || time.Now().After(deadline) {
				close(stop)
				group.Wait()
				t.Fatalf("while waiting for %s, with %d refused: %v\n%s", what, refused.Load(), &f, server.Tail())
			}
		}
	}
	acknowledged := func(n int64) func() bool {
		n += f.acknowledged.Load()
		return func() bool { return f.acknowledged.Load() >= n }
	}
	until("changes", acknowledged(100))
	for range 2 {
		disk.fill(t, server)
		enough := refused.Load() + 40
		until("refusals", func() bool { return refused.Load() >= enough })
		people.checkLoggedIn(t, sampleSize)
		disk.clear(t, server)
		until("changes again", acknowledged(150))
	}
	close(stop)
	group.Wait()
	if t.Failed() {
		return
	}
	before := refused.Load()
	for _, c := range all {
		if err := errors.Join(c.verify(line), c.verifyAll(), c.everyKind(), c.verify(line), c.verifyAll()); err != nil {
			t.Errorf("client %d, with space again: %v", c.number, err)
		}
	}
	people.checkLoggedIn(t, sampleSize)
	if refused.Load() != before || !server.Running() || server.PID() != pid {
		t.Error("it is not the same process that has recovered")
	}
	killAndStart(t, server, line)
	for _, c := range all {
		if err := errors.Join(c.verify(server.Line()), c.verifyAll()); err != nil {
			t.Errorf("client %d, after a restart: %v", c.number, err)
		}
	}
	t.Logf("%d changes of clients refused; %v", refused.Load(), &f)
}

// killAndStart kills a server without faults, checks its file, and starts it
// again.
func killAndStart(t *testing.T, server *rig.Server, line *rig.Line) {
	t.Helper()
	if faults := server.Faults(); len(faults) > 0 {
		t.Errorf("faults:\n%s", strings.Join(faults, "\n"))
	}
	line.HangUp()
	if err := server.Kill(); err != nil {
		t.Fatal(err)
	}
	checkFile(t, server)
	if err := server.Start(); err != nil {
		t.Fatal(err)
	}
}

// liveRefused makes random changes until stop is closed. A rejected request
// must have changed nothing.
func (c *client) liveRefused(line *rig.Line, stop <-chan struct{}, refused *atomic.Int64) error {
	c.line = line
	for {
		select {
		case <-stop:
			return nil
		default:
		}
		err := c.step()
		if errors.Is(err, errRefused) {
			refused.Add(1)
			err = c.verifyAll()
		}
		if err != nil {
			return err
		}
	}
}

// verifyAll checks everything that the client has without writing. An account
// whose creation was rejected may exist or not, because it is created before
// its session.
func (c *client) verifyAll() error {
	for _, a := range c.accounts {
		if len(a.cookies) == 0 {
			continue
		}
		for _, cookie := range a.cookies {
			c.figures.checks.Add(1)
			if in, err := c.isIn(cookie); err != nil || !in {
				return fmt.Errorf("a session of %s is not logged in, %v", a.name, err)
			}
		}
		err := errors.Join(
			c.readPages(a),
			c.verifySessions(a),
			c.verifyRegistrations(a),
		)
		if err != nil {
			return err
		}
	}
	return nil
}

// everyKind makes each kind of change once. None may be rejected.
func (c *client) everyKind() error {
	if err := c.newAccount(); err != nil {
		return err
	}
	a := c.accounts[len(c.accounts)-1]
	for _, change := range []func() error{
		func() error { return c.logIn(a) },
		func() error { return c.logIn(a) },
		func() error { return c.logOut(a, 0) },
		func() error { return c.endOthers(a) },
		func() error { return c.addRegistration(a) },
		func() error { return c.dropRegistration(a) },
		func() error { return c.remove(a) },
	} {
		if err := change(); err != nil {
			return err
		}
	}
	return nil
}

// logins logs accounts in, one after the other.
type logins struct {
	line    *rig.Line
	tried   int
	refused int
	cookies map[string]string // name → cookie of each login
}

// logIn logs a new account in and returns the status. A rejection must be the
// page that says when to try again.
func (p *logins) logIn(t *testing.T) int {
	t.Helper()
	name := fmt.Sprintf("p%d", p.tried)
	p.tried++
	b := &rig.Browser{Line: p.line}
	answer, err := b.Post("/login", "name="+name)
	if err != nil {
		t.Fatal(err)
	}
	switch answer.Status {
	case 303:
		if p.cookies == nil {
			p.cookies = map[string]string{}
		}
		p.cookies[name] = b.Cookie
	case 503:
		p.refused++
		if answer.RetryAfter == "" || b.Cookie != "" {
			t.Errorf("the refusal: Retry-After %q, cookie %q: %.2000s", answer.RetryAfter, b.Cookie, answer.Body)
		}
	default:
		t.Errorf("a login: status %d: %.2000s", answer.Status, answer.Body)
	}
	return answer.Status
}

// sampleSize is the number of accounts to check where checking all would take too
// long.
const sampleSize = 8

// checkLoggedIn checks the pages of accounts whose login was acknowledged.
func (p *logins) checkLoggedIn(t *testing.T, n int) {
	t.Helper()
	for name, cookie := range p.cookies {
		if n--; n < 0 {
			return
		}
		b := &rig.Browser{Line: p.line, Cookie: cookie}
		answer, err := b.Get("/")
		if err != nil {
			t.Fatal(err)
		}
		if who, err := answer.Who(); err != nil || who != name {
			t.Fatalf("%s is %q, %v", name, who, err)
		}
	}
}
