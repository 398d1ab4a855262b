package control

import (
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestPeer(t *testing.T) {
	path := filepath.Join(os.TempDir(), "lk"+t.Name()+".sock")
	os.Remove(path)
	ln, err := bind(path)
	if err != nil {
		t.Fatal(err)
	}
	defer os.Remove(path)
	defer ln.Close()
	conn, err := net.Dial("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	accepted, err := ownerListener{ln}.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer accepted.Close()
	if uid, err := peer(accepted.(*net.UnixConn)); err != nil || uid != os.Geteuid() {
		t.Errorf("user %d, %v", uid, err)
	}
	for uid, want := range map[int]bool{os.Geteuid(): true, 0: true, os.Geteuid() + 1: false, 65534: os.Geteuid() == 65534} {
		if mayControl(uid) != want {
			t.Errorf("user %d may: %v", uid, !want)
		}
	}
}

// A server that accepts and says nothing, and one that hangs up.
func TestNoAnswer(t *testing.T) {
	path := filepath.Join(os.TempDir(), "lk"+t.Name())
	os.Remove(path + ".sock")
	ln, err := bind(path + ".sock")
	if err != nil {
		t.Fatal(err)
	}
	defer os.Remove(path + ".sock")
	defer ln.Close()
	client, err := Dial(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	client.http.Timeout = 200 * time.Millisecond
	check := func(want string) {
		t.Helper()
		began := time.Now()
		_, err := client.Do(t.Context(), Request{Action: List})
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "\n") || time.Since(began) > 5*time.Second {
			t.Errorf("%v after %s, want %q", err, time.Since(began), want)
		}
	}
	check("did not answer")
	go http.Serve(ln, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { panic(http.ErrAbortHandler) }))
	client.http.Timeout = 5 * time.Second
	check("stopped before it answered")
}

func TestPrintable(t *testing.T) {
	for name, want := range map[string]string{
		"Ann Smith": "Ann Smith", "Škola 漢字": "Škola 漢字", "a\u200db": "a\u200db", "👩\u200d🚀": "👩\u200d🚀",
		"a\x1b[2Jb": "a\uFFFD[2Jb", "a\nb": "a\uFFFDb", "a\u009bb": "a\uFFFDb", "a\u202eb": "a\uFFFDb", "a\xffb": "a\uFFFDb", "a\u2028b": "a\uFFFDb",
	} {
		if got := printable(name); got != want {
			t.Errorf("%q becomes %q", name, got)
		}
	}
}
