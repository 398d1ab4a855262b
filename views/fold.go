package views

import (
	"errors"
	"fmt"
	"html/template"
	"text/template/parse"
)

// fold replaces the constants in list by text, and {{template "page" .}} by the
// nodes of page. It runs at load, before html/template adds its escapers.
//
// Replacing them reports a missing file of public/ at load. Otherwise it serves only
// speed: html/template would call the function and the template at every request,
// by reflection.
func (v *Views) fold(list *parse.ListNode, page *parse.ListNode) error {
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
				if err := v.fold(inner, nil); err != nil {
					return err
				}
				folded = append(folded, inner.Nodes...)
				continue
			}
		case *parse.ActionNode:
			value, constant, wrong := v.constant(n.Pipe)
			if constant {
				// Escaped for text and for attributes in quotes, the only places
				// where a constant may stand.
				text := template.HTMLEscapeString(value)
				node = &parse.TextNode{NodeType: parse.NodeText, Pos: n.Pos, Text: []byte(text)}
			}
			err = wrong
		case *parse.IfNode:
			err = errors.Join(v.fold(n.List, page), v.fold(n.ElseList, page))
		case *parse.WithNode:
			err = errors.Join(v.fold(n.List, page), v.fold(n.ElseList, page))
		case *parse.RangeNode:
			err = errors.Join(v.fold(n.List, page), v.fold(n.ElseList, page))
		}
		if err != nil {
			return err
		}
		folded = append(folded, node)
	}
	list.Nodes = folded
	return nil
}

// constant returns the value of a pipeline that is a constant and nothing else.
func (v *Views) constant(pipe *parse.PipeNode) (value string, constant bool, err error) {
	if len(pipe.Cmds) != 1 || len(pipe.Decl) != 0 {
		return "", false, nil
	}
	args := pipe.Cmds[0].Args
	name, ok := args[0].(*parse.IdentifierNode)
	switch {
	case ok && name.Ident == "site" && len(args) == 1:
		return v.constants.Site, true, nil
	case ok && name.Ident == "asset" && len(args) == 2:
		file, ok := args[1].(*parse.StringNode)
		if !ok {
			return "", false, nil
		}
		url := v.constants.Asset(file.Text)
		if url == "" {
			return "", false, fmt.Errorf("there is no public/%s", file.Text)
		}
		return url, true, nil
	}
	return "", false, nil
}
