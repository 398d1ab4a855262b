package tests

import (
	"go/parser"
	"go/token"
	"maps"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// resources are the packages of the things that the app keeps, each with a storetest.
// A resource of your own gets a line here.
var resources = []string{
	"app/registrations",
}

// layers says what each package of the product may import of the product, beside the
// resources: see imports. internal stands for everything below app/internal. Whatever
// is not here may not exist: a new package gets a line.
var layers = map[string][]string{
	"app":                    {"app/accounts", "app/bolt", "app/control", "app/sessions", "app/web", "config", internal},
	"app/web":                {"app/accounts", "app/sessions", "config", "public", "views", internal},
	"app/control":            {"app/accounts", "app/sessions", internal},
	"app/bolt":               {"app/accounts", "app/sessions", internal},
	"app/sessions":           {internal},
	"app/sessions/storetest": {"app/accounts", "app/accounts/storetest", "app/sessions", internal},
	"app/accounts":           {internal},
	"app/accounts/storetest": {"app/accounts", internal},
	internal:                 {internal},
	"config":                 {},
	"public":                 {},
	"views":                  {},
}

// allLayers is layers with the resources.
func allLayers() map[string][]string {
	all := maps.Clone(layers)
	for _, dir := range []string{"app", "app/web", "app/bolt"} {
		all[dir] = slices.Concat(all[dir], resources)
	}
	for _, dir := range resources {
		all[dir] = []string{"app/accounts", internal}
		all[dir+"/storetest"] = []string{"app/accounts", "app/accounts/storetest", dir, internal}
	}
	return all
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
	layers := allLayers()
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
	layers := allLayers()
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
