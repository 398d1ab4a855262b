package tests

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// forbiddenImports are packages that no Go file of the product may import, and why.
var forbiddenImports = map[string]string{
	"C":              "memory that Go does not look after",
	"unsafe":         "memory that Go does not look after",
	"os/exec":        "another program",
	"plugin":         "code that was not there when it was built",
	"text/template":  "a page that is not escaped",
	"log/syslog":     "a log that goes elsewhere",
	"expvar":         "addresses for whoever watches the process",
	"net/http/pprof": "addresses for whoever watches the process",
}

// forbiddenNames are names of those packages that no Go file of the product may use.
var forbiddenNames = map[string]struct {
	names []string
	why   string
}{
	"os":                    {[]string{"StartProcess"}, "another program"},
	"syscall":               {[]string{"Exec", "ForkExec", "StartProcess"}, "another program"},
	"golang.org/x/sys/unix": {[]string{"Exec"}, "another program"},
	"html/template":         {[]string{"HTML", "HTMLAttr", "JS", "JSStr", "URL", "CSS", "Srcset"}, "text that a page does not escape"},
	"net/http":              {[]string{"Get", "Head", "Post", "PostForm", "DefaultClient", "DefaultTransport"}, "a word to another machine"},
	"log/slog":              {[]string{"SetDefault", "Default"}, "a log that goes elsewhere"},
}

// A literal of this form is likely a key: long, without a space, of digits and letters of both cases.
var (
	keyForm = regexp.MustCompile(`^[A-Za-z0-9+/=_-]{32,}$`)
	keyMark = regexp.MustCompile(`-----BEGIN|(?i)\b(AKIA|ghp_|xox[abp]-)`)
)

// goFaults says what a Go file of the product has that none may have.
func goFaults(source string) (faults []string) {
	file, err := parser.ParseFile(token.NewFileSet(), "", source, parser.ParseComments)
	if err != nil {
		return []string{err.Error()}
	}
	paths := map[string]string{} // what the file calls a package → its path
	for _, spec := range file.Imports {
		path, _ := strconv.Unquote(spec.Path.Value)
		if why := forbiddenImports[path]; why != "" {
			faults = append(faults, fmt.Sprintf("imports %s: %s", path, why))
		}
		name := path[strings.LastIndex(path, "/")+1:]
		if spec.Name != nil {
			name = spec.Name.Name
		}
		if _, watched := forbiddenNames[path]; watched && name == "." {
			faults = append(faults, "imports "+path+" without a name")
		}
		paths[name] = path
	}
	for _, group := range file.Comments {
		for _, comment := range group.List {
			if strings.HasPrefix(comment.Text, "//go:linkname") {
				faults = append(faults, "go:linkname: another package's inside")
			}
		}
	}
	ast.Inspect(file, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.SelectorExpr:
			if of, ok := n.X.(*ast.Ident); ok {
				if forbidden := forbiddenNames[paths[of.Name]]; slices.Contains(forbidden.names, n.Sel.Name) {
					faults = append(faults, fmt.Sprintf("%s.%s: %s", of.Name, n.Sel.Name, forbidden.why))
				}
			}
		case *ast.BasicLit:
			if text, err := strconv.Unquote(n.Value); n.Kind == token.STRING && err == nil {
				mixed := strings.ContainsAny(text, "0123456789") && strings.ToLower(text) != text && strings.ToUpper(text) != text
				hex := len(strings.Trim(text, "0123456789abcdef")) == 0
				if keyMark.MatchString(text) || keyForm.MatchString(text) && (mixed || hex) {
					faults = append(faults, fmt.Sprintf("a key in the source: %.8s…", text))
				}
			}
		}
		return true
	})
	return faults
}

// forbiddenInScripts make markup or code of text.
var forbiddenInScripts = []string{
	"innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "srcdoc", "createContextualFragment", "setHTMLUnsafe", "parseFromString",
	"eval(", "Function(", "import(", "javascript:",
}

// forbiddenInViews are scripts and styles that stand in a page. The Content-Security-Policy would block them; here they
// are seen before anybody's browser does.
var forbiddenInViews = []string{
	"<script>", "<style", " style=", "javascript:", "<base", "<object", "<embed", "<iframe",
	" onclick=", " onchange=", " oninput=", " onload=", " onerror=", " onsubmit=", " onfocus=", " onblur=", " onkey", " onmouse", " onpointer", " ontoggle",
}

// eachSource calls check with every file of the product that has one of the extensions.
func eachSource(t *testing.T, check func(path, source string), extensions ...string) {
	t.Helper()
	found := 0
	for _, folder := range []string{"app", "config", "public", "views"} {
		err := filepath.WalkDir(filepath.Join("..", folder), func(path string, _ fs.DirEntry, err error) error {
			if err != nil || !slices.Contains(extensions, filepath.Ext(path)) || strings.HasSuffix(path, "_test.go") {
				return err
			}
			source, err := os.ReadFile(path)
			found++
			check(path, string(source))
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if found == 0 {
		t.Errorf("no source with the extensions %q", extensions)
	}
}

// ASVS 1.2.5, 1.3.2: no shell and no code but what was built. ASVS 1.1.2: only html/template makes pages, and no text
// is kept from its escaping. ASVS 1.4.1: no memory that Go does not look after. ASVS 13.3.1: no key in the source.
// ASVS 16.2.3: nothing that sends a log elsewhere.
func TestSourceOfTheProduct(t *testing.T) {
	t.Parallel()
	eachSource(t, func(path, source string) {
		for _, fault := range goFaults(source) {
			t.Errorf("%s: %s", path, fault)
		}
	}, ".go")
	for what, bad := range map[string]string{
		"unsafe":                  `import "unsafe"; var _ unsafe.Pointer`,
		"cgo":                     `import "C"`,
		"a shell":                 `import "os/exec"; var _ = exec.Command("sh", "-c", "x")`,
		"a shell by another name": `import x "os/exec"; var _ = x.Command("sh")`,
		"a process":               `import "os"; var _ = os.StartProcess`,
		"exec":                    `import "syscall"; var _ = syscall.Exec`,
		"exec of unix":            `import "golang.org/x/sys/unix"; var _ = unix.Exec`,
		"a plugin":                `import "plugin"; var _ = plugin.Open`,
		"text/template":           `import "text/template"; var _ = template.New`,
		"unescaped":               `import "html/template"; var _ = template.HTML("x")`,
		"unescaped, renamed":      `import h "html/template"; type page struct { text h.HTML }`,
		"an unescaped address":    `import "html/template"; func f(s string) any { return template.URL(s) }`,
		"a dot":                   `import . "html/template"; var _ = HTML("x")`,
		"syslog":                  `import "log/syslog"; var _ = syslog.Dial`,
		"a word elsewhere":        `import "net/http"; var _, _ = http.Get("https://example.com/")`,
		"linkname":                "import _ \"embed\"\n\n//go:linkname f runtime.f\nfunc f()",
		"a key in base64":         `var k = "c2VjcmV0IHNlY3JldCBzZWNyZXQgc2VjcmV0Cg=="`,
		"a key in hex":            `var k = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822c"`,
		"a key in a file":         "var k = `-----BEGIN PRIVATE KEY-----\nx`",
	} {
		if len(goFaults("package p\n"+bad)) == 0 {
			t.Errorf("%s: nothing is found in %s", what, bad)
		}
	}
	for _, good := range []string{
		`import "text/template/parse"; var _ parse.Node`,
		`import "html/template"; var _ = template.HTMLEscapeString("x")`,
		`var c = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"`,
	} {
		if faults := goFaults("package p\n" + good); len(faults) > 0 {
			t.Errorf("%s: %q", good, faults)
		}
	}
}

// ASVS 3.2.2, 1.2.5, 1.3.2: a script makes neither markup nor code of text, and none stands in a view.
func TestScriptsAndViews(t *testing.T) {
	t.Parallel()
	for extension, forbidden := range map[string][]string{".js": forbiddenInScripts, ".html": forbiddenInViews} {
		eachSource(t, func(path, source string) {
			for _, text := range forbidden {
				if strings.Contains(source, text) {
					t.Errorf("%s has %q", path, text)
				}
			}
			if strings.Count(source, "<script") != strings.Count(source, `<script src="/`) {
				t.Errorf("%s has a script that is not a file of this site", path)
			}
		}, extension)
	}
}
