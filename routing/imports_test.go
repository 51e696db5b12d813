package routing_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// forbidden holds standard packages that would let something in that isn't in
// the journal, with the reason.
var forbidden = map[string]string{
	"net":           "routing does no input or output: facts enter as events, actions leave as decisions",
	"net/http":      "routing does no input or output: facts enter as events, actions leave as decisions",
	"os":            "routing does no input or output: facts enter as events, actions leave as decisions",
	"io":            "routing does no input or output: facts enter as events, actions leave as decisions",
	"log/slog":      "routing does no output: what is to be told is a decision",
	"time":          "the time is the journal's: a node's own clock would make nodes decide differently, and replay too",
	"math/rand":     "chance would make nodes decide differently, and replay too: every order ends in an id",
	"math/rand/v2":  "chance would make nodes decide differently, and replay too: every order ends in an id",
	"crypto/rand":   "chance would make nodes decide differently, and replay too: every order ends in an id",
	"hash/maphash":  "its seed differs from process to process: hashes of nodes could not be compared",
	"sync":          "one goroutine owns routing: a lock inside means that two do",
	"sync/atomic":   "one goroutine owns routing: shared memory inside means that two do",
	"context":       "routing never waits",
	"math/big":      "routing computes with integers of 64 bits only",
	"runtime":       "nothing about the process may change a decision",
	"unsafe":        "addresses differ from process to process",
	"runtime/debug": "nothing about the process may change a decision",
}

// TestPurity keeps routing a pure function of its journal.
func TestPurity(t *testing.T) {
	files, err := filepath.Glob("*.go")
	if err != nil || len(files) == 0 {
		t.Fatalf("no source: %v", err)
	}
	fset := token.NewFileSet()
	for _, name := range files {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		f, err := parser.ParseFile(fset, name, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		for _, imp := range f.Imports {
			path, _ := strconv.Unquote(imp.Path.Value)
			first, _, _ := strings.Cut(path, "/")
			if reason := forbidden[path]; reason != "" {
				t.Errorf("%s imports %q: %s", fset.Position(imp.Pos()), path, reason)
			} else if strings.Contains(first, ".") || first == "hotline" {
				t.Errorf("%s imports %q: the core imports the standard library only, so that it runs the same in the server, a simulation and a replay; imports point towards it", fset.Position(imp.Pos()), path)
			}
		}
		ast.Inspect(f, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.GoStmt:
				t.Errorf("%s starts a goroutine: the order of its steps would differ from node to node", fset.Position(n.Pos()))
			case *ast.SelectStmt:
				t.Errorf("%s selects: the choice among ready channels is random", fset.Position(n.Pos()))
			case *ast.Ident:
				if n.Name == "float64" || n.Name == "float32" {
					t.Errorf("%s uses %s: processors round differently (fused multiply-add), so nodes would differ", fset.Position(n.Pos()), n.Name)
				}
			case *ast.BasicLit:
				if n.Kind == token.FLOAT {
					t.Errorf("%s has the number %s: integers only, processors round differently", fset.Position(n.Pos()), n.Value)
				}
			}
			return true
		})
	}
}
