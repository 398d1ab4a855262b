// Package soak has hundreds of visitors use the built binary for long, each of
// whom looks whether every page is their own:
//
//	go test ./tests/soak
//	go test ./tests/soak -timeout 2h -requests 10000000
package soak

import (
	"flag"
	"fmt"
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
	visitors   = 300
	atOnce     = 60 // visitors who wait for an answer
	withSecret = 6  // visitors who have a password, and so can log in and out
	secret     = "four unrelated mushrooms whistle"
	// A login costs as much as some hundred pages, so only so many do.
	loginEvery = 2000
)

// ASVS 1.4.3: what a process holds does not grow with what it has done. ASVS
// 15.4.3: nobody is left waiting.
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
	all := arrive(t, server)
	if err := server.Start(); err != nil {
		t.Fatal(err)
	}
	line := server.Line()
	var done, wrong, logins atomic.Int64
	began := time.Now()
	var group sync.WaitGroup
	for i := range atOnce {
		group.Go(func() {
			random := rand.New(rand.NewPCG(*seed, uint64(i)))
			for mine := all[i*visitors/atOnce : (i+1)*visitors/atOnce]; done.Add(1) <= *requests && wrong.Load() < 10; {
				v := mine[random.IntN(len(mine))]
				v.browser.Line, v.random = line, random
				in := v.in
				if err := v.step(); err != nil {
					wrong.Add(1)
					t.Errorf("%s: %v", v.name, err)
				}
				if v.in && !in {
					logins.Add(1)
				}
			}
		})
	}
	ended := make(chan struct{})
	go func() { group.Wait(); close(ended) }()
	// As after the first minute, or a third of a short run.
	early := sample(t, server, &done, ended)
	<-ended
	took := time.Since(began)
	late := measure(t, server)
	t.Logf("%d requests in %.0f s, %d logins, %d wrong answers", *requests, took.Seconds(), logins.Load(), wrong.Load())
	t.Logf("after the first minute or third: %v", early)
	t.Logf("at the end:                      %v", late)
	// The hash of a password needs 19 MiB for a moment.
	if late.memory > early.memory*3/2+32<<10 || late.files > early.files+10 || late.threads > early.threads+10 {
		t.Error("it has grown")
	}
	if faults := server.Faults(); len(faults) > 0 {
		t.Errorf("faults:\n%s", strings.Join(faults, "\n"))
	}
	line.HangUp()
	if err := server.Stop(); err != nil {
		t.Error(err)
	}
	if output, code := server.Run("check"); code != 0 {
		t.Errorf("latchkey check: exit code %d\n%s", code, output)
	}
}

// arrive makes the accounts and logs them in. Most have no password and log in
// with --dev; their sessions go on without it, where every page is made as on a
// public server.
func arrive(t *testing.T, server *rig.Server) []*visitor {
	t.Helper()
	all := make([]*visitor, visitors)
	registrations := newRegistrations()
	for i := range all {
		all[i] = &visitor{name: fmt.Sprintf("Visitor %03d & <co>", i)}
		all[i].registrations = registrations()
		if i%(visitors/withSecret) == 0 {
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

// figures are what a process holds.
type figures struct {
	memory  int // KiB, without the file's own
	threads int
	files   int // open
}

func (f figures) String() string {
	return fmt.Sprintf("%.1f MiB, %d threads, %d open files", float64(f.memory)/1024, f.threads, f.files)
}

func measure(t *testing.T, server *rig.Server) (f figures) {
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

// sample measures when a third of the requests are done, or after a minute.
func sample(t *testing.T, server *rig.Server, done *atomic.Int64, ended <-chan struct{}) figures {
	t.Helper()
	minute := time.After(time.Minute)
	for {
		select {
		case <-minute:
			return measure(t, server)
		case <-ended:
			return measure(t, server)
		case <-time.After(20 * time.Millisecond):
			if done.Load() > *requests/3 {
				return measure(t, server)
			}
		}
	}
}
