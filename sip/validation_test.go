package sip

import (
	"fmt"
	"net"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// What is wrong with a request and the answer that RFC 3261 and its kin have for it.
func TestValidationAnswers(t *testing.T) {
	const invite = "INVITE sip:95599@10.0.0.1 SIP/2.0"
	for _, tc := range []struct {
		name, start, want string
		lines             []string // beside those that each request has; "-X" leaves X out
		body              string
		shown             string // a field of the answer
	}{
		{"no Call-ID", invite, "400", []string{"-Call-ID"}, "", ""},
		{"two CSeq", invite, "400", []string{"CSeq: 2 INVITE"}, "", ""},
		{"another method in CSeq", invite, "400", []string{"-CSeq", "CSeq: 1 BYE"}, "", ""},
		{"no Contact", invite, "400", []string{"-Contact"}, "", ""},
		{"a method nobody knows", "FLY sip:95599@10.0.0.1 SIP/2.0", "501", nil, "", "Allow"},
		{"no SDP wanted", invite, "406", []string{"Accept: text/html"}, "", ""},
		{"a body too long", invite, "413", []string{"Content-Type: application/sdp"}, strings.Repeat("a=x\r\n", 4000), ""},
		{"a body that isn't SDP", invite, "415", []string{"Content-Type: text/plain"}, "hello", "Accept"},
		{"a packed body", invite, "415", []string{"Content-Type: application/sdp", "Content-Encoding: gzip"}, "hello", "Accept-Encoding"},
		{"a scheme that isn't SIP's", "INVITE mailto:x@y SIP/2.0", "416", nil, "", ""},
		{"an extension we don't have", invite, "420", []string{"Require: gin"}, "", "Unsupported"},
		{"too short a session", invite, "422", []string{"Supported: timer", "Session-Expires: 30"}, "", "Min-SE"},
		{"a method that isn't for us", "MESSAGE sip:95599@10.0.0.1 SIP/2.0", "405", nil, "", "Allow"},
		{"a call's last hop", invite, "483", []string{"-Max-Forwards", "Max-Forwards: 0"}, "", ""},
		{"the last hop", "OPTIONS sip:10.0.0.1 SIP/2.0", "200", []string{"-Max-Forwards", "Max-Forwards: 0"}, "", ""}, // RFC 3261 16.3: only who forwards minds
		{"no such dialog", "BYE sip:x@10.0.0.1 SIP/2.0", "481", []string{"-To", "To: <sip:95599@10.0.0.1>;tag=nobody"}, "", ""},
		{"no such INVITE", "CANCEL sip:x@10.0.0.1 SIP/2.0", "481", nil, "", ""},
		{"another version", "INVITE sip:95599@10.0.0.1 SIP/3.0", "505", nil, "", ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n := newMemNet()
				srv, _ := answering(t, n, Options{})
				defer srv.Close()
				peer := n.listen(callerAddr)
				_, _ = peer.WriteTo(validated(tc.start, tc.lines, tc.body), net.UDPAddrFromAddrPort(netip.MustParseAddrPort(serverAddr)))
				got, text := "", ""
				for end := time.After(10 * time.Second); got == ""; {
					select {
					case p := <-peer.in:
						if text = p.text; !strings.HasPrefix(text, "SIP/2.0 1") {
							got = strings.Fields(text)[1]
						}
					case <-end:
						got = "silence"
					}
				}
				if got != tc.want {
					t.Errorf("got %s, want %s", got, tc.want)
				}
				if tc.shown != "" && header(text, tc.shown) == "" {
					t.Errorf("no %s in %q", tc.shown, text)
				}
			})
		})
	}
}

// validated is a request with the fields that each has, but for changes.
func validated(start string, changes []string, body string) []byte {
	method, _, _ := strings.Cut(start, " ")
	fields := []string{"Via: SIP/2.0/UDP " + callerAddr + ";branch=z9hG4bKv", "From: <sip:13800000000@10.0.0.2>;tag=v", "To: <sip:95599@10.0.0.1>",
		"Call-ID: v", "CSeq: 1 " + method, "Max-Forwards: 70", "Contact: <sip:x@" + callerAddr + ">"}
	out := start + "\r\n"
	for _, f := range fields {
		name, _, _ := strings.Cut(f, ":")
		left := false
		for _, c := range changes {
			left = left || c == "-"+name
		}
		if !left {
			out += f + "\r\n"
		}
	}
	for _, c := range changes {
		if c[0] != '-' {
			out += c + "\r\n"
		}
	}
	return fmt.Appendf(nil, "%sContent-Length: %d\r\n\r\n%s", out, len(body), body)
}

// The same INVITE by two ways is a loop (RFC 3261 8.2.2.2), and a registration that is
// too short is told how long one must be.
func TestMergedRequestAndBriefRegistration(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newMemNet()
		srv, _ := answering(t, n, Options{Access: Access{Accounts: []Account{account(MD5)}}, Handlers: Handlers{Invite: func(l *Leg) { l.Ring() }}})
		defer srv.Close()
		u := newUAC(t, n, callerAddr)
		u.send("INVITE", 1, sdp("v=0")...)
		u.until("SIP/2.0 180", "")
		again := strings.Replace(n.sent(callerAddr, "INVITE ")[0].text, "z9hG4bK", "z9hG4bKother", 1)
		_, _ = u.c.WriteTo([]byte(again), net.UDPAddrFromAddrPort(netip.MustParseAddrPort(serverAddr)))
		u.until("SIP/2.0 482", "1 INVITE")

		p := &rawPeer{t: t, c: n.listen(agentAddr), from: "alice"}
		challenge := p.send("REGISTER", "sip:10.0.0.1")
		res := p.send("REGISTER", "sip:10.0.0.1", answer(t, challenge, "REGISTER", "sip:10.0.0.1", "alice", "wonderland", 1), "Contact: <sip:alice@"+agentAddr+">;expires=5")
		if !strings.HasPrefix(res, "SIP/2.0 423") || header(res, "Min-Expires") != "60" {
			t.Errorf("got %q", res)
		}
	})
}

// Nobody learns from an answer who has an account: those to a name that exists and to one
// that doesn't are alike to the byte, whatever the algorithms of the accounts, and of a trunk that may call from anywhere.
func TestAnswersTellNobodyWhoExists(t *testing.T) {
	accounts := []Account{account(MD5), {Credentials{User: "bobby", Password: "x", Algorithm: SHA256}}}
	for _, trunk := range []Algorithm{"", MD5, SHA256, Both} {
		access := Access{Accounts: accounts}
		if trunk != "" {
			access.Trunks = []Trunk{{Name: "t", Credentials: &Credentials{User: "pbx", Password: "x", Algorithm: trunk}}}
		}
		for _, method := range []string{"REGISTER", "INVITE", "OPTIONS", "SUBSCRIBE"} {
			for _, wrong := range []bool{false, true} {
				t.Run(fmt.Sprintf("%s, with a wrong password: %t, trunk: %s", method, wrong, trunk), func(t *testing.T) {
					synctest.Test(t, func(t *testing.T) { tellsNobody(t, access, method, wrong) })
				})
			}
		}
	}
}

// tellsNobody knows of alice and bobby.
func tellsNobody(t *testing.T, access Access, method string, wrong bool) {
	names := []string{"alice", "bobby", "carol", "david", "ellen", "frank", "gerda", "henry", "irene", "james", "karin", "louis"} // all of one length
	n := newMemNet()
	srv := memStack(t, n, serverAddr, Options{Access: access})
	defer srv.Close()
	seen := map[string]string{}
	for i, user := range names {
		p := &rawPeer{t: t, c: n.listen(fmt.Sprintf("10.0.5.%d:5060", i+1)), from: user, to: user}
		more := []string{"Contact: <sip:x@10.0.5.1>"}
		if method == "SUBSCRIBE" {
			more = append(more, "Event: dialog")
		}
		res := p.send(method, "sip:"+user+"@10.0.0.1", more...)
		if method != "OPTIONS" && !strings.HasPrefix(res, "SIP/2.0 401") {
			t.Fatalf("isn't asked for a password: %s", res)
		}
		if wrong && strings.HasPrefix(res, "SIP/2.0 401") {
			res = p.send(method, "sip:"+user+"@10.0.0.1", append(more, answer(t, res, method, "sip:"+user+"@10.0.0.1", user, "wrong", 1))...)
		}
		seen[user] = alike(res, user, fmt.Sprintf("10.0.5.%d", i+1))
	}
	// An account is offered its own algorithm, any other name that of some account.
	like := map[string]int{}
	for _, user := range names[2:] {
		if seen[user] != seen["alice"] && seen[user] != seen["bobby"] {
			t.Errorf("alice, who exists: %s\n%s, who doesn't: %s", seen["alice"], user, seen[user])
		}
		like[seen[user]]++
	}
	if seen["alice"] != seen["bobby"] && len(like) != 2 {
		t.Error("names that don't exist are all alike")
	}
}

// alike is an answer without what differs anyway: name, address, nonce and tag.
func alike(res, user, addr string) string {
	res = strings.NewReplacer(user, "USER", addr, "ADDR").Replace(res)
	for _, secret := range []string{`nonce="`, ";tag="} {
		parts := strings.Split(res, secret)
		for i := range parts[1:] {
			parts[i+1] = strings.TrimLeft(parts[i+1], "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_")
		}
		res = strings.Join(parts, secret)
	}
	return res
}
