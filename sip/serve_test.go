package sip

import (
	"net/netip"
	"strings"
	"testing"

	gosip "github.com/emiago/sipgo/sip"
)

// What the top Via of a request becomes, and where its answers go.
func TestStampSaysWhereARequestCameFrom(t *testing.T) {
	for _, tc := range []struct{ name, from, via, stamped, to string }{
		{"plain", "10.0.0.2:5060", "SIP/2.0/UDP 10.0.0.2:5060;branch=z9hG4bK1", "SIP/2.0/UDP 10.0.0.2:5060;branch=z9hG4bK1", "10.0.0.2:5060"},
		{"no port", "10.0.0.2:1024", "SIP/2.0/UDP 10.0.0.2;branch=z9hG4bK1", "SIP/2.0/UDP 10.0.0.2;branch=z9hG4bK1", "10.0.0.2:5060"},
		{"behind NAT", "192.0.2.9:1024", "SIP/2.0/UDP 10.0.0.2:5060;rport;branch=z9hG4bK1", "SIP/2.0/UDP 10.0.0.2:5060;branch=z9hG4bK1;rport=1024;received=192.0.2.9", "192.0.2.9:1024"},
		{"a name", "192.0.2.9:1024", "SIP/2.0/UDP phone.example;branch=z9hG4bK1", "SIP/2.0/UDP phone.example;branch=z9hG4bK1;received=192.0.2.9", "192.0.2.9:5060"},
		{"IPv6", "[2001:db8::2]:5060", "SIP/2.0/UDP [2001:db8::2]:5060;branch=z9hG4bK1", "SIP/2.0/UDP [2001:db8::2]:5060;branch=z9hG4bK1", "[2001:db8::2]:5060"},
		{"IPv6, rport", "[2001:db8::2]:5060", "SIP/2.0/UDP [2001:db8::2];rport", "SIP/2.0/UDP [2001:db8::2];rport=5060;received=2001:db8::2", "[2001:db8::2]:5060"},
		{"lies about its address", "192.0.2.9:1024", "SIP/2.0/UDP 10.0.0.2;received=10.0.0.9;RPORT=99;branch=z9hG4bK1", "SIP/2.0/UDP 10.0.0.2;branch=z9hG4bK1;rport=1024;received=192.0.2.9", "192.0.2.9:1024"},
		{"another port in Via", "10.0.0.2:1024", "SIP/2.0/UDP 10.0.0.2:5070;branch=z9hG4bK1", "SIP/2.0/UDP 10.0.0.2:5070;branch=z9hG4bK1", "10.0.0.2:5070"},
		{"an impossible port", "10.0.0.2:1024", "SIP/2.0/UDP 10.0.0.2:99999;branch=z9hG4bK1", "SIP/2.0/UDP 10.0.0.2:99999;branch=z9hG4bK1", "10.0.0.2:5060"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			msg, err := gosip.NewParser().ParseSIP([]byte("OPTIONS sip:a@b SIP/2.0\r\nVia: " + tc.via + "\r\nVia: SIP/2.0/UDP 10.9.9.9;rport\r\nContent-Length: 0\r\n\r\n"))
			if err != nil {
				t.Fatal(err)
			}
			req := msg.(*gosip.Request)
			to := stamp(req, netip.MustParseAddrPort(tc.from))
			if to.String() != tc.to || req.Source() != tc.from {
				t.Errorf("answers go to %s, want %s; the source is %s", to, tc.to, req.Source())
			}
			var vias []string
			for _, h := range req.GetHeaders("Via") {
				vias = append(vias, h.Value())
			}
			if got, want := strings.Join(vias, "|"), tc.stamped+"|SIP/2.0/UDP 10.9.9.9;rport"; got != want {
				t.Errorf("got %s, want %s", got, want)
			}
		})
	}
}

// Whatever can be read is stamped once, and answers go back where it came from.
func FuzzStamp(f *testing.F) {
	for _, s := range []string{"SIP/2.0/UDP h;rport;branch=1", "SIP/2.0/UDP [::1]:9 ; rport = \"a,\" , b", "SIP/2.0/TCP h:0;received;received=1;rport;rport=2", ""} {
		f.Add(s)
	}
	from := netip.MustParseAddrPort("192.0.2.1:5061")
	f.Fuzz(func(t *testing.T, via string) {
		msg, err := gosip.NewParser().ParseSIP([]byte("OPTIONS sip:a@b SIP/2.0\r\nVia: " + via + "\r\nContent-Length: 0\r\n\r\n"))
		if err != nil {
			return
		}
		req, ok := msg.(*gosip.Request)
		if !ok {
			return
		}
		if to := stamp(req, from); to.Addr() != from.Addr() || to.Port() == 0 {
			t.Errorf("answers go to %s", to)
		}
		if v := req.Via(); v != nil {
			if got, _ := v.Params.Get("received"); got != "" && got != "192.0.2.1" {
				t.Errorf("received=%s", got)
			}
		}
		_, _ = keyOf(req, req.Method)
	})
}
