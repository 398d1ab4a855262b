package views

import (
	"html/template"
	"reflect"
	"strings"
	"sync/atomic"
	"text/template/parse"

	"github.com/valyala/bytebufferpool"
)

// page is one view, joined to the layout.
//
// Rendering it has a fast path. html/template works out once, when a page is
// rendered for the first time, how each value must be escaped. But at every
// request it looks the fields up by name, and calls its escaper, by reflection:
// a third of what a page costs. A program is the same page with all of that
// looked up beforehand. It knows text, if, with, and strings escaped for text or
// for an attribute in quotes. Where a request comes to anything else, html/template
// renders the page as a whole, as it would have.
type page struct {
	template *template.Template
	program  atomic.Pointer[program]
}

// render adds the page to b. The first one is html/template's, for it has to decide
// on the escaping: a program never does.
func (p *page) render(b *bytebufferpool.ByteBuffer, data any) error {
	program := p.program.Load()
	if program == nil || program.data != reflect.TypeOf(data) {
		if err := p.template.Execute(b, data); err != nil {
			return err
		}
		p.program.Store(compile(p.template.Tree.Root, reflect.TypeOf(data)))
		return nil
	}
	if value := reflect.Indirect(reflect.ValueOf(data)); value.IsValid() { // no nil pointer
		if whole, ok := program.write(b.B, value, value); ok {
			b.B = whole
			return nil
		}
	}
	return p.template.Execute(b, data)
}

// program is a page for data of one type: a struct, or a pointer to one.
type program struct {
	data  reflect.Type
	write step // of the struct
}

// step adds its part of the page to b, and reports whether it could. Root is what
// the page was given, dot is what a dot stands for.
type step func(b []byte, root, dot reflect.Value) ([]byte, bool)

func compile(list *parse.ListNode, data reflect.Type) *program {
	if data == nil {
		return nil
	}
	of := data
	if of.Kind() == reflect.Pointer {
		of = of.Elem()
	}
	if of.Kind() != reflect.Struct {
		return nil
	}
	return &program{data: data, write: compiler{root: of}.list(list, of)}
}

// compiler makes steps. It knows the types of what they will be given.
type compiler struct{ root reflect.Type }

func (c compiler) list(list *parse.ListNode, dot reflect.Type) step {
	var steps []step
	if list != nil {
		for _, node := range list.Nodes {
			steps = append(steps, c.node(node, dot))
		}
	}
	return func(b []byte, root, dot reflect.Value) ([]byte, bool) {
		for _, step := range steps {
			var ok bool
			if b, ok = step(b, root, dot); !ok {
				return b, false
			}
		}
		return b, true
	}
}

func (c compiler) node(node parse.Node, dot reflect.Type) step {
	switch n := node.(type) {
	case *parse.TextNode:
		return func(b []byte, _, _ reflect.Value) ([]byte, bool) { return append(b, n.Text...), true }
	case *parse.ActionNode:
		return c.print(n.Pipe, dot)
	case *parse.IfNode:
		return c.branch(&n.BranchNode, dot, false)
	case *parse.WithNode:
		return c.branch(&n.BranchNode, dot, true)
	}
	return unknown
}

func unknown(b []byte, _, _ reflect.Value) ([]byte, bool) { return b, false }

// branch is an if or a with. A with changes what a dot stands for.
func (c compiler) branch(n *parse.BranchNode, dot reflect.Type, with bool) step {
	value, of := c.value(n.Pipe, dot)
	if value == nil || len(n.Pipe.Cmds) != 1 || of.Kind() != reflect.String && of.Kind() != reflect.Bool {
		return unknown
	}
	inner := dot
	if with {
		inner = of
	}
	then, otherwise := c.list(n.List, inner), c.list(n.ElseList, dot)
	return func(b []byte, root, dot reflect.Value) ([]byte, bool) {
		v := value(root, dot)
		if v.IsZero() {
			return otherwise(b, root, dot)
		}
		if with {
			dot = v
		}
		return then(b, root, dot)
	}
}

// print is a string that html/template has escaped, and nothing else: without
// an escaper the page has not been looked at yet.
func (c compiler) print(pipe *parse.PipeNode, dot reflect.Type) step {
	value, of := c.value(pipe, dot)
	if value == nil || of != reflect.TypeFor[string]() || len(pipe.Cmds) != 2 || !escapes(pipe.Cmds[1]) {
		return unknown
	}
	return func(b []byte, root, dot reflect.Value) ([]byte, bool) {
		return append(b, escaped.Replace(value(root, dot).String())...), true
	}
}

// escapes reports whether a command is one of html/template's escapers that do
// to a string what escaped does.
func escapes(command *parse.CommandNode) bool {
	name, ok := command.Args[0].(*parse.IdentifierNode)
	if !ok || len(command.Args) != 1 {
		return false
	}
	switch name.Ident {
	case "_html_template_htmlescaper", "_html_template_attrescaper", "_html_template_rcdataescaper":
		return true
	}
	return false
}

// escaped is the table of these escapers.
var escaped = strings.NewReplacer("\x00", "\uFFFD", `"`, "&#34;", "&", "&amp;", "'", "&#39;", "+", "&#43;", "<", "&lt;", ">", "&gt;")

// value returns what reads the first command of a pipeline, if that is a field,
// and the type of what it reads. A field that is found through a pointer, a map or
// a method is not known.
func (c compiler) value(pipe *parse.PipeNode, dot reflect.Type) (read func(root, dot reflect.Value) reflect.Value, of reflect.Type) {
	if len(pipe.Decl) > 0 || len(pipe.Cmds[0].Args) != 1 {
		return nil, nil
	}
	var names []string
	fromRoot := false
	of = dot
	switch n := pipe.Cmds[0].Args[0].(type) {
	case *parse.DotNode:
	case *parse.FieldNode:
		names = n.Ident
	case *parse.VariableNode:
		if n.Ident[0] != "$" {
			return nil, nil
		}
		names, fromRoot, of = n.Ident[1:], true, c.root
	default:
		return nil, nil
	}
	var index []int
	for _, name := range names {
		if of.Kind() != reflect.Struct {
			return nil, nil
		}
		field, ok := of.FieldByName(name)
		if _, method := reflect.PointerTo(of).MethodByName(name); method || !ok || !field.IsExported() {
			return nil, nil
		}
		for _, i := range field.Index {
			if of.Kind() != reflect.Struct {
				return nil, nil
			}
			of = of.Field(i).Type
		}
		index = append(index, field.Index...)
	}
	return func(root, dot reflect.Value) reflect.Value {
		if fromRoot {
			dot = root
		}
		for _, i := range index {
			dot = dot.Field(i)
		}
		return dot
	}, of
}
