// Package public holds the static files and serves them under names that change
// with their content, so that browsers may keep them for good.
package public

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"fmt"
	"io/fs"
	"path"
	"strings"
)

// The patterns are named one by one: with * this file would be public too.
//
//go:embed *.css *.png *.svg *.txt
var embedded embed.FS

// Prefix is where the files are found.
const Prefix = "/public/"

// File is one static file, ready to send.
type File struct {
	Type string // Content-Type
	Body []byte
	Gzip []byte // Body compressed, or nil when that saves nothing
}

// Files is a set of static files. It does not change once it is loaded, and may
// be used by many goroutines at once.
type Files struct {
	urls  map[string]string // name → URL
	files map[string]File   // URL → file
	names map[string]File   // name → file
}

// types are the kinds of file that are served. A file of another kind is an
// error, because a browser would be left to guess what it is (ASVS 4.1.1).
var types = map[string]string{
	".css":   "text/css; charset=utf-8",
	".html":  "text/html; charset=utf-8",
	".ico":   "image/x-icon",
	".jpg":   "image/jpeg",
	".js":    "text/javascript; charset=utf-8",
	".png":   "image/png",
	".svg":   "image/svg+xml",
	".txt":   "text/plain; charset=utf-8",
	".webp":  "image/webp",
	".woff2": "font/woff2",
}

// Embedded returns the files that were built in.
func Embedded() (*Files, error) { return Load(embedded, true) }

// Load reads every file of fsys, except Go's and hidden ones. Compressed says
// whether to compress them, which is worth it when they are sent many times.
func Load(fsys fs.FS, compressed bool) (*Files, error) {
	f := &Files{urls: map[string]string{}, files: map[string]File{}, names: map[string]File{}}
	err := fs.WalkDir(fsys, ".", func(name string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if hidden := strings.HasPrefix(entry.Name(), ".") && name != "."; hidden && entry.IsDir() {
			return fs.SkipDir
		} else if hidden {
			return nil
		}
		ext := path.Ext(name)
		if entry.IsDir() || ext == ".go" {
			return nil
		}
		kind, known := types[ext]
		if !known {
			return fmt.Errorf("%s: no Content-Type is known for %q; add it to types", name, ext)
		}
		body, err := fs.ReadFile(fsys, name)
		if err != nil {
			return err
		}
		sum := sha256.Sum256(body)
		url := Prefix + strings.TrimSuffix(name, ext) + "." + hex.EncodeToString(sum[:6]) + ext
		file := File{Type: kind, Body: body}
		if compressed {
			file.Gzip = compress(body)
		}
		f.urls[name], f.files[url], f.names[name] = url, file, file
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("public files: %w", err)
	}
	return f, nil
}

// URL returns where the file called name is served, or "" if there is none.
func (f *Files) URL(name string) string { return f.urls[name] }

// ByURL returns the file served at url.
func (f *Files) ByURL(url string) (File, bool) {
	file, ok := f.files[url]
	return file, ok
}

// ByName returns the file called name, for the few that have a fixed address.
func (f *Files) ByName(name string) (File, bool) {
	file, ok := f.names[name]
	return file, ok
}

func compress(body []byte) []byte {
	var b bytes.Buffer
	w, err := gzip.NewWriterLevel(&b, gzip.BestCompression)
	if err != nil {
		return nil
	}
	if _, err := w.Write(body); err != nil || w.Close() != nil || b.Len() >= len(body) {
		return nil
	}
	return b.Bytes()
}
