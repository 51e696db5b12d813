package config

import (
	"strings"
	"testing"
)

func TestKeysInClear(t *testing.T) {
	const way, browser, safe = "sip.example.com", "phones that register by", "tls"
	for name, c := range map[string]struct {
		house, trunk, transport, listener, agent string
		want                                     []string
	}{
		"nothing said":             {listener: "udp"},
		"house prefers":            {house: "preferred", listener: "udp", want: []string{"trunk out: ", way, "agent alice and 1 more: ", "register by udp"}},
		"trunk alone":              {trunk: "preferred", listener: "udp", want: []string{"trunk out: ", way}},
		"trunk by TCP":             {trunk: "preferred", transport: "tcp", listener: "udp", want: []string{"trunk out: ", way}},
		"trunk by TLS":             {trunk: "preferred", transport: safe, listener: "udp"},
		"trunk off, house prefers": {house: "preferred", trunk: "off", listener: "wss"},
		"agent alone":              {agent: "preferred", listener: "ws", want: []string{"agent alice: ", browser, "register by ws"}},
		"agent by WSS":             {agent: "preferred", listener: "wss"},
		"agent who needs them":     {agent: "required", listener: "tls"},
	} {
		t.Run(name, func(t *testing.T) {
			cfg := &Config{
				SIP:    SIP{Listen: []Listen{{Network: c.listener}}},
				Trunks: []Trunk{{Name: "in"}, {Name: "out", SRTP: c.trunk, Gateways: []Gateway{{Host: way, Transport: c.transport}}}},
				Agents: []Agent{{User: "alice", SRTP: c.agent}, {User: "bob"}},
			}
			cfg.Media.SRTP = or(c.house, "accepted")
			got := strings.Join(cfg.KeysInClear(), "\n")
			for _, want := range c.want {
				if !strings.Contains(got, want) {
					t.Errorf("%q lacks %q", got, want)
				}
			}
			if len(c.want) == 0 && got != "" || strings.Contains(got, browser) != strings.Contains(strings.Join(c.want, ""), "register by") {
				t.Errorf("%q", got)
			}
		})
	}
}
