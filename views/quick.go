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
		if whole, ok := program.write(b.B, value); ok {
			b.B = whole
			return nil
		}
	}
	return p.template.Execute(b, data)
}

// program is a page for data of one type: a struct, or a pointer to one. Its steps
// lie in a row: as functions that call each other they took a fiftieth of a page more.
type program struct {
	data  reflect.Type
	steps []step
}

// step is one thing to do. After it comes the next one, if it does not go to another.
type step struct {
	kind  kind
	text  []byte // to write
	field []int  // of the data, as reflect counts them: to write, or to look at
	to    int    // the number of the step to go to
}

type kind int

const (
	giveUp     kind = iota // this is not known here: the page is html/template's
	writeText              // as it is
	writeField             // escaped
	skip                   // to another step, if the field is empty or false
	jump                   // to another step
)

// write adds the page to b, and reports whether it could.
func (p *program) write(b []byte, data reflect.Value) ([]byte, bool) {
	for next := 0; next < len(p.steps); {
		s := &p.steps[next]
		next++
		switch s.kind {
		case writeText:
			b = append(b, s.text...)
		case writeField:
			b = append(b, escaped.Replace(data.FieldByIndex(s.field).String())...)
		case skip:
			if data.FieldByIndex(s.field).IsZero() {
				next = s.to
			}
		case jump:
			next = s.to
		default:
			return b, false
		}
	}
	return b, true
}

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
	c := compiler{root: of}
	c.list(list, place{of: of})
	return &program{data: data, steps: c.steps}
}

// compiler makes the steps for data of the type root.
type compiler struct {
	root  reflect.Type
	steps []step
}

// place is where in the data a value is, and its type. The data as a whole are at
// no field.
type place struct {
	field []int
	of    reflect.Type
}

// add returns the number of the step.
func (c *compiler) add(s step) int {
	c.steps = append(c.steps, s)
	return len(c.steps) - 1
}

// list adds the steps of a part of the page in which a dot stands for what is at dot.
func (c *compiler) list(list *parse.ListNode, dot place) {
	if list == nil {
		return
	}
	for _, node := range list.Nodes {
		switch n := node.(type) {
		case *parse.TextNode:
			c.add(step{kind: writeText, text: n.Text})
		case *parse.ActionNode:
			c.print(n.Pipe, dot)
		case *parse.IfNode:
			c.branch(&n.BranchNode, dot, false)
		case *parse.WithNode:
			c.branch(&n.BranchNode, dot, true)
		default:
			c.add(step{kind: giveUp})
		}
	}
}

// branch is an if or a with. A with changes what a dot stands for.
func (c *compiler) branch(n *parse.BranchNode, dot place, with bool) {
	value, ok := c.value(n.Pipe, dot)
	if !ok || len(n.Pipe.Cmds) != 1 || value.of.Kind() != reflect.String && value.of.Kind() != reflect.Bool {
		c.add(step{kind: giveUp})
		return
	}
	inner := dot
	if with {
		inner = value
	}
	otherwise := c.add(step{kind: skip, field: value.field})
	c.list(n.List, inner)
	end := c.add(step{kind: jump})
	c.steps[otherwise].to = len(c.steps)
	c.list(n.ElseList, dot)
	c.steps[end].to = len(c.steps)
}

// print is a string that html/template has escaped, and nothing else: without
// an escaper the page has not been looked at yet.
func (c *compiler) print(pipe *parse.PipeNode, dot place) {
	value, ok := c.value(pipe, dot)
	if !ok || value.of != reflect.TypeFor[string]() || len(pipe.Cmds) != 2 || !escapes(pipe.Cmds[1]) {
		c.add(step{kind: giveUp})
		return
	}
	c.add(step{kind: writeField, field: value.field})
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

// value returns the place that the first command of a pipeline names, if that is a
// field. A field that is found through a pointer, a map or a method is not known.
func (c *compiler) value(pipe *parse.PipeNode, dot place) (p place, ok bool) {
	if len(pipe.Decl) > 0 || len(pipe.Cmds[0].Args) != 1 {
		return place{}, false
	}
	var names []string
	p = dot
	switch n := pipe.Cmds[0].Args[0].(type) {
	case *parse.DotNode:
	case *parse.FieldNode:
		names = n.Ident
	case *parse.VariableNode:
		if n.Ident[0] != "$" {
			return place{}, false
		}
		names, p = n.Ident[1:], place{of: c.root}
	default:
		return place{}, false
	}
	for _, name := range names {
		if p.of.Kind() != reflect.Struct {
			return place{}, false
		}
		field, ok := p.of.FieldByName(name)
		if _, method := reflect.PointerTo(p.of).MethodByName(name); method || !ok || !field.IsExported() {
			return place{}, false
		}
		for _, i := range field.Index {
			if p.of.Kind() != reflect.Struct {
				return place{}, false
			}
			p.of = p.of.Field(i).Type
		}
		p.field = append(p.field, field.Index...)
	}
	return p, true
}
