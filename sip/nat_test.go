package sip

import (
	"context"
	"fmt"
	"log/slog"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// natPhone registers alice with a private Contact from another source address,
// and returns what reaches that source.
func natPhone(t *testing.T, n *memNet, source, contact string) *rawPeer {
	t.Helper()
	p := &rawPeer{t: t, c: n.listen(source), from: "alice"}
	const uri = "sip:10.0.0.1"
	ch := p.send("REGISTER", uri, "Contact: <"+contact+">")
	if res := p.send("REGISTER", uri, "Contact: <"+contact+">", answer(t, ch, "REGISTER", uri, "alice", "wonderland", 1)); !strings.HasPrefix(p.status(res), "200") {
		t.Fatal(res)
	}
	return p
}

// A phone behind NAT: it registers with a private Contact from another address.
// The INVITE, the ACK, the CANCEL and the BYE go to that address, with the
// Contact as Request-URI; answers carry received and rport (RFC 3581).
func TestPhoneBehindNAT(t *testing.T) {
	for _, how := range []string{"answered", "cancelled"} {
		t.Run(how, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n := newMemNet()
				srv := memStack(t, n, serverAddr, Options{Access: Access{Accounts: []Account{account(MD5)}}})
				defer srv.Close()
				p := natPhone(t, n, "203.0.113.7:40000", "sip:alice@192.168.1.5:5060")
				private := n.listen("192.168.1.5:5060")
				d := srv.Dial(Outgoing{Contacts: srv.Contacts("alice"), FromUser: "1", ToUser: "alice", Offer: []byte("v=0\r\n")})
				invite := (<-p.c.in).text
				if !strings.HasPrefix(invite, "INVITE sip:alice@192.168.1.5:5060 SIP/2.0\r\n") {
					t.Fatalf("got %q", invite)
				}
				u := &uac{t: t, c: p.c, to: serverAddr}
				to := header(invite, "To")
				u.reply(strings.Replace(invite, "To: "+to, "To: "+to+";tag=p", 1), "180 Ringing")
				<-d.Ringing()
				if how == "cancelled" {
					d.Cancel()
					u.reply(u.until("CANCEL sip:alice@192.168.1.5:5060 ", ""), "200 OK")
					u.reply(strings.Replace(invite, "To: "+to, "To: "+to+";tag=p", 1), "487 Request Terminated")
					u.until("ACK ", "")
				} else {
					u.raw(fmt.Sprintf("SIP/2.0 200 OK\r\nVia: %s\r\nFrom: %s\r\nTo: %s;tag=p\r\nCall-ID: %s\r\nCSeq: %s\r\nContact: <sip:alice@192.168.1.5:5060>\r\nContent-Length: 0\r\n\r\n",
						header(invite, "Via"), header(invite, "From"), to, header(invite, "Call-ID"), header(invite, "CSeq")))
					<-d.Done()
					u.until("ACK sip:alice@192.168.1.5:5060 ", "")
					d.Outcome().Leg.Hangup()
					u.reply(u.until("BYE sip:alice@192.168.1.5:5060 ", ""), "200 OK")
				}
				synctest.Wait()
				if len(private.in) != 0 {
					t.Errorf("sent to the private address: %q", (<-private.in).text)
				}
			})
		})
	}
}

// A caller behind NAT on a trunk marked symmetric: answers go back to the source
// with received and rport, and so do the ACK's dialog and our BYE.
func TestCallerBehindNAT(t *testing.T) {
	for _, symmetric := range []bool{true, false} {
		t.Run(fmt.Sprintf("symmetric=%v", symmetric), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n := newMemNet()
				tr := Trunk{Name: "nat", Addresses: []netip.Prefix{netip.MustParsePrefix("203.0.113.0/24")}, Symmetric: symmetric}
				srv, legs := answering(t, n, Options{Access: Access{Trunks: []Trunk{tr}}})
				defer srv.Close()
				c := n.listen("203.0.113.7:40000")
				u := newUAC(t, n, "192.168.1.5:5060")
				inside := u.c
				// The NAT: what the caller sends leaves from c, its text unchanged.
				send := func(method string, seq int, lines ...string) {
					synctest.Wait()
					u.c = &memConn{net: n, addr: inside.addr, in: c.in, closed: c.closed}
					n.nat = map[string]string{inside.addr.String(): c.addr.String()}
					u.send(method, seq, lines...)
				}
				send("INVITE", 1, sdp("v=0")...)
				res := u.until("SIP/2.0 200", "1 INVITE")
				if via := header(res, "Via"); !strings.Contains(via, "received=203.0.113.7") || !strings.Contains(via, "rport=40000") {
					t.Errorf("Via %q", via)
				}
				send("ACK", 1)
				l := <-legs
				<-l.Confirmed()
				l.Hangup()
				synctest.Wait()
				if got := len(c.in); (got == 1) != symmetric || (len(inside.in) == 1) == symmetric {
					t.Errorf("BYE: %d to the source, %d to the Contact", got, len(inside.in))
				}
			})
		})
	}
}

// Several phones of one agent, each behind its own NAT: all ring at their own
// address, best q first in the list.
func TestSeveralContacts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newMemNet()
		srv := memStack(t, n, serverAddr, Options{Access: Access{Accounts: []Account{account(MD5)}}})
		defer srv.Close()
		a := natPhone(t, n, "203.0.113.7:40000", "sip:alice@192.168.1.5:5060")
		b := &rawPeer{t: t, c: n.listen("203.0.113.8:40001"), from: "alice", seq: 10}
		const contact = "Contact: <sip:alice@192.168.1.5:6000>;q=0.5"
		ch := b.send("REGISTER", "sip:10.0.0.1", contact)
		b.send("REGISTER", "sip:10.0.0.1", contact, answer(t, ch, "REGISTER", "sip:10.0.0.1", "alice", "wonderland", 1))
		cs := srv.Contacts("alice")
		if len(cs) != 2 || cs[0].Source != "203.0.113.7:40000" || cs[1].Source != "203.0.113.8:40001" {
			t.Fatalf("contacts %+v", cs)
		}
		d := srv.Dial(Outgoing{Contacts: cs, FromUser: "1", ToUser: "alice", Offer: []byte("v=0\r\n")})
		for _, p := range []*rawPeer{a, b} {
			if got := (<-p.c.in).text; !strings.HasPrefix(got, "INVITE ") {
				t.Errorf("got %q", got)
			}
		}
		d.Cancel()
	})
}

// Removing an account ends its registration at once; others stay.
func TestRemovedAccountIsUnregistered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n, told := newMemNet(), &registrations{}
		bob := Account{Credentials{User: "bob", Password: "builder"}}
		srv := memStack(t, n, serverAddr, Options{Access: Access{Accounts: []Account{account(MD5), bob}}, Handlers: Handlers{Registered: told.note}})
		defer srv.Close()
		phone := memStack(t, n, agentAddr, Options{})
		defer phone.Close()
		for _, a := range []Account{account(MD5), bob} {
			if _, err := phone.Register(context.Background(), "sip:10.0.0.1:5060", a.Credentials, time.Minute); err != nil {
				t.Fatal(err)
			}
		}
		srv.SetAccess(Access{Accounts: []Account{bob}})
		if len(srv.Contacts("alice")) != 0 || len(srv.Contacts("bob")) != 1 || told.String() != "alice 1, bob 1, alice 0" {
			t.Errorf("alice %d, bob %d contacts; told %q", len(srv.Contacts("alice")), len(srv.Contacts("bob")), told)
		}
		if _, err := phone.Register(context.Background(), "sip:10.0.0.1:5060", account(MD5).Credentials, time.Minute); err == nil {
			t.Error("the removed account may still register")
		}
	})
}

// The owner hears of the changes of an account in their order, one at a time: an
// old "0 contacts" that overtakes a new "1" would leave a seat dead.
func TestRegistrationsAreToldInOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n, told := newMemNet(), &registrations{}
		srv := memStack(t, n, serverAddr, Options{Access: Access{Accounts: []Account{account(MD5)}}, Handlers: Handlers{Registered: func(user string, contacts int) {
			if contacts > 0 {
				time.Sleep(90 * time.Second) // slower than the binding lives
			}
			told.note(user, contacts)
		}}})
		defer srv.Close()
		phone := memStack(t, n, agentAddr, Options{})
		defer phone.Close()
		_, _ = phone.Register(context.Background(), "sip:10.0.0.1:5060", account(MD5).Credentials, time.Minute)
		time.Sleep(3 * time.Minute)
		synctest.Wait()
		if got := told.String(); !strings.HasSuffix(got, "alice 0") {
			t.Errorf("told %q, want the end last", got)
		}
	})
}

// Trap 5: a message over 1,300 bytes goes through, both ways.
func TestLongMessageOverUDP(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newMemNet()
		long := "v=0\r\n" + strings.Repeat("a=x-long:0123456789\r\n", 300)
		srv, _ := answering(t, n, Options{Handlers: Handlers{Invite: func(l *Leg) { _ = l.Answer(slices.Clone(l.Incoming().Offer)) }}})
		defer srv.Close()
		ua := memStack(t, n, callerAddr, Options{})
		defer ua.Close()
		c, _ := ua.ContactTo("sip:95599@10.0.0.1:5060")
		d := ua.Dial(Outgoing{Contacts: []Contact{c}, FromUser: "1", ToUser: "95599", Offer: []byte(long)})
		<-d.Done()
		if o := d.Outcome(); o.Leg == nil || string(o.Answer) != long {
			t.Fatalf("cause %q, %d bytes came back, want %d", o.Cause, len(o.Answer), len(long))
		}
		d.Outcome().Leg.Hangup()
		synctest.Wait()
	})
}

// Traps 6 and 13: an IPv6 listener; addresses in brackets, requests from its port.
func TestCallOverIPv6(t *testing.T) {
	ca := newAuthority(t)
	files := ca.host("six")
	for _, network := range []string{"udp", "tcp", "tls"} {
		t.Run(network, func(t *testing.T) {
			lo := netip.MustParseAddrPort("[::1]:0")
			open := func(o Options) *Stack {
				o.Listen = []Listener{{Network: network, Addr: lo, TLS: files}}
				o.TLS.CA = ca.path("ca.pem")
				o.Logger = slog.New(slog.DiscardHandler)
				s, err := Open(o)
				if err != nil {
					t.Fatal(err)
				}
				t.Cleanup(func() { _ = s.Close() })
				return s
			}
			legs := make(chan *Leg, 1)
			srv := open(Options{
				Access: Access{Trunks: []Trunk{{Name: "six", Addresses: []netip.Prefix{netip.MustParsePrefix("::1/128")}}}, Accounts: []Account{account(MD5)}},
				Handlers: Handlers{Invite: func(l *Leg) {
					_ = l.Answer([]byte("v=0\r\n"))
					legs <- l
				}},
			})
			ua := open(Options{Access: Access{Trunks: []Trunk{{Name: "any", Addresses: []netip.Prefix{netip.MustParsePrefix("::/0")}}}},
				Handlers: Handlers{Invite: func(l *Leg) { _ = l.Answer([]byte("v=0\r\n")) }}})
			at := "sip:" + srv.Addr(0).String() + ";transport=" + network
			c, err := ua.ContactTo(at)
			if err != nil {
				t.Fatal(err)
			}
			d := ua.Dial(Outgoing{Contacts: []Contact{c}, FromUser: "1", ToUser: "2", Offer: []byte("v=0\r\n")})
			within(t, "answer", d.Done())
			if d.Outcome().Leg == nil {
				t.Fatalf("%+v", d.Outcome())
			}
			a := <-legs
			within(t, "ACK", a.Confirmed())
			a.Hangup()
			within(t, "BYE", d.Outcome().Leg.Done())

			if _, err := ua.Register(context.Background(), at, account(MD5).Credentials, time.Minute); err != nil {
				t.Fatal(err)
			}
			d = srv.Dial(Outgoing{Contacts: srv.Contacts("alice"), FromUser: "1", ToUser: "alice", Offer: []byte("v=0\r\n")})
			within(t, "agent's answer", d.Done())
			l := d.Outcome().Leg
			if l == nil {
				t.Fatalf("%+v to %+v", d.Outcome(), srv.Contacts("alice"))
			}
			if v := l.request("BYE").Via().Value(); !strings.Contains(v, "[::1]:") {
				t.Errorf("Via %q", v)
			}
			l.Hangup()
		})
	}
}

// A trunk that pings a draining server is told to go elsewhere; dialogs go on.
func TestPingOfADrainingServer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newMemNet()
		srv := memStack(t, n, serverAddr, Options{Access: Access{Trunks: []Trunk{carrier}}})
		defer srv.Close()
		p := &rawPeer{t: t, c: n.listen(callerAddr), from: "ping"}
		if got := p.send("OPTIONS", "sip:10.0.0.1"); !strings.HasPrefix(p.status(got), "200") {
			t.Errorf("before: %s", p.status(got))
		}
		srv.Drain()
		if got := p.send("OPTIONS", "sip:10.0.0.1"); !strings.HasPrefix(p.status(got), "503") || header(got, "Retry-After") == "" {
			t.Errorf("draining: %s, want 503 with Retry-After", p.status(got))
		}
	})
}
