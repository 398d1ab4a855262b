package views_test

import (
	"io/fs"
	"os"
	"path"
	"strings"
	"testing"

	"latchkey/views"
)

// The embedded files are the views on disk, those in subfolders included.
func TestEveryViewIsEmbedded(t *testing.T) {
	list := func(files fs.FS) (names []string) {
		t.Helper()
		err := fs.WalkDir(files, ".", func(name string, entry fs.DirEntry, err error) error {
			if err == nil && !entry.IsDir() && path.Ext(name) != ".go" {
				names = append(names, name)
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		return names
	}
	onDisk, embedded := strings.Join(list(os.DirFS(".")), " "), strings.Join(list(views.Files), " ")
	if onDisk != embedded || !strings.Contains(embedded, "layout.html") {
		t.Errorf("on disk: %s\nembedded: %s", onDisk, embedded)
	}
}

// The head of every page. DESIGN.md names what it has.
func TestLayout(t *testing.T) {
	text, err := os.ReadFile("layout.html")
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"<!doctype html>", `<html lang="en">`, `<meta charset="utf-8">`, `<meta name="viewport" content="initial-scale=1, width=device-width">`, "<title>", `{{template "page" .`,
	} {
		if n := strings.Count(string(text), want); n != 1 {
			t.Errorf("%s is there %d times", want, n)
		}
	}
	// The Content-Security-Policy would block them.
	for _, no := range []string{"style=", "<style", "onclick", "javascript:", "http://", "https://"} {
		if strings.Contains(string(text), no) {
			t.Errorf("the layout has %s", no)
		}
	}
}
