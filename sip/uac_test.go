package sip

import (
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// uac is a caller that speaks SIP as text: it sends what a test tells it and
// keeps what comes back. It never answers or acknowledges by itself.
type uac struct {
	t      *testing.T
	c      *memConn
	to     string // address of the peer
	callID string
	toTag  string
	heard  []string
}

func newUAC(t *testing.T, n *memNet, addr string) *uac {
	return &uac{t: t, c: n.listen(addr), to: serverAddr, callID: "uac-" + addr}
}

// send sends a request of this dialog; lines may be header fields, and after an
// empty one the body. The branch is made of method and seq.
func (u *uac) send(method string, seq int, lines ...string) {
	u.t.Helper()
	body := ""
	if i := slices.Index(lines, ""); i >= 0 {
		body = strings.Join(lines[i+1:], "\r\n") + "\r\n"
		lines = append(slices.Clone(lines[:i]), fmt.Sprintf("Content-Length: %d", len(body)))
	}
	tag := ""
	if u.toTag != "" {
		tag = ";tag=" + u.toTag
	}
	msg := fmt.Sprintf("%s sip:95599@10.0.0.1 SIP/2.0\r\nVia: SIP/2.0/UDP %s;branch=z9hG4bK%s%s%d;rport\r\nFrom: <sip:13800000000@10.0.0.2>;tag=u\r\nTo: <sip:95599@10.0.0.1>%s\r\nCall-ID: %s\r\nCSeq: %d %s\r\nMax-Forwards: 70\r\nContact: <sip:x@%s>\r\n",
		method, u.c.addr, strings.NewReplacer(".", "", ":", "").Replace(u.callID), method, seq, tag, u.callID, seq, method, u.c.addr)
	for _, l := range lines {
		msg += l + "\r\n"
	}
	u.raw(msg + "\r\n" + body)
}

func (u *uac) raw(msg string) {
	_, _ = u.c.WriteTo([]byte(msg), net.UDPAddrFromAddrPort(netip.MustParseAddrPort(u.to)))
}

// sdp are lines for send: a body of SDP.
func sdp(body ...string) []string {
	return append([]string{"Content-Type: application/sdp", ""}, body...)
}

// until waits for a message that starts with prefix and has that CSeq ("" for
// any), and keeps the To tag of answers.
func (u *uac) until(prefix, cseq string) string {
	u.t.Helper()
	limit := time.After(time.Minute)
	for {
		select {
		case p := <-u.c.in:
			u.heard = append(u.heard, p.text)
			if _, tag, ok := strings.Cut(header(p.text, "To"), ";tag="); ok && strings.HasPrefix(p.text, "SIP/2.0") {
				u.toTag = tag
			}
			if strings.HasPrefix(p.text, prefix) && (cseq == "" || header(p.text, "CSeq") == cseq) {
				return p.text
			}
		case <-limit:
			u.t.Fatalf("no %q within a minute; heard %q", prefix, u.heard)
		}
	}
}

// call sets a call up: INVITE with CSeq 1 and SDP, 200, ACK.
func (u *uac) call() {
	u.t.Helper()
	u.send("INVITE", 1, sdp("v=0")...)
	u.until("SIP/2.0 200", "1 INVITE")
	u.send("ACK", 1)
	synctest.Wait()
}

// reply answers a request that came with the given status.
func (u *uac) reply(req, status string) {
	u.raw(fmt.Sprintf("SIP/2.0 %s\r\nVia: %s\r\nFrom: %s\r\nTo: %s\r\nCall-ID: %s\r\nCSeq: %s\r\nContent-Length: 0\r\n\r\n",
		status, header(req, "Via"), header(req, "From"), header(req, "To"), header(req, "Call-ID"), header(req, "CSeq")))
}

// answering is a server that answers every call of the carrier's.
func answering(t *testing.T, n *memNet, opt Options) (*Stack, chan *Leg) {
	t.Helper()
	legs := make(chan *Leg, 16)
	opt.Access.Trunks = append(opt.Access.Trunks, carrier)
	if opt.Handlers.Invite == nil {
		opt.Handlers.Invite = func(l *Leg) { _ = l.Answer([]byte("v=0\r\n")); legs <- l }
	}
	return memStack(t, n, serverAddr, opt), legs
}

// inCall is a server, and a caller of text whose call it has answered.
func inCall(t *testing.T, n *memNet) (*Stack, *uac, *Leg) {
	t.Helper()
	srv, legs := answering(t, n, Options{})
	u := newUAC(t, n, callerAddr)
	u.call()
	return srv, u, <-legs
}
