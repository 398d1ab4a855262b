package tests

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

var (
	bears   = regexp.MustCompile(`ASVS ((?:\d+\.\d+\.\d+(?:, | and )?)+)`)
	asvsID  = regexp.MustCompile(`\d+\.\d+\.\d+`)
	testRow = regexp.MustCompile("`([^`]+\\.go) ([A-Za-z]+)`")
)

// bearers reads which test bears which ids: those that its comments name after the word ASVS. The key is "file function".
func bearers(t *testing.T) map[string][]string {
	t.Helper()
	found := map[string][]string{}
	for _, folder := range []string{"app", "config", "public", "tests", "views"} {
		err := filepath.WalkDir(filepath.Join("..", folder), func(path string, _ fs.DirEntry, err error) error {
			if err != nil || !strings.HasSuffix(path, "_test.go") && !strings.Contains(path, "storetest") || filepath.Ext(path) != ".go" {
				return err
			}
			files := token.NewFileSet()
			file, err := parser.ParseFile(files, path, nil, parser.ParseComments)
			if err != nil {
				return err
			}
			for _, declaration := range file.Decls {
				function, ok := declaration.(*ast.FuncDecl)
				if !ok {
					continue
				}
				begin := function.Pos()
				if function.Doc != nil {
					begin = function.Doc.Pos()
				}
				key := strings.TrimPrefix(filepath.ToSlash(path), "../") + " " + function.Name.Name
				for _, comment := range file.Comments {
					if comment.Pos() < begin || comment.End() > function.End() {
						continue
					}
					for _, named := range bears.FindAllStringSubmatch(strings.Join(strings.Fields(comment.Text()), " "), -1) {
						found[key] = append(found[key], asvsID.FindAllString(named[1], -1)...)
					}
				}
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return found
}

// SECURITY.md has a row for each id that a test bears, and names for each row a test that bears it.
func TestSecurityDocumentNamesTheTests(t *testing.T) {
	t.Parallel()
	content, err := os.ReadFile("../SECURITY.md")
	if err != nil {
		t.Fatal(err)
	}
	tests := bearers(t)
	listed := map[string]bool{}
	for line := range strings.Lines(string(content)) {
		cells := strings.Split(line, "|")
		named := testRow.FindAllStringSubmatch(line, -1)
		if len(cells) < 4 || len(named) == 0 {
			continue
		}
		for _, id := range asvsID.FindAllString(cells[1], -1) {
			if listed[id] {
				t.Errorf("%s has two rows", id)
			}
			listed[id] = true
			shown := false
			for _, name := range named {
				ids, there := tests[name[1]+" "+name[2]]
				if !there {
					t.Errorf("%s: no test %s in %s bears an id", id, name[2], name[1])
				}
				shown = shown || slices.Contains(ids, id)
			}
			if !shown {
				t.Errorf("%s: none of the tests of its row bears it", id)
			}
		}
	}
	for test, ids := range tests {
		for _, id := range ids {
			if !listed[id] {
				t.Errorf("%s, which %s bears, has no row", id, test)
			}
		}
	}
}

// ASVS 6.1.1, 6.1.2, 6.1.3, 7.1.1, 7.1.2, 8.1.1: what is promised, the limits, the words that no password may be made
// of, every way in and who may do what are written down.
func TestSecurityDocumentHasItsSections(t *testing.T) {
	t.Parallel()
	content, err := os.ReadFile("../SECURITY.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, section := range []string{
		"## What is promised", "## Reporting a weakness", "## Every way in", "## Passwords", "## Guessing", "## Sessions", "## Who may do what",
		"## The log", "## What the tests show", "## What is open",
	} {
		if _, text, found := strings.Cut(string(content), "\n"+section+"\n"); !found || len(strings.TrimSpace(text)) < 100 {
			t.Errorf("no section %q", section)
		}
	}
}
