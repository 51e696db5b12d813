package sip

import (
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// torture6 are messages after the sections of RFC 5118 and the answers that a server may
// give; one message per line of headers, the body behind an empty one.
var torture6 = []struct {
	section, name, answers string
	lines                  []string
}{
	{"4.1", "reference", "200 401", register6("sip:[2001:db8::10]", via6)},
	{"4.2", "no brackets", "400", register6("sip:2001:db8::10", via6)},
	{"4.3", "port within the brackets", "200 401", register6("sip:[2001:db8::10:5070]", via6)},
	{"4.4", "port behind the brackets", "200 401", register6("sip:[2001:db8::10]:5070", via6)},
	{"4.5", "received in brackets", "481", bye6(via6 + ";received=[2001:db8::9:255]")},
	{"4.5", "received without brackets", "481", bye6(via6 + ";received=2001:db8::9:255")},
	{"4.6", "SDP", "404", invite6("<sip:caller@[2001:db8::20]>", "c=IN IP6 2001:db8::20")},
	{"4.7", "addresses of both kinds in header fields", "481", bye6(via6, "Via: SIP/2.0/UDP 192.0.2.1;received=192.0.2.254;branch=z9hG4bKkjj", "Record-Route: <sip:192.0.2.1;lr>,<sip:[2001:db8::3];lr>")},
	{"4.8", "addresses of both kinds in SDP", "404", invite6("<sip:caller@[2001:db8::20]>", "c=IN IP6 2001:db8::20", "m=video 6030 RTP/AVP 31", "c=IN IP4 192.0.2.20")},
	{"4.9", "IPv4 mapped to IPv6", "404", invite6("<sip:caller@[::ffff:192.0.2.10]:19823>", "c=IN IP6 ::ffff:192.0.2.10", "m=video 6030 RTP/AVP 31", "c=IN IP4 192.0.2.20")},
	{"4.10", "three colons", "200", options6("sip:user@[2001:db8:::192.0.2.1]")},
	{"4.10", "two colons", "200", options6("sip:user@[2001:db8::192.0.2.1]")},
	{"4.10", "three colons in From and Contact", "200", options6("sip:user@example.com", "[2001:db8:::192.0.2.1]")},
}

const via6 = "Via: SIP/2.0/UDP [2001:db8::9:1];branch=z9hG4bKas3"

func register6(uri, via string) []string {
	return []string{"REGISTER " + uri + " SIP/2.0", via, "To: sip:user@example.com", "From: sip:user@example.com;tag=81x2", "Call-ID: SSG9559905523997077@hlau_4100",
		"Max-Forwards: 70", "Contact: \"Caller\" <sip:caller@[2001:db8::1]>", "CSeq: 98176 REGISTER"}
}

func bye6(via string, more ...string) []string {
	return append([]string{"BYE sip:[2001:db8::10] SIP/2.0", via}, append(more, "To: sip:user@example.com;tag=bd76ya", "From: sip:user@example.com;tag=81x2",
		"Call-ID: SSG9559905523997077@hlau_4100", "Max-Forwards: 70", "CSeq: 321 BYE")...)
}

func invite6(contact, connection string, media ...string) []string {
	return append([]string{"INVITE sip:user@[2001:db8::10] SIP/2.0", via6, "To: sip:user@[2001:db8::10]", "From: sip:user@example.com;tag=81x2", "Call-ID: SSG9559905523997077@hlau_4100",
		"Max-Forwards: 70", "Contact: " + contact, "CSeq: 8612 INVITE", "Content-Type: application/sdp", "",
		"v=0", "o=assistant 971731711378798081 0 IN IP6 2001:db8::20", "s=Live video feed", connection, "t=3338481189 3370017201", "m=audio 6000 RTP/AVP 2", "a=rtpmap:2 G726-32/8000"}, media...)
}

func options6(uri string, host ...string) []string {
	at := append(host, "[2001:db8:::192.0.2.1]")[0]
	return []string{"OPTIONS " + uri + " SIP/2.0", via6, "To: sip:user@example.com", "From: sip:user@" + at + ";tag=810x2", "Call-ID: SSG95523997077@hlau_4100",
		"Max-Forwards: 70", "Contact: \"Caller\" <sip:caller@" + at + ">", "CSeq: 689 OPTIONS"}
}

// message puts lines together, with the length of the body.
func tortureText(lines []string) []byte {
	head, body := lines, ""
	if i := slices.Index(lines, ""); i >= 0 {
		head, body = lines[:i], strings.Join(lines[i+1:], "\r\n")+"\r\n"
	}
	return []byte(strings.Join(head, "\r\n") + "\r\nContent-Length: " + strconv.Itoa(len(body)) + "\r\n\r\n" + body)
}

// RFC 5118, message by message over a real UDP socket with IPv6: each gets the right
// answer, and the server answers the next request.
func TestTorture6(t *testing.T) {
	for _, tc := range torture6 {
		t.Run(tc.section+" "+tc.name, func(t *testing.T) {
			srv := openStack(t, Options{
				Access: Access{
					Trunks:   []Trunk{{Name: "peer", Addresses: []netip.Prefix{netip.MustParsePrefix("::1/128")}}},
					Accounts: []Account{account(MD5)},
				},
				Handlers: Handlers{Invite: func(l *Leg) { _ = l.Reject(404, "Not Found") }},
			}, Listener{Network: "udp", Addr: netip.MustParseAddrPort("[::1]:0")})
			c, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(netip.MustParseAddrPort("[::1]:0")))
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			p := &tortured{t: t, c: c, to: srv.Addr(0)}
			lines := slices.Clone(tc.lines)
			lines[1] = strings.Replace(lines[1], "9:1];", "9:1]:"+strconv.Itoa(c.LocalAddr().(*net.UDPAddr).Port)+";", 1) // where answers go
			p.send(tortureText(lines))
			if got := p.final(false); !slices.Contains(strings.Fields(tc.answers), got) {
				t.Errorf("got %s, want %s", got, tc.answers)
			}
			p.alive()
		})
	}
}
