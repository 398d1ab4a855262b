// Package soak lets hundreds of visitors use the built binary for a long time.
// Each checks that every page is their own:
//
//	go test ./tests/soak
//	go test ./tests/soak -timeout 2h -requests 10000000
package soak

import (
	"flag"
	"fmt"
	"math"
	"math/rand/v2"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"latchkey/tests/rig"
)

var (
	requests = flag.Int64("requests", 50_000, "how many requests are made")
	seed     = flag.Uint64("seed", 0, "what the random choices begin with; 0: the time")
)

const (
	visitors     = 300
	concurrency  = 60 // requests in flight
	withPassword = 6  // visitors with a password, who log in and out
	secret       = "four unrelated mushrooms whistle"
	// A login costs as much as about a hundred pages.
	loginEvery = 2000
)

// ASVS 1.4.3: the resources of the process do not grow with the number of
// requests. ASVS 15.4.3: no request waits for ever.
func TestSoak(t *testing.T) {
	if *seed == 0 {
		*seed = uint64(time.Now().UnixNano())
	}
	t.Logf("seed %d", *seed)
	folder := t.TempDir()
	binary, err := rig.Build(folder)
	if err != nil {
		t.Fatal(err)
	}
	server := &rig.Server{Binary: binary, Folder: folder, Database: filepath.Join(folder, "latchkey.db")}
	t.Cleanup(func() {
		if server.Running() {
			server.Kill()
		}
	})
	s := &soak{server: server, all: arrive(t, server)}
	// A process prints its goroutines only when it quits. So one process runs for
	// the first minute, or a third of a short run, and another for the whole time.
	early, _ := s.life(t, *requests/3, time.Minute)
	late, took := s.life(t, *requests, noLimit)
	t.Logf("%d requests in %.0f s, %d logins, %d wrong answers", s.done.Load(), took.Seconds(), s.logins.Load(), s.wrong.Load())
	t.Logf("after the first minute or third: %v", early)
	t.Logf("at the end:                      %v", late)
	// Hashing a password takes 19 MiB for a moment.
	if late.memory > early.memory*3/2+32<<10 || late.files > early.files+10 || late.threads > early.threads+10 || late.goroutines > early.goroutines+10 {
		t.Error("it has grown")
	}
	if faults := server.Faults(); len(faults) > 0 {
		t.Errorf("faults:\n%s", strings.Join(faults, "\n"))
	}
	if output, code := server.Run("check"); code != 0 {
		t.Errorf("latchkey check: exit code %d\n%s", code, output)
	}
}

const noLimit = time.Duration(math.MaxInt64)

// soak holds the visitors and the shares of their requests.
type soak struct {
	server              *rig.Server
	all                 []*visitor
	done, wrong, logins atomic.Int64
}

// life starts a process and lets the visitors make that many requests, or as
// many as possible in that time. It returns the resources of the process while
// all visitors are still connected.
func (s *soak) life(t *testing.T, most int64, last time.Duration) (resources, time.Duration) {
	t.Helper()
	if err := s.server.Start(); err != nil {
		t.Fatal(err)
	}
	line := s.server.Line()
	defer line.HangUp()
	var asked atomic.Int64
	began := time.Now()
	var group sync.WaitGroup
	for i := range concurrency {
		group.Go(func() {
			random := rand.New(rand.NewPCG(*seed, uint64(i)))
			for mine := s.all[i*visitors/concurrency : (i+1)*visitors/concurrency]; asked.Add(1) <= most && time.Since(began) < last && s.wrong.Load() < 10; s.done.Add(1) {
				v := mine[random.IntN(len(mine))]
				v.browser.Line, v.random = line, random
				in := v.in
				if err := v.step(); err != nil {
					s.wrong.Add(1)
					t.Errorf("%s: %v", v.name, err)
				}
				if v.in && !in {
					s.logins.Add(1)
				}
			}
		})
	}
	group.Wait()
	took := time.Since(began)
	held := measure(t, s.server)
	var err error
	if held.goroutines, err = s.server.Quit(); err != nil {
		t.Error(err)
	}
	return held, took
}

// arrive creates the accounts and logs them in. Most have no password and log
// in with --dev. Their sessions continue on a server without --dev.
func arrive(t *testing.T, server *rig.Server) []*visitor {
	t.Helper()
	all := make([]*visitor, visitors)
	registrations := newRegistrations()
	for i := range all {
		all[i] = &visitor{name: fmt.Sprintf("Visitor %03d & <co>", i)}
		all[i].registrations = registrations()
		if i%(visitors/withPassword) == 0 {
			all[i].password = secret
			if output, code := server.RunWith(secret+"\n", "user", "add", all[i].name); code != 0 {
				t.Fatalf("user add: exit code %d: %s", code, output)
			}
		}
	}
	if err := rig.Views(server.Folder); err != nil {
		t.Fatal(err)
	}
	args := server.Args
	server.Args = append(args, "--dev")
	if err := server.Start(); err != nil {
		t.Fatal(err)
	}
	line := server.Line()
	for _, v := range all {
		v.browser = &rig.Browser{Line: line}
		if v.password != "" {
			continue
		}
		answer, err := v.browser.Post("/login", url.Values{"name": {v.name}}.Encode())
		if err != nil || answer.Status != 303 {
			t.Fatalf("login of %s: %d, %v", v.name, answer.Status, err)
		}
		v.in = true
	}
	line.HangUp()
	if err := server.Stop(); err != nil {
		t.Fatal(err)
	}
	server.Args = args
	return all
}

// figures are the resources of a process.
type resources struct {
	memory     int // KiB, without the mapped file
	threads    int
	goroutines int
	files      int // open files
}

func (f resources) String() string {
	return fmt.Sprintf("%.1f MiB, %d goroutines, %d threads, %d open files", float64(f.memory)/1024, f.goroutines, f.threads, f.files)
}

func measure(t *testing.T, server *rig.Server) (f resources) {
	t.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", server.PID()))
	if err != nil {
		t.Skipf("what a process holds is told on Linux only: %v", err)
	}
	for line := range strings.Lines(string(status)) {
		fmt.Sscanf(line, "RssAnon: %d kB", &f.memory)
		fmt.Sscanf(line, "Threads: %d", &f.threads)
	}
	files, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", server.PID()))
	if err != nil {
		t.Fatal(err)
	}
	f.files = len(files)
	return f
}
