package e2e

import (
	"net/netip"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"hotline/config"
	"hotline/media"
	"hotline/softphone"
)

// encryptedHouse has one agent, whose sound is encrypted as policy says, and a TLS listener, the third.
func encryptedHouse(t *testing.T, policy string, others ...config.Agent) (h *hotline, ca string) {
	t.Helper()
	certs := certificates(t)
	h = startHotline(t, func(c *config.Config) {
		oneAgent(c)
		c.Agents[0].SRTP = policy
		c.Agents = append(c.Agents, others...)
		c.SIP.Listen = append(c.SIP.Listen, config.Listen{Network: "tls", Address: netip.MustParseAddrPort("127.0.0.1:0"),
			Certificate: filepath.Join(certs, "server.pem"), Key: filepath.Join(certs, "server.key")})
	})
	return h, filepath.Join(certs, "ca.pem")
}

// A caller in clear and an agent's baresip, encrypted, hear each other's tone; the records say how.
func TestEncryptedSoundBothWaysWithBaresip(t *testing.T) {
	for _, tc := range []struct {
		name, policy, mediaenc, secure string
	}{
		{"keys in SDP, required by both", "required", "srtp-mand", "sdes"},
		{"keys in SDP, preferred by both", "preferred", "srtp", "sdes"},
		{"preferred here, unknown there", "preferred", "", "none"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			h, ca := encryptedHouse(t, tc.policy)
			carol := startBaresip(t, baresipOptions{user: "carol", password: password, server: h.SIPAddrs()[2].String(), transport: "tls", ca: ca, mediaenc: tc.mediaenc})
			h.log.await(t, "seat registered", "seat", "carol")
			talkByTones(t, h, carol)
			rec := h.finish()[0]
			caller, _ := rec["caller_media"].(map[string]any)
			agent, _ := rec["agent_media"].(map[string]any)
			if caller["secure"] != "none" || agent["secure"] != tc.secure {
				t.Errorf("recorded as %v and %v, want none and %s", caller["secure"], agent["secure"], tc.secure)
			}
		})
	}
}

// talkByTones calls the agent and measures what each hears of the other for a second.
func talkByTones(t *testing.T, h *hotline, carol *baresip) {
	t.Helper()
	swapTones(t, h.dial(h.phone(media.PCMA), "1", "13900000001"), carol)
	heardTone(t, carol)
}

// swapTones lets a phone of ours and a baresip hear each other's tone for a second, then both are done.
func swapTones(t *testing.T, call *softphone.Call, other *baresip) {
	t.Helper()
	call.Media.Play(media.Tone(callerTone, time.Second, 0.4), media.PlayOptions{Loop: true})
	heard := listen(call.Media, agentTone)
	other.await("CALL_ESTABLISHED", patience)
	awaitDone(t, "a second of baresip's tone", heard.enough)
	<-listenFor(call, time.Second)
	call.Hangup()
	other.await("CALL_CLOSED", patience)
	other.stop()
}

// heardTone checks that a baresip has heard the tone of the phone of ours.
func heardTone(t *testing.T, b *baresip) {
	t.Helper()
	if d := hears(b.heard(), callerTone); d < 900*time.Millisecond {
		t.Errorf("baresip heard the other's tone for %v on end, want at least 0.9 s\n%s", d, b.text())
	}
}

// Where SRTP is required, a phone without TLS isn't rung, and one that calls us in clear is refused.
func TestNoCallWithoutEncryption(t *testing.T) {
	h, _ := encryptedHouse(t, "required")
	carol := startBaresip(t, baresipOptions{user: "carol", password: password, server: h.SIPAddr().String(), mediaenc: "srtp-mand"})
	h.log.await(t, "seat changed", "seat", "carol", "state", "idle")
	call := h.dial(h.phone(), "1", "13900000001")
	h.log.await(t, "seat can't be rung", "seat", "carol")
	call.Hangup()
	carol.command("dial", "sip:*2@"+h.SIPAddr().String())
	if e := carol.await("CALL_CLOSED", patience); !strings.Contains(e.Param, "488") {
		t.Errorf("the phone's call ended with %q, want 488", e.Param)
	}
	h.finish()
}

// The phone offers the keys: a feature code, confirmed by a prompt.
func TestBaresipOffersKeys(t *testing.T) {
	h, ca := encryptedHouse(t, "required")
	server := h.SIPAddrs()[2].String()
	carol := startBaresip(t, baresipOptions{user: "carol", password: password, server: server, transport: "tls", ca: ca, mediaenc: "srtp-mand"})
	h.log.await(t, "seat changed", "seat", "carol", "state", "idle")
	carol.command("dial", "sip:*2@"+server+";transport=tls")
	carol.await("CALL_ESTABLISHED", patience)
	h.log.await(t, "seat changed", "seat", "carol", "status", "break")
	carol.await("CALL_CLOSED", patience)
	h.finish()
}

// The phone offers DTLS, or keys in SDP, and speaks with a colleague's plain phone.
func TestBaresipCallsEncrypted(t *testing.T) {
	for _, mediaenc := range []string{"dtls_srtp", "srtp-mand"} {
		t.Run(mediaenc, func(t *testing.T) {
			h, ca := encryptedHouse(t, "required", agent("dave", false, "sales"))
			server := h.SIPAddrs()[2].String()
			carol := startBaresip(t, baresipOptions{user: "carol", password: password, server: server, transport: "tls", ca: ca, mediaenc: mediaenc})
			h.log.await(t, "seat registered", "seat", "carol")
			dave := h.seat("dave")
			carol.command("dial", "sip:dave@"+server+";transport=tls")
			call, _ := dave.pickUp(t)
			swapTones(t, call, carol)
			heardTone(t, carol)
		})
	}
}
