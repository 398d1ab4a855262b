package viewengine_test

import (
	"bytes"
	"fmt"
	"html"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/fstest"

	"latchkey/app/internal/viewengine"
)

// data has a field for whatever place of a page a value may come to.
type data struct{ Name, URL string }

var constants = viewengine.Constants{
	Site: `The "<Store>"`,
	Asset: func(name string) string {
		if name == "none.css" {
			return ""
		}
		return "/public/" + name
	},
}

// disk writes the views to a folder, and returns it with an engine that reloads it.
func disk(t *testing.T, pages map[string]string) (string, *viewengine.Engine) {
	t.Helper()
	folder := t.TempDir()
	for name, text := range pages {
		write(t, folder, name, text)
	}
	return folder, viewengine.NewReloading(os.DirFS(folder), constants)
}

func write(t *testing.T, folder, name, text string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(folder, name+".html"), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func render(e *viewengine.Engine, name string, data any) (string, error) {
	var b strings.Builder
	err := e.Render(&b, name, data)
	return b.String(), err
}

const frame = `<title>{{.Name}}</title><main>{{template "page" .}}</main>`

// An account may be called anything; no name may become markup, a script or
// another attribute. ASVS 1.1.2, 1.2.1, 1.2.2, 1.2.3
func TestEscapingFitsTheContext(t *testing.T) {
	_, e := disk(t, map[string]string{
		"layout": `<main>{{template "page" .}}</main>`,
		"text":   `<p>{{.Name}}</p>`,
		"attr":   `<input value="{{.Name}}">`,
		"single": `<input value='{{.Name}}'>`,
		"bare":   `<input value={{.Name}}>`,
		"query":  `<a href="/x?next={{.Name}}&amp;y=1">`,
		"script": `<script>var name = {{.Name}};</script>`,
		"href":   `<a href="{{.URL}}">`,
	})
	marks := map[string]string{ // what would end the place where the name is
		"text": `<>`, "attr": `<>"`, "single": `<>'`, "bare": `<> "'`, "query": `<> "`, "script": `<>`,
	}
	for _, name := range []string{
		`<script>alert(1)</script>`, `"'`, `" autofocus onfocus=alert(1) x="`, `' onfocus='alert(1)`, `x onfocus=alert(1)`, `-->`, `{{.URL}}`,
		`</main></title><img src=x onerror=alert(1)>`, `</script><script>alert(1)</script>`, "`", `&lt;script&gt;`, `\u003cscript\u003e`,
	} {
		for page, marks := range marks {
			got, err := render(e, page, data{Name: name})
			if err != nil {
				t.Fatal(err)
			}
			plain, err := render(e, page, data{Name: "x"})
			if err != nil {
				t.Fatal(err)
			}
			for _, mark := range strings.Split(marks, "") {
				if strings.Count(got, mark) != strings.Count(plain, mark) {
					t.Errorf("%s: %q adds %q: %s", page, name, mark, got)
				}
			}
			// It is shown as typed.
			if want := strings.Replace(plain, "x", name, 1); (page == "text" || page == "attr" || page == "single") && html.UnescapeString(got) != want {
				t.Errorf("%s: %q becomes %s", page, name, got)
			}
		}
	}
	for url, safe := range map[string]bool{
		"/x?y=1": true, "https://example.com/": true, "javascript:alert(1)": false, "JaVaScRiPt:alert(1)": false,
		"data:text/html,<script>alert(1)</script>": false, " javascript:alert(1)": false, "vbscript:x": false,
	} {
		got, err := render(e, "href", data{URL: url})
		if err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(got, `<a href="#ZgotmplZ">`) != safe {
			t.Errorf("%q becomes %s", url, got)
		}
	}
}

// The title is the operator's own, and has its quotes and brackets too.
func TestConstants(t *testing.T) {
	const shown = `The &#34;&lt;Store&gt;&#34;`
	folder, e := disk(t, map[string]string{
		"layout": `<title>{{site}}</title>{{template "page" .}}`,
		"index":  `{{if .Name}}{{site}}{{else if .URL}}<a title="{{site}}">{{else}}{{with "x"}}{{range 2}}<link href="{{asset "site.css"}}">{{end}}{{end}}{{end}}`,
		"part":   `{{define "inner"}}<b>{{site}}</b>{{end}}{{template "inner"}}`,
		"piped":  `<p title="{{site | printf "%s!"}}">`,
	})
	for _, test := range []struct {
		page string
		data data
		want string
	}{
		{"index", data{Name: "n"}, shown},
		{"index", data{URL: "u"}, `<a title="` + shown + `">`},
		{"index", data{}, `<link href="/public/site.css"><link href="/public/site.css">`},
		{"part", data{}, `<b>` + shown + `</b>`},
		{"piped", data{}, `<p title="The &#34;&lt;Store&gt;&#34;!">`},
	} {
		got, err := render(e, test.page, test.data)
		if want := `<title>` + shown + `</title>` + test.want; err != nil || got != want {
			t.Errorf("%s with %+v: %v\n%s, want\n%s", test.page, test.data, err, got, want)
		}
	}
	// A file that is not there is found when views are loaded, not by visitors.
	write(t, folder, "part", `{{if .Name}}{{else}}<link href="{{asset "none.css"}}">{{end}}`)
	if got, err := render(e, "index", data{}); err == nil || !strings.Contains(err.Error(), "none.css") || got != "" {
		t.Errorf("%v, %s", err, got)
	}
}

// Fiber's engine shares one embed function between concurrent requests. Here each
// page is joined to the layout when it is loaded.
func TestConcurrentRendersDoNotMix(t *testing.T) {
	const pages, renders = 8, 50 // every other one reloads
	texts := map[string]string{"layout": frame}
	for i := range pages {
		texts[fmt.Sprint("p", i)] = fmt.Sprintf("<p>page %d for {{.Name}}</p>", i)
	}
	folder, reloading := disk(t, texts)
	loaded := viewengine.New(os.DirFS(folder), constants)
	if err := loaded.Load(); err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for i := range pages {
		wg.Go(func() {
			for n := range renders {
				e := reloading
				if n%2 == 0 {
					e = loaded
				}
				name := fmt.Sprintf("visitor %d.%d", i, n)
				got, err := render(e, fmt.Sprint("p", i), data{Name: name})
				if want := fmt.Sprintf("<title>%s</title><main><p>page %d for %s</p></main>", name, i, name); err != nil || got != want {
					t.Errorf("%v: got %s, want %s", err, got, want)
					return
				}
			}
		})
	}
	wg.Wait()
}

// The builder edits, looks, breaks a view, looks, repairs it, and looks.
func TestDiskShowsEdits(t *testing.T) {
	folder, e := disk(t, map[string]string{"layout": frame, "index": "one"})
	shows := func(page, want string) {
		t.Helper()
		if got, err := render(e, page, data{Name: "t"}); err != nil || got != "<title>t</title><main>"+want+"</main>" {
			t.Errorf("%v: %q, want %q", err, got, want)
		}
	}
	fails := func(page, says string) {
		t.Helper()
		if got, err := render(e, page, data{Name: "t"}); err == nil || !strings.Contains(err.Error(), says) || got != "" {
			t.Errorf("%v: %q, want an error with %q", err, got, says)
		}
	}
	shows("index", "one")
	write(t, folder, "index", "two")
	shows("index", "two")
	write(t, folder, "index", "{{if}}")
	fails("index", "index")
	fails("index", "index") // and not the page as it was
	write(t, folder, "index", "three")
	shows("index", "three")

	write(t, folder, "new", "a new page")
	shows("new", "a new page")
	if err := os.Remove(filepath.Join(folder, "new.html")); err != nil {
		t.Fatal(err)
	}
	fails("new", "new")

	write(t, folder, "layout", `<title>{{.Name}}</title><main>{{template "page"`)
	fails("index", "layout")
	if err := os.Remove(filepath.Join(folder, "layout.html")); err != nil {
		t.Fatal(err)
	}
	fails("index", "layout")
	write(t, folder, "layout", frame)
	shows("index", "three")
}

// A failed load keeps the views of the last one, and the next load tries again.
func TestLoadKeepsWhatItHas(t *testing.T) {
	folder, _ := disk(t, map[string]string{"layout": frame, "index": "one"})
	e := viewengine.New(os.DirFS(folder), constants)
	shows := func(want string) {
		t.Helper()
		if got, err := render(e, "index", data{}); err != nil || !strings.Contains(got, want) {
			t.Errorf("%v: %q, want %q", err, got, want)
		}
	}
	if err := e.Load(); err != nil {
		t.Fatal(err)
	}
	write(t, folder, "index", "{{")
	if err := e.Load(); err == nil {
		t.Error("a broken view was loaded")
	}
	shows("one")
	write(t, folder, "index", "two")
	shows("one") // edits show only after a load
	if err := e.Load(); err != nil {
		t.Errorf("the repaired view: %v", err)
	}
	shows("two")
}

// Render takes the names of pages only, and no other layout.
func TestRender(t *testing.T) {
	e := viewengine.New(fstest.MapFS{
		"layout.html":      {Data: []byte(frame)},
		"index.html":       {Data: []byte("one")},
		"admin/index.html": {Data: []byte("two")},
		"views.go":         {Data: []byte("package views")},
	}, constants)
	if _, err := render(e, "index", nil); err == nil {
		t.Error("views that are not loaded were rendered")
	}
	if err := e.Load(); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{"index": "one", "admin/index": "two"} {
		if got, err := render(e, name, data{}); err != nil || got != "<title></title><main>"+want+"</main>" {
			t.Errorf("%s: %v, %q", name, err, got)
		}
	}
	for _, name := range []string{"", "nothing", "admin", "layout", "page", "views.go", "index.html", "../views/index", "/index", "INDEX"} {
		if got, err := render(e, name, nil); err == nil || got != "" {
			t.Errorf("%q: %v, %q", name, err, got)
		}
	}
	for _, layouts := range [][]string{{"layout"}, {""}, {"other"}, {"layout", "layout"}} {
		var b bytes.Buffer
		if err := e.Render(&b, "index", nil, layouts...); err == nil || b.Len() > 0 {
			t.Errorf("layouts %q: %v, %q", layouts, err, b.String())
		}
	}
}
