// Package crash kills the built binary under load, again and again on the same
// file, and holds it to what it had acknowledged:
//
//	go test ./tests/crash
//	go test ./tests/crash -timeout 1h -kills 1000
//
// A kill ends the process, not the machine: what the system has taken from the
// process stays. Whether the disk keeps its word is not tested here.
package crash

import (
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
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
	kills = flag.Int("kills", 20, "how often the server is killed")
	seed  = flag.Uint64("seed", 0, "what the random choices begin with; 0: the time")
)

const (
	clients    = 16
	checkEvery = 5 // kills from one check of the file to the next
	// Activity is written a second later. Where the server always dies before,
	// sessions end of age, as they should, and no kill meets a renewal.
	longEvery = 6 // kills from one long life to the next
)

var binary string

func TestMain(m *testing.M) { os.Exit(buildAndRun(m)) }

func buildAndRun(m *testing.M) int {
	folder, err := os.MkdirTemp("", "latchkey-crash-")
	if err == nil {
		defer os.RemoveAll(folder)
		binary, err = rig.Build(folder)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return m.Run()
}

// figures count what was tried and what came of it.
type figures struct {
	acknowledged atomic.Int64 // changes
	hanging      atomic.Int64 // changes that a kill met on their way
	checks       atomic.Int64 // acknowledged changes looked at after a restart
	lost         atomic.Int64 // acknowledged, and not there
	undone       atomic.Int64 // acknowledged as ended, and there
	half         atomic.Int64 // neither there nor not there
}

func (f *figures) String() string {
	return fmt.Sprintf("%d changes acknowledged, %d on their way at a kill, %d checks, %d lost, %d undone, %d half there",
		f.acknowledged.Load(), f.hanging.Load(), f.checks.Load(), f.lost.Load(), f.undone.Load(), f.half.Load())
}

// ASVS 7.3.2, 7.4.1
func TestKill(t *testing.T) {
	if *seed == 0 {
		*seed = uint64(time.Now().UnixNano())
	}
	t.Logf("seed %d", *seed)
	random := rand.New(rand.NewPCG(*seed, 0))
	folder := t.TempDir()
	if err := rig.Views(folder); err != nil {
		t.Fatal(err)
	}
	server := &rig.Server{
		Binary:   binary,
		Database: filepath.Join(folder, "data", "latchkey.db"),
		Folder:   folder,
		// A tenth of the idle limit is how often a session is renewed.
		Args: []string{"--dev", "--session-idle=60s"},
	}
	t.Cleanup(func() {
		if server.Running() {
			server.Kill()
		}
	})
	if err := server.Start(); err != nil {
		t.Fatal(err)
	}
	var f figures
	var all []*client
	for i := range clients {
		all = append(all, &client{number: i, figures: &f, random: rand.New(rand.NewPCG(*seed, uint64(i)+1))})
	}
	began := time.Now()
	for kill := range *kills {
		killed := make(chan struct{})
		line := server.Line()
		var group sync.WaitGroup
		var failed atomic.Bool
		for _, c := range all {
			group.Go(func() {
				if err := c.live(line, killed); err != nil {
					failed.Store(true)
					t.Errorf("kill %d, client %d: %v", kill, c.number, err)
				}
			})
		}
		life := time.Duration(10+random.IntN(200)) * time.Millisecond
		if kill%longEvery == 0 {
			life += time.Duration(500+random.IntN(1000)) * time.Millisecond
		}
		time.Sleep(life)
		close(killed)
		if err := server.Kill(); err != nil {
			t.Fatal(err)
		}
		group.Wait()
		line.HangUp()
		if kill%checkEvery == 0 {
			mustBeWhole(t, server)
		}
		if err := server.Start(); err != nil {
			t.Fatalf("after kill %d: %v", kill, err)
		}
		line = server.Line()
		for _, c := range all {
			group.Go(func() {
				if err := c.verify(line); err != nil {
					failed.Store(true)
					t.Errorf("after kill %d, client %d: %v", kill, c.number, err)
				}
			})
		}
		group.Wait()
		line.HangUp()
		if failed.Load() || len(server.Faults()) > 0 {
			t.Fatalf("%v\nfaults: %s\nend of the log:\n%s", &f, strings.Join(server.Faults(), "\n"), server.Tail())
		}
	}
	if err := server.Stop(); err != nil {
		t.Error(err)
	}
	mustBeWhole(t, server)
	t.Logf("%d kills in %.0f s: %v", *kills, time.Since(began).Seconds(), &f)
	if f.acknowledged.Load() < int64(*kills) {
		t.Error("hardly anything was acknowledged, so nothing was shown")
	}
}

func mustBeWhole(t *testing.T, server *rig.Server) {
	t.Helper()
	if output, code := server.Run("check"); code != 0 {
		t.Fatalf("latchkey check: exit code %d\n%s", code, output)
	}
}

// errHalf means that something is half there.
var errHalf = errors.New("half there")
