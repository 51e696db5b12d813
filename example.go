// Package hotline holds what the binary carries with it: the example
// configuration, which the demo runs.
package hotline

import _ "embed"

// ExampleConfig is config.example.yaml.
//
//go:embed config.example.yaml
var ExampleConfig []byte

// ExampleCustomers is customers.example.csv.
//
//go:embed customers.example.csv
var ExampleCustomers []byte
