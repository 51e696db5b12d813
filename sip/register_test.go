package sip

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/icholy/digest"
)

// registrations collects what the registrar tells.
type registrations struct {
	mu  sync.Mutex
	log []string
}

func (r *registrations) note(user string, contacts int) {
	r.mu.Lock()
	r.log = append(r.log, fmt.Sprintf("%s %d", user, contacts))
	r.mu.Unlock()
}

func (r *registrations) String() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return strings.Join(r.log, ", ")
}

func account(alg Algorithm) Account {
	return Account{Credentials{User: "alice", Password: "wonderland", Algorithm: alg}}
}

func TestAgentRegistersWithEachAlgorithm(t *testing.T) {
	for _, tc := range []struct {
		server, client Algorithm
		challenges     string
		ok             bool
	}{
		{"", MD5, "MD5", true},
		{MD5, MD5, "MD5", true},
		{SHA256, SHA256, "SHA-256", true},
		{Both, SHA256, "SHA-256 MD5", true},
		{Both, MD5, "SHA-256 MD5", true},
		{SHA256, MD5, "SHA-256", false},
		{MD5, SHA256, "MD5", false},
	} {
		t.Run(fmt.Sprintf("%s offered, %s known", tc.server, tc.client), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n, told := newMemNet(), &registrations{}
				srv := memStack(t, n, serverAddr, Options{Access: Access{Accounts: []Account{account(tc.server)}}, Handlers: Handlers{Registered: told.note}})
				defer srv.Close()
				phone := memStack(t, n, agentAddr, Options{})
				defer phone.Close()
				got, err := phone.Register(context.Background(), "sip:10.0.0.1:5060", account(tc.client).Credentials, time.Minute)
				if ok := err == nil; ok != tc.ok {
					t.Fatalf("registered %v, want %v: %v", ok, tc.ok, err)
				}
				var offered []string
				for line := range strings.Lines(n.sent(serverAddr, "SIP/2.0 401")[0].text) {
					if v, found := strings.CutPrefix(line, "WWW-Authenticate: "); found {
						c, err := digest.ParseChallenge(strings.TrimSpace(v))
						if err != nil {
							t.Fatal(err)
						}
						offered = append(offered, c.Algorithm)
					}
				}
				if s := strings.Join(offered, " "); s != tc.challenges {
					t.Errorf("offered %q, want %q", s, tc.challenges)
				}
				if !tc.ok {
					return
				}
				if got != time.Minute || told.String() != "alice 1" {
					t.Errorf("granted %v, told %q", got, told)
				}
				time.Sleep(time.Minute - time.Nanosecond)
				if len(srv.Contacts("alice")) != 1 {
					t.Error("the binding went before its time")
				}
				time.Sleep(time.Nanosecond)
				synctest.Wait()
				if len(srv.Contacts("alice")) != 0 || told.String() != "alice 1, alice 0" {
					t.Errorf("after a minute: %d contacts, told %q", len(srv.Contacts("alice")), told)
				}
			})
		})
	}
}

// rawPeer speaks SIP as text, for what no proper phone would send.
type rawPeer struct {
	t    *testing.T
	c    *memConn
	seq  int
	from string
	to   string // "alice" if empty
}

func (p *rawPeer) send(method, uri string, headers ...string) string {
	p.t.Helper()
	p.seq++
	msg := fmt.Sprintf("%s %s SIP/2.0\r\nVia: SIP/2.0/UDP %s;branch=z9hG4bK%s%d\r\nFrom: <sip:%s@10.0.0.1>;tag=raw\r\nTo: <sip:%s@10.0.0.1>\r\nCall-ID: raw\r\nCSeq: %d %s\r\nMax-Forwards: 70\r\n",
		method, uri, p.c.addr, p.from, p.seq, p.from, cmp.Or(p.to, "alice"), p.seq, method)
	for _, h := range headers {
		msg += h + "\r\n"
	}
	_, _ = p.c.WriteTo([]byte(msg+"Content-Length: 0\r\n\r\n"), net.UDPAddrFromAddrPort(netip.MustParseAddrPort(serverAddr)))
	for {
		select {
		case r := <-p.c.in:
			if !strings.HasPrefix(r.text, "SIP/2.0 1") {
				return r.text
			}
		case <-time.After(40 * time.Second):
			return ""
		}
	}
}

func (p *rawPeer) status(text string) string {
	line, _, _ := strings.Cut(text, "\r\n")
	return strings.TrimPrefix(line, "SIP/2.0 ")
}

// answer builds an Authorization for the challenge in a 401.
func answer(t testing.TB, challenge, method, uri, user, password string, count int) string {
	t.Helper()
	c, err := digest.ParseChallenge(header(challenge, "WWW-Authenticate"))
	if err != nil {
		t.Fatalf("%v in %q", err, challenge)
	}
	cred, err := digest.Digest(c, digest.Options{Method: method, URI: uri, Username: user, Password: password, Count: count, Cnonce: "abc"})
	if err != nil {
		t.Fatal(err)
	}
	return "Authorization: " + cred.String()
}

func TestRegistrarRefuses(t *testing.T) {
	const uri = "sip:10.0.0.1"
	contact := "Contact: <sip:alice@10.0.0.3:5060>"
	run := func(name string, opt Options, f func(t *testing.T, s *Stack, p *rawPeer, c *counter)) {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n, c := newMemNet(), newCounter()
				opt.Observer = c
				opt.Access = Access{Accounts: []Account{account(MD5)}}
				s := memStack(t, n, serverAddr, opt)
				defer s.Close()
				f(t, s, &rawPeer{t: t, c: n.listen(agentAddr), from: "alice"}, c)
			})
		})
	}
	want := func(t *testing.T, p *rawPeer, got, status string) {
		t.Helper()
		if !strings.HasPrefix(p.status(got), status) {
			t.Fatalf("answer %q, want %s", p.status(got), status)
		}
	}
	run("a replayed request", Options{}, func(t *testing.T, s *Stack, p *rawPeer, c *counter) {
		ch := p.send("REGISTER", uri, contact)
		auth := answer(t, ch, "REGISTER", uri, "alice", "wonderland", 1)
		want(t, p, p.send("REGISTER", uri, contact, auth), "200")
		again := p.send("REGISTER", uri, contact, auth)
		want(t, p, again, "401")
		if !strings.Contains(again, "stale=true") || c.of("replayed_nonce") != 1 {
			t.Errorf("replay: counted %d, answer %s", c.of("replayed_nonce"), again)
		}
		want(t, p, p.send("REGISTER", uri, contact, answer(t, ch, "REGISTER", uri, "alice", "wonderland", 2)), "200")
	})
	run("a nonce too old", Options{NonceTTL: time.Minute}, func(t *testing.T, s *Stack, p *rawPeer, c *counter) {
		ch := p.send("REGISTER", uri, contact)
		time.Sleep(time.Minute)
		late := p.send("REGISTER", uri, contact, answer(t, ch, "REGISTER", uri, "alice", "wonderland", 1))
		want(t, p, late, "401")
		if !strings.Contains(late, "stale=true") || c.of("stale_nonce") != 1 {
			t.Error("a stale nonce wants stale=true and a count")
		}
	})
	run("a nonce of somebody else's making", Options{}, func(t *testing.T, s *Stack, p *rawPeer, c *counter) {
		forged := "WWW-Authenticate: Digest realm=\"hotline\", nonce=\"AAAA\", algorithm=MD5, qop=\"auth\""
		want(t, p, p.send("REGISTER", uri, contact, answer(t, forged, "REGISTER", uri, "alice", "wonderland", 1)), "401")
		if c.of("bad_credentials") != 1 {
			t.Error("not counted")
		}
	})
	run("a wrong password and an unknown name look alike", Options{}, func(t *testing.T, s *Stack, p *rawPeer, c *counter) {
		wrong := p.send("REGISTER", uri, contact, answer(t, p.send("REGISTER", uri, contact), "REGISTER", uri, "alice", "guess", 1))
		unknown := p.send("REGISTER", uri, contact, answer(t, p.send("REGISTER", uri, contact), "REGISTER", uri, "mallory", "guess", 1))
		if p.status(wrong) != p.status(unknown) || !strings.HasPrefix(p.status(wrong), "401") {
			t.Errorf("%q and %q", p.status(wrong), p.status(unknown))
		}
	})
	run("too short a life", Options{}, func(t *testing.T, s *Stack, p *rawPeer, c *counter) {
		auth := answer(t, p.send("REGISTER", uri, contact), "REGISTER", uri, "alice", "wonderland", 1)
		short := p.send("REGISTER", uri, contact, "Expires: 10", auth)
		want(t, p, short, "423")
		if header(short, "Min-Expires") != "60" {
			t.Error("no Min-Expires")
		}
	})
	run("a life that can't be read is an hour", Options{MaxExpires: 24 * time.Hour}, func(t *testing.T, s *Stack, p *rawPeer, c *counter) {
		ch := p.send("REGISTER", uri, contact)
		for i, given := range [][]string{{contact, "Expires: soon"}, {contact + ";expires=-5", "Expires: 60"}, {contact + ";expires=4294967296"}} {
			auth := answer(t, ch, "REGISTER", uri, "alice", "wonderland", i+1)
			want(t, p, p.send("REGISTER", uri, append(given, auth)...), "200")
			if cs := s.Contacts("alice"); len(cs) != 1 || time.Until(cs[0].Expires) != time.Hour {
				t.Errorf("with %q: %v", given, cs)
			}
			time.Sleep(time.Second) // the life is counted anew
		}
	})
	run("star with a life", Options{}, func(t *testing.T, s *Stack, p *rawPeer, c *counter) {
		auth := answer(t, p.send("REGISTER", uri, contact), "REGISTER", uri, "alice", "wonderland", 1)
		want(t, p, p.send("REGISTER", uri, "Contact: *", "Expires: 60", auth), "400")
	})
	run("star with a life of its own", Options{}, func(t *testing.T, s *Stack, p *rawPeer, c *counter) {
		ch := p.send("REGISTER", uri, contact)
		want(t, p, p.send("REGISTER", uri, contact, answer(t, ch, "REGISTER", uri, "alice", "wonderland", 1)), "200")
		want(t, p, p.send("REGISTER", uri, "Contact: <*>;expires=60", "Expires: 0", answer(t, ch, "REGISTER", uri, "alice", "wonderland", 2)), "200")
		if cs := s.Contacts("alice"); len(cs) != 0 {
			t.Errorf("left: %v", cs)
		}
	})
	run("nothing, and star removes all", Options{MaxContacts: 2}, func(t *testing.T, s *Stack, p *rawPeer, c *counter) {
		ch := p.send("REGISTER", uri, contact)
		for i := range 3 {
			auth := answer(t, ch, "REGISTER", uri, "alice", "wonderland", i+1)
			want(t, p, p.send("REGISTER", uri, fmt.Sprintf("Contact: <sip:alice@10.0.0.3:%d>;q=0.%d", 6000+i, 9-i), auth), "200")
			time.Sleep(time.Second)
		}
		cs := s.Contacts("alice")
		if len(cs) != 2 || cs[0].URI != "sip:alice@10.0.0.3:6001" || cs[1].URI != "sip:alice@10.0.0.3:6002" {
			t.Fatalf("contacts %v, want the two newest, best q first", cs)
		}
		want(t, p, p.send("REGISTER", uri, "Contact: *", "Expires: 0", answer(t, ch, "REGISTER", uri, "alice", "wonderland", 4)), "200")
		if len(s.Contacts("alice")) != 0 {
			t.Error("contacts left")
		}
	})
}

// Who is offered more than his account's algorithm, because a trunk may call from anywhere, may take what comes first.
func TestCallerTakesTheFirstOffer(t *testing.T) {
	for _, own := range []Algorithm{MD5, SHA256, Both} {
		for _, trunk := range []Algorithm{"", MD5, SHA256, Both} {
			for _, user := range []string{"alice", "pbx"} {
				synctest.Test(t, func(t *testing.T) {
					access, password := Access{Accounts: []Account{account(own)}}, "wonderland"
					if trunk != "" {
						access.Trunks = []Trunk{{Name: "pbx", Credentials: &Credentials{User: "pbx", Password: "pbxpass", Algorithm: trunk}}}
					}
					if user == "pbx" {
						password = "pbxpass"
					}
					n := newMemNet()
					srv := memStack(t, n, serverAddr, Options{Access: access, Handlers: Handlers{Invite: func(l *Leg) { _ = l.Reject(486, "Busy Here") }}})
					defer srv.Close()
					p := &rawPeer{t: t, c: n.listen("10.0.0.7:5060"), from: map[string]string{"alice": "alice", "pbx": "13800000000"}[user]}
					challenge := p.send("INVITE", "sip:95599@10.0.0.1", "Contact: <sip:x@10.0.0.7>")
					res := p.send("INVITE", "sip:95599@10.0.0.1", "Contact: <sip:x@10.0.0.7>", answer(t, challenge, "INVITE", "sip:95599@10.0.0.1", user, password, 1))
					if want := "SIP/2.0 486"; !strings.HasPrefix(res, want) && (user == "alice" || trunk != "") {
						t.Errorf("%s of %s, trunk %s: %s", user, own, trunk, startLine([]byte(res)))
					}
				})
			}
		}
	}
}

// A phone that has registered is offered what it can do, whatever it calls itself and whoever else may call.
func TestRegisteredPhoneIsOfferedItsOwn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newMemNet()
		srv := memStack(t, n, serverAddr, Options{Access: Access{
			Accounts: []Account{account(MD5), {Credentials{User: "bobby", Password: "x", Algorithm: SHA256}}},
			Trunks:   []Trunk{{Name: "pbx", Credentials: &Credentials{User: "pbx", Password: "x", Algorithm: Both}}}}})
		defer srv.Close()
		p := &rawPeer{t: t, c: n.listen(agentAddr), from: "alice"}
		contact := "Contact: <sip:alice@" + agentAddr + ">"
		challenge := p.send("REGISTER", "sip:10.0.0.1", contact)
		if res := p.send("REGISTER", "sip:10.0.0.1", contact, answer(t, challenge, "REGISTER", "sip:10.0.0.1", "alice", "wonderland", 1)); !strings.HasPrefix(res, "SIP/2.0 200") {
			t.Fatal(res)
		}
		for _, from := range []string{"alice", "bobby", "anonymous", "1001"} {
			p.from = from
			for _, method := range []string{"INVITE", "SUBSCRIBE"} {
				res := p.send(method, "sip:1@10.0.0.1", contact, "Event: dialog")
				if !strings.HasPrefix(res, "SIP/2.0 401") || strings.Contains(res, "SHA-256") || !strings.Contains(res, "MD5") {
					t.Errorf("%s as %s: %s", method, from, res)
				}
			}
		}
	})
}

func TestWhoMayCall(t *testing.T) {
	secret := Credentials{User: "carrier2", Password: "trunkpass"}
	access := Access{
		Trunks: []Trunk{carrier, {Name: "digest", Credentials: &secret},
			{Name: "both", Addresses: []netip.Prefix{netip.MustParsePrefix("10.0.0.9/32")}, Credentials: &Credentials{User: "nine", Password: "ninepass"}}},
		Accounts: []Account{account(MD5)},
	}
	for _, tc := range []struct {
		name, from string
		cred       *Credentials
		code       int
		as         string
	}{
		{"a trunk known by its address", "10.0.0.2:5060", nil, 200, "trunk carrier"},
		{"a trunk known by digest", "10.0.0.7:5060", &secret, 200, "trunk digest"},
		{"an agent with a feature code", "10.0.0.7:5060", &access.Accounts[0].Credentials, 200, "agent alice"},
		{"a stranger", "10.0.0.7:5060", nil, 401, ""},
		{"a stranger who guesses", "10.0.0.7:5060", &Credentials{User: "carrier2", Password: "x"}, 401, ""},
		{"address and digest both asked for", "10.0.0.9:5060", nil, 401, ""},
		{"address and digest both right", "10.0.0.9:5060", &Credentials{User: "nine", Password: "ninepass"}, 200, "trunk both"},
		{"the right digest from the wrong address", "10.0.0.7:5060", &Credentials{User: "nine", Password: "ninepass"}, 403, ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n := newMemNet()
				as := ""
				srv := memStack(t, n, serverAddr, Options{Access: access, Handlers: Handlers{Invite: func(l *Leg) {
					if in := l.Incoming(); in.Trunk != nil {
						as = "trunk " + in.Trunk.Name
					} else {
						as = "agent " + in.Agent
					}
					_ = l.Answer([]byte("v=0\r\n"))
				}}})
				defer srv.Close()
				ua := memStack(t, n, tc.from, Options{})
				defer ua.Close()
				c, _ := ua.ContactTo("sip:95599@10.0.0.1:5060")
				d := ua.Dial(Outgoing{Contacts: []Contact{c}, FromUser: "13800000000", ToUser: "95599", Offer: []byte("v=0\r\n"), Credentials: tc.cred})
				<-d.Done()
				o := d.Outcome()
				if o.Code != tc.code || as != tc.as {
					t.Errorf("status %d as %q, want %d as %q", o.Code, as, tc.code, tc.as)
				}
				if o.Leg != nil {
					o.Leg.Hangup()
				}
				synctest.Wait()
			})
		})
	}
	t.Run("nobody can authenticate", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			n, c := newMemNet(), newCounter()
			srv := memStack(t, n, serverAddr, Options{Access: Access{Trunks: []Trunk{carrier}}, Observer: c})
			defer srv.Close()
			p := &rawPeer{t: t, c: n.listen("10.0.0.7:5060"), from: "x"}
			for _, m := range []string{"INVITE", "REGISTER"} {
				if got := p.send(m, "sip:1@10.0.0.1", "Contact: <sip:x@10.0.0.7>"); !strings.HasPrefix(p.status(got), "403") {
					t.Errorf("%s: %s, want 403", m, p.status(got))
				}
			}
			if c.of("unknown_source") != 2 {
				t.Errorf("counted %d, want 2", c.of("unknown_source"))
			}
		})
	})
}

func TestRequestsThatAreWrong(t *testing.T) {
	const contact = "Contact: <sip:x@10.0.0.2>"
	for _, tc := range []struct {
		name, text, want string
	}{
		{"another SIP version", "INVITE sip:1@10.0.0.1 SIP/7.0\r\nVia: SIP/7.0/UDP 10.0.0.2\r\nFrom: <sip:a@b>;tag=1\r\nTo: <sip:c@d>\r\nCall-ID: v\r\nCSeq: 1 INVITE\r\n\r\n", "505"},
		{"no Call-ID", "OPTIONS sip:1@10.0.0.1 SIP/2.0\r\nVia: SIP/2.0/UDP 10.0.0.2;branch=z9hG4bKa\r\nFrom: <sip:a@b>;tag=1\r\nTo: <sip:c@d>\r\nCSeq: 1 OPTIONS\r\n\r\n", "400"},
		{"a method nobody knows", "FROB sip:1@10.0.0.1 SIP/2.0\r\nVia: SIP/2.0/UDP 10.0.0.2;branch=z9hG4bKb\r\nFrom: <sip:a@b>;tag=1\r\nTo: <sip:c@d>\r\nCall-ID: f\r\nCSeq: 1 FROB\r\n\r\n", "501"},
		{"an extension we don't have", "INVITE sip:1@10.0.0.1 SIP/2.0\r\nVia: SIP/2.0/UDP 10.0.0.2;branch=z9hG4bKc\r\nFrom: <sip:a@b>;tag=1\r\nTo: <sip:c@d>\r\nCall-ID: r\r\nCSeq: 1 INVITE\r\nRequire: nothing\r\n" + contact + "\r\n\r\n", "420"},
		{"a body that is no SDP", "INVITE sip:1@10.0.0.1 SIP/2.0\r\nVia: SIP/2.0/UDP 10.0.0.2;branch=z9hG4bKd\r\nFrom: <sip:a@b>;tag=1\r\nTo: <sip:c@d>\r\nCall-ID: s\r\nCSeq: 1 INVITE\r\n" + contact + "\r\nContent-Type: text/plain\r\nContent-Length: 2\r\n\r\nhi", "415"},
		{"a BYE for no dialog", "BYE sip:1@10.0.0.1 SIP/2.0\r\nVia: SIP/2.0/UDP 10.0.0.2;branch=z9hG4bKe\r\nFrom: <sip:a@b>;tag=1\r\nTo: <sip:c@d>;tag=2\r\nCall-ID: t\r\nCSeq: 1 BYE\r\n\r\n", "481"},
		{"a CANCEL for no call", "CANCEL sip:1@10.0.0.1 SIP/2.0\r\nVia: SIP/2.0/UDP 10.0.0.2;branch=z9hG4bKg\r\nFrom: <sip:a@b>;tag=1\r\nTo: <sip:c@d>\r\nCall-ID: u\r\nCSeq: 1 CANCEL\r\n\r\n", "481"},
		{"no Contact", "INVITE sip:1@10.0.0.1 SIP/2.0\r\nVia: SIP/2.0/UDP 10.0.0.2;branch=z9hG4bKh\r\nFrom: <sip:a@b>;tag=1\r\nTo: <sip:c@d>\r\nCall-ID: w\r\nCSeq: 1 INVITE\r\n\r\n", "400"},
		{"an OPTIONS ping", "OPTIONS sip:10.0.0.1 SIP/2.0\r\nVia: SIP/2.0/UDP 10.0.0.2;branch=z9hG4bKi\r\nFrom: <sip:a@b>;tag=1\r\nTo: <sip:c@d>\r\nCall-ID: x\r\nCSeq: 1 OPTIONS\r\n\r\n", "200"},
		{"something that isn't SIP", "GET / HTTP/1.1\r\nHost: x\r\n\r\n", ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n := newMemNet()
				srv := memStack(t, n, serverAddr, Options{Access: Access{Trunks: []Trunk{carrier}}})
				defer srv.Close()
				c := n.listen(callerAddr)
				_, _ = c.WriteTo([]byte(tc.text), net.UDPAddrFromAddrPort(netip.MustParseAddrPort(serverAddr)))
				synctest.Wait()
				got := ""
				for len(c.in) > 0 {
					if p := <-c.in; !strings.HasPrefix(p.text, "SIP/2.0 1") {
						got = p.text
						break
					}
				}
				if (tc.want == "") != (got == "") || !strings.HasPrefix(got, strings.TrimSpace("SIP/2.0 "+tc.want)) && tc.want != "" {
					t.Errorf("answer %.40q, want %s", got, tc.want)
				}
			})
		})
	}
}

// sipgo remembers each UDP source; it sees one only, and all are answered.
func TestManySourcesDontFillMemory(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newMemNet()
		srv := memStack(t, n, serverAddr, Options{})
		defer srv.Close()
		answered := 0
		for i := range 1050 {
			addr := fmt.Sprintf("10.1.%d.%d:5060", i/250, i%250)
			c := n.listen(addr)
			_, _ = c.WriteTo([]byte(fmt.Sprintf("OPTIONS sip:10.0.0.1 SIP/2.0\r\nVia: SIP/2.0/UDP %s;branch=z9hG4bKs%d\r\nFrom: <sip:a@b>;tag=1\r\nTo: <sip:c@d>\r\nCall-ID: %d\r\nCSeq: 1 OPTIONS\r\n\r\n", addr, i, i)), net.UDPAddrFromAddrPort(netip.MustParseAddrPort(serverAddr)))
			synctest.Wait()
			if len(c.in) == 1 && strings.HasPrefix((<-c.in).text, "SIP/2.0 200") {
				answered++
			}
		}
		time.Sleep(time.Second)
		if answered != 1050 {
			t.Errorf("%d of 1050 sources answered", answered)
		}
		if size := poolSize(srv); size != 1 {
			t.Errorf("sipgo remembers %d addresses after 1050 sources, want its own", size)
		}
	})
}

// Bad input is counted, answered and logged once a second, without the packet.
func TestFloodOfRubbishIsNoFloodOfLog(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log syncBuffer
		n, c := newMemNet(), newCounter()
		srv := memStack(t, n, serverAddr, Options{Observer: c, MaxSourceRate: -1, Logger: slog.New(slog.NewTextHandler(&log, nil))})
		defer srv.Close()
		peer := n.listen(callerAddr)
		for range 500 {
			_, _ = peer.WriteTo([]byte("INVITE secret-number-4711 SIP/2.0\r\nVia: nonsense\r\n\r\n"), net.UDPAddrFromAddrPort(netip.MustParseAddrPort(serverAddr)))
			synctest.Wait()
		}
		if c.of("malformed") != 500 {
			t.Errorf("counted %d, want 500", c.of("malformed"))
		}
		if lines := strings.Count(log.String(), "\n"); lines > 2 || strings.Contains(log.String(), "4711") {
			t.Errorf("%d log lines: %s", lines, log.String())
		}
	})
}

type syncBuffer struct {
	mu sync.Mutex
	b  strings.Builder
}

func (s *syncBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}
func (s *syncBuffer) String() string { s.mu.Lock(); defer s.mu.Unlock(); return s.b.String() }

// The ACK of the 401 comes late, when the INVITE with credentials is being worked
// on already: it must not be taken for that of the answer.
func TestLateAckOfTheChallenge(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newMemNet()
		legs, pickUp := make(chan *Leg, 1), make(chan struct{})
		srv := memStack(t, n, serverAddr, Options{Access: Access{Accounts: []Account{account(MD5)}}, Handlers: Handlers{Invite: func(l *Leg) {
			legs <- l
			<-pickUp
			if err := l.Answer([]byte("v=0\r\n")); err != nil {
				t.Errorf("answer: %v", err)
			}
		}}})
		defer srv.Close()
		p := &rawPeer{t: t, c: n.listen(agentAddr), from: "alice"}
		const uri, contact = "sip:*1@10.0.0.1", "Contact: <sip:alice@10.0.0.3:5060>"
		challenge := p.send("INVITE", uri, contact)
		auth := answer(t, challenge, "INVITE", uri, "alice", "wonderland", 1)
		ack := func(seq int) {
			_, _ = p.c.WriteTo([]byte(fmt.Sprintf("ACK %s SIP/2.0\r\nVia: SIP/2.0/UDP %s;branch=z9hG4bKack%d\r\nFrom: <sip:alice@10.0.0.1>;tag=raw\r\nTo: %s\r\nCall-ID: raw\r\nCSeq: %d ACK\r\nContent-Length: 0\r\n\r\n",
				uri, p.c.addr, seq, header(challenge, "To"), seq)), net.UDPAddrFromAddrPort(netip.MustParseAddrPort(serverAddr)))
			synctest.Wait()
		}
		done := make(chan string)
		go func() { done <- p.send("INVITE", uri, contact, auth) }()
		l := <-legs
		ack(1)
		if isClosed(l.Confirmed()) {
			t.Fatal("the ACK of the 401 confirmed the call")
		}
		close(pickUp)
		if got := <-done; !strings.HasPrefix(p.status(got), "200") {
			t.Fatalf("answer %s", p.status(got))
		}
		ack(2)
		if !isClosed(l.Confirmed()) {
			t.Error("the ACK of the 200 did not confirm the call")
		}
	})
}
