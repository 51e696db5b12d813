package config

import (
	"net/url"
	"slices"
	"strings"

	"hotline/routing"
)

// Card is what an agent's phone is told of a caller besides name and number.
type Card struct {
	// URL of the customer's page, which phones and desktops that know Call-Info can
	// open; {customer}, {call}, {tier}, {queue} and {language} are filled in. Default:
	// none.
	URL string `yaml:"url"`
	// Rings say how phones that know Alert-Info ring for a tier. Default: as they
	// like.
	Rings []Ring `yaml:"rings"`
}

// Ring is how phones ring for callers of some tiers.
type Ring struct {
	// Tiers of the callers.
	Tiers []routing.Tier `yaml:"tiers" required:"yes" unique:"yes"`
	// Alert is the URI of a sound, or a word of RFC 7462 such as
	// "urn:alert:priority:high".
	Alert string `yaml:"alert" required:"yes"`
}

// cardFields are what a URL may name.
var cardFields = []string{"customer", "call", "tier", "queue", "language"}

// Fill is the card's URL with the given values in it, "" without one.
func (c *Card) Fill(value func(field string) string) string {
	out := c.URL
	for _, f := range cardFields {
		if strings.Contains(out, "{"+f+"}") {
			out = strings.ReplaceAll(out, "{"+f+"}", url.QueryEscape(value(f)))
		}
	}
	return out
}

// AlertFor is how phones ring for a tier; "" when it isn't said.
func (c *Card) AlertFor(t routing.Tier) string {
	for _, r := range c.Rings {
		if slices.Contains(r.Tiers, t) {
			return r.Alert
		}
	}
	return ""
}

func (c *checker) card() {
	card := &c.cfg.Card
	if card.URL != "" && !c.bad["card.url"] {
		if !isHeaderURI(card.Fill(func(string) string { return "x" })) {
			c.wrong("card.url", `write a whole one, such as "https://crm.example/customer/{customer}"`, "%s is no URL", quote(card.URL))
		} else if name := unknownField(card.URL); name != "" {
			c.wrong("card.url", "use "+strings.Join(cardFields, ", "), "{%s} is nothing that is known of a caller", name)
		}
	}
	seen := map[routing.Tier]string{}
	for i, r := range card.Rings {
		list := index("card.rings", i, "tiers")
		for j, t := range r.Tiers {
			twice(c, seen, t, index(list, j, ""), "tier")
		}
		if at := index("card.rings", i, "alert"); r.Alert != "" && !c.bad[at] && !isHeaderURI(r.Alert) {
			c.wrong(at, `write one such as "urn:alert:priority:high"`, "%s is no URI", quote(r.Alert))
		}
	}
}

// unknownField is the first name in braces that isn't one of cardFields.
func unknownField(s string) string {
	for _, part := range strings.Split(s, "{")[1:] {
		name, _, ok := strings.Cut(part, "}")
		if !ok || !slices.Contains(cardFields, name) {
			return name
		}
	}
	return ""
}

// isHeaderURI says that s is a URI that may stand between angle brackets.
func isHeaderURI(s string) bool {
	u, err := url.Parse(strings.NewReplacer("{", "", "}", "").Replace(s))
	return err == nil && u.Scheme != "" && (u.Host != "" || u.Opaque != "") && !strings.ContainsAny(s, "<> \t\r\n\"")
}
