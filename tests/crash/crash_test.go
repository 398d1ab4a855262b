// Package crash kills the built binary under load, many times on the same file,
// and checks that every acknowledged change is kept:
//
//	go test ./tests/crash
//	go test ./tests/crash -timeout 1h -kills 1000
//
// A kill ends the process, not the machine, so data that the kernel has
// accepted is not lost. Whether the disk keeps its promises is not tested here.
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
	checkEvery = 5 // a check of the file after so many kills
	// Renewals are written a second later. If the server always dies sooner,
	// sessions expire, as they should, and no kill interrupts a renewal.
	longEvery = 6 // a long life after so many kills
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

// figures counts what was tried and how it ended.
type counts struct {
	acknowledged atomic.Int64 // acknowledged changes
	hanging      atomic.Int64 // requests in flight at a kill
	checks       atomic.Int64 // acknowledged changes checked after a restart
	lost         atomic.Int64 // acknowledged, but missing
	undone       atomic.Int64 // acknowledged as ended, but still there
	half         atomic.Int64 // partly there
}

func (f *counts) String() string {
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
		// A session is renewed every tenth of the idle limit.
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
	var f counts
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
			checkFile(t, server)
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
	checkFile(t, server)
	t.Logf("%d kills in %.0f s: %v", *kills, time.Since(began).Seconds(), &f)
	if f.acknowledged.Load() < int64(*kills) {
		t.Error("hardly anything was acknowledged, so nothing was shown")
	}
}

func checkFile(t *testing.T, server *rig.Server) {
	t.Helper()
	if output, code := server.Run("check"); code != 0 {
		t.Fatalf("latchkey check: exit code %d\n%s", code, output)
	}
}

// errHalf means that a change is partly there.
var errHalf = errors.New("half there")
