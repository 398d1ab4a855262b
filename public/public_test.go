package public_test

import (
	"bytes"
	"compress/gzip"
	"io"
	"io/fs"
	"os"
	"strings"
	"testing"
	"testing/fstest"

	"latchkey/public"
)

func load(t *testing.T, files map[string]string) *public.Files {
	t.Helper()
	f, err := public.Load(folder(files), true)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func folder(files map[string]string) fstest.MapFS {
	fsys := fstest.MapFS{}
	for name, body := range files {
		fsys[name] = &fstest.MapFile{Data: []byte(body)}
	}
	return fsys
}

// A browser keeps a file for a year, so another content needs another address.
func TestURLChangesWithTheContent(t *testing.T) {
	before := load(t, map[string]string{"site.css": "a{}", "js/x.js": "1"})
	same := load(t, map[string]string{"site.css": "a{}", "js/x.js": "1"})
	after := load(t, map[string]string{"site.css": "b{}", "js/x.js": "1"})

	old := before.URL("site.css")
	if !strings.HasPrefix(old, public.Prefix+"site.") || !strings.HasSuffix(old, ".css") {
		t.Errorf("the address is %q", old)
	}
	if got := same.URL("site.css"); got != old {
		t.Errorf("the same content is at %q and %q", old, got)
	}
	if got := after.URL("site.css"); got == old {
		t.Errorf("another content is at the same address %q", got)
	}
	if got := after.URL("js/x.js"); got != before.URL("js/x.js") || !strings.HasPrefix(got, public.Prefix+"js/x.") {
		t.Errorf("a file in a folder moved to %q", got)
	}
	// An old address must not show new content.
	if _, ok := after.ByURL(old); ok {
		t.Error("the old address is still served")
	}
	if file, ok := after.ByURL(after.URL("site.css")); !ok || string(file.Body) != "b{}" || file.Type != "text/css; charset=utf-8" {
		t.Errorf("%v %+v", ok, file)
	}
}

// ASVS 13.4.1: what is not meant for visitors has no address.
func TestHiddenFiles(t *testing.T) {
	hidden := []string{"public.go", "public_test.go", ".env", ".git/config.txt", ".htaccess", "js/.map.js", "js/gen.go"}
	files := map[string]string{"site.css": "a{}"}
	for _, name := range hidden {
		files[name] = "secret"
	}
	f := load(t, files)
	for _, name := range hidden {
		if url := f.URL(name); url != "" {
			t.Errorf("%s is served at %s", name, url)
		}
		if _, ok := f.ByName(name); ok {
			t.Errorf("%s is served by name", name)
		}
	}
	if f.URL("site.css") == "" {
		t.Error("the stylesheet is not served")
	}
}

func TestWhatIsNotThere(t *testing.T) {
	f := load(t, map[string]string{"site.css": "a{}"})
	for _, url := range []string{"", "/", "/public/", "/public/site.css", "/public/../site.css", "site.css", "/public/site.000000000000.css", f.URL("site.css") + "/", strings.ToUpper(f.URL("site.css"))} {
		if _, ok := f.ByURL(url); ok {
			t.Errorf("%q is served", url)
		}
	}
	if url := f.URL("other.css"); url != "" {
		t.Errorf("a missing file has the address %q", url)
	}
}

// ASVS 4.1.1: a browser must not have to guess.
func TestUnknownTypeIsRefused(t *testing.T) {
	for _, name := range []string{"notes.md", "README", "backup.bak", "data.db", "site.css.map", "page.HTML"} {
		f, err := public.Load(folder(map[string]string{"site.css": "a{}", name: "x"}), true)
		if err == nil || !strings.Contains(err.Error(), name) || f != nil {
			t.Errorf("%s: %v, %v", name, f, err)
		}
	}
}

func TestLoadReportsAFolderThatIsNotThere(t *testing.T) {
	if _, err := public.Load(os.DirFS(t.TempDir()+"/gone"), true); err == nil {
		t.Error("no error")
	}
}

func TestGzip(t *testing.T) {
	long := strings.Repeat("a { color: red }\n", 100)
	f := load(t, map[string]string{"long.css": long, "short.css": "a{}", "empty.css": ""})
	file, _ := f.ByName("long.css")
	if got := unzip(t, file.Gzip); got != long || len(file.Gzip) >= len(long) {
		t.Errorf("%d bytes became %d, which are %q", len(long), len(file.Gzip), got)
	}
	for _, name := range []string{"short.css", "empty.css"} {
		if file, ok := f.ByName(name); !ok || file.Gzip != nil {
			t.Errorf("%s: compressing saves nothing, and there are %d bytes", name, len(file.Gzip))
		}
	}
}

func unzip(t *testing.T, b []byte) string {
	t.Helper()
	r, err := gzip.NewReader(bytes.NewReader(b))
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return string(body)
}

func TestEmbedded(t *testing.T) {
	f, err := public.Embedded()
	if err != nil {
		t.Fatal(err)
	}
	for name, kind := range map[string]string{
		"site.css":             "text/css; charset=utf-8",
		"icon.svg":             "image/svg+xml",
		"apple-touch-icon.png": "image/png",
		"robots.txt":           "text/plain; charset=utf-8",
	} {
		file, ok := f.ByName(name)
		if !ok || file.Type != kind || len(file.Body) == 0 {
			t.Errorf("%s: %v, %q, %d bytes", name, ok, file.Type, len(file.Body))
		}
		if at, ok := f.ByURL(f.URL(name)); !ok || !bytes.Equal(at.Body, file.Body) {
			t.Errorf("%s is not at its address %q", name, f.URL(name))
		}
		if file.Gzip != nil && unzip(t, file.Gzip) != string(file.Body) {
			t.Errorf("%s: the compressed form is another file", name)
		}
	}
	for _, name := range []string{"public.go", "public_test.go"} {
		if _, ok := f.ByName(name); ok {
			t.Errorf("%s is public", name)
		}
	}
}

// What lies in the folder is what is built in: a file of a kind that the embed
// line does not name would work with --dev and be missing on the server.
func TestEveryFileOfTheFolderIsEmbedded(t *testing.T) {
	disk, err := public.Load(os.DirFS("."), true)
	if err != nil {
		t.Fatal(err)
	}
	built, err := public.Embedded()
	if err != nil {
		t.Fatal(err)
	}
	err = fs.WalkDir(os.DirFS("."), ".", func(name string, _ fs.DirEntry, err error) error {
		if disk.URL(name) != built.URL(name) {
			t.Errorf("%s: %q on disk and %q built in", name, disk.URL(name), built.URL(name))
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}
