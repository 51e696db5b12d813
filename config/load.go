package config

import (
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/lexer"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/token"
)

// maxFile bounds a file, so that a wrong name (a disk image, a log) is refused at
// once.
const maxFile = 4 << 20

// Load reads the file at path. What is wrong with its content comes as *Errors;
// any other error says why it couldn't be read.
func Load(path string) (*Config, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("read config: %w", err)
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err != nil {
		return nil, fmt.Errorf("read config: %w", err)
	}
	return Parse(path, data)
}

// Parse reads data, the content of a file of that name. An error is *Errors. A
// value that is ${NAME} as a whole is taken from the environment.
func Parse(file string, data []byte) (*Config, error) {
	cfg, problems := parse(data)
	if len(problems) > 0 {
		return nil, &Errors{File: file, Problems: sorted(problems)}
	}
	return cfg, nil
}

func parse(data []byte) (*Config, []Problem) {
	if len(data) > maxFile {
		return nil, []Problem{{1, 1, "the file is larger than 4 MiB", "is it the config file?"}}
	}
	root, problem := tree(data)
	if problem != nil {
		return nil, []Problem{*problem}
	}
	d := newDecoder()
	cfg := d.config(root)
	c := &checker{decoder: d, cfg: cfg}
	c.all()
	return cfg, d.problems
}

// tree reads YAML and returns its one document.
func tree(data []byte) (ast.Node, *Problem) {
	file, err := syntax(data)
	if err != nil {
		return nil, syntaxProblem(err)
	}
	var root ast.Node
	for _, doc := range file.Docs {
		if isEmpty(doc.Body) {
			continue
		}
		if root != nil {
			p := start(doc.Body)
			return nil, &Problem{p.line, p.column, "a second document begins here", "remove the line ---"}
		}
		root = doc.Body
	}
	if root == nil {
		return nil, &Problem{1, 1, "the file is empty", "start from config.example.yaml"}
	}
	return root, nil
}

func isEmpty(node ast.Node) bool {
	switch node.(type) {
	case nil, *ast.NullNode, *ast.CommentNode, *ast.CommentGroupNode:
		return true
	}
	return false
}

// syntax parses YAML. The parser isn't ours, and a file that makes it panic must
// not take the server down on a reload.
func syntax(data []byte) (file *ast.File, err error) {
	defer func() {
		if r := recover(); r != nil {
			file, err = nil, errors.New("the file can't be understood as YAML")
		}
	}()
	tokens := lexer.Tokenize(string(data))
	return parser.Parse(tokens, 0, parser.AllowDuplicateMapKey())
}

func syntaxProblem(err error) *Problem {
	problem := &Problem{1, 1, "no YAML: " + err.Error(), "check indentation, colons and quotes"}
	var located yaml.Error
	if errors.As(err, &located) {
		problem.What = "no YAML: " + located.GetMessage()
		if p := tokenPosition(located.GetToken()); p.line > 0 {
			problem.Line, problem.Column = p.line, p.column
		}
	}
	return problem
}

// position is a place in the file; the zero value is none.
type position struct{ line, column int }

func tokenPosition(t *token.Token) position {
	if t == nil || t.Position == nil {
		return position{}
	}
	return position{max(t.Position.Line, 1), max(t.Position.Column, 1)}
}

// start is where a node begins: that of a mapping in block style is its first
// key, not the colon that the library reports.
func start(node ast.Node) position {
	switch n := node.(type) {
	case nil:
		return position{1, 1}
	case *ast.MappingNode:
		if !n.IsFlowStyle && len(n.Values) > 0 {
			return start(n.Values[0].Key)
		}
	case *ast.MappingValueNode:
		return start(n.Key)
	}
	if p := tokenPosition(node.GetToken()); p.line > 0 {
		return p
	}
	return position{1, 1}
}
