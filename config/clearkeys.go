package config

import (
	"fmt"
	"slices"
)

// KeysInClear names, one sentence each, the trunks and the agents whose SRTP keys we offer by signalling that
// anybody on the way can read: srtp is preferred, and a way to them isn't TLS or WSS. Calls are encrypted then
// for all but those who could hear them. It is no fault of the file; required is refused for such ways.
func (c *Config) KeysInClear() (sentences []string) {
	for _, t := range c.Trunks {
		if or(t.SRTP, c.Media.SRTP) != "preferred" {
			continue
		}
		if i := slices.IndexFunc(t.Gateways, func(g Gateway) bool { return g.Transport != "tls" }); i >= 0 {
			sentences = append(sentences, fmt.Sprintf("trunk %s: SRTP keys are sent to gateway %s in clear; write transport: tls there, or srtp: accepted", t.Name, t.Gateways[i].Host))
		}
	}
	clear := slices.IndexFunc(c.SIP.Listen, func(l Listen) bool { return l.Network != "tls" && l.Network != "wss" })
	if clear < 0 {
		return sentences
	}
	var agents []string
	for _, a := range c.Agents {
		if or(a.SRTP, c.Media.SRTP) == "preferred" {
			agents = append(agents, a.User)
		}
	}
	if len(agents) == 0 {
		return sentences
	}
	who := "agent " + agents[0]
	if more := len(agents) - 1; more > 0 {
		who += fmt.Sprintf(" and %d more", more)
	}
	return append(sentences, fmt.Sprintf("%s: phones that register by %s are sent SRTP keys in clear; let phones register by tls or wss alone, or write srtp: required or accepted", who, c.SIP.Listen[clear].Network))
}
