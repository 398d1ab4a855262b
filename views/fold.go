package views

import (
	"fmt"
	"html/template"
	"text/template/parse"
)

// fold puts the constants into the text of a view, before html/template adds its
// escaping to what is left. A call costs about as much as the rest of a page:
// three of them, by reflection, at every request.
func (v *Views) fold(list *parse.ListNode) error {
	if list == nil {
		return nil
	}
	for i, node := range list.Nodes {
		var err error
		switch n := node.(type) {
		case *parse.ActionNode:
			value, constant, wrong := v.constant(n.Pipe)
			if constant {
				// Escaped for text and for attributes in quotes, the only places
				// where a constant may stand.
				text := template.HTMLEscapeString(value)
				list.Nodes[i] = &parse.TextNode{NodeType: parse.NodeText, Pos: n.Pos, Text: []byte(text)}
			}
			err = wrong
		case *parse.IfNode:
			err = v.foldBoth(n.List, n.ElseList)
		case *parse.WithNode:
			err = v.foldBoth(n.List, n.ElseList)
		case *parse.RangeNode:
			err = v.foldBoth(n.List, n.ElseList)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (v *Views) foldBoth(list, other *parse.ListNode) error {
	if err := v.fold(list); err != nil {
		return err
	}
	return v.fold(other)
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
