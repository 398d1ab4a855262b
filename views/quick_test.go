package views

import (
	"net/http"
	"reflect"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/valyala/bytebufferpool"
)

type inner struct {
	Name  string
	Admin bool
}

func (inner) Method() string { return "method" }

type outer struct {
	inner
	Title   string
	Visitor inner
	Count   int
	List    []string
	Any     any
	Pointer *inner
	Named   named
	hidden  string
}

type named string

func (named) String() string { return "a String method" }

// pages returns the same page three times: one that html/template renders, one
// that has its program already, and one that has it for a pointer.
func pages(t *testing.T, view string) (slow, quick, pointed *page) {
	t.Helper()
	load := func() *page {
		v := &Views{constants: Constants{Site: "S", Asset: func(string) string { return "/a" }}}
		v.files = http.FS(fstest.MapFS{
			"layout.html": {Data: []byte(`<title>{{with .Title}}{{.}} – {{end}}{{site}}</title>{{template "page" .}}`)},
			"index.html":  {Data: []byte(view)},
		})
		if err := v.Load(); err != nil {
			t.Fatal(err)
		}
		return (*v.pages.Load())["index"]
	}
	slow, quick, pointed = load(), load(), load()
	var b bytebufferpool.ByteBuffer
	data := outer{List: []string{""}, Pointer: &inner{}}
	if err := quick.render(&b, data); err != nil {
		t.Fatal(err)
	}
	if err := pointed.render(&b, &data); err != nil {
		t.Fatal(err)
	}
	return slow, quick, pointed
}

// What the program writes is what html/template writes, to the byte, whatever the
// values; and where it must not write anything, it says so.
func TestProgram(t *testing.T) {
	for _, test := range []struct {
		view  string
		quick bool // the program does it, with all values below
	}{
		{`text`, true},
		{`{{/* comment */}}<p>{{.Title}}</p>`, true},
		{`<p>{{.Name}}</p><p>{{.Visitor.Name}}</p>`, true},
		{`<a title="{{.Title}}" class='{{.Name}}'>`, true},
		{`<textarea>{{.Title}}</textarea>`, true},
		{`{{if .Title}}a{{else if .Visitor.Admin}}b{{else}}c{{end}}`, true},
		{`{{with .Title}}{{.}}{{$.Name}}{{else}}{{.Name}}{{end}}`, true},
		{`{{with .Title}}{{with $.Name}}{{.}}{{end}}{{.}}{{end}}`, true},

		{`<p title={{.Title}}>`, false}, // another escaper
		{`<a href="/x?y={{.Title}}">`, false},
		{`<a href="{{.Title}}">`, false},
		{`<script>var x = {{.Title}}</script>`, false},
		{`<style>a { color: {{.Title}} }</style>`, false},
		{`<p>{{.Visitor.Method}}</p>`, false},
		{`<p>{{.Count}}</p>`, false},
		{`<p>{{.Any}}</p>`, false},
		{`<p>{{.Named}}</p>`, false},
		{`<p>{{.Pointer.Name}}</p>`, false},
		{`<p>{{len .Title}}</p>`, false},
		{`<p>{{.Title | printf "%q"}}</p>`, false},
		{`<p>{{$x := .Title}}{{$x}}</p>`, false},
		{`{{with $x := .Title}}{{$x}}{{else}}{{.Count}}{{end}}`, false},
		{`{{if .List}}a{{end}}`, false},
		{`{{if eq .Title ""}}a{{end}}`, false},
		{`{{range .List}}{{.}}{{end}}`, false},
		{`{{define "x"}}{{.}}{{end}}{{template "x" .Title}}`, false},
	} {
		slow, quick, pointed := pages(t, test.view)
		for _, text := range []string{"", "x", `<script>alert("1")</script>`, `'"&+<>`, "\x00\x01\xff\u2028", "ä日🚲", "{{.Name}}"} {
			for _, admin := range []bool{false, true} {
				data := outer{inner: inner{Name: text}, Title: text, Visitor: inner{Name: text, Admin: admin},
					List: []string{text}, Any: text, Pointer: &inner{Name: text}, Named: named(text), hidden: text}
				var want strings.Builder
				if err := slow.template.Execute(&want, data); err != nil {
					t.Fatal(err)
				}
				for page, data := range map[*page]any{quick: data, pointed: &data} {
					var got bytebufferpool.ByteBuffer
					if err := page.render(&got, data); err != nil {
						t.Fatal(err)
					}
					if got.String() != want.String() {
						t.Errorf("%s with %T of %q: %s, want %s", test.view, data, text, got.String(), want.String())
					}
					value := reflect.Indirect(reflect.ValueOf(data))
					if _, ok := page.program.Load().write(nil, value); ok != test.quick {
						t.Errorf("%s with %T of %q: the program does it: %v", test.view, data, text, ok)
					}
				}
			}
		}
	}
}

// A page that html/template has not escaped yet has no program, and one for
// another type is not used.
func TestProgramIsForEscapedPagesAndOneType(t *testing.T) {
	slow, quick, pointed := pages(t, `<p>{{.Title}}</p>`)
	data := outer{Title: "<b>"}
	if _, ok := compile(slow.template.Tree.Root, reflect.TypeOf(data)).write(nil, reflect.ValueOf(data)); ok {
		t.Error("a value is written without an escaper")
	}
	var b bytebufferpool.ByteBuffer
	if err := quick.render(&b, struct{ Name, Title string }{"n", "<b>"}); err != nil || !strings.HasSuffix(b.String(), "<p>&lt;b&gt;</p>") {
		t.Errorf("%v, %s", err, b.String())
	}
	if err := quick.render(&b, nil); err != nil {
		t.Error(err)
	}
	// An empty string is false to html/template, a pointer to one is true.
	if compile(quick.template.Tree.Root, reflect.TypeFor[*string]()) != nil {
		t.Error("a pointer to what is no struct has a program")
	}
	if err := pointed.render(&b, (*outer)(nil)); err == nil {
		t.Error("a field of nothing is no error")
	}
	if err := quick.render(&b, struct{ Name string }{}); err == nil {
		t.Error("a field that is not there is no error")
	}
}

// The pages that most requests ask for have the fast path.
func TestOurPagesAreQuick(t *testing.T) {
	v := Embedded(Constants{Site: "S", Asset: func(string) string { return "/a" }})
	if err := v.Load(); err != nil {
		t.Fatal(err)
	}
	type form struct {
		Title, Flash, Refusal, Nonce, Version, Name, Next string
		Bare, Dev                                         bool
		Visitor                                           inner
		Minimum                                           int
	}
	for _, name := range []string{"index", "login"} {
		for _, visitor := range []inner{{}, {Name: "Ann", Admin: true}} {
			data := form{Visitor: visitor, Flash: "f", Refusal: "r", Name: "n"}
			var b strings.Builder
			if err := v.Render(&b, name, data); err != nil {
				t.Fatal(err)
			}
			value := reflect.ValueOf(data)
			if _, ok := (*v.pages.Load())[name].program.Load().write(nil, value); !ok {
				t.Errorf("%s for %+v is left to html/template", name, visitor)
			}
		}
	}
}

// What is the same for everybody is written in one step, wherever it comes from.
func TestTextsAreJoined(t *testing.T) {
	_, quick, _ := pages(t, `{{/* comment */}}<p>{{site}}</p><img src="{{asset "a"}}">`)
	nodes := quick.template.Tree.Root.Nodes
	if got := nodes[len(nodes)-1].String(); len(nodes) != 3 || got != `S</title><p>S</p><img src="/a">` {
		t.Errorf("%d parts, the last of them %s", len(nodes), got)
	}
}
