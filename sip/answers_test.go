package sip

import (
	"fmt"
	"io"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"
)

// asker is a peer at a real socket that speaks SIP as text.
type asker struct {
	t    *testing.T
	conn net.Conn
}

func newAsker(t *testing.T, network string, to netip.AddrPort) *asker {
	t.Helper()
	c, err := net.Dial(network, to.String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	_ = c.SetDeadline(time.Now().Add(10 * time.Second))
	return &asker{t, c}
}

// say sends a request; callID names its dialog and its transaction, changes are as of
// validated.
func (a *asker) say(start, callID, branch string, changes []string, body string) {
	a.t.Helper()
	at := a.conn.LocalAddr()
	text := strings.NewReplacer("UDP "+callerAddr, strings.ToUpper(at.Network())+" "+at.String(), "z9hG4bKv", "z9hG4bK"+callID+branch,
		"Call-ID: v", "Call-ID: "+callID+at.String(), "<sip:x@"+callerAddr+">", "<sip:x@"+at.String()+">").Replace(string(validated(start, changes, body)))
	if _, err := io.WriteString(a.conn, text); err != nil {
		a.t.Fatal(err)
	}
}

// await reads until a message comes that begins so and has that CSeq ("" for any).
func (a *asker) await(prefix, cseq string) string {
	a.t.Helper()
	buf := make([]byte, 1<<16)
	for {
		n, err := a.conn.Read(buf)
		if err != nil {
			a.t.Fatalf("no %q: %v", prefix, err)
		}
		text := string(buf[:n])
		if strings.HasPrefix(text, prefix) && !strings.HasPrefix(text, "SIP/2.0 1") && (cseq == "" || header(text, "CSeq") == cseq) {
			return text
		}
	}
}

// hear is the code of the next final answer to a CSeq.
func (a *asker) hear(cseq string) (code, text string) {
	text = a.await("SIP/2.0 ", cseq)
	return strings.Fields(text)[1], text
}

// askFor sends one request outside of a dialog and returns the code of its answer.
func askFor(start, body string, changes ...string) func(*asker) string {
	return func(a *asker) string {
		a.say(start, "one", "", changes, body)
		code, _ := a.hear("1 " + strings.Fields(start)[0])
		return code
	}
}

var typed = "Content-Type: application/sdp"

const inviteUs = "INVITE sip:95599@127.0.0.1 SIP/2.0"

// call sets a call up, without ACK, and returns the answer.
func (a *asker) call() string {
	a.say(inviteUs, "call", "", []string{typed}, "v=0\r\n")
	return a.await("SIP/2.0 200", "1 INVITE")
}

// change sends ACK and then a re-INVITE in the call answered so, and returns the code of
// its answer; between is called between the two.
func (a *asker) change(answered string, between func()) string {
	in := func(method string, seq int) []string {
		return []string{"-To", "To: " + header(answered, "To"), "-CSeq", fmt.Sprintf("CSeq: %d %s", seq, method), typed}
	}
	a.say("ACK sip:x@127.0.0.1 SIP/2.0", "call", "ack", in("ACK", 1), "")
	between()
	a.say("INVITE sip:x@127.0.0.1 SIP/2.0", "call", "re", in("INVITE", 2), "v=0\r\n")
	code, _ := a.hear("2 INVITE")
	return code
}

// tooBrief registers for a shorter time than we take.
func tooBrief(a *asker) string {
	const register = "REGISTER sip:10.0.0.1 SIP/2.0"
	alice := []string{"-From", "From: <sip:alice@10.0.0.1>;tag=v", "-To", "To: <sip:alice@10.0.0.1>", "-Contact", "Contact: <sip:alice@127.0.0.9>;expires=5"}
	a.say(register, "reg", "1", alice, "")
	challenge := a.await("SIP/2.0 401", "")
	a.say(register, "reg", "2", append(alice, answer(a.t, challenge, "REGISTER", "sip:10.0.0.1", "alice", "wonderland", 1)), "")
	code, text := a.hear("1 REGISTER")
	if header(text, "Min-Expires") != "60" {
		a.t.Errorf("no Min-Expires in %q", text)
	}
	return code
}

// Each answer of the validation layer, to a request that comes by a real socket, and the
// next request is served. 421 is never given: nothing here needs an extension of a
// client's (RFC 3261 21.4.15). 484 takes a number plan: server TestDigitsAreMissing.
func TestValidationOverSockets(t *testing.T) {
	legs := make(chan *Leg, 4)
	o := Options{Access: Access{Accounts: []Account{account(MD5)}, Trunks: []Trunk{{Name: "trunk", Addresses: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}}}},
		Handlers: Handlers{Invite: func(l *Leg) { _ = l.Answer([]byte("v=0\r\n")); legs <- l }}}
	srv := openStack(t, o, Listener{Network: "udp", Addr: local}, Listener{Network: "tcp", Addr: local})
	for _, tc := range []struct {
		name string
		run  func(*asker) string
	}{
		{"400", askFor(inviteUs, "", "-Contact")},
		{"405", askFor("MESSAGE sip:127.0.0.1 SIP/2.0", "")},
		{"406", askFor(inviteUs, "", "Accept: text/html")},
		{"413", askFor(inviteUs, strings.Repeat("a=x\r\n", 4000), typed)},
		{"415", askFor(inviteUs, "hello", "Content-Type: text/plain")},
		{"416", askFor("INVITE mailto:x@y SIP/2.0", "")},
		{"420", askFor(inviteUs, "", "Require: gin")},
		{"422", askFor(inviteUs, "", "Supported: timer", "Session-Expires: 30")},
		{"423", tooBrief},
		{"481", askFor("BYE sip:x@127.0.0.1 SIP/2.0", "", "-To", "To: <sip:95599@10.0.0.1>;tag=nobody")},
		{"482", func(a *asker) string { // the same INVITE by another way
			a.call()
			a.say(inviteUs, "call", "other", []string{typed}, "v=0\r\n")
			for {
				if code, text := a.hear("1 INVITE"); strings.Contains(header(text, "Via"), "callother") {
					return code
				}
			}
		}},
		{"483", askFor(inviteUs, "", "-Max-Forwards", "Max-Forwards: 0")},
		{"488", func(a *asker) string { // its owner takes no change
			return a.change(a.call(), func() { within(a.t, "ACK", (<-legs).Confirmed()) })
		}},
		{"491", func(a *asker) string { // our offer is under way
			return a.change(a.call(), func() {
				l := <-legs
				within(a.t, "ACK", l.Confirmed())
				go func() { _, _ = l.Reoffer(a.t.Context(), []byte("v=0\r\n")) }()
				a.await("INVITE ", "")
			})
		}},
		{"501", askFor("FLY sip:127.0.0.1 SIP/2.0", "")},
		{"505", askFor("OPTIONS sip:127.0.0.1 SIP/3.0", "")},
		{"513", askFor(inviteUs, "", "X: "+strings.Repeat("y", 1<<17))},
	} {
		t.Run(tc.name, func(t *testing.T) {
			for i, network := range []string{"udp", "tcp"} {
				if tc.name == "513" && network == "udp" {
					continue // no datagram is so long
				}
				if got := tc.run(newAsker(t, network, srv.Addr(i))); got != tc.name {
					t.Errorf("%s: got %s", network, got)
				}
				if got := askFor("OPTIONS sip:127.0.0.1 SIP/2.0", "")(newAsker(t, network, srv.Addr(i))); got != "200" {
					t.Errorf("%s: the next request got %s", network, got)
				}
				for len(legs) > 0 {
					<-legs
				}
				for _, l := range srv.allLegs() {
					l.finish(End{Cause: EndClosed})
				}
			}
		})
	}
}
