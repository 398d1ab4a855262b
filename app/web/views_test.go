package web

import (
	"io/fs"
	"strings"
	"testing"

	"latchkey/app/internal/viewengine"
	"latchkey/views"
)

// Every view that the binary has is a page, and a page that most requests ask for
// is executed without html/template.
func TestViews(t *testing.T) {
	e := viewengine.New(views.Files, viewengine.Constants{Site: "S", Asset: func(string) string { return "/a" }})
	if err := e.Load(); err != nil {
		t.Fatal(err)
	}
	files, err := fs.Glob(views.Files, "*.html")
	if err != nil || len(files) < 5 {
		t.Fatalf("%q, %v", files, err)
	}
	for _, file := range files {
		name := strings.TrimSuffix(file, ".html")
		err := e.Render(new(strings.Builder), name, nil)
		if missing := err != nil && strings.Contains(err.Error(), "there is no"); missing != (name == "layout") {
			t.Errorf("%s: %v", name, err)
		}
	}
	for _, visitor := range []Visitor{{}, {Name: "Ann", Admin: true}} {
		page := Page{Visitor: visitor, Flash: "f"}
		for name, data := range map[string]any{"index": page, "login": loginPage{Page: page, Form: loginForm{refused: refused{"r"}, Name: input{Value: "n", Error: "e", Focus: true}}}} {
			if err := e.Render(new(strings.Builder), name, data); err != nil {
				t.Fatal(err)
			}
			if !e.Fast(name, data) {
				t.Errorf("%s for %+v is left to html/template", name, visitor)
			}
		}
	}
}
