// Package public embeds the static files and serves them under URLs that
// contain a hash of the content, so that browsers can cache them for ever.
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

// Listed by extension: a plain * would also publish this source file.
//
//go:embed *.css *.png *.svg *.txt
var embedded embed.FS

// Prefix is the URL path of the static files.
const Prefix = "/public/"

// File is a static file with its response headers.
type File struct {
	Type string // Content-Type
	Body []byte
	Gzip []byte // compressed Body, or nil if that is not smaller
}

// Files is a set of static files. It is immutable and safe for concurrent use.
type Files struct {
	urls  map[string]string // name → URL
	files map[string]File   // URL → file
	names map[string]File   // name → file
}

// types lists the kinds of files that are served. Another kind is an error,
// because a browser would have to guess its type (ASVS 4.1.1).
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

// Embedded returns the embedded files.
func Embedded() (*Files, error) { return Load(embedded, true) }

// Load reads all files of fsys except Go files and hidden ones. It compresses
// them if compressed is set.
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

// URL returns the URL of the file called name, or "" if there is none.
func (f *Files) URL(name string) string { return f.urls[name] }

// ByURL returns the file with this URL.
func (f *Files) ByURL(url string) (File, bool) {
	file, ok := f.files[url]
	return file, ok
}

// ByName returns the file called name. It is for files with a fixed URL.
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
