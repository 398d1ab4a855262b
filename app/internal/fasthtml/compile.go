package fasthtml

import (
	"reflect"
	"text/template/parse"
)

// compile compiles a tree to which html/template has added its escapers, for
// data of one type. It returns nil if it does not support the type.
func compile(root *parse.ListNode, data reflect.Type) *program {
	if data == nil {
		return nil
	}
	t := data
	if t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	if t.Kind() != reflect.Struct {
		return nil
	}
	c := compiler{root: t}
	c.list(root, operand{typ: t})
	return &program{data: data, instructions: c.instructions}
}

// compiler compiles a template for data of type root.
type compiler struct {
	root         reflect.Type
	instructions []instruction
}

// operand is a value in the data: the index of a field, as in
// reflect.Value.FieldByIndex, and its type. An empty index means the data
// itself.
type operand struct {
	field []int
	typ   reflect.Type
}

// emit appends an instruction and returns its index.
func (c *compiler) emit(in instruction) int {
	c.instructions = append(c.instructions, in)
	return len(c.instructions) - 1
}

// list compiles a list of nodes. dot is the value of {{.}}.
func (c *compiler) list(list *parse.ListNode, dot operand) {
	if list == nil {
		return
	}
	text := -1 // index of the previous instruction if it is text of this list, otherwise -1
	for _, node := range list.Nodes {
		if n, ok := node.(*parse.TextNode); ok && text >= 0 {
			// Join only text of the same list: a jump may lead to the end of another
			// one.
			joined := &c.instructions[text].text
			*joined = append(*joined, n.Text...)
			continue
		}
		text = -1
		switch n := node.(type) {
		case *parse.TextNode:
			text = c.emit(instruction{op: writeText, text: append([]byte(nil), n.Text...)})
		case *parse.ActionNode:
			c.action(n.Pipe, dot)
		case *parse.IfNode:
			c.branch(&n.BranchNode, dot, false)
		case *parse.WithNode:
			c.branch(&n.BranchNode, dot, true)
		default:
			c.emit(instruction{op: fallback})
		}
	}
}

// branch compiles an if or a with. A with also changes dot.
func (c *compiler) branch(n *parse.BranchNode, dot operand, with bool) {
	condition, ok := c.operand(n.Pipe, dot)
	if !ok || len(n.Pipe.Cmds) != 1 || condition.typ.Kind() != reflect.String && condition.typ.Kind() != reflect.Bool {
		c.emit(instruction{op: fallback})
		return
	}
	inner := dot
	if with {
		inner = condition
	}
	toElse := c.emit(instruction{op: jumpIfZero, field: condition.field})
	c.list(n.List, inner)
	toEnd := c.emit(instruction{op: jump})
	c.instructions[toElse].target = len(c.instructions)
	c.list(n.ElseList, dot)
	c.instructions[toEnd].target = len(c.instructions)
}

// action compiles an action that writes an escaped string. html/template has
// not yet escaped a template whose action has no escaper.
func (c *compiler) action(pipe *parse.PipeNode, dot operand) {
	value, ok := c.operand(pipe, dot)
	if !ok || value.typ != reflect.TypeFor[string]() || len(pipe.Cmds) != 2 || !escapes(pipe.Cmds[1]) {
		c.emit(instruction{op: fallback})
		return
	}
	c.emit(instruction{op: writeField, field: value.field})
}

// escapes reports whether a command is an escaper with the same effect as
// escaper.
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

// operand returns the field that the first command of a pipeline names. It does
// not support methods, map keys, or fields behind a pointer or an interface.
func (c *compiler) operand(pipe *parse.PipeNode, dot operand) (o operand, ok bool) {
	if len(pipe.Decl) > 0 || len(pipe.Cmds[0].Args) != 1 {
		return operand{}, false
	}
	var names []string
	o = dot
	switch n := pipe.Cmds[0].Args[0].(type) {
	case *parse.DotNode:
	case *parse.FieldNode:
		names = n.Ident
	case *parse.VariableNode:
		if n.Ident[0] != "$" {
			return operand{}, false
		}
		names, o = n.Ident[1:], operand{typ: c.root}
	default:
		return operand{}, false
	}
	for _, name := range names {
		if o.typ.Kind() != reflect.Struct {
			return operand{}, false
		}
		field, ok := o.typ.FieldByName(name)
		if _, method := reflect.PointerTo(o.typ).MethodByName(name); method || !ok || !field.IsExported() {
			return operand{}, false
		}
		for _, i := range field.Index { // several indexes for a field of an embedded struct
			if o.typ.Kind() != reflect.Struct {
				return operand{}, false
			}
			o.typ = o.typ.Field(i).Type
		}
		o.field = append(o.field, field.Index...)
	}
	return o, true
}
