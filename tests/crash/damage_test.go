package crash

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"latchkey/tests/rig"
)

// Package bolt tests hundreds of damaged files. This test runs the whole
// program on a few.
func TestDamagedFile(t *testing.T) {
	folder := t.TempDir()
	if err := rig.Views(folder); err != nil {
		t.Fatal(err)
	}
	server := &rig.Server{Binary: binary, Folder: folder, Database: filepath.Join(folder, "latchkey.db"), Args: []string{"--dev"}}
	if err := server.Start(); err != nil {
		t.Fatal(err)
	}
	people := &logins{line: server.Line()}
	for range 40 {
		people.logIn(t)
	}
	if err := server.Kill(); err != nil {
		t.Fatal(err)
	}
	checkFile(t, server)
	whole, err := os.ReadFile(server.Database)
	if err != nil {
		t.Fatal(err)
	}
	// The User-Agent is stored in records only.
	inRecords := slices.Clone(whole)
	for at, n := 0, 0; ; n++ {
		next := bytes.Index(inRecords[at:], []byte("Mozilla"))
		if next < 0 {
			break
		}
		if at += next + 1; n%3 == 0 {
			inRecords[at] ^= 1
		}
	}
	// Both meta pages lead to the buckets, whose names are in plain text.
	inBuckets := bytes.ReplaceAll(whole, []byte("accounts"), []byte("accountz"))
	zeroed := slices.Clone(whole)
	clear(zeroed[2*4096 : len(zeroed)/2])
	for name, test := range map[string]struct {
		content []byte
		serves  bool
	}{
		"cut short":          {whole[:len(whole)/3], false},
		"cut to a byte":      {whole[:1], false},
		"zeroed inside":      {zeroed, false},
		"zeroed to the end":  {make([]byte, len(whole)), false},
		"another bucket":     {inBuckets, false},
		"records are broken": {inRecords, true},
	} {
		t.Run(name, func(t *testing.T) {
			damaged := &rig.Server{Binary: binary, Folder: folder, Database: filepath.Join(t.TempDir(), "x.db"), Args: []string{"--dev"}}
			if err := os.WriteFile(damaged.Database, test.content, 0o600); err != nil {
				t.Fatal(err)
			}
			if output, code := damaged.Run("check"); code != 1 || test.serves && !strings.Contains(output, "problem: ") {
				t.Errorf("check: exit code %d: %s", code, output)
			}
			if !test.serves {
				output, code := damaged.Run("serve", "--addr=127.0.0.1:0")
				if code != 1 || strings.Count(output, "\n") != 1 || !strings.HasPrefix(output, "latchkey: database ") {
					t.Errorf("exit code %d: %s", code, output)
				}
				return
			}
			if err := damaged.Start(); err != nil {
				t.Fatal(err)
			}
			defer damaged.Kill()
			line := damaged.Line()
			kept, ended := 0, 0
			for name, cookie := range people.cookies {
				visitor := &rig.Browser{Line: line, Cookie: cookie}
				answer, err := visitor.Get("/")
				if err != nil {
					t.Fatal(err)
				}
				// A damaged session is anonymous, and the browser's cookie is deleted.
				switch who, err := answer.Who(); {
				case err == nil && who == name && visitor.Cookie == cookie:
					kept++
				case err == nil && who == "" && visitor.Cookie == "":
					ended++
				default:
					t.Errorf("%s is %q, %v", name, who, err)
				}
			}
			if kept == 0 || ended == 0 {
				t.Errorf("%d sessions are kept and %d have ended; some should be whole and some not", kept, ended)
			}
			if answer, err := (&rig.Browser{Line: line}).Post("/login", "name=new"); err != nil || answer.Status != 303 {
				t.Errorf("a login of somebody new: %d, %v", answer.Status, err)
			}
			if err := damaged.Kill(); err != nil {
				t.Error(err)
			}
			faults := damaged.Faults() // a part of many
			for _, fault := range faults {
				if !strings.Contains(fault, "damaged") {
					t.Errorf("the log has %s", fault)
				}
			}
			if len(faults) == 0 {
				t.Error("the log does not say that anything is damaged")
			}
			if output, code := damaged.Run("check"); code != 1 || !strings.Contains(output, "problem: ") {
				t.Errorf("check afterwards: exit code %d: %s", code, output)
			}
		})
	}
}
