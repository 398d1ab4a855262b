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
		case *ast.Field:
			if len(n.Names) == 0 || ast.IsExported(n.Names[0].Name) {
				if kind, ok := n.Type.(*ast.SelectorExpr); ok && (kind.Sel.Name == "Mutex" || kind.Sel.Name == "RWMutex") {
					faults = append(faults, "a lock that others may take")
				}
			}
		case *ast.FuncDecl:
			if n.Body != nil {
				faults = append(faults, lockFaults(n.Body)...)
			}
		case *ast.FuncLit:
			faults = append(faults, lockFaults(n.Body)...)
		}
		return true
	})
	return faults
}

// lockFaults says which lock a function takes and does not let go: each Lock is followed by its Unlock, deferred or
// before the next return. A function within it is looked at for itself.
func lockFaults(body *ast.BlockStmt) (faults []string) {
	unlocks := map[string]string{"Lock": "Unlock", "RLock": "RUnlock"}
	held := map[string]bool{} // "mu.Unlock" is due
	ast.Inspect(body, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.FuncLit:
			return false
		case *ast.ReturnStmt:
			for due := range held {
				faults = append(faults, "a return before "+due)
			}
		case *ast.CallExpr:
			if called, ok := n.Fun.(*ast.SelectorExpr); ok && len(n.Args) == 0 {
				lock := sourceOf(called.X)
				if unlock := unlocks[called.Sel.Name]; unlock != "" {
					held[lock+"."+unlock] = true
				}
				delete(held, lock+"."+called.Sel.Name)
			}
		}
		return true
	})
	for due := range held {
		faults = append(faults, "no "+due)
	}
	return faults
}

// sourceOf writes a.b.c as it stands.
func sourceOf(x ast.Expr) string {
	switch x := x.(type) {
	case *ast.Ident:
		return x.Name
	case *ast.SelectorExpr:
		return sourceOf(x.X) + "." + x.Sel.Name
	}
	return fmt.Sprintf("%T", x)
}

// scriptRules are what no script may have, and why. A script that needs a thing by a name it was given keeps a Map.
var scriptRules = []struct {
	has *regexp.Regexp
	why string
}{
	{regexp.MustCompile(`\b(innerHTML|outerHTML|insertAdjacentHTML|srcdoc|createContextualFragment|setHTMLUnsafe|parseFromString)\b|\bdocument\s*\.\s*write`), "text that becomes markup"},
	{regexp.MustCompile(`\b(eval|Function)\s*\(|\bset(Timeout|Interval)\s*\(\s*["'` + "`" + `]|\bimport\s*\(|javascript:`), "text that becomes code"},
	{regexp.MustCompile(`(^|[^=!])==([^=]|$)|!=([^=]|$)`), "a comparison that converts its sides"},
	{regexp.MustCompile(`__proto__|\bprototype\b|\bconstructor\b|\bObject\s*\.\s*(assign|setPrototypeOf)|\bfor\s*\([^;)]*\bin\b`), "a way to what all objects share"},
	{regexp.MustCompile(`[\w$)\]]\s*\[\s*[^\]\s\d]`), "a property by a name that is worked out"},
	{regexp.MustCompile(`\b(window|self|globalThis|parent|top|frames|opener)\s*[.[?]`), "a name that an id in the page may have taken"},
	// A call fails loudly if an element of that name has taken its place; a value would be taken for what it is not.
	{regexp.MustCompile(`\bdocument\s*(\[|\??\.\s*\w+\s*([^\w\s(]|$))`), "a name that an id in the page may have taken"},
	{regexp.MustCompile(`\bvar\b|\bwith\s*\(`), "a name that others can reach"},
}

var scriptComment = regexp.MustCompile(`(?m)/\*(?s:.*?)\*/|(^|\s)//.*$`)

// scriptFaults says what a script has that none may have.
func scriptFaults(source string) (faults []string) {
	source = scriptComment.ReplaceAllString(source, "$1")
	for _, rule := range scriptRules {
		if found := rule.has.FindString(source); found != "" {
			faults = append(faults, fmt.Sprintf("%q: %s", found, rule.why))
		}
	}
	return faults
}

var (
	scriptTag = regexp.MustCompile(`(?i)<script\b[^>]*>`)
	inlined   = regexp.MustCompile(`(?i)\son[a-z]+\s*=|javascript:|<(style|base|object|embed|iframe|template)\b|\sstyle\s*=`)
)

// viewFaults says what a view has that none may have.
func viewFaults(source string) (faults []string) {
	for _, tag := range scriptTag.FindAllString(source, -1) {
		// A module: its names are its own, and it is always strict.
		for _, want := range []string{` src="/`, ` nonce="{{`, ` type="module"`} {
			if !strings.Contains(tag, want) {
				faults = append(faults, fmt.Sprintf("%s without%s", tag, want))
			}
		}
	}
	if found := inlined.FindString(source); found != "" {
		faults = append(faults, fmt.Sprintf("%q in a view", found))
	}
	return faults
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
// ASVS 15.4.3: a lock is let go by the function that takes it, and nobody else can take it. ASVS 16.2.3: nothing that
// sends a log elsewhere.
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
		"a lock that stays":       `func f() { mu.Lock(); g() }`,
		"a return in between":     `func f() { mu.Lock(); if g() { return }; mu.Unlock() }`,
		"another lock":            `func f() { a.mu.Lock(); defer b.mu.Unlock() }`,
		"the wrong unlock":        `func f() { mu.RLock(); defer mu.Unlock() }`,
		"a lock in a function":    `var f = func() { mu.Lock() }`,
		"a lock for all":          `import "sync"; type T struct { sync.Mutex }`,
		"an exported lock":        `import "sync"; type T struct { Mu sync.RWMutex }`,
	} {
		if len(goFaults("package p\n"+bad)) == 0 {
			t.Errorf("%s: nothing is found in %s", what, bad)
		}
	}
	for _, good := range []string{
		`import "text/template/parse"; var _ parse.Node`,
		`import "html/template"; var _ = template.HTMLEscapeString("x")`,
		`import "sync"; type T struct { mu sync.Mutex }; func (t *T) f() { t.mu.Lock(); defer t.mu.Unlock() }`,
		`func f() { mu.Lock(); if g() { mu.Unlock(); return }; mu.Unlock() }`,
		`var c = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"`,
	} {
		if faults := goFaults("package p\n" + good); len(faults) > 0 {
			t.Errorf("%s: %q", good, faults)
		}
	}
}

// ASVS 3.2.2, 1.3.2: a script makes neither markup nor code of text. ASVS 3.2.3: it takes nothing by a name that an
// id in the page may have taken. ASVS 15.3.5: it compares without converting. ASVS 15.3.6: no property is taken by a
// name from outside, so nobody reaches what all objects share.
func TestScriptsAndViews(t *testing.T) {
	t.Parallel()
	eachSource(t, func(path, source string) {
		for _, fault := range scriptFaults(source) {
			t.Errorf("%s: %s", path, fault)
		}
	}, ".js", ".mjs")
	eachSource(t, func(path, source string) {
		for _, fault := range viewFaults(source) {
			t.Errorf("%s: %s", path, fault)
		}
	}, ".html")
	for _, bad := range []string{
		`e.innerHTML = x`, `e.outerHTML += x`, `e.insertAdjacentHTML("beforeend", x)`, `document.write(x)`, `document.writeln(x)`, `f.srcdoc = x`,
		`eval(x)`, `new Function(x)`, `Function (x)`, `setTimeout("x()", 1)`, "setInterval(`x()`, 1)", `import(x)`, `location.href = "javascript:x"`,
		`if (a == b) c()`, `a != b`, `a==b`, `x = a==null`, `a!=b`,
		`a.__proto__.b = 1`, `a.constructor.b`, `Array.prototype.b = 1`, `Object.assign(a, b)`, `for (const k in a) b(k)`,
		`a[b] = c`, `a [b]`, `f()[b]`, `a[0][b]`, "a[`x`]", `a["x"]`,
		`window.settings`, `window[x]`, `self.settings`, `globalThis.x = 1`, `opener.x`,
		`document.settings`, `document.currentScript.src`, `document[x]`, `document.x = 1`, `document?.settings.x`, `const a = document.forms`,
		`var a = 1`, `with (a) b`,
		"ok() // fine\na == b", "/* fine */ a == b",
	} {
		if len(scriptFaults(bad)) == 0 {
			t.Errorf("nothing is found in the script %s", bad)
		}
	}
	for _, good := range []string{
		`if (a === b && c !== d && e <= f && g >= h) i()`, `const f = (a) => a`, `a[0]`, `const all = [a, b]`, `e.textContent = x`,
		`document.querySelector("main").append(x)`, `setTimeout(() => x(), 1)`, `// eval(x) == bad`, `/* a != b */ c()`, `const names = new Map()`,
	} {
		if faults := scriptFaults(good); len(faults) > 0 {
			t.Errorf("%s: %q", good, faults)
		}
	}
	for _, bad := range []string{
		`<script>x()</script>`, `<script src="/x.js" type="module"></script>`, `<script src="https://x/x.js" nonce="{{.}}" type="module"></script>`,
		`<script src="/x.js" nonce="{{.}}" defer></script>`, `<a onclick="x()">`, `<img src=x ONERROR=x()>`, `<a href="javascript:x()">`, `<p style="x">`, `<base href="/">`, `<iframe src="/">`,
	} {
		if len(viewFaults(bad)) == 0 {
			t.Errorf("nothing is found in the view %s", bad)
		}
	}
}
