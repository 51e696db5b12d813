package config

import (
	"fmt"
	"slices"

	"hotline/media"
)

// srtpPolicies are the values of the fields srtp.
var srtpPolicies = map[string]media.SRTP{
	"off": media.SRTPOff, "accepted": media.SRTPAccepted, "preferred": media.SRTPPreferred, "required": media.SRTPRequired,
}

// AgentSRTP says how sound with the agent's phones is encrypted.
func (c *Config) AgentSRTP(user string) media.SRTP {
	a, _ := c.Agent(user)
	return srtpPolicies[or(a.SRTP, c.Media.SRTP)]
}

// TrunkSRTP says how sound is encrypted with whoever of these trunks takes a call: as the strictest of
// them wants it.
func (c *Config) TrunkSRTP(names ...string) media.SRTP {
	strict := []media.SRTP{media.SRTPOff, media.SRTPAccepted, media.SRTPPreferred, media.SRTPRequired}
	most := 0
	for _, t := range c.Trunks {
		if slices.Contains(names, t.Name) {
			most = max(most, slices.Index(strict, srtpPolicies[or(t.SRTP, c.Media.SRTP)]))
		}
	}
	return strict[most]
}

func or(own, house string) string {
	if own != "" {
		return own
	}
	return house
}

// TrunkPrivate says that all gateways of these trunks are reached by TLS.
func (c *Config) TrunkPrivate(names ...string) bool {
	return !slices.ContainsFunc(c.Trunks, func(t Trunk) bool {
		return slices.Contains(names, t.Name) &&
			slices.ContainsFunc(t.Gateways, func(g Gateway) bool { return g.Transport != "tls" })
	})
}

// TrunkTrusted says that the trunk sends its sound from where its SDP says.
func (c *Config) TrunkTrusted(name string) bool {
	return slices.ContainsFunc(c.Trunks, func(t Trunk) bool { return t.Name == name && !t.Symmetric && !t.LearnRTP })
}

// srtp checks that where SRTP is required keys can travel encrypted.
func (c *checker) srtp() {
	for i, a := range c.cfg.Agents {
		c.srtpWay(index("agents", i, "srtp"), a.SRTP, "phone of agent "+a.User, "tls", "wss")
	}
	for i, t := range c.cfg.Trunks {
		if t.callsIn() {
			c.srtpWay(index("trunks", i, "srtp"), t.SRTP, "trunk "+t.Name, "tls")
		}
		if or(t.SRTP, c.cfg.Media.SRTP) != "required" || c.bad["media.srtp"] || c.bad[index("trunks", i, "srtp")] {
			continue
		}
		for j, g := range t.Gateways {
			at := index(index("trunks", i, "gateways"), j, "transport")
			if g.Transport != "tls" && !c.bad[at] {
				c.wrong(at, "write transport: tls, or set the trunk's srtp to preferred", "SRTP is required, and its keys would be sent to gateway %s in clear", g.Host)
			}
		}
	}
}

// srtpWay checks that a listener speaks one of the networks.
func (c *checker) srtpWay(at, own, who string, networks ...string) {
	if own == "" {
		at = "media.srtp"
	}
	if or(own, c.cfg.Media.SRTP) != "required" || c.bad[at] || c.badBelow("sip.listen") {
		return
	}
	if !slices.ContainsFunc(c.cfg.SIP.Listen, func(l Listen) bool { return slices.Contains(networks, l.Network) }) {
		c.wrong(at, fmt.Sprintf("add {network: %s, ...} to sip.listen, or use preferred", networks[0]),
			"no listener encrypts signalling, so %s could never have keys", who)
		c.bad[at] = true
	}
}
