// Package fasthtml executes html/template templates faster, with the same
// output.
//
// html/template resolves field names and calls its escapers by reflection at
// every execution. Resolving them once saves a third of the time of a simple
// page.
//
// Guarantees: html/template determines all escaping, and executes whatever this
// package does not support. A Template is safe for concurrent use.
package fasthtml

import (
	"bytes"
	"html/template"
	"reflect"
	"sync/atomic"
)

// Template is an html/template.Template that executes faster.
type Template struct {
	template *template.Template
	program  atomic.Pointer[program] // nil until the first execution
}

// New returns a Template that executes t. The caller must not change t afterwards.
func New(t *template.Template) *Template { return &Template{template: t} }

// Append executes the template with data, appends the output to b, and returns the
// extended buffer. On an error it returns b unextended.
func (t *Template) Append(b []byte, data any) ([]byte, error) {
	p := t.program.Load()
	if p != nil && p.data == reflect.TypeOf(data) {
		if out, ok := p.execute(b, data); ok {
			return out, nil
		}
		return t.appendSlow(b, data)
	}
	// html/template adds its escapers to the tree during its first execution, so
	// the tree can be compiled only afterwards.
	out, err := t.appendSlow(b, data)
	if err == nil {
		t.program.Store(compile(t.template.Tree.Root, reflect.TypeOf(data)))
	}
	return out, err
}

// Fast reports whether Append executes the template with data without
// html/template. It is false before the first Append with data of the same
// type. Tests use it to detect a view that became slow.
func (t *Template) Fast(data any) bool {
	p := t.program.Load()
	if p == nil || p.data != reflect.TypeOf(data) {
		return false
	}
	_, ok := p.execute(nil, data)
	return ok
}

// appendSlow does the same as Append by html/template.
func (t *Template) appendSlow(b []byte, data any) ([]byte, error) {
	out := bytes.NewBuffer(b)
	if err := t.template.Execute(out, data); err != nil {
		return b, err
	}
	return out.Bytes(), nil
}
