package e2e

import (
	"fmt"
	"net/netip"
	"path/filepath"
	"testing"

	"hotline/config"
)

// sipp shows alice's lamp through a call: dark, blinking, lit, dark; then it wants to
// know no more.
func TestSippBusyLamp(t *testing.T) {
	h := startHotline(t, func(c *config.Config) {
		c.Agents = []config.Agent{agent("alice", false, "sales"), agent("lamp", false)}
		c.Extensions = []config.Extension{{Number: "801", Agent: "alice"}}
	})
	desk := h.seat("alice")
	lamp := sippCallers{scenario: "lamp.xml", server: h.SIPAddr().String(), did: "801", calls: 1}.start(t)
	h.log.await(t, "watcher told", "of", "alice", "call", "")
	call := h.dial(h.phone(), "1", "13900000001")
	ring := desk.ring(t)
	h.log.await(t, "watcher told", "of", "alice", "call", "early")
	if _, err := ring.Answer(); err != nil {
		t.Fatal(err)
	}
	h.log.await(t, "watcher told", "of", "alice", "call", "confirmed")
	call.Hangup()
	awaitDone(t, "the end", call.Done())
	if err := awaitSipp(t, lamp); err != nil {
		t.Error(err)
	}
}

// linphone shows what a colleague does: a real softphone reads our documents.
func TestLinphoneShowsPresence(t *testing.T) {
	certs := certificates(t)
	port := freePorts(t, 1)
	h := startHotline(t, func(c *config.Config) {
		twoDesks(c)
		c.Agents[0].Algorithm = "sha-256"
		c.SIP.Listen = append(c.SIP.Listen, config.Listen{Network: "tls", Address: netip.AddrPortFrom(netip.MustParseAddr("127.0.0.1"), uint16(port)),
			Certificate: filepath.Join(certs, "server.pem"), Key: filepath.Join(certs, "server.key"), ClientCertificate: "optional"})
	})
	carol := startLinphone(t, "carol", fmt.Sprint(port), filepath.Join(certs, "ca.pem"),
		"[friend_0]", fmt.Sprintf("url=<sip:olga@localhost:%d;transport=tls>", port), "pol=accept", "subscribe=1")
	h.log.await(t, "seat registered", "seat", "carol")
	olga := h.seat("olga")
	carol.await(fmt.Sprintf(`Friend "olga" <sip:olga@localhost:%d> is Online`, port))
	if err := olga.Unregister(t.Context()); err != nil {
		t.Fatal(err)
	}
	carol.await(fmt.Sprintf(`Friend "olga" <sip:olga@localhost:%d> is Offline`, port))
}
