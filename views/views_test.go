package views_test

import (
	"bytes"
	"fmt"
	"html"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"latchkey/views"
)

// data has a field for whatever place of a page a value may come to.
type data struct{ Name, URL string }

var constants = views.Constants{
	Site: `The "<Store>"`,
	Asset: func(name string) string {
		if name == "none.css" {
			return ""
		}
		return "/public/" + name
	},
}

// disk returns a folder with those views, and the Views that read it.
func disk(t *testing.T, pages map[string]string) (string, *views.Views) {
	t.Helper()
	folder := t.TempDir()
	for name, text := range pages {
		write(t, folder, name, text)
	}
	return folder, views.Disk(os.DirFS(folder), constants)
}

func write(t *testing.T, folder, name, text string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(folder, name+".html"), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func render(v *views.Views, name string, data any) (string, error) {
	var b strings.Builder
	err := v.Render(&b, name, data)
	return b.String(), err
}

const frame = `<title>{{.Name}}</title><main>{{template "page" .}}</main>`

// An account may be called anything; no name may become markup, a script or
// another attribute. ASVS 1.1.2, 1.2.1, 1.2.2, 1.2.3
func TestEscapingFitsTheContext(t *testing.T) {
	_, v := disk(t, map[string]string{
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
			got, err := render(v, page, data{Name: name})
			if err != nil {
				t.Fatal(err)
			}
			plain, err := render(v, page, data{Name: "x"})
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
		got, err := render(v, "href", data{URL: url})
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
	folder, v := disk(t, map[string]string{
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
		got, err := render(v, test.page, test.data)
		if want := `<title>` + shown + `</title>` + test.want; err != nil || got != want {
			t.Errorf("%s with %+v: %v\n%s, want\n%s", test.page, test.data, err, got, want)
		}
	}
	// A file that is not there is found when views are loaded, not by visitors.
	write(t, folder, "part", `{{if .Name}}{{else}}<link href="{{asset "none.css"}}">{{end}}`)
	if got, err := render(v, "index", data{}); err == nil || !strings.Contains(err.Error(), "none.css") || got != "" {
		t.Errorf("%v, %s", err, got)
	}
}

// Fiber's engine shares one function between requests that put a page into the
// layout; here each page has its own from the start.
func TestConcurrentRendersDoNotMix(t *testing.T) {
	const pages, renders = 8, 25 // each render reads the folder anew
	texts := map[string]string{"layout": frame}
	for i := range pages {
		texts[fmt.Sprint("p", i)] = fmt.Sprintf("<p>page %d for {{.Name}}</p>", i)
	}
	_, v := disk(t, texts)
	var wg sync.WaitGroup
	for i := range pages {
		wg.Go(func() {
			for n := range renders {
				name := fmt.Sprintf("visitor %d.%d", i, n)
				got, err := render(v, fmt.Sprint("p", i), data{Name: name})
				if want := fmt.Sprintf("<title>%s</title><main><p>page %d for %s</p></main>", name, i, name); err != nil || got != want {
					t.Errorf("%v: got %s, want %s", err, got, want)
					return
				}
			}
		})
	}
	wg.Wait()
}

func TestConcurrentRendersOfTheEmbedded(t *testing.T) {
	v := views.Embedded(constants)
	if err := v.Load(); err != nil {
		t.Fatal(err)
	}
	type visitor struct {
		Name  string
		Admin bool
	}
	type page struct {
		Title, Flash, Nonce string
		Bare                bool
		Visitor             visitor
	}
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			name, heading, not := fmt.Sprint("Ann", i), "You are logged in as", "<h1>Log out</h1>"
			view := "index"
			if i%2 == 1 {
				view, heading, not = "logout", not, "<h1>"+heading
			}
			for range 200 {
				got, err := render(v, view, page{Bare: true, Visitor: visitor{Name: name}})
				if err != nil || strings.Count(got, "Ann") != strings.Count(got, name) || !strings.Contains(got, heading) || strings.Contains(got, not) {
					t.Errorf("%s for %s: %v\n%s", view, name, err, got)
					return
				}
			}
		})
	}
	wg.Wait()
}

// The builder edits, looks, breaks a view, looks, repairs it, and looks.
func TestDiskShowsEdits(t *testing.T) {
	folder, v := disk(t, map[string]string{"layout": frame, "index": "one"})
	shows := func(page, want string) {
		t.Helper()
		if got, err := render(v, page, data{Name: "t"}); err != nil || got != "<title>t</title><main>"+want+"</main>" {
			t.Errorf("%v: %q, want %q", err, got, want)
		}
	}
	fails := func(page, says string) {
		t.Helper()
		if got, err := render(v, page, data{Name: "t"}); err == nil || !strings.Contains(err.Error(), says) || got != "" {
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

// A load that fails leaves the pages as they were.
func TestLoadKeepsWhatItHas(t *testing.T) {
	folder, v := disk(t, map[string]string{"layout": frame, "index": "one"})
	if err := v.Load(); err != nil {
		t.Fatal(err)
	}
	write(t, folder, "index", "{{")
	if err := v.Load(); err == nil {
		t.Error("a broken view was loaded")
	}
	write(t, folder, "index", "two")
	if err := v.Load(); err != nil {
		t.Errorf("the repaired view: %v", err)
	}
}

func TestRenderRefuses(t *testing.T) {
	v := views.Embedded(constants)
	if _, err := render(v, "index", nil); err == nil {
		t.Error("views that are not loaded were rendered")
	}
	if err := v.Load(); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"", "nothing", "layout", "page", "views.go", "index.html", "../views/index", "/index", "INDEX"} {
		if got, err := render(v, name, nil); err == nil || got != "" {
			t.Errorf("%q: %v, %q", name, err, got)
		}
	}
	for _, layouts := range [][]string{{"layout"}, {""}, {"other"}, {"layout", "layout"}} {
		var b bytes.Buffer
		if err := v.Render(&b, "index", nil, layouts...); err == nil || b.Len() > 0 {
			t.Errorf("layouts %q: %v, %q", layouts, err, b.String())
		}
	}
}

// What the disk has is what is built in, Go's files aside.
func TestEveryViewIsEmbedded(t *testing.T) {
	names, err := filepath.Glob("*.html")
	if err != nil || len(names) < 5 {
		t.Fatalf("%q, %v", names, err)
	}
	v := views.Embedded(constants)
	if err := v.Load(); err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		page := strings.TrimSuffix(name, ".html")
		_, err := render(v, page, nil)
		if missing := err != nil && strings.Contains(err.Error(), "there is no"); missing != (page == "layout") {
			t.Errorf("%s: %v", name, err)
		}
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
