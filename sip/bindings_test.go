package sip

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// registerPhone sends a REGISTER with its answer to the challenge and returns the 200.
func registerPhone(t *testing.T, p *rawPeer, headers ...string) string {
	t.Helper()
	ch := p.send("REGISTER", "sip:10.0.0.1", headers...)
	return p.send("REGISTER", "sip:10.0.0.1", append(headers, answer(t, ch, "REGISTER", "sip:10.0.0.1", "alice", "wonderland", 1))...)
}

// A phone that registered by UDP can be rung at once after a restart, by the
// listener it registered by; what has run out meanwhile can't.
func TestBindingsSurviveARestart(t *testing.T) {
	file := filepath.Join(t.TempDir(), "data", "registrations.json")
	synctest.Test(t, func(t *testing.T) {
		n := newMemNet()
		open := func(told *registrations) *Stack {
			s, err := Open(Options{Logger: slog.New(slog.DiscardHandler), Registrations: file,
				Access:   Access{Accounts: []Account{account(MD5), {Credentials{User: "bob", Password: "builder"}}}},
				Handlers: Handlers{Registered: told.note},
				Listen:   []Listener{{Network: "udp", PacketConn: n.listen("10.0.9.1:5060")}, {Network: "udp", PacketConn: n.listen(serverAddr)}}})
			if err != nil {
				t.Fatal(err)
			}
			return s
		}
		s := open(&registrations{})
		p := &rawPeer{t: t, c: n.listen(agentAddr), from: "alice"}
		registerPhone(t, p, `Contact: <sip:alice@192.168.1.2:5060>;q=0.5;expires=600`)
		bob := memStack(t, n, "10.0.0.4:5060", Options{})
		if _, err := bob.Register(context.Background(), "sip:10.0.0.1:5060", Credentials{User: "bob", Password: "builder"}, time.Minute); err != nil {
			t.Fatal(err)
		}
		bob.Close()
		time.Sleep(saveGather) // it is written without an end in good order, too
		synctest.Wait()
		if data, err := os.ReadFile(file); err != nil || !strings.Contains(string(data), "192.168.1.2") || !strings.Contains(string(data), "bob") {
			t.Errorf("the file holds %q, %v", data, err)
		}
		if info, err := os.Stat(file); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%v, %v", info.Mode(), err)
		}
		s.Close()

		time.Sleep(2 * time.Minute)
		told := &registrations{}
		s = open(told)
		defer s.Close()
		synctest.Wait()
		cs := s.Contacts("alice")
		if len(cs) != 1 || cs[0].Source != agentAddr || cs[0].Q != 500 || time.Until(cs[0].Expires).Round(time.Second) != 480*time.Second {
			t.Fatalf("restored %+v", cs)
		}
		if len(s.Contacts("bob")) != 0 || told.String() != "alice 1" {
			t.Errorf("bob has %d contacts, told %q", len(s.Contacts("bob")), told)
		}
		s.Dial(Outgoing{Contacts: cs, FromUser: "1", ToUser: "alice", Offer: []byte("v=0\r\n")})
		synctest.Wait()
		inv := n.sent(serverAddr, "INVITE sip:alice@192.168.1.2:5060")
		if len(inv) != 1 || inv[0].to != agentAddr {
			t.Errorf("INVITEs %+v", inv)
		}
		time.Sleep(480 * time.Second)
		synctest.Wait()
		if len(s.Contacts("alice")) != 0 || told.String() != "alice 1, alice 0" {
			t.Errorf("after its time: %d contacts, told %q", len(s.Contacts("alice")), told)
		}
	})
}

// A file that is broken, or is none, costs the phones a registration and nothing
// else; one that can't be written is told of and hurts nobody.
func TestRegistrationsThatCannotBeKept(t *testing.T) {
	dir := t.TempDir()
	broken, full := filepath.Join(dir, "broken.json"), filepath.Join(dir, "file")
	if err := os.WriteFile(broken, []byte(`[{"user":"alice","uri":`), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(full, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	nonsense := filepath.Join(dir, "nonsense.json")
	soon := time.Now().Add(time.Hour).Format(time.RFC3339)
	if err := os.WriteFile(nonsense, fmt.Appendf(nil, `[{"user":"alice","uri":"","network":"UDP","expires":%q},{"user":"alice","uri":"sip:a@b","source":"x","network":"UDP","expires":%q},
		{"user":"alice","uri":"sip:a@b","network":"WS","expires":%q},{"user":"alice","uri":"sip:a@b","network":"UDP","path":["x"],"expires":%q}]`, soon, soon, soon, soon), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, file := range []string{broken, nonsense, filepath.Join(full, "no", "directory.json")} {
		t.Run(filepath.Base(file), func(t *testing.T) {
			log := &syncBuffer{}
			s := openStack(t, Options{Registrations: file, Logger: slog.New(slog.NewTextHandler(log, nil)), Access: Access{Accounts: []Account{account(MD5)}}},
				Listener{Network: "udp", Addr: local})
			phone := realStack(t, "udp", Options{})
			ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
			defer cancel()
			if n := len(s.Contacts("alice")); n != 0 {
				t.Errorf("%d contacts out of nothing", n)
			}
			if _, err := phone.Register(ctx, "sip:"+s.Addr(0).String(), account(MD5).Credentials, time.Minute); err != nil {
				t.Error(err)
			}
			_ = s.Close()
			if got := log.String(); file != nonsense && !strings.Contains(got, "registrations") {
				t.Errorf("logged %q", got)
			}
		})
	}
}

// A phone whose connection is gone can't be rung: its binding goes with it, unless
// it can be dialled at its Contact.
func TestBindingsEndWithTheirConnection(t *testing.T) {
	a := newAuthority(t)
	told := &registrations{}
	gone := make(chan struct{}, 8)
	srv := openStack(t, Options{Access: Access{Accounts: []Account{account(MD5)}},
		Handlers: Handlers{Registered: func(u string, n int) {
			told.note(u, n)
			if n == 0 {
				gone <- struct{}{}
			}
		}}},
		Listener{Network: "tcp", Addr: local}, Listener{Network: "tls", Addr: local, TLS: a.host("server")}, Listener{Network: "ws", Addr: local})
	b := openBrowser(t, srv, 2, nil)
	b.register()
	if len(srv.Contacts("alice")) != 1 {
		t.Fatal("the browser isn't registered")
	}
	lost := srv.Contacts("alice")[0]
	_ = b.ws.CloseNow()
	within(t, "end of the browser's binding", gone)
	lost.seq++
	if srv.reg.update("alice", []*Contact{&lost}); len(srv.Contacts("alice")) != 0 { // its REGISTER was worked on meanwhile
		t.Error("a binding came after its connection had gone")
	}
	within(t, "end of that binding", gone)

	phone := func(contact string) net.Conn { return tcpPhone(t, srv, contact) }
	_ = phone("<sip:alice@192.168.7.7:5060;transport=tcp>").Close() // behind NAT
	within(t, "end of the binding behind NAT", gone)

	listens, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listens.Close()
	_ = phone("<sip:alice@" + listens.Addr().String() + ";transport=tcp>").Close()
	deadline := time.Now().Add(5 * time.Second)
	for cs := srv.Contacts("alice"); len(cs) != 1 || cs[0].Source != ""; cs = srv.Contacts("alice") {
		if time.Now().After(deadline) {
			t.Fatalf("contacts %+v, want one to be dialled", cs)
		}
	}
	ringsAt(t, srv, listens)
}

// A phone on TCP that listens is dialled after a restart; one on a connection of its
// own isn't kept.
func TestStreamBindingsAfterARestart(t *testing.T) {
	file := filepath.Join(t.TempDir(), "registrations.json")
	open := func() *Stack {
		return openStack(t, Options{Registrations: file, Access: Access{Accounts: []Account{account(MD5)}}}, Listener{Network: "tcp", Addr: local}, Listener{Network: "ws", Addr: local})
	}
	listens, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listens.Close()
	srv := open()
	openBrowser(t, srv, 1, nil).register()
	defer tcpPhone(t, srv, "<sip:alice@"+listens.Addr().String()+";transport=tcp>").Close()
	if n := len(srv.Contacts("alice")); n != 2 {
		t.Fatalf("%d contacts, want 2", n)
	}
	_ = srv.Close()
	srv = open()
	if cs := srv.Contacts("alice"); len(cs) != 1 || cs[0].Network != "TCP" {
		t.Fatalf("contacts %+v, want the one on TCP", cs)
	}
	ringsAt(t, srv, listens)
}

// ringsAt wants a call to alice to be sent to a listener.
func ringsAt(t *testing.T, srv *Stack, l net.Listener) {
	t.Helper()
	srv.Dial(Outgoing{Contacts: srv.Contacts("alice"), FromUser: "1", ToUser: "alice", Offer: []byte("v=0\r\n")})
	_ = l.(*net.TCPListener).SetDeadline(time.Now().Add(5 * time.Second))
	c, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(5 * time.Second))
	readUntil(t, c, "INVITE sip:alice@")
}

// tcpPhone registers alice by TCP with a Contact.
func tcpPhone(t *testing.T, srv *Stack, contact string) net.Conn {
	t.Helper()
	c, err := net.Dial("tcp", srv.Addr(0).String())
	if err != nil {
		t.Fatal(err)
	}
	_ = c.SetDeadline(time.Now().Add(5 * time.Second))
	ask := func(seq int, more string) string {
		fmt.Fprintf(c, "REGISTER sip:127.0.0.1 SIP/2.0\r\nVia: SIP/2.0/TCP 127.0.0.1:9;branch=z9hG4bK%d%s\r\nFrom: <sip:alice@127.0.0.1>;tag=t\r\nTo: <sip:alice@127.0.0.1>\r\nCall-ID: %s\r\nCSeq: %d REGISTER\r\nContact: %s\r\n%sContent-Length: 0\r\n\r\n",
			seq, c.LocalAddr().String()[10:], c.LocalAddr(), seq, contact, more)
		return readUntil(t, c, "SIP/2.0 ")
	}
	ok := ask(2, answer(t, ask(1, ""), "REGISTER", "sip:127.0.0.1", "alice", "wonderland", 1)+"\r\n")
	if !strings.HasPrefix(ok, "SIP/2.0 200") {
		t.Fatalf("got %q", ok)
	}
	return c
}

// Outbound (RFC 5626): a phone that comes back by another way replaces its old one,
// two ways of one phone ring it once, and the answer says what was done.
func TestOutbound(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n, told := newMemNet(), &registrations{}
		s := memStack(t, n, serverAddr, Options{Access: Access{Accounts: []Account{account(MD5)}}, Handlers: Handlers{Registered: told.note}})
		defer s.Close()
		seq := 0
		flow := func(addr string, id int) {
			seq += 10
			p := &rawPeer{t: t, c: n.listen(addr), from: "alice", seq: seq}
			got := registerPhone(t, p, "Supported: path, outbound", fmt.Sprintf(`Contact: <sip:alice@%s>;+sip.instance="<urn:uuid:0001>";reg-id=%d`, addr, id))
			if header(got, "Require") != "outbound" || header(got, "Flow-Timer") != "120" || !strings.Contains(got, fmt.Sprintf(";reg-id=%d", id)) || !strings.Contains(got, `+sip.instance="<urn:uuid:0001>"`) {
				t.Errorf("answer %q", got)
			}
		}
		flow("10.0.0.3:5060", 1)
		time.Sleep(time.Second)
		flow("10.0.0.3:6060", 1) // it started again
		if cs := s.Contacts("alice"); len(cs) != 1 || cs[0].Source != "10.0.0.3:6060" {
			t.Fatalf("contacts %+v, want the new flow only", cs)
		}
		time.Sleep(time.Second)
		flow("10.0.0.3:7060", 2)
		if cs := s.Contacts("alice"); len(cs) != 1 || cs[0].Source != "10.0.0.3:7060" || len(s.reg.aors["alice"]) != 2 {
			t.Errorf("contacts %+v of %d bindings, want the latest flow of two", cs, len(s.reg.aors["alice"]))
		}
		if told.String() != "alice 1, alice 1, alice 1" {
			t.Errorf("told %q", told)
		}
		p := &rawPeer{t: t, c: n.listen("10.0.0.3:8060"), from: "alice", seq: 100}
		got := registerPhone(t, p, `Contact: <sip:alice@10.0.0.3:8060>;+sip.instance="<urn:uuid:0001>";reg-id=2`)
		if header(got, "Require") != "" || len(s.reg.aors["alice"]) != 3 {
			t.Errorf("without Supported: outbound reg-id means nothing; got %q", got)
		}
		far := &rawPeer{t: t, c: n.listen("10.0.0.8:5060"), from: "alice", seq: 200}
		by := []string{"Via: SIP/2.0/UDP 192.168.1.2;branch=z9hG4bKx", "Supported: path, outbound", `Contact: <sip:alice@10.0.0.3>;+sip.instance="<urn:uuid:0002>";reg-id=1`}
		if got := registerPhone(t, far, by...); !strings.HasPrefix(got, "SIP/2.0 439 ") {
			t.Errorf("by a proxy without Outbound: %q", got)
		}
		if got := registerPhone(t, far, append(by, "Path: <sip:10.0.0.8;lr;ob>")...); !strings.HasPrefix(got, "SIP/2.0 200 ") || header(got, "Require") != "outbound" {
			t.Errorf("by a proxy with Outbound: %q", got)
		}
	})
}

// Path (RFC 3327): what the REGISTER came through is the route of what goes back,
// also after a restart; 420 names what isn't known.
func TestPath(t *testing.T) {
	file := filepath.Join(t.TempDir(), "registrations.json")
	synctest.Test(t, func(t *testing.T) {
		n := newMemNet()
		opt := Options{Access: Access{Accounts: []Account{account(MD5)}}, Registrations: file}
		s := memStack(t, n, serverAddr, opt)
		proxy := &rawPeer{t: t, c: n.listen("10.0.0.8:5060"), from: "alice"}
		if got := proxy.send("REGISTER", "sip:10.0.0.1", "Require: path, gruu, outbound, magic"); !strings.HasPrefix(got, "SIP/2.0 420 ") || header(got, "Unsupported") != "magic" {
			t.Errorf("got %q", got)
		}
		const path = "Path: <sip:p2@10.0.0.9:5070;lr>, <sip:p1@10.0.0.8;lr>"
		got := registerPhone(t, proxy, "Contact: <sip:alice@192.168.1.2>", "Require: path", path)
		if "Path: "+header(got, "Path") != path {
			t.Errorf("answer %q", got)
		}
		if got := registerPhone(t, proxy, "Contact: <sip:alice@192.168.1.2>", path); header(got, "Path") != "" {
			t.Errorf("a phone that doesn't know Path was told of it: %q", got)
		}
		for _, bad := range []string{"Path: nonsense", "Path: <sip:a;transport=sctp>", "Path: " + strings.Repeat("<sip:a;lr>,", 9) + "<sip:a>"} {
			if got := registerPhone(t, proxy, "Contact: <sip:alice@192.168.1.9>", bad); !strings.HasPrefix(got, "SIP/2.0 400 ") {
				t.Errorf("%s: got %q", bad, got)
			}
		}
		if s.reg.knows(netip.MustParseAddrPort("10.0.0.8:5060")) {
			t.Error("the proxy counts as a phone: calls of a trunk behind it would be an agent's")
		}
		for run := range 2 {
			s.Dial(Outgoing{Contacts: s.Contacts("alice"), FromUser: "1", ToUser: "alice", Offer: []byte("v=0\r\n")})
			synctest.Wait()
			inv := n.sent(serverAddr, "INVITE sip:alice@192.168.1.2 ")
			if len(inv) != 1+run || inv[run].to != "10.0.0.9:5070" {
				t.Fatalf("run %d: INVITEs %+v", run, inv)
			}
			if r := routes(inv[run].text); r != "<sip:p2@10.0.0.9:5070;lr> <sip:p1@10.0.0.8;lr>" {
				t.Errorf("run %d: Route %q", run, r)
			}
			s.Close()
			if run == 0 {
				s = memStack(t, n, serverAddr, opt)
			}
		}
	})
}

func routes(text string) string {
	var out []string
	for line := range strings.Lines(text) {
		if v, ok := strings.CutPrefix(line, "Route: "); ok {
			out = append(out, strings.TrimSpace(v))
		}
	}
	return strings.Join(out, " ")
}
