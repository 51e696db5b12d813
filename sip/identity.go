package sip

import (
	"strings"

	gosip "github.com/emiago/sipgo/sip"
	"github.com/nyaruka/phonenumbers"
)

// Caller is who a trunk says is calling.
type Caller struct {
	// Number in E.164 ("+8613800000000"); empty when anonymous or when what
	// was sent is no telephone number.
	Number string
	// Name as sent, at most 64 characters, without control characters.
	Name string
	// Anonymous: the caller asked to be (RFC 3323) or sent no identity.
	Anonymous bool
	// Withheld is the number of an anonymous caller in E.164 as a trusted trunk asserts it
	// (RFC 3325 7): to recognise the caller by, and to pass on to trunks that are trusted
	// with it; never to be shown, logged or recorded.
	Withheld string
}

// callerOf reads the caller's identity: P-Asserted-Identity where the trunk is
// trusted with it (RFC 3325), or Remote-Party-ID, else From.
func callerOf(req *gosip.Request, tr *Trunk) Caller {
	from := req.From()
	user, name, host, asserts, full := from.Address.User, from.DisplayName, from.Address.Host, false, false
	if tr != nil && tr.TrustIdentity {
		asserted := append(addresses(req, "P-Asserted-Identity"), addresses(req, "Remote-Party-ID")...)
		for _, a := range asserted {
			p, _ := a.params.Get("privacy")
			full = full || strings.EqualFold(p, "full")
			if n := a.number(); n != "" {
				user, name, host, asserts = n, a.name, a.uri.Host, true
				break
			}
		}
	}
	c := Caller{Name: cleanName(name)}
	withheld := full || anonymous(req, user, host)
	region := ""
	if tr != nil {
		region, user = tr.Region, tr.Numbers.Apply(user)
	}
	if withheld {
		c = Caller{Anonymous: true}
		if asserts {
			c.Withheld = E164(user, region)
		}
		return c
	}
	c.Number = E164(user, region)
	c.Anonymous = user == ""
	return c
}

func anonymous(req *gosip.Request, user, host string) bool {
	for _, h := range req.GetHeaders("Privacy") {
		for _, v := range strings.FieldsFunc(h.Value(), func(r rune) bool { return r == ';' || r == ',' }) {
			switch strings.ToLower(strings.TrimSpace(v)) {
			case "id", "user", "header":
				return true
			}
		}
	}
	switch strings.ToLower(user) {
	case "", "anonymous", "unknown", "restricted", "unavailable":
		return true
	}
	return strings.EqualFold(host, "anonymous.invalid")
}

func cleanName(s string) string {
	s = strings.Map(func(r rune) rune {
		if r < 0x20 || r == 0x7f || r == '"' || r == '\\' || r == '\uFFFD' {
			return -1
		}
		return r
	}, s)
	if r := []rune(s); len(r) > 64 {
		s = string(r[:64])
	}
	return s
}

// E164 brings a telephone number to E.164 with its plus sign. National numbers
// are completed by the region (ISO 3166, "CN"). It returns "" for what is no
// possible number, such as an extension.
func E164(number, region string) string {
	number, _, _ = strings.Cut(number, ";")
	if len(number) == 0 || len(number) > 32 {
		return ""
	}
	for _, r := range number {
		if !strings.ContainsRune("0123456789+-.() ", r) {
			return ""
		}
	}
	n, err := phonenumbers.Parse(number, region)
	if err != nil || !phonenumbers.IsPossibleNumber(n) {
		return ""
	}
	return phonenumbers.Format(n, phonenumbers.E164)
}
