// Package views holds the pages and renders them with Fiber's HTML engine.
package views

import (
	"embed"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"sync/atomic"

	"github.com/gofiber/fiber/v2"
	engine "github.com/gofiber/template/html/v2"
	"github.com/valyala/bytebufferpool"

	"latchkey/views/internal/fasthtml"
)

//go:embed *.html
var embedded embed.FS

// layout is the view that every page is put into, where it says
// {{template "page" .}}.
const layout = "layout"

// Views renders pages. Fiber's engine parses the files; what it does after that
// is replaced. It would keep one lock while it renders a page in a layout, so
// that pages are made one at a time, and it shares one "embed" function between
// requests. Here each page is joined to the layout once, when it is loaded, and
// rendering takes no lock.
type Views struct {
	files     http.FileSystem
	reload    bool
	constants Constants
	pages     atomic.Pointer[map[string]*fasthtml.Template]
}

// Constants are what is the same on every page. A view names them without a
// dot: {{site}}, {{asset "site.css"}}. They become text when the views are loaded.
type Constants struct {
	Site  string                   // the site's title
	Asset func(name string) string // URL of a file in public/, "" if there is none
}

var _ fiber.Views = (*Views)(nil)

// Embedded returns the views that were built in.
func Embedded(c Constants) *Views { return &Views{files: http.FS(embedded), constants: c} }

// Disk returns the views in a folder of fsys, read anew for every page. An
// engine that reloads an embedded file system would read the same bytes again.
func Disk(fsys fs.FS, c Constants) *Views {
	return &Views{files: http.FS(fsys), constants: c, reload: true}
}

// Load parses the views and joins each page to the layout. If that fails, the
// pages are as they were.
func (v *Views) Load() error {
	pages, err := v.parse()
	if err != nil {
		return fmt.Errorf("load views: %w", err)
	}
	v.pages.Store(&pages)
	return nil
}

func (v *Views) parse() (map[string]*fasthtml.Template, error) {
	// A new engine each time: one that has failed to parse believes it has
	// loaded, and does not try again.
	e := engine.NewFileSystem(v.files, ".html")
	e.AddFunc("site", func() string { return v.constants.Site })
	e.AddFunc("asset", v.constants.Asset)
	if err := e.Load(); err != nil {
		return nil, err
	}
	frame := e.Templates.Lookup(layout)
	if frame == nil {
		return nil, fmt.Errorf("there is no %s.html", layout)
	}
	pages := map[string]*fasthtml.Template{}
	for _, view := range e.Templates.Templates() {
		name := view.Name()
		if name == layout || view.Tree == nil {
			continue
		}
		tree := frame.Tree.Copy()
		if err := v.fold(tree.Root, view.Tree.Root); err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		// A clone for each, because html/template works out the escaping of all
		// templates that belong together, once.
		all, err := e.Templates.Clone()
		if err != nil {
			return nil, err
		}
		whole, err := all.AddParseTree(layout, tree)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		pages[name] = fasthtml.New(whole)
	}
	return pages, nil
}

// Render writes the page called name, in the layout, with data. The layout is
// always the same one; Fiber's names for others are refused.
func (v *Views) Render(w io.Writer, name string, data any, layouts ...string) error {
	if len(layouts) > 0 {
		return fmt.Errorf("render %s: every page has the layout %s.html", name, layout)
	}
	if v.reload {
		if err := v.Load(); err != nil {
			return err
		}
	}
	pages := v.pages.Load()
	if pages == nil {
		return fmt.Errorf("render %s: the views are not loaded", name)
	}
	page, ok := (*pages)[name]
	if !ok {
		return fmt.Errorf("render %s: there is no %s.html", name, name)
	}
	if b, ok := w.(*bytebufferpool.ByteBuffer); ok { // what Fiber passes: append to it instead of copying
		var err error
		b.B, err = page.Append(b.B, data)
		return err
	}
	b, err := page.Append(nil, data)
	if err != nil {
		return err
	}
	_, err = w.Write(b)
	return err
}
