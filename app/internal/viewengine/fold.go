package viewengine

import (
	"errors"
	"fmt"
	"html/template"
	"text/template/parse"
)

// fold replaces constants in list by their text, and {{template "page" .}} by
// the nodes of page. It runs in Load, before html/template adds its escapers.
//
// Folding detects a missing file of public/ in Load. It also saves time:
// html/template would call the function and the template by reflection at every
// execution.
func (e *Engine) fold(list *parse.ListNode, page *parse.ListNode) error {
	if list == nil {
		return nil
	}
	var folded []parse.Node
	for _, node := range list.Nodes {
		var err error
		switch n := node.(type) {
		case *parse.TemplateNode:
			if n.Name == "page" && page != nil {
				inner := page.CopyList()
				if err := e.fold(inner, nil); err != nil {
					return err
				}
				folded = append(folded, inner.Nodes...)
				continue
			}
		case *parse.ActionNode:
			var value string
			var constant bool
			if value, constant, err = e.constant(n.Pipe); constant {
				// HTMLEscapeString is right for text and quoted attributes only. Do not use
				// a constant anywhere else in a view.
				text := template.HTMLEscapeString(value)
				node = &parse.TextNode{NodeType: parse.NodeText, Pos: n.Pos, Text: []byte(text)}
			}
		case *parse.IfNode:
			err = errors.Join(e.fold(n.List, page), e.fold(n.ElseList, page))
		case *parse.WithNode:
			err = errors.Join(e.fold(n.List, page), e.fold(n.ElseList, page))
		case *parse.RangeNode:
			err = errors.Join(e.fold(n.List, page), e.fold(n.ElseList, page))
		}
		if err != nil {
			return err
		}
		folded = append(folded, node)
	}
	list.Nodes = folded
	return nil
}

// constant returns the value of a pipeline that consists of one constant.
func (e *Engine) constant(pipe *parse.PipeNode) (value string, constant bool, err error) {
	if len(pipe.Cmds) != 1 || len(pipe.Decl) != 0 {
		return "", false, nil
	}
	args := pipe.Cmds[0].Args
	name, ok := args[0].(*parse.IdentifierNode)
	switch {
	case ok && name.Ident == "site" && len(args) == 1:
		return e.constants.Site, true, nil
	case ok && name.Ident == "asset" && len(args) == 2:
		file, ok := args[1].(*parse.StringNode)
		if !ok {
			return "", false, nil
		}
		url := e.constants.Asset(file.Text)
		if url == "" {
			return "", false, fmt.Errorf("there is no public/%s", file.Text)
		}
		return url, true, nil
	}
	return "", false, nil
}
