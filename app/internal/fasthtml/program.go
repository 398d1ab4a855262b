package fasthtml

import (
	"reflect"
	"strings"
)

// program is a template compiled for data of one type: a struct, or a pointer to
// one. A nil program cannot execute anything.
type program struct {
	data         reflect.Type
	instructions []instruction
}

// instruction is one operation with its operands. The next one follows, unless it
// jumps.
type instruction struct {
	op     op
	text   []byte // for writeText
	field  []int  // the index of a field, as in reflect.Value.FieldByIndex
	target int    // the instruction to jump to
}

type op int

const (
	fallback   op = iota // leave the whole execution to html/template
	writeText            // write text as it is
	writeField           // write the string in field, escaped
	jumpIfZero           // jump if field has its zero value
	jump
)

// append appends the output to b. It returns false if it met something that only
// html/template can execute; its output is then incomplete.
func (p *program) append(b []byte, data any) (out []byte, ok bool) {
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

// escaper does to a string what html/template's escapers in escapes do.
var escaper = strings.NewReplacer("\x00", "\uFFFD", `"`, "&#34;", "&", "&amp;", "'", "&#39;", "+", "&#43;", "<", "&lt;", ">", "&gt;")
