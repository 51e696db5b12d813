package server

import (
	"crypto/md5"
	"fmt"
	"net"
	"net/url"
	"strings"
	"testing"
	"time"
)

// invites has the phone, registered as user, call by an INVITE without an offer; it returns our 200 and what
// the dialog's further requests are to name as theirs.
func (p *textPhone) invites(user, uri, callID string, headers ...string) (ok, from string) {
	p.t.Helper()
	from = "<sip:" + user + "@127.0.0.1>;tag=" + callID
	to := "<" + uri + ">"
	p.send("INVITE", uri, from, to, callID, "", headers...)
	refused := p.until("SIP/2.0 401", "INVITE")
	p.acknowledgeRefusal(uri, from, field(refused, "To"), callID)
	_, nonce, _ := strings.Cut(field(refused, "WWW-Authenticate"), `nonce="`)
	nonce, _, _ = strings.Cut(nonce, `"`)
	hash := func(s string) string { return fmt.Sprintf("%x", md5.Sum([]byte(s))) }
	response := hash(hash(user+":hotline:a-long-secret") + ":" + nonce + ":00000001:c:auth:" + hash("INVITE:"+uri))
	p.send("INVITE", uri, from, to, callID, "", append(headers,
		fmt.Sprintf(`Authorization: Digest username="%s", realm="hotline", nonce="%s", uri="%s", response="%s", algorithm=MD5, qop=auth, nc=00000001, cnonce="c"`, user, nonce, uri, response))...)
	return p.until("SIP/2.0 200", "INVITE"), from
}

// acknowledgeRefusal is in the transaction of the INVITE.
func (p *textPhone) acknowledgeRefusal(uri, from, to, callID string) {
	p.t.Helper()
	p.raw(fmt.Sprintf("ACK %s SIP/2.0\r\nVia: SIP/2.0/UDP %s;branch=z9hG4bKINVITE%d;rport\r\nFrom: %s\r\nTo: %s\r\nCall-ID: %s\r\nCSeq: %d ACK\r\nMax-Forwards: 70\r\nContent-Length: 0\r\n\r\n",
		uri, p.addr(), p.seq, from, to, callID, p.seq))
}

// dialogWith names the server's dialog with the agent who talks, for Join and Replaces.
func (h *hotline) dialogWith(agent string) string {
	h.talks.mu.Lock()
	defer h.talks.mu.Unlock()
	for leg, t := range h.talks.by {
		if string(t.at) == agent {
			_, name, _ := strings.Cut(leg.ReplacesURI(), "?Replaces=")
			name, _ = url.QueryUnescape(name)
			return name
		}
	}
	h.t.Fatal("nobody talks there")
	return ""
}

// hearsAt waits for sound at the address that an ACK named.
func hearsAt(t *testing.T, rtp *net.UDPConn, log fmt.Stringer) {
	t.Helper()
	_ = rtp.SetReadDeadline(time.Now().Add(patience))
	if _, err := rtp.Read(make([]byte, 2048)); err != nil {
		t.Fatalf("no sound where the ACK wants it: %v\n%s", err, log)
	}
}

func listenRTP(t *testing.T) (*net.UDPConn, int) {
	t.Helper()
	c, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c, c.LocalAddr().(*net.UDPAddr).Port
}

// Who joins a talk, supervises or picks up by an INVITE without an offer gets ours, and sound where the ACK says;
// a new offer right behind the ACK is served.
func TestInvitesWithoutAnOffer(t *testing.T) {
	for _, what := range []string{"join", "supervise", "pick up", "another phone", "a code"} {
		t.Run(what, func(t *testing.T) {
			h := start(t, carolSupervises)
			_, desk := h.desk("alice")
			caller := h.call()
			says(caller, callerTone)
			ring := h.ring(desk)
			if what != "pick up" {
				alice, err := ring.Answer()
				if err != nil {
					t.Fatal(err)
				}
				h.hears("caller to alice", caller, alice, '1')
			}
			p, user := h.textPhone(), "carol"
			rtp, port := listenRTP(t)
			var ok, from string
			switch what {
			case "join":
				p.register(user)
				ok, from = p.invites(user, h.uri(), "none", "Join: "+h.dialogWith("alice"))
			case "supervise":
				p.register(user)
				ok, from = p.invites(user, strings.Replace(h.uri(), "sip:", "sip:*6alice@", 1), "none")
			case "pick up":
				user = "bob"
				h.desk(user)
				p.register(user)
				ok, from = p.invites(user, strings.Replace(h.uri(), "sip:", "sip:*8@", 1), "none")
			case "another phone":
				user = "alice"
				p.register(user)
				ok, from = p.invites(user, h.uri(), "none", "Replaces: "+h.dialogWith("alice"))
			case "a code":
				p.register(user)
				ok, from = p.invites(user, strings.Replace(h.uri(), "sip:", "sip:*1@", 1), "none")
			}
			if !strings.Contains(ok, "m=audio") {
				t.Fatalf("no offer in %q", ok)
			}
			_, uri, _ := strings.Cut(field(ok, "Contact"), "<")
			uri, _, _ = strings.Cut(uri, ">")
			p.send("ACK", uri, from, field(ok, "To"), "none", sdp(port, "8", "sendrecv"))
			for { // 491 until the ACK is read: it may be overtaken
				p.send("INVITE", uri, from, field(ok, "To"), "none", sdp(port, "8", "sendrecv"))
				res := p.until("SIP/2.0 ", "INVITE")
				if strings.HasPrefix(res, "SIP/2.0 491") {
					p.acknowledgeRefusal(uri, from, field(ok, "To"), "none")
					continue
				}
				if !strings.HasPrefix(res, "SIP/2.0 200") {
					t.Errorf("a new offer got %q", res)
				}
				break
			}
			p.send("ACK", uri, from, field(ok, "To"), "none", "")
			hearsAt(t, rtp, h.log)
			p.send("BYE", uri, from, field(ok, "To"), "none", "")
			p.until("SIP/2.0 200", "BYE")
			caller.Hangup()
		})
	}
}
