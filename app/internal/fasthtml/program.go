package fasthtml

import (
	"reflect"
	"strings"
)

// program is a template compiled for one type of data: a struct, or a pointer
// to one. A nil program has executed nothing yet.
type program struct {
	data         reflect.Type
	instructions []instruction
}

// instruction is one operation with its operands. Without a jump, execution
// continues with the next one.
type instruction struct {
	op     op
	text   []byte // for writeText
	field  []int  // the index of a field, as in reflect.Value.FieldByIndex
	target int    // index of the instruction to jump to
}

type op int

const (
	fallback   op = iota // stop, and let html/template execute the template
	writeText            // write text unchanged
	writeField           // write the string in field, escaped
	jumpIfZero           // jump if field has its zero value
	jump
)

// execute runs the program and appends its output to b. If an instruction
// needs html/template, it returns false, and the output is incomplete.
func (p *program) execute(b []byte, data any) (out []byte, ok bool) {
	root := reflect.Indirect(reflect.ValueOf(data))
	if !root.IsValid() { // a nil pointer
		return b, false
	}
	for next := 0; next < len(p.instructions); {
		in := &p.instructions[next]
		next++
		switch in.op {
		case writeText:
			b = append(b, in.text...)
		case writeField:
			b = append(b, escaper.Replace(root.FieldByIndex(in.field).String())...)
		case jumpIfZero:
			if root.FieldByIndex(in.field).IsZero() {
				next = in.target
			}
		case jump:
			next = in.target
		default:
			return b, false
		}
	}
	return b, true
}

// escaper has the effect of the html/template escapers listed in escapes.
var escaper = strings.NewReplacer("\x00", "\uFFFD", `"`, "&#34;", "&", "&amp;", "'", "&#39;", "+", "&#43;", "<", "&lt;", ">", "&gt;")
