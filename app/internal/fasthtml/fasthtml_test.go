package fasthtml

import (
	"html/template"
	"reflect"
	"strings"
	"sync"
	"testing"
	syntax "text/template/parse"
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

// mustParse returns a new template for each call, because the first execution changes it.
func mustParse(t *testing.T, text string) *template.Template {
	t.Helper()
	parsed, err := template.New("").Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	return parsed
}

// compiled returns Templates that have compiled their programs: one for data of the
// type outer, one for a pointer to it.
func compiled(t *testing.T, text string) (value, pointer *Template) {
	t.Helper()
	value, pointer = New(mustParse(t, text)), New(mustParse(t, text))
	data := outer{List: []string{""}, Pointer: &inner{}}
	if _, err := value.Append(nil, data); err != nil {
		t.Fatal(err)
	}
	if _, err := pointer.Append(nil, &data); err != nil {
		t.Fatal(err)
	}
	return value, pointer
}

// The output is html/template's, to the byte, whatever the values; and a program
// executes exactly what it knows.
func TestAppendWritesTheSameBytes(t *testing.T) {
	for _, test := range []struct {
		text string
		fast bool // with all values below
	}{
		{`text`, true},
		{``, true},
		{`{{/* comment */}}<p>{{.Title}}</p>`, true},
		{`<title>{{with .Title}}{{.}} – {{end}}S</title><p>{{.Name}}</p><p>{{.Visitor.Name}}</p>`, true},
		{`<a title="{{.Title}}" class='{{.Name}}'>`, true},
		{`<textarea>{{.Title}}</textarea>`, true},
		{`{{if .Title}}a{{else if .Visitor.Admin}}b{{else}}c{{end}}`, true},
		{`{{if .Title}}a{{/* x */}}b{{end}}c{{/* x */}}d{{if .Visitor.Admin}}{{end}}e`, true},
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
		slow := mustParse(t, test.text)
		value, pointer := compiled(t, test.text)
		for _, text := range []string{"", "x", `<script>alert("1")</script>`, `'"&+<>`, "\x00\x01\xff\u2028", "ä日🚲", "{{.Name}}"} {
			for _, admin := range []bool{false, true} {
				data := outer{inner: inner{Name: text}, Title: text, Visitor: inner{Name: text, Admin: admin},
					List: []string{text}, Any: text, Pointer: &inner{Name: text}, Named: named(text), hidden: text}
				var want strings.Builder
				if err := slow.Execute(&want, data); err != nil {
					t.Fatal(err)
				}
				for tmpl, data := range map[*Template]any{value: data, pointer: &data} {
					got, err := tmpl.Append([]byte("before "), data)
					if err != nil {
						t.Fatal(err)
					}
					if string(got) != "before "+want.String() {
						t.Errorf("%s with %T of %q: %s, want %s", test.text, data, text, got, want.String())
					}
					if fast := tmpl.Fast(data); fast != test.fast {
						t.Errorf("%s with %T of %q: fast: %v", test.text, data, text, fast)
					}
				}
			}
		}
	}
}

// Before html/template has escaped a template there is no program, and a program
// is not used for data of another type.
func TestProgramIsForEscapedTemplatesAndOneType(t *testing.T) {
	const text = `<p>{{.Title}}</p>`
	value, pointer := compiled(t, text)
	data := outer{Title: "<b>"}
	if _, ok := compile(mustParse(t, text).Tree.Root, reflect.TypeOf(data)).execute(nil, data); ok {
		t.Error("a value is written without an escaper")
	}
	if New(mustParse(t, text)).Fast(data) {
		t.Error("there is a program before the first execution")
	}
	if value.Fast(&data) || pointer.Fast(data) {
		t.Error("a program is used for data of another type")
	}
	if got, err := value.Append(nil, struct{ Name, Title string }{"n", "<b>"}); err != nil || string(got) != "<p>&lt;b&gt;</p>" {
		t.Errorf("%v, %s", err, got)
	}
	if _, err := value.Append(nil, nil); err != nil {
		t.Error(err)
	}
	// To html/template an empty string is false, and a pointer to one is true.
	if compile(value.template.Tree.Root, reflect.TypeFor[*string]()) != nil {
		t.Error("there is a program for a pointer to a string")
	}
}

// An error leaves nothing of the page in the buffer.
func TestAppendFails(t *testing.T) {
	value, pointer := compiled(t, `<p>{{.Title}}</p>`)
	for tmpl, data := range map[*Template]any{
		pointer: (*outer)(nil),
		value:   struct{ Name string }{},
	} {
		if got, err := tmpl.Append([]byte("before"), data); err == nil || string(got) != "before" {
			t.Errorf("%T: %q, %v", data, got, err)
		}
	}
}

// Neighbouring texts are written in one instruction.
func TestTextsAreJoined(t *testing.T) {
	root := &syntax.ListNode{Nodes: []syntax.Node{
		&syntax.TextNode{Text: []byte("a")}, &syntax.TextNode{Text: []byte("b")}, &syntax.TextNode{Text: []byte("c")},
	}}
	in := compile(root, reflect.TypeFor[outer]()).instructions
	if len(in) != 1 || string(in[0].text) != "abc" {
		t.Errorf("%d instructions: %+v", len(in), in)
	}
	if first := root.Nodes[0].String(); first != "a" {
		t.Errorf("the tree has changed: %q", first)
	}
}

// The first executions of all may happen at once.
func TestConcurrentAppend(t *testing.T) {
	tmpl := New(mustParse(t, `<p>{{.Title}}</p>{{if .Visitor.Admin}}a{{end}}`))
	var wg sync.WaitGroup
	for _, title := range []string{"a", "b", "<c>", "d"} {
		wg.Go(func() {
			for range 100 {
				got, err := tmpl.Append(nil, outer{Title: title})
				if want := "<p>" + template.HTMLEscapeString(title) + "</p>"; err != nil || string(got) != want {
					t.Errorf("%q, %v, want %q", got, err, want)
					return
				}
			}
		})
	}
	wg.Wait()
}
