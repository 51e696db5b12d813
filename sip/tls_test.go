package sip

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func openStack(t *testing.T, o Options, ls ...Listener) *Stack {
	t.Helper()
	o.Listen = ls
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	s, err := Open(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

// A call over TLS: the certificate is checked, and the server's BYE comes back on
// the caller's own connection.
func TestCallOverTLS(t *testing.T) {
	a := newAuthority(t)
	legs := make(chan *Leg, 1)
	srv := openStack(t, Options{
		Access:   Access{Trunks: []Trunk{{Name: "local", Addresses: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}}}},
		Handlers: Handlers{Invite: func(l *Leg) { _ = l.Answer([]byte("v=0\r\n")); legs <- l }},
	}, Listener{Network: "tls", Addr: local, TLS: a.host("server", "sip.example.com")})

	call := func(trust TLSFiles) Outcome {
		ua := openStack(t, Options{TLS: trust}, Listener{Network: "tcp", Addr: local})
		c, err := ua.ContactTo("sip:1@" + srv.Addr(0).String() + ";transport=tls")
		if err != nil {
			t.Fatal(err)
		}
		d := ua.Dial(Outgoing{Contacts: []Contact{c}, FromUser: "13800000000", ToUser: "1", Offer: []byte("v=0\r\n")})
		within(t, "outcome", d.Done())
		return d.Outcome()
	}
	if o := call(TLSFiles{}); o.Leg != nil || o.Cause != DialUnreachable {
		t.Errorf("a server of unknown authority was called: %+v", o)
	}
	o := call(TLSFiles{CA: a.path("ca.pem")})
	if o.Leg == nil {
		t.Fatalf("not answered: %+v", o)
	}
	l := <-legs
	within(t, "ACK", l.Confirmed())
	l.Hangup()
	within(t, "BYE at the caller", o.Leg.Done())
	if o.Leg.End().Cause != EndRemoteBye {
		t.Errorf("caller ended with %q", o.Leg.End().Cause)
	}
}

// A trunk that is dialled by its name and answers with an address as Contact gets
// the ACK and the BYE on the same connection: its certificate names no address.
func TestDialledByNameAnsweredByAddress(t *testing.T) {
	a := newAuthority(t)
	a.make("server", &x509.Certificate{DNSNames: []string{"localhost"}}, a)
	legs := make(chan *Leg, 1)
	srv := openStack(t, Options{
		Access:   Access{Trunks: []Trunk{{Name: "local", Addresses: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}}}},
		Handlers: Handlers{Invite: func(l *Leg) { _ = l.Answer([]byte("v=0\r\n")); legs <- l }},
	}, Listener{Network: "tls", Addr: local, TLS: TLSFiles{Certificate: a.path("server.pem"), Key: a.path("server.key")}})
	ua := openStack(t, Options{TLS: TLSFiles{CA: a.path("ca.pem")}}, Listener{Network: "tcp", Addr: local})
	c, err := ua.ContactTo(fmt.Sprintf("sip:1@localhost:%d;transport=tls", srv.Addr(0).Port()))
	if err != nil {
		t.Fatal(err)
	}
	d := ua.Dial(Outgoing{Contacts: []Contact{c}, FromUser: "13800000000", ToUser: "1", Offer: []byte("v=0\r\n")})
	within(t, "outcome", d.Done())
	if d.Outcome().Leg == nil {
		t.Fatalf("%+v", d.Outcome())
	}
	l := <-legs
	within(t, "ACK", l.Confirmed())
	d.Outcome().Leg.Hangup()
	within(t, "BYE", l.Done())
}

// dialTLS connects a client that knows the authority, with a certificate of its
// own if there is one.
func dialTLS(t *testing.T, a *authority, s *Stack, own TLSFiles, change func(*tls.Config)) (*tls.Conn, error) {
	t.Helper()
	pool := x509.NewCertPool()
	pool.AddCert(a.cert)
	cfg := &tls.Config{RootCAs: pool, ServerName: "127.0.0.1"}
	if own.Certificate != "" {
		pair, err := tls.LoadX509KeyPair(own.Certificate, own.Key)
		if err != nil {
			t.Fatal(err)
		}
		cfg.Certificates = []tls.Certificate{pair}
	}
	if change != nil {
		change(cfg)
	}
	raw, err := net.Dial("tcp", s.Addr(0).String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = raw.Close() })
	_ = raw.SetDeadline(time.Now().Add(5 * time.Second))
	c := tls.Client(raw, cfg)
	return c, c.Handshake()
}

func inviteBy(id string) string {
	return "INVITE sip:1@127.0.0.1 SIP/2.0\r\nVia: SIP/2.0/TLS 127.0.0.1:9;branch=z9hG4bK" + id + "\r\nTo: <sip:1@127.0.0.1>\r\nFrom: <sip:13800000000@127.0.0.1>;tag=f\r\nCall-ID: " + id + "\r\nCSeq: 1 INVITE\r\nMax-Forwards: 70\r\nContact: <sip:x@127.0.0.1:9;transport=tls>\r\nContent-Length: 0\r\n\r\n"
}

// A trunk is known by the verified name of its certificate and by nothing else
// (RFC 5922).
func TestTrunkByTLSName(t *testing.T) {
	a, stranger := newAuthority(t), newAuthority(t)
	files := a.host("server")
	files.CA = a.path("ca.pem")
	srv := openStack(t, Options{
		Access: Access{Trunks: []Trunk{{Name: "carrier", TLSName: "trunk.example.com"}}},
		Handlers: Handlers{Invite: func(l *Leg) {
			_ = l.Reject(486, l.Incoming().Trunk.Name)
		}},
	}, Listener{Network: "tls", Addr: local, TLS: files})
	for _, tc := range []struct {
		name string
		own  TLSFiles
		want string
	}{
		{"by a DNS name", a.host("dns", "other.example.com", "Trunk.example.com"), "SIP/2.0 486 carrier"},
		{"by a SIP URI", a.host("uri", "sip:trunk.example.com"), "SIP/2.0 486 carrier"},
		{"SIP URIs outweigh DNS names", a.host("both", "sip:other.example.com", "trunk.example.com"), "SIP/2.0 403"},
		{"a user is no domain", a.host("user", "sip:alice@trunk.example.com"), "SIP/2.0 403"},
		{"a wildcard is no name", a.host("wild", "*.example.com"), "SIP/2.0 403"},
		{"another name", a.host("other", "other.example.com"), "SIP/2.0 403"},
		{"no certificate", TLSFiles{}, "SIP/2.0 403"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			c, err := dialTLS(t, a, srv, tc.own, nil)
			if err != nil {
				t.Fatal(err)
			}
			_, _ = c.Write([]byte(inviteBy(strings.ReplaceAll(tc.name, " ", ""))))
			got := readUntil(t, c, "SIP/2.0 4")
			if !strings.HasPrefix(got, tc.want) {
				t.Errorf("got %q, want %s", got, tc.want)
			}
		})
	}
	t.Run("of another authority", func(t *testing.T) {
		c, err := dialTLS(t, a, srv, stranger.host("fake", "trunk.example.com"), nil)
		if err == nil { // with TLS 1.3 the client hears of it when it reads
			_, err = c.Read(make([]byte, 1))
		}
		if err == nil || !strings.Contains(err.Error(), "certificate") {
			t.Errorf("got %v, want the certificate refused", err)
		}
	})
}

func TestTLSVersionsAndRequiredCertificates(t *testing.T) {
	a, count := newAuthority(t), newCounter()
	files := a.host("server")
	files.CA, files.Require = a.path("ca.pem"), true
	own := a.host("client", "client.example.com")
	srv := openStack(t, Options{Observer: count}, Listener{Network: "tls", Addr: local, TLS: files})
	if c, err := net.Dial("tcp", srv.Addr(0).String()); err == nil { // asks only whether somebody listens
		_ = c.Close()
	}
	try := func(own TLSFiles, max uint16) error {
		c, err := dialTLS(t, a, srv, own, func(cfg *tls.Config) { cfg.MinVersion, cfg.MaxVersion = tls.VersionTLS10, max })
		if err == nil {
			_, _ = c.Write([]byte("\r\n\r\n"))
			_, err = c.Read(make([]byte, 2))
		}
		return err
	}
	for v, ok := range map[uint16]bool{tls.VersionTLS11: false, tls.VersionTLS12: true, tls.VersionTLS13: true} {
		if err := try(own, v); (err == nil) != ok {
			t.Errorf("%s: %v, want accepted %v", tls.VersionName(v), err, ok)
		}
	}
	if err := try(TLSFiles{}, tls.VersionTLS13); err == nil {
		t.Error("a client without a certificate got in")
	}
	count.until(t, "handshake", 2)
}

// A new certificate is used without a restart; one that doesn't fit its key
// changes nothing and is told of.
func TestCertificateIsReloaded(t *testing.T) {
	a := newAuthority(t)
	files := a.host("server", "one.example.com")
	srv := openStack(t, Options{}, Listener{Network: "tls", Addr: local, TLS: files})
	shown := func() string {
		c, err := dialTLS(t, a, srv, TLSFiles{}, nil)
		if err != nil {
			t.Fatal(err)
		}
		return strings.Join(c.ConnectionState().PeerCertificates[0].DNSNames, " ")
	}
	if got := shown(); got != "one.example.com" {
		t.Fatalf("shown %q", got)
	}
	old, _ := os.ReadFile(files.Key)
	a.host("server", "two.example.com")
	fits, _ := os.ReadFile(files.Key)
	a.write("server.key", old)
	if err := srv.ReloadCertificates(); err == nil {
		t.Error("a certificate without its key was taken over")
	}
	if got := shown(); got != "one.example.com" {
		t.Errorf("shown %q after a failed reload", got)
	}
	if c := srv.Certificates(); len(c) != 1 || c[0].Failures != 1 || c[0].File != files.Certificate {
		t.Errorf("certificates %+v, want one with one failure", c)
	}
	a.write("server.key", fits)
	if err := srv.ReloadCertificates(); err != nil {
		t.Error(err)
	}
	if got := shown(); got != "two.example.com" {
		t.Errorf("shown %q after the reload", got)
	}
}

// Files are watched: a change is seen within ten seconds, a bad file is told of
// once, and a certificate near its end once a day.
func TestCertificatesAreWatched(t *testing.T) {
	a := newAuthority(t)
	files := a.host("server")
	log := &syncBuffer{}
	synctest.Test(t, func(t *testing.T) {
		s := &Stack{closed: make(chan struct{}), log: slog.New(slog.NewTextHandler(log, nil))}
		f, err := s.openTLS(files)
		if err != nil {
			t.Fatal(err)
		}
		f.now.Load().expires = time.Now().Add(13 * 24 * time.Hour)
		go s.watchCertificates()
		a.write("server.pem", []byte("nonsense"))
		time.Sleep(watchFiles)
		synctest.Wait()
		if n := s.Certificates()[0].Failures; n != 1 {
			t.Errorf("%d failures after %v, want 1", n, watchFiles)
		}
		time.Sleep(time.Hour)
		synctest.Wait()
		if n := s.Certificates()[0].Failures; n != 1 {
			t.Errorf("the same bad file counted %d times", n)
		}
		a.host("server", "new.example.com")
		time.Sleep(watchFiles)
		synctest.Wait()
		if got := f.now.Load().config.Certificates[0].Leaf.DNSNames; len(got) != 1 || got[0] != "new.example.com" {
			t.Errorf("in use: %v", got)
		}
		close(s.closed)
		synctest.Wait()
	})
	if n := strings.Count(log.String(), "certificate ends soon"); n != 1 {
		t.Errorf("told %d times that the certificate ends soon", n)
	}
	if n := strings.Count(log.String(), "old one stays"); n != 1 {
		t.Errorf("told %d times of the bad file", n)
	}
}

// A phone that registered by TLS is called on its own connection: it has no
// certificate and nothing that listens.
func TestPhoneByTLSIsCalledOnItsConnection(t *testing.T) {
	a, told := newAuthority(t), &registrations{}
	srv := openStack(t, Options{Access: Access{Accounts: []Account{account(SHA256)}}, Handlers: Handlers{Registered: told.note}},
		Listener{Network: "tls", Addr: local, TLS: a.host("server")})
	rang := make(chan *Leg, 1)
	phone := openStack(t, Options{TLS: TLSFiles{CA: a.path("ca.pem")}, Handlers: Handlers{Invite: func(l *Leg) { _ = l.Answer([]byte("v=0\r\n")); rang <- l }},
		Access: Access{Trunks: []Trunk{{Name: "server", Addresses: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}}}}},
		Listener{Network: "udp", Addr: local})
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	if _, err := phone.Register(ctx, "sips:"+srv.Addr(0).String(), account(SHA256).Credentials, time.Minute); err != nil {
		t.Fatal(err)
	}
	cs := srv.Contacts("alice")
	if len(cs) != 1 || cs[0].Network != "TLS" {
		t.Fatalf("contacts %+v", cs)
	}
	d := srv.Dial(Outgoing{Contacts: cs, FromUser: "1", ToUser: "alice", Offer: []byte("v=0\r\n")})
	within(t, "outcome", d.Done())
	if d.Outcome().Leg == nil {
		t.Fatalf("%+v", d.Outcome())
	}
	l := <-rang
	within(t, "ACK", l.Confirmed())
	l.Hangup()
	within(t, "BYE", d.Outcome().Leg.Done())
}

// A connection that came over TLS carries requests to where it came from only if
// its certificate bears the name asked for (RFC 5923 8): whoever holds the port of
// a trunk for a moment would get its calls else.
func TestWhichConnectionIsReused(t *testing.T) {
	a := newAuthority(t)
	files := a.host("server")
	files.CA = a.path("ca.pem")
	srv := openStack(t, Options{TLS: TLSFiles{CA: a.path("ca.pem")}}, Listener{Network: "tls", Addr: local, TLS: files})
	for _, tc := range []struct {
		name string
		own  TLSFiles
		ok   bool
	}{
		{"the name asked for", a.host("right", "localhost"), true},
		{"another name", a.host("wrong", "other.example.com"), false},
		{"no certificate", TLSFiles{}, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			c, err := dialTLS(t, a, srv, tc.own, nil)
			if err != nil {
				t.Fatal(err)
			}
			_, _ = c.Write([]byte("\r\n\r\n"))
			if _, err := c.Read(make([]byte, 2)); err != nil { // sipgo has it now
				t.Fatal(err)
			}
			_, port, _ := net.SplitHostPort(c.LocalAddr().String())
			to, err := srv.ContactTo("sip:x@localhost:" + port + ";transport=tls")
			if err != nil {
				t.Fatal(err)
			}
			d := srv.Dial(Outgoing{Contacts: []Contact{to}, FromUser: "1", ToUser: "x", Offer: []byte("v=0\r\n")})
			if tc.ok {
				readUntil(t, c, "INVITE sip:x@localhost")
				return
			}
			within(t, "outcome", d.Done())
			_ = c.SetReadDeadline(time.Now().Add(10 * time.Millisecond))
			if n, _ := c.Read(make([]byte, 1)); n != 0 {
				t.Error("the INVITE went to somebody else")
			}
		})
	}
}

// A peer that takes nothing any more can't hold up those who close its connection.
func TestClosingTLSBlocksNobody(t *testing.T) {
	a := newAuthority(t)
	files := a.host("server")
	pool := x509.NewCertPool()
	pool.AddCert(a.cert)
	synctest.Test(t, func(t *testing.T) {
		c, far := piped(t, Options{})
		cfg, err := c.stack.serverTLS(files)
		if err != nil {
			t.Fatal(err)
		}
		cfg.GetConfigForClient = nil
		pair, _ := tls.LoadX509KeyPair(files.Certificate, files.Key)
		cfg.Certificates = []tls.Certificate{pair}
		server, client := tls.Server(c.place, cfg), tls.Client(far, &tls.Config{InsecureSkipVerify: true})
		done := make(chan error, 1)
		go func() { done <- server.Handshake() }()
		if err := client.Handshake(); err != nil {
			t.Fatal(err)
		}
		var b [1]byte
		go func() { _, _ = client.Read(b[:]) }() // takes the session ticket
		if err := <-done; err != nil {
			t.Fatal(err)
		}
		c.secured(server)
		_ = far.SetReadDeadline(time.Now()) // and nothing after it
		synctest.Wait()
		start := time.Now()
		_ = c.Close()
		if took := time.Since(start); took != 0 {
			t.Errorf("closing took %v", took)
		}
		c.stack.wg.Wait()
		if len(c.stack.streams.open) != 0 {
			t.Error("its place was not given back")
		}
	})
}
