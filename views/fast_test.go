package views

import (
	"strings"
	"testing"
)

// The pages that most requests ask for are executed without html/template.
func TestOurPagesAreFast(t *testing.T) {
	v := Embedded(Constants{Site: "S", Asset: func(string) string { return "/a" }})
	if err := v.Load(); err != nil {
		t.Fatal(err)
	}
	type visitor struct {
		Name  string
		Admin bool
	}
	type form struct {
		Title, Flash, Refusal, Nonce, Version, Name, Next string
		Bare, Dev                                         bool
		Visitor                                           visitor
		Minimum                                           int
	}
	for _, name := range []string{"index", "login"} {
		for _, visitor := range []visitor{{}, {Name: "Ann", Admin: true}} {
			data := form{Visitor: visitor, Flash: "f", Refusal: "r", Name: "n"}
			if err := v.Render(new(strings.Builder), name, data); err != nil {
				t.Fatal(err)
			}
			if !(*v.pages.Load())[name].Fast(data) {
				t.Errorf("%s for %+v is left to html/template", name, visitor)
			}
		}
	}
}
