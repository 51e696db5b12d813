package sip

import (
	"fmt"
	"strconv"
	"strings"

	gosip "github.com/emiago/sipgo/sip"
)

// Diversion says that a call was meant for somebody else before.
type Diversion struct {
	// Number that was dialled, as the trunk's rules and region make it: E.164
	// where it is a telephone number.
	Number string
	// Reason in the words of RFC 5806: unconditional, user-busy, no-answer,
	// unavailable, deflection, ... or unknown.
	Reason string
}

// maxDiversions bounds what is read from one INVITE.
const maxDiversions = 8

// diversionsOf reads Diversion (RFC 5806), else History-Info (RFC 7044), of a
// trunk that is trusted with it; the latest diversion comes first.
func diversionsOf(req *gosip.Request, tr *Trunk) []Diversion {
	if tr == nil || !tr.TrustIdentity {
		return nil
	}
	out := fromDiversion(req)
	if len(out) == 0 {
		out = fromHistory(req)
	}
	for i := range out {
		out[i].Number = tr.normal(out[i].Number)
	}
	return out[:min(len(out), maxDiversions)]
}

// address is one value of a field that lists addresses.
type address struct {
	uri    gosip.Uri
	params gosip.HeaderParams
	name   string
}

// number is the user part, or that of a tel URI without its parameters.
func (a *address) number() string {
	if a.uri.Scheme == "tel" {
		n, _, _ := strings.Cut(a.uri.Raw(), ";")
		return n
	}
	return a.uri.User
}

// addresses reads all values of a field; what can't be read is left out.
func addresses(req *gosip.Request, field string) []address {
	var out []address
	for _, h := range req.GetHeaders(field) {
		for _, v := range splitList(h.Value()) {
			var a address
			var err error
			if a.name, err = gosip.ParseAddressValue(v, &a.uri, &a.params); err == nil {
				out = append(out, a)
			}
		}
	}
	return out
}

// splitList splits at commas outside of quotes and angle brackets.
func splitList(v string) []string {
	var out []string
	quoted, bracket, from := false, false, 0
	for i := 0; i < len(v); i++ {
		switch c := v[i]; {
		case quoted && c == '\\':
			i++
		case c == '"' && !bracket:
			quoted = !quoted
		case !quoted && c == '<':
			bracket = true
		case !quoted && c == '>':
			bracket = false
		case !quoted && !bracket && c == ',':
			out = append(out, strings.TrimSpace(v[from:i]))
			from = i + 1
		}
	}
	return append(out, strings.TrimSpace(v[from:]))
}

func fromDiversion(req *gosip.Request) []Diversion {
	var out []Diversion
	for _, a := range addresses(req, "Diversion") {
		reason, _ := a.params.Get("reason")
		if reason = strings.ToLower(strings.Trim(reason, `"`)); reasonCode(reason) == 0 {
			reason = "unknown"
		}
		if n := a.number(); n != "" {
			out = append(out, Diversion{n, reason})
		}
	}
	return out
}

// fromHistory takes all targets but the last one, which is the call's own.
func fromHistory(req *gosip.Request) []Diversion {
	list := addresses(req, "History-Info")
	var out []Diversion
	for i := len(list) - 2; i >= 0; i-- {
		// RFC 4458 names the cause on the next target, RFC 7044 the reason on
		// the one that was left.
		cause, _ := list[i+1].uri.UriParams.Get("cause")
		if why, ok := list[i].uri.Headers.Get("Reason"); ok {
			if _, v, ok := strings.Cut(strings.ToLower(why), "cause%3d"); ok {
				cause = v[:min(3, len(v))]
			} else if _, v, ok := strings.Cut(strings.ToLower(why), "cause="); ok {
				cause = v[:min(3, len(v))]
			}
		}
		if n := list[i].number(); n != "" {
			out = append(out, Diversion{n, reasonOf(cause)})
		}
	}
	return out
}

var diversionReasons = []struct {
	code   int
	reason string
}{
	{302, "unconditional"}, {486, "user-busy"}, {408, "no-answer"}, {503, "unavailable"}, {480, "deflection"},
	{404, "unknown"}, {480, "away"}, {302, "follow-me"}, {302, "time-of-day"}, {302, "do-not-disturb"}, {503, "out-of-service"},
}

func reasonOf(cause string) string {
	code, _ := strconv.Atoi(cause)
	for _, r := range diversionReasons {
		if r.code == code {
			return r.reason
		}
	}
	return "unknown"
}

// reasonCode is the status that stands for a reason; 0 for one that isn't known.
func reasonCode(reason string) int {
	for _, r := range diversionReasons {
		if r.reason == reason {
			return r.code
		}
	}
	return 0
}

// writeDiversions tells a trunk, in its way, whom the call was meant for.
func writeDiversions(req *gosip.Request, list []Diversion, o *Outbound, domain string) {
	list = list[:min(len(list), maxDiversions)]
	if len(list) == 0 {
		return
	}
	uri := func(number string) string { return "sip:" + o.Numbers.Apply(number) + "@" + domain }
	switch o.Diversion {
	case DiversionField:
		for _, d := range list {
			req.AppendHeader(gosip.NewHeader("Diversion", fmt.Sprintf("<%s>;reason=%s;counter=1", uri(d.Number), d.Reason)))
		}
	case DiversionHistory:
		index := "1"
		for i := len(list) - 1; i >= 0; i-- {
			req.AppendHeader(gosip.NewHeader("History-Info", fmt.Sprintf("<%s?Reason=SIP%%3Bcause%%3D%d>;index=%s", uri(list[i].Number), max(reasonCode(list[i].Reason), 302), index)))
			index += ".1"
		}
		req.AppendHeader(gosip.NewHeader("History-Info", fmt.Sprintf("<%s>;index=%s", req.Recipient.String(), index)))
	}
}
