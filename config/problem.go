package config

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"hotline/ivr"
)

// Problem is one thing that is wrong with a file.
type Problem struct {
	// Line and Column count from 1.
	Line, Column int
	// What is wrong, and a hint how to put it right.
	What, Hint string
}

// Errors is everything that is wrong with a file.
type Errors struct {
	File     string
	Problems []Problem
}

// Error has one line for each problem: "FILE:LINE:COLUMN: what; hint".
func (e *Errors) Error() string {
	var b strings.Builder
	for i, p := range e.Problems {
		if i > 0 {
			b.WriteByte('\n')
		}
		fmt.Fprintf(&b, "%s:%d:%d: %s", e.File, p.Line, p.Column, p.What)
		if p.Hint != "" {
			b.WriteString("; " + p.Hint)
		}
	}
	return b.String()
}

// sorted orders problems by position and drops what is there twice.
func sorted(problems []Problem) []Problem {
	slices.SortStableFunc(problems, func(a, b Problem) int {
		return cmp.Or(cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column))
	})
	return slices.Compact(problems)
}

// oneOf lists names for a hint.
func oneOf(names []string) string {
	if len(names) < 2 {
		return strings.Join(names, "")
	}
	last := len(names) - 1
	return strings.Join(names[:last], ", ") + " or " + names[last]
}

// didYouMean is a hint at the nearest known name, else at all of them.
func didYouMean(name string, known []string) string {
	if len(known) == 0 {
		return ""
	}
	if n := ivr.Nearest(name, known); n != "" {
		return fmt.Sprintf("did you mean %q?", n)
	}
	if len(known) > 20 {
		known = append(slices.Clone(known[:20]), "others")
	}
	return "use " + oneOf(known)
}
