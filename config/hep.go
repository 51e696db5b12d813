package config

import (
	"net/netip"

	"hotline/sip"
)

// HEP sends a copy of each SIP message to a capture server such as Homer, by HEP version 3
// over UDP. The copies hold whole numbers and SDP in the clear, also of what came by TLS;
// credentials are crossed out. So the capture server belongs into a network that can be
// trusted.
type HEP struct {
	// Address of the capture server. Default: none, nothing is sent.
	Address netip.AddrPort `yaml:"address" restart:"yes"`
	// AgentID tells the capture server who sends. 0 to 4294967295, default 2001.
	AgentID int `yaml:"agent_id" default:"2001" min:"0" max:"4294967295" restart:"yes"`
	// Password that the capture server asks for; it is sent in the clear, too. Default:
	// none.
	Password Secret `yaml:"password" restart:"yes"`
	// Queue is how many messages may wait to be sent; more are dropped and counted, no
	// call waits. 16 to 1000000, default 4096.
	Queue int `yaml:"queue" default:"4096" min:"16" max:"1000000" restart:"yes"`
}

func (h *HEP) options() sip.HEP {
	return sip.HEP{Collector: h.Address, AgentID: uint32(h.AgentID), Password: string(h.Password), Queue: h.Queue}
}
