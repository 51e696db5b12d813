package sip

import (
	"regexp"
	"strings"
)

// NumberRule changes the numbers that it matches: all of what it names must be
// so. A rule that names nothing matches every number.
type NumberRule struct {
	// Prefix that the number begins with.
	Prefix string
	// MinLength and MaxLength of the number, its plus sign included; 0 is any.
	MinLength, MaxLength int
	// Pattern that is found in the number; nil is any.
	Pattern *regexp.Regexp
	// Strip is how many characters are taken off the front, all of them if there
	// are fewer; Prepend is then put there.
	Strip   int
	Prepend string
}

// matches tells whether the rule is for a number.
func (r *NumberRule) matches(number string) bool {
	return strings.HasPrefix(number, r.Prefix) && len(number) >= r.MinLength &&
		(r.MaxLength == 0 || len(number) <= r.MaxLength) &&
		(r.Pattern == nil || r.Pattern.MatchString(number))
}

// NumberRules are tried in order; the first that matches changes the number.
type NumberRules []NumberRule

// Apply is the number after the first rule that matches it; without one it stays
// as it is.
func (rs NumberRules) Apply(number string) string {
	for i := range rs {
		if rs[i].matches(number) {
			return rs[i].Prepend + number[min(max(rs[i].Strip, 0), len(number)):]
		}
	}
	return number
}

// dialable tells whether a number can be put into a request as it stands.
func dialable(number string) bool {
	return number != "" && len(number) <= 64 && strings.Trim(number, "0123456789+*#") == ""
}
