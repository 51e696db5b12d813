package ivr

import (
	"cmp"
	"maps"
	"slices"
	"strings"
)

func contains(names []string, name string) bool { return slices.Contains(names, name) }

func sortedKeys[K cmp.Ordered, V any](m map[K]V) []K { return slices.Sorted(maps.Keys(m)) }

// suggest is the hint for a name that isn't known: the one that was probably meant, or all.
func suggest(name string, known []string) string {
	if near := Nearest(name, known); near != "" {
		return `did you mean "` + near + `"?`
	}
	if len(known) == 0 {
		return "there is none to choose from"
	}
	return "choose one of " + strings.Join(known, ", ")
}

// Nearest is the known name that differs from name by the fewest letters, at most two or a
// third of them; "" when none comes near.
func Nearest(name string, known []string) string {
	best, least := "", 0
	if len(name) > 64 {
		return ""
	}
	limit := min(max(2, len(name)/3), len(name)-1)
	for _, k := range known {
		if len(k)-len(name) > limit || len(name)-len(k) > limit {
			continue
		}
		if d := distance(strings.ToLower(name), strings.ToLower(k)); d <= limit && (best == "" || d < least) {
			best, least = k, d
		}
	}
	return best
}

// distance is the number of letters to insert, remove or replace to make b of a (Levenshtein).
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			change := diagonal
			if a[i] != b[j] {
				change++
			}
			diagonal = row[j+1]
			row[j+1] = min(change, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}
