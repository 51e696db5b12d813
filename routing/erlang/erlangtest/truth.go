// Package erlangtest reads the true values that formulas and simulations are held
// against.
package erlangtest

import (
	"encoding/csv"
	"os"
	"strconv"
	"testing"
)

// Row is one line of queueing-truth.csv: what a model with those inputs comes to.
type Row struct {
	ID, Model, Inputs, Quantity, Kind string
	// HalfWidth is 0 for an exact value.
	Value, HalfWidth float64
}

// Rows reads the file.
func Rows(t *testing.T, file string) []Row {
	t.Helper()
	f, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	lines, err := csv.NewReader(f).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	var out []Row
	for _, l := range lines[1:] {
		r := Row{ID: l[0], Model: l[1], Inputs: l[2], Quantity: l[3], Kind: l[8]}
		if r.Value, err = strconv.ParseFloat(l[4], 64); err != nil {
			t.Fatalf("%s: %v", l[0], err)
		}
		r.HalfWidth, _ = strconv.ParseFloat(l[5], 64) // empty for exact ones
		out = append(out, r)
	}
	return out
}
