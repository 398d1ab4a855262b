package tests

import (
	"go/parser"
	"go/token"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// layers says what each package of the product may import of the product. internal
// stands for everything below app/internal. Whatever is not here may not exist: a
// new package gets a line.
var layers = map[string][]string{
	"app":                         {"app/accounts", "app/bolt", "app/control", "app/registrations", "app/sessions", "app/web", "config", internal},
	"app/web":                     {"app/accounts", "app/registrations", "app/sessions", "config", "public", "views", internal},
	"app/control":                 {"app/accounts", "app/sessions", internal},
	"app/bolt":                    {"app/accounts", "app/registrations", "app/sessions", internal},
	"app/registrations":           {"app/accounts", internal},
	"app/registrations/storetest": {"app/accounts", "app/accounts/storetest", "app/registrations", internal},
	"app/sessions":                {internal},
	"app/sessions/storetest":      {"app/accounts", "app/accounts/storetest", "app/sessions", internal},
	"app/accounts":                {internal},
	"app/accounts/storetest":      {"app/accounts", internal},
	internal:                      {internal},
	"config":                      {},
	"public":                      {},
	"views":                       {},
}

const internal = "app/internal"

// engineOnly are packages from outside that only one package may import.
var engineOnly = map[string][]string{
	"go.etcd.io/bbolt":                    {"app/bolt", internal},
	"github.com/gofiber/fiber/v2":         {"app/web", "app/sessions", internal},
	"github.com/valyala/fasthttp":         {"app/web", internal},
	"github.com/gofiber/template/html/v2": {internal},
	"github.com/fxamacker/cbor/v2":        {internal},
}

func layerOf(dir string) string {
	if dir == internal || strings.HasPrefix(dir, internal+"/") {
		return internal
	}
	return dir
}

// Packages import downward only, in the order of "Where things are": the rules know
// no engine and no web, and the machinery knows nothing of the app.
func TestLayers(t *testing.T) {
	t.Parallel()
	eachSource(t, func(file, source string) {
		dir := layerOf(path.Dir(filepath.ToSlash(strings.TrimPrefix(file, ".."+string(filepath.Separator)))))
		may, known := layers[dir]
		if !known {
			t.Errorf("%s: the package has no line in layers", file)
			return
		}
		parsed, err := parser.ParseFile(token.NewFileSet(), file, source, parser.ImportsOnly)
		if err != nil {
			t.Fatal(err)
		}
		for _, spec := range parsed.Imports {
			imported, _ := strconv.Unquote(spec.Path.Value)
			if own, ok := strings.CutPrefix(imported, "latchkey/"); ok && !slices.Contains(may, layerOf(own)) {
				t.Errorf("%s imports %s, which is not below it", file, own)
			}
			for outside, by := range engineOnly {
				if (imported == outside || strings.HasPrefix(imported, outside+"/")) && !slices.Contains(by, dir) {
					t.Errorf("%s imports %s, which is for %s", file, imported, strings.Join(by, ", "))
				}
			}
		}
	}, ".go")
}

// There is no circle and nothing points upward in layers itself.
func TestLayersHaveAnOrder(t *testing.T) {
	t.Parallel()
	var visit func(dir string, above []string)
	visit = func(dir string, above []string) {
		if slices.Contains(above, dir) {
			t.Errorf("a circle: %s", strings.Join(append(above, dir), " → "))
			return
		}
		for _, below := range layers[dir] {
			if _, known := layers[below]; !known {
				t.Errorf("%s may import %s, which does not exist", dir, below)
			}
			if below != dir { // the packages of internal import each other
				visit(below, append(slices.Clone(above), dir))
			}
		}
	}
	for dir := range layers {
		visit(dir, nil)
	}
}
