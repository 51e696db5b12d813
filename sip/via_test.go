package sip

import (
	"net/netip"
	"strings"
	"testing"
)

// What the top Via of a datagram's request becomes for sipgo, and what leaves again. "@" stands for
// the mark.
func TestSourceTravelsInVia(t *testing.T) {
	m := newSourceMark([]byte{1, 2, 3, 4})
	for _, tc := range []struct{ name, from, via, inside, to string }{
		{"plain", "10.0.0.2:5060", "Via: SIP/2.0/UDP 10.0.0.2:5060;branch=z9hG4bK1",
			"Via: SIP/2.0/UDP 10.0.0.2:5060@;branch=z9hG4bK1", "10.0.0.2:5060"},
		{"no port", "10.0.0.2:5060", "Via: SIP/2.0/UDP 10.0.0.2;branch=z9hG4bK1",
			"Via: SIP/2.0/UDP 10.0.0.2@;branch=z9hG4bK1", "10.0.0.2:5060"},
		{"behind NAT", "192.0.2.9:1024", "v: SIP/2.0/UDP 10.0.0.2:5060;rport;branch=z9hG4bK1",
			"v: SIP/2.0/UDP 10.0.0.2:5060@;branch=z9hG4bK1;rport=1024;received=192.0.2.9", "192.0.2.9:1024"},
		{"a name", "192.0.2.9:1024", "Via : SIP/2.0/UDP phone.example;branch=z9hG4bK1",
			"Via : SIP/2.0/UDP phone.example@;branch=z9hG4bK1;received=192.0.2.9", "192.0.2.9:5060"},
		{"IPv6", "[2001:db8::2]:5060", "Via: SIP/2.0/UDP [2001:db8::2]:5060;branch=z9hG4bK1",
			"Via: SIP/2.0/UDP [2001:db8::2]:5060@;branch=z9hG4bK1", "[2001:db8::2]:5060"},
		{"IPv6, no port", "[2001:db8::2]:5060", "Via: SIP/2.0/UDP [2001:db8::2];rport",
			"Via: SIP/2.0/UDP [2001:db8::2]@;rport=5060;received=2001:db8::2", "[2001:db8::2]:5060"},
		{"lies about its address", "192.0.2.9:1024", "Via: SIP/2.0/UDP 10.0.0.2;received=10.0.0.9;rport=99;branch=z9hG4bK1",
			"Via: SIP/2.0/UDP 10.0.0.2@;branch=z9hG4bK1;rport=1024;received=192.0.2.9", "192.0.2.9:1024"},
		{"another port in Via", "10.0.0.2:1024", "Via: SIP/2.0/UDP 10.0.0.2:5070;branch=z9hG4bK1",
			"Via: SIP/2.0/UDP 10.0.0.2:5070@;branch=z9hG4bK1", "10.0.0.2:5070"},
		{"two in a field", "10.0.0.2:5060", "Via: SIP/2.0/UDP 10.0.0.2;branch=z9hG4bK1, SIP/2.0/UDP 10.0.0.3;branch=z9hG4bK2",
			"Via: SIP/2.0/UDP 10.0.0.2@;branch=z9hG4bK1, SIP/2.0/UDP 10.0.0.3;branch=z9hG4bK2", "10.0.0.2:5060"},
		{"folded", "10.0.0.2:5060", "Via:\r\n SIP/2.0/UDP 10.0.0.2\r\n ;branch=z9hG4bK1",
			"Via:\r\n SIP/2.0/UDP 10.0.0.2@;branch=z9hG4bK1", "10.0.0.2:5060"},
		{"none", "10.0.0.2:5060", "Subject: Via: x", "Subject: Via: x", ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			message := func(via string) string {
				return "OPTIONS sip:a@b SIP/2.0\r\nMax-Forwards: 70\r\n" + via + "\r\nVia: SIP/2.0/UDP 10.9.9.9;rport\r\nCall-ID: 1\r\n\r\nVia: body"
			}
			if tc.name == "none" {
				message = func(via string) string { return "OPTIONS sip:a@b SIP/2.0\r\n" + via + "\r\n\r\nVia: body" }
			}
			from := netip.MustParseAddrPort(tc.from)
			inside := string(m.put(nil, []byte(message(tc.via)), from))
			mark := ""
			if i := strings.Index(inside, string(m)); i >= 0 {
				mark, _, _ = strings.Cut(inside[i:], ";branch")
				mark = mark[:strings.IndexAny(mark[1:]+";", ";\r,")+1]
			}
			if want := message(strings.ReplaceAll(tc.inside, "@", mark)); inside != want || mark == "" && tc.name != "none" {
				t.Fatalf("inside\n%q, want\n%q", inside, want)
			}
			leaves, to, marked := m.take(nil, []byte(inside))
			if want := message(strings.ReplaceAll(tc.inside, "@", "")); string(leaves) != want {
				t.Errorf("leaves\n%q, want\n%q", leaves, want)
			}
			if !marked && tc.to != "" || marked && to.String() != tc.to {
				t.Errorf("goes to %s, want %s", to, tc.to)
			}
		})
	}
}

// Whatever comes, a mark is put at most once and leaves no trace.
func FuzzSourceMark(f *testing.F) {
	for _, s := range []string{
		"OPTIONS sip:a@b SIP/2.0\r\nVia: SIP/2.0/UDP h;rport;branch=1\r\n\r\n",
		"\r\nX y\r\nv:\r\n  SIP/2.0/UDP [::1]:9 \r\n\t; rport = \"a,\" , b\r\nVia: c\r\n\r\n",
		"Via: a", "\n\n", "X\nVia:", "X\nv:;;;=;rport\n",
	} {
		f.Add(s)
	}
	m := newSourceMark([]byte{1, 2, 3, 4})
	from := netip.MustParseAddrPort("192.0.2.1:5061")
	f.Fuzz(func(t *testing.T, text string) {
		if strings.Contains(text, string(m)) {
			return
		}
		inside := m.put(nil, []byte(text), from)
		if n := strings.Count(string(inside), string(m)); n > 1 || n == 0 && string(inside) != text {
			t.Fatalf("%d marks in %q", n, inside)
		}
		leaves, to, marked := m.take(nil, inside)
		if strings.Contains(string(leaves), string(m)) || marked != (len(inside) != len(text)) || marked && to.Addr() != from.Addr() {
			t.Errorf("%q goes to %s", leaves, to)
		}
	})
}
