package sip

import (
	"fmt"
	"strings"

	gosip "github.com/emiago/sipgo/sip"
)

// IdentityField is where a trunk wants to read who calls.
type IdentityField string

// The fields. From carries the caller in each case, unless the caller is to stay
// unknown.
const (
	IdentityFrom IdentityField = "from"
	IdentityPAI  IdentityField = "pai"  // P-Asserted-Identity, RFC 3325
	IdentityRPID IdentityField = "rpid" // Remote-Party-ID, its forerunner
)

// DiversionStyle is how a trunk wants to read whom a forwarded call was meant for.
type DiversionStyle string

// The styles.
const (
	DiversionNone    DiversionStyle = ""
	DiversionField   DiversionStyle = "diversion"    // RFC 5806
	DiversionHistory DiversionStyle = "history-info" // RFC 7044
)

// normal is a number from this trunk by its rules, in E.164 where it can be.
func (t *Trunk) normal(number string) string {
	number = t.Numbers.Apply(number)
	if whole := E164(number, t.Region); whole != "" {
		return whole
	}
	return number
}

// shape makes an INVITE what the trunk wants to see: who calls, by its rules, and
// whom the call was meant for. A caller who is to stay unknown is named to a trunk
// only where that is trusted with it (pai, rpid).
func (h *hunt) shape(req *gosip.Request) {
	from := req.From()
	domain := h.out.Domain
	if domain == "" {
		domain = from.Address.Host
	}
	from.Address.Host = domain
	number, private := h.number, h.d.opt.Private
	known := dialable(number)
	if known {
		from.Address.User = number
	}
	if private || !known {
		from.DisplayName = "Anonymous"
		from.Address = gosip.Uri{Scheme: "sip", User: "anonymous", Host: "anonymous.invalid"}
	}
	if private {
		req.AppendHeader(gosip.NewHeader("Privacy", "id"))
	}
	name := ""
	if n := cleanName(h.d.opt.FromName); n != "" {
		name = `"` + n + `" `
	}
	switch {
	case !known:
	case h.out.Identity == IdentityPAI:
		req.AppendHeader(gosip.NewHeader("P-Asserted-Identity", fmt.Sprintf("%s<sip:%s@%s>", name, number, domain)))
	case h.out.Identity == IdentityRPID:
		privacy := "off"
		if private {
			privacy = "full"
		}
		req.AppendHeader(gosip.NewHeader("Remote-Party-ID", fmt.Sprintf("%s<sip:%s@%s>;party=calling;screen=yes;privacy=%s", name, number, domain, privacy)))
	}
	writeDiversions(req, h.d.opt.Diversions, h.out, domain)
}

// shownNumber is the number that a trunk shows for a call of ours.
func (o *Outbound) shownNumber(caller string) string {
	if o.CallerID != "" {
		return o.CallerID
	}
	return o.Numbers.Apply(caller)
}

// outsideHeaders keeps what is ours alone (the tier, the customer) from leaving by a
// trunk.
func outsideHeaders(headers []string) []string {
	var out []string
	for i := 0; i+1 < len(headers); i += 2 {
		if !strings.HasPrefix(strings.ToLower(headers[i]), "x-hotline-") {
			out = append(out, headers[i], headers[i+1])
		}
	}
	return out
}
