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

// RFC 3261 15.1.2: a BYE in an early dialog ends the call; the INVITE still gets
// its final answer.
func TestByeBeforeTheAnswerEndsTheInvite(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newMemNet()
		legs := make(chan *Leg, 1)
		srv, _ := answering(t, n, Options{Handlers: Handlers{Invite: func(l *Leg) { l.Ring(); legs <- l }}})
		defer srv.Close()
		u := newUAC(t, n, callerAddr)
		u.send("INVITE", 1, sdp("v=0")...)
		u.until("SIP/2.0 180", "")
		l := <-legs
		u.send("BYE", 2)
		u.until("SIP/2.0 200", "2 BYE")
		u.until("SIP/2.0 487", "1 INVITE")
		u.send("ACK", 1)
		<-l.Done()
		if l.End().Cause != EndRemoteBye {
			t.Errorf("ended with %q", l.End().Cause)
		}
		synctest.Wait()
		if srv.Calls() != 0 {
			t.Error("the dialog is left")
		}
	})
}

// Calls in progress are not work pending: registrations and pings go on.
func TestCallsInProgressAreNotPending(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newMemNet()
		srv, legs := answering(t, n, Options{MaxPending: 1})
		defer srv.Close()
		u := newUAC(t, n, callerAddr)
		u.call()
		<-(<-legs).Confirmed()
		ping := newUAC(t, n, agentAddr)
		ping.send("OPTIONS", 1)
		ping.until("SIP/2.0 200", "1 OPTIONS")
	})
}

// A re-INVITE whose ACK is lost, and another behind it: the second is told to
// wait (RFC 3261 14.2), and the call lives on once the ACK has come.
func TestReinviteWithALostAckKeepsTheCall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newMemNet()
		srv, legs := answering(t, n, Options{})
		defer srv.Close()
		u := newUAC(t, n, callerAddr)
		u.call()
		l := <-legs
		l.OnReoffer(func(offer []byte) ([]byte, int) { return []byte("v=0\r\ns=again\r\n"), 0 })
		u.send("INVITE", 2, sdp("v=0")...)
		u.until("SIP/2.0 200", "2 INVITE")
		u.send("ACK", 1) // the first ACK, delivered twice: says nothing about CSeq 2
		u.send("INVITE", 3, sdp("v=0")...)
		u.until("SIP/2.0 491", "3 INVITE")
		u.send("ACK", 3)
		u.until("SIP/2.0 200", "2 INVITE") // repeated: the ACK was lost
		u.send("ACK", 2)
		synctest.Wait()
		u.send("INVITE", 4, sdp("v=0")...)
		u.until("SIP/2.0 200", "4 INVITE")
		u.send("ACK", 4)
		time.Sleep(2 * time.Minute)
		if isClosed(l.Done()) {
			t.Fatalf("the call was ended: %+v", l.End())
		}
		if got := len(n.sent(serverAddr, "BYE ")); got != 0 {
			t.Errorf("%d BYEs", got)
		}
	})
}

// A re-INVITE that is never acknowledged ends the call after 64*T1.
func TestReinviteWithoutAckEndsTheCall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newMemNet()
		srv, legs := answering(t, n, Options{})
		defer srv.Close()
		u := newUAC(t, n, callerAddr)
		u.call()
		l := <-legs
		l.OnReoffer(func([]byte) ([]byte, int) { return []byte("v=0\r\n"), 0 })
		start := time.Now()
		u.send("INVITE", 2, sdp("v=0")...)
		<-l.Done()
		if w := time.Since(start); l.End().Cause != EndNoAck || w != 32*time.Second {
			t.Errorf("ended with %q after %v, want no_ack after 32s", l.End().Cause, w)
		}
		u.reply(u.until("BYE ", ""), "200 OK")
	})
}

// Hold and resume by re-INVITE, with SDP in the request; then one without, whose
// answer comes in the ACK.
func TestHoldResumeAndOfferlessReinvite(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newMemNet()
		srv, legs := answering(t, n, Options{})
		defer srv.Close()
		u := newUAC(t, n, callerAddr)
		u.call()
		l := <-legs
		var offers, answers []string
		l.OnReoffer(func(offer []byte) ([]byte, int) {
			offers = append(offers, strings.TrimSpace(string(offer)))
			if strings.Contains(string(offer), "m=video") {
				return nil, 488
			}
			return []byte("v=0\r\na=ours\r\n"), 0
		})
		l.OnAnswer(func(answer []byte) { answers = append(answers, strings.TrimSpace(string(answer))) })
		for i, offer := range []string{"a=sendonly", "a=sendrecv"} {
			u.send("INVITE", 2+i, sdp(offer)...)
			if res := u.until("SIP/2.0 200", fmt.Sprintf("%d INVITE", 2+i)); !strings.HasSuffix(res, "v=0\r\na=ours\r\n") || header(res, "Contact") == "" {
				t.Errorf("answer %q", res)
			}
			// SDP in an ACK that owes none is not an answer.
			u.send("ACK", 2+i, sdp("a=stray")...)
			synctest.Wait()
		}
		u.send("INVITE", 4)
		u.until("SIP/2.0 200", "4 INVITE")
		u.send("ACK", 4, sdp("a=theirs")...)
		synctest.Wait()
		u.send("INVITE", 5, sdp("m=video")...)
		u.until("SIP/2.0 488", "5 INVITE")
		u.send("ACK", 5)
		u.send("INVITE", 6, sdp("a=after")...) // a refused change leaves nothing behind
		u.until("SIP/2.0 200", "6 INVITE")
		u.send("ACK", 6)
		synctest.Wait()
		if got := fmt.Sprint(offers); got != "[a=sendonly a=sendrecv  m=video a=after]" {
			t.Errorf("offers %s", got)
		}
		if got := fmt.Sprint(answers); got != "[a=theirs]" {
			t.Errorf("answers %s, want only the one that was owed", got)
		}
		if isClosed(l.Done()) {
			t.Error("the call is over")
		}
	})
}

// An INVITE without SDP: ours goes out in the 200, theirs comes in the ACK; SDP
// in the ACK of a call that had an offer is not taken for an answer.
func TestAnswerInTheAck(t *testing.T) {
	for _, tc := range []struct {
		name, want string
		offer      []string
	}{
		{"offerless INVITE", "[a=theirs]", nil},
		{"INVITE with an offer", "[]", sdp("v=0")},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n := newMemNet()
				answers := []string{}
				srv, legs := answering(t, n, Options{})
				defer srv.Close()
				srv.opt.Handlers.Invite = func(l *Leg) {
					l.OnAnswer(func(b []byte) { answers = append(answers, strings.TrimSpace(string(b))) })
					_ = l.Answer([]byte("v=0\r\na=ours\r\n"))
					legs <- l
				}
				u := newUAC(t, n, callerAddr)
				u.send("INVITE", 1, tc.offer...)
				if res := u.until("SIP/2.0 200", "1 INVITE"); !strings.HasSuffix(res, "a=ours\r\n") {
					t.Errorf("200 without our SDP: %q", res)
				}
				u.send("ACK", 1, sdp("a=theirs")...)
				<-(<-legs).Confirmed()
				if got := fmt.Sprint(answers); got != tc.want {
					t.Errorf("answers %s, want %s", got, tc.want)
				}
			})
		})
	}
}

func TestDigitsByInfo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newMemNet()
		srv, legs := answering(t, n, Options{})
		defer srv.Close()
		u := newUAC(t, n, callerAddr)
		u.call()
		var keys []byte
		l := <-legs
		l.OnDigit(func(k byte) { keys = append(keys, k) })
		seq := 10
		info := func(status, kind string, body ...string) {
			t.Helper()
			seq++
			var lines []string
			if kind != "" {
				lines = append([]string{"Content-Type: " + kind, ""}, body...)
			}
			u.send("INFO", seq, lines...)
			u.until("SIP/2.0 "+status, fmt.Sprintf("%d INFO", seq))
		}
		info("200", "application/dtmf-relay", "Signal=5", "Duration=160")
		info("200", "Application/DTMF-Relay", "signal = *")
		info("200", "application/dtmf", "#")
		info("200", "application/dtmf-relay", "Signal=11")
		info("400", "application/dtmf-relay", "Signal=55")
		info("415", "application/media_control+xml", "<x/>")
		info("200", "")
		u.send("INFO", 3, "Content-Type: application/dtmf", "", "7") // older than what was seen
		u.until("SIP/2.0 500", "3 INFO")
		if string(keys) != "5*##" {
			t.Errorf("keys %q", keys)
		}
		if isClosed(l.Done()) {
			t.Error("the call is over")
		}
	})
}

// Whoever is turned away leaves nothing behind and is answered once for each
// request: no transaction that lives for 32 s, and no 401 that is repeated
// eleven times to an address that may be somebody else's.
func TestRefusedStrangersAreNotRemembered(t *testing.T) {
	for _, tc := range []struct {
		name, want string
		opt        Options
		headers    []string
	}{
		{"a challenge", "401", Options{Access: Access{Accounts: []Account{account(MD5)}}}, nil},
		{"an unknown source", "403", Options{}, nil},
		{"too much work", "503", Options{MaxCalls: -1}, nil},
		{"an extension we don't have", "420", Options{}, []string{"Require: nothing"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n := newMemNet()
				srv, _ := answering(t, n, tc.opt)
				defer srv.Close()
				u := newUAC(t, n, "10.0.0.9:5060")
				u.send("INVITE", 1, append(slices.Clone(tc.headers), sdp("v=0")...)...)
				first := u.until("SIP/2.0 "+tc.want, "1 INVITE")
				time.Sleep(time.Minute)
				if got := len(n.sent(serverAddr, "SIP/2.0 "+tc.want)); got != 1 {
					t.Errorf("answered %d times, want once", got)
				}
				u.toTag = ""
				u.send("INVITE", 1, append(slices.Clone(tc.headers), sdp("v=0")...)...)
				again := u.until("SIP/2.0 "+tc.want, "1 INVITE")
				if header(first, "To") != header(again, "To") {
					t.Errorf("To tag changed: %q, %q", header(first, "To"), header(again, "To"))
				}
				u.send("ACK", 1)
			})
		})
	}
}
