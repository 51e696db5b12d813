package config

import "github.com/goccy/go-yaml/ast"

// Flow is what callers hear and press.
type Flow struct{}

// parseFlows reads the tree of the flows.
func parseFlows(node ast.Node, queues []string) (map[string]*Flow, []Problem) {
	values, _ := pairs(node)
	flows := map[string]*Flow{}
	for _, pair := range values {
		flows[keyName(pair)] = &Flow{}
	}
	return flows, nil
}
