package crash

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"latchkey/tests/rig"
)

// needStrace fails the test if strace, which injects errors into system calls, is
// missing.
func needStrace(t *testing.T) {
	t.Helper()
	if _, err := exec.LookPath("strace"); err != nil {
		t.Fatal("strace is missing (on Debian: apt-get install strace)")
	}
}

// failing returns the command that runs another and injects an error into one of its
// system calls.
func failing(call, errno string, when int) []string {
	return []string{"strace", "-f", "-qq", "-o", "/dev/null", "-e", "trace=" + call, "-e", fmt.Sprintf("inject=%s:error=%s:when=%d", call, errno, when)}
}

// end stops a server that strace runs, which does not pass signals on. It returns the
// exit code and the last line.
func end(t *testing.T, server *rig.Server) (code int, line string) {
	t.Helper()
	children, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", server.PID(), server.PID()))
	if err == nil && len(strings.Fields(string(children))) == 1 {
		child, err := strconv.Atoi(strings.Fields(string(children))[0])
		if err != nil {
			t.Fatal(err)
		}
		_ = syscall.Kill(child, syscall.SIGTERM) // it may end by itself just now
	}
	return server.Ended()
}

// A disk that fails under any fdatasync or write of a commit costs nothing that was
// acknowledged. What was answered with an error is there as a whole or not at all. If
// the failed commit may have reached the meta page, the server ends with exit code 4
// and one line, and writes nothing more.
//
// ASVS 2.3.3
func TestFailingDisk(t *testing.T) {
	needStrace(t)
	folder := t.TempDir()
	if err := rig.Views(folder); err != nil {
		t.Fatal(err)
	}
	const logins = 6
	ended := 0
	// A login is one commit: its pages, an fdatasync, the meta page, an fdatasync.
	for _, test := range []struct {
		call, errno string
		from, to    int
	}{
		{"fdatasync", "EIO", 5, 12},
		{"pwrite64", "EIO", 8, 20},
		{"pwrite64", "ENOSPC", 8, 20},
	} {
		for when := test.from; when <= test.to; when++ {
			name := fmt.Sprintf("%s %s %d", test.errno, test.call, when)
			server := &rig.Server{Binary: binary, Folder: folder, Database: filepath.Join(t.TempDir(), "x.db"), Args: []string{"--dev"}}
			if err := server.Start(); err != nil { // makes the file
				t.Fatal(err)
			}
			if err := server.Stop(); err != nil {
				t.Fatal(err)
			}
			server.Prefix = failing(test.call, test.errno, when)
			if err := server.Start(); err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			cookies, refused := map[string]string{}, []string{}
			after := 0 // logins that succeeded after one was refused
			for i := range logins {
				visitor := &rig.Browser{Line: server.Line()}
				name := fmt.Sprint("player ", i)
				answer, err := visitor.Post("/login", "name="+strings.ReplaceAll(name, " ", "+"))
				switch {
				case err == nil && answer.Status == 303:
					cookies[name] = visitor.Cookie
					after += min(1, len(refused))
				default:
					refused = append(refused, name)
				}
			}
			code, line := end(t, server)
			if code == 4 {
				ended++
				if after > 0 {
					t.Errorf("%s: %d logins were acknowledged after the failure", name, after)
				}
				if !strings.Contains(line, "the disk failed") || !strings.Contains(line, "check the disk") {
					t.Errorf("%s: the last line is %q", name, line)
				}
			} else if code != 0 {
				t.Errorf("%s: exit code %d: %q", name, code, line)
			}
			server.Prefix = nil
			if output, code := server.Run("check"); code != 0 {
				t.Errorf("%s: check: %s", name, output)
			}
			if err := server.Start(); err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			for who, cookie := range cookies {
				answer, err := (&rig.Browser{Line: server.Line(), Cookie: cookie}).Get("/")
				if err != nil {
					t.Fatal(err)
				}
				if got, err := answer.Who(); err != nil || got != who {
					t.Errorf("%s: %s was logged in and is %q, %v", name, who, got, err)
				}
			}
			// Whole or not at all: the name can log in either way.
			for _, who := range refused {
				visitor := &rig.Browser{Line: server.Line()}
				if answer, err := visitor.Post("/login", "name="+strings.ReplaceAll(who, " ", "+")); err != nil || answer.Status != 303 {
					t.Errorf("%s: %s was refused and cannot log in: %d, %v", name, who, answer.Status, err)
				}
			}
			if err := server.Kill(); err != nil {
				t.Error(err)
			}
		}
	}
	if ended == 0 {
		t.Error("no failure reached a meta page, so nothing was shown")
	}
}
