package sip

import (
	"context"
	"log/slog"
	"net"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// Several listeners, each with its own address to the outside: what a phone
// registered by is what calls it, and one address that talks to two listeners is
// answered by each.
func TestSeveralListeners(t *testing.T) {
	const inside, outside, six = "10.0.0.1:5060", "10.9.0.1:5070", "[2001:db8::1]:5060"
	synctest.Test(t, func(t *testing.T) {
		n := newMemNet()
		s, err := Open(Options{Logger: slog.New(slog.DiscardHandler), Access: Access{Accounts: []Account{account(MD5)}}, Listen: []Listener{
			{Network: "udp", PacketConn: n.listen(inside)},
			{Network: "udp", PacketConn: n.listen(outside), Advertise: "sip.example.com:5999"},
			{Network: "udp", PacketConn: n.listen(six), Advertise: "six.example.com"},
		}})
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()

		peer := n.listen(agentAddr)
		for i := range 6 { // in turn: nothing of the last one must stick
			to := []string{inside, outside}[i%2]
			_, _ = peer.WriteTo([]byte(strings.Replace(options, "z9hG4bKk", "z9hG4bK"+string(rune('a'+i))+";rport", 1)+"l: 0\r\n\r\n"), net.UDPAddrFromAddrPort(netip.MustParseAddrPort(to)))
			select {
			case p := <-peer.in:
				if p.from != to {
					t.Errorf("asked %s, answered by %s", to, p.from)
				}
			case <-time.After(time.Second):
				t.Fatal("no answer")
			}
		}

		for _, tc := range []struct{ from, to, shown string }{
			{"10.0.0.7:5060", inside, "10.0.0.1:5060"},
			{"10.9.0.7:5060", outside, "sip.example.com:5999"},
			{"[2001:db8::7]:5060", six, "six.example.com:5060"},
		} {
			phone := memStack(t, n, tc.from, Options{})
			if _, err := phone.Register(context.Background(), "sip:"+tc.to, account(MD5).Credentials, time.Minute); err != nil {
				t.Fatal(err)
			}
			d := s.Dial(Outgoing{Contacts: s.Contacts("alice")[:1], FromUser: "1", ToUser: "alice", Offer: []byte("v=0\r\n")})
			<-d.Done()
			inv := n.sent(tc.to, "INVITE ")
			if len(inv) != 1 || inv[0].to != tc.from {
				t.Fatalf("%s: INVITEs %+v", tc.to, inv)
			}
			if v, c := header(inv[0].text, "Via"), header(inv[0].text, "Contact"); !strings.Contains(v, " "+tc.shown+";") || !strings.Contains(c, "@"+tc.shown) {
				t.Errorf("%s: Via %q, Contact %q, want %s in both", tc.to, v, c, tc.shown)
			}
			phone.Close()
			time.Sleep(time.Millisecond) // virtual: the contact of the next phone is the latest
		}

		// A name that has addresses of both families is called at the one that the
		// listener can reach; it is the first listener for names.
		s.lookup = func(_ context.Context, family, host string) ([]netip.Addr, error) {
			return map[string][]netip.Addr{
				"ip4 gateway.example.com": {netip.MustParseAddr("10.0.0.77")},
				"ip6 gateway.example.com": {netip.MustParseAddr("2001:db8::77")},
			}[family+" "+host], nil
		}
		asked := 0
		lookup := s.lookup
		s.lookup = func(ctx context.Context, family, host string) ([]netip.Addr, error) {
			asked++
			addrs, err := lookup(ctx, family, host)
			if asked%2 == 0 && len(addrs) > 0 { // the next one has another answer
				addrs = []netip.Addr{addrs[0].Next()}
			}
			return addrs, err
		}
		for _, b := range []int{0, 2} {
			c, err := s.ContactTo("sip:y@gateway.example.com:5080")
			if err != nil {
				t.Fatal(err)
			}
			c.bind = s.binds[b]
			d := s.Dial(Outgoing{Contacts: []Contact{c}, FromUser: "1", ToUser: "y", Offer: []byte("v=0\r\n")})
			synctest.Wait()
			gateway := n.listen([]string{"10.0.0.77:5080", "", "[2001:db8::77]:5080"}[b])
			inv := <-gateway.in // the second, by Timer A
			u := &uac{t: t, c: gateway, to: []string{inside, "", six}[b]}
			u.reply(strings.Replace(inv.text, "To: "+header(inv.text, "To"), "To: "+header(inv.text, "To")+";tag=g", 1), "180 Ringing")
			<-d.Ringing()
			d.Cancel()
			synctest.Wait()
			if got := n.sent(u.to, "CANCEL sip:y@gateway"); len(got) == 0 || got[0].to != gateway.addr.String() {
				t.Errorf("CANCEL %+v, want it where the INVITE went", got)
			}
			_ = gateway.Close()
			asked = 0
			by, want := []string{inside, "", six}[b], []string{"10.0.0.77:5080", "", "[2001:db8::77]:5080"}[b]
			if inv := n.sent(by, "INVITE sip:y@gateway.example.com:5080 "); len(inv) == 0 || inv[0].to != want {
				t.Errorf("by %s: %+v, want %s", by, inv, want)
			}
		}

		// Somebody new is called by the listener of his address family.
		for uri, by := range map[string]string{"sip:x@10.0.0.99": inside, "sip:x@[2001:db8::99]": six} {
			c, err := s.ContactTo(uri)
			if err != nil {
				t.Fatal(err)
			}
			d := s.Dial(Outgoing{Contacts: []Contact{c}, FromUser: "1", ToUser: "x", Offer: []byte("v=0\r\n")})
			<-d.Done()
			found := false
			for _, p := range n.sent(by, "INVITE "+uri) {
				found = found || strings.HasSuffix(p.to, "99:5060") || strings.HasSuffix(p.to, "99]:5060")
			}
			if !found {
				t.Errorf("%s was not called from %s", uri, by)
			}
		}
	})
}
