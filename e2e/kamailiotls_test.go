package e2e

import (
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"testing"

	"hotline/sip"
)

// issue makes NAME.pem and NAME.key by the authority in dir: for 127.0.0.1 and the name,
// to be shown on both sides of a connection.
func issue(t *testing.T, dir, name string) sip.TLSFiles {
	t.Helper()
	ext := fmt.Sprintf("subjectAltName=IP:127.0.0.1,DNS:%s.example.com\nextendedKeyUsage=serverAuth,clientAuth\n", name)
	if err := os.WriteFile(filepath.Join(dir, "ext"), []byte(ext), 0o600); err != nil {
		t.Fatal(err)
	}
	openssl(t, dir, "req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-keyout", name+".key", "-out", name+".csr", "-subj", "/CN="+name)
	openssl(t, dir, "x509", "-req", "-in", name+".csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-days", "30", "-extfile", "ext", "-out", name+".pem")
	return sip.TLSFiles{Certificate: filepath.Join(dir, name+".pem"), Key: filepath.Join(dir, name+".key"), CA: filepath.Join(dir, "ca.pem")}
}

// tlsScene is a carrier's proxy that we meet by TLS only, and the far end behind it.
type tlsScene struct {
	us, far *end
	proxy   *kamailio
	byProxy sip.Contact
}

// startTLSScene starts them. We know the proxy by the name in its certificate, and ask for
// one; so does the proxy.
func startTLSScene(t *testing.T, ours, theirs sip.TLSFiles) *tlsScene {
	t.Helper()
	return startTLSSceneAs(t, ours, theirs, "")
}

// startTLSSceneAs has us be known by that address, where nobody listens; then the proxy takes the aliases of
// connections.
func startTLSSceneAs(t *testing.T, ours, theirs sip.TLSFiles, advertise string) *tlsScene {
	t.Helper()
	ports := freePorts(t, 2)
	gateway := sip.Gateway{Host: "127.0.0.1", Port: ports + 1, Network: "tls"}
	us := &end{t: t, legs: make(chan *sip.Leg, 4)}
	listener := ours
	listener.Require = true
	var err error
	us.Stack, err = sip.Open(sip.Options{
		Logger: slog.New(slog.DiscardHandler), TLS: ours,
		Listen: []sip.Listener{{Network: "tls", Addr: netip.MustParseAddrPort("127.0.0.1:0"), Advertise: advertise, TLS: listener}},
		Access: sip.Access{Trunks: []sip.Trunk{{Name: "carrier", TLSName: "proxy.example.com", Region: "CN", Outbound: sip.Outbound{Gateways: []sip.Gateway{gateway}}}}},
		Handlers: sip.Handlers{Invite: func(l *sip.Leg) {
			_ = l.Answer([]byte(someSDP))
			us.legs <- l
		}},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = us.Close() })
	modules, _ := filepath.Glob("/usr/lib/*/kamailio/modules/tls.so")
	if len(modules) == 0 {
		t.Fatal("kamailio's TLS module is missing: make deps installs it")
	}
	s, known, aliases := &tlsScene{us: us, far: openEnd(t, 0)}, strconv.Itoa(us.port()), "no"
	if advertise != "" {
		_, known, _ = net.SplitHostPort(advertise)
		aliases = "yes"
	}
	s.proxy = runKamailio(t, "kamailio-tls.cfg", ports, "@TLS@", strconv.Itoa(gateway.Port), "@US@", known, "@ALIASES@", aliases, "@FAR@", strconv.Itoa(s.far.port()),
		"@MODULES@", filepath.Dir(modules[0]), "@KEY@", theirs.Key, "@CERT@", theirs.Certificate, "@CA@", theirs.CA)
	if s.byProxy, err = s.far.ContactTo(fmt.Sprintf("sip:95599@127.0.0.1:%d", ports)); err != nil {
		t.Fatal(err)
	}
	return s
}

func (s *tlsScene) callOut() *sip.Dialing {
	return s.us.DialTrunk("carrier", sip.Outgoing{ToUser: "+8613800000000", FromUser: "+8695599", Offer: []byte(someSDP)})
}

func (s *tlsScene) callIn() *sip.Dialing {
	return s.far.Dial(sip.Outgoing{Contacts: []sip.Contact{s.byProxy}, ToUser: "95599", FromUser: "13800000000", Offer: []byte(someSDP)})
}

// Calls both ways through a proxy by TLS, each side with a certificate that the other one
// checks: the proxy is a trunk by its name, and the call stays on TLS to its end.
func TestKamailioByTLS(t *testing.T) {
	certs := certificates(t)
	s := startTLSScene(t, issue(t, certs, "hotline"), issue(t, certs, "proxy"))
	for _, outbound := range []bool{true, false} {
		for _, weHangUp := range []bool{true, false} {
			t.Run(fmt.Sprintf("outbound %t, we hang up %t", outbound, weHangUp), func(t *testing.T) {
				s.us.t, s.far.t, s.proxy.t = t, t, t
				var ours, theirs *sip.Leg
				ourSide, theirSide := "tls", "udp"
				if outbound {
					ours, theirs = s.us.dialled(s.callOut()), s.far.took()
					s.proxy.did("relayed INVITE from tls")
				} else {
					theirs, ours = s.far.dialled(s.callIn()), s.us.took()
					s.proxy.did("relayed INVITE from udp")
					if in := ours.Incoming(); in.Trunk == nil || in.Trunk.Name != "carrier" || in.Caller.Number != "+8613800000000" {
						t.Errorf("the call is %+v", in)
					}
				}
				s.us.over(ours.Confirmed(), "our ACK")
				s.us.over(theirs.Confirmed(), "their ACK")
				first, second, by := theirs, ours, theirSide
				if weHangUp {
					first, second, by = ours, theirs, ourSide
				}
				first.Hangup()
				s.us.over(second.Done(), "the BYE")
				if c := second.End().Cause; c != sip.EndRemoteBye {
					t.Errorf("the other end: %q", c)
				}
				s.proxy.did("relayed BYE from " + by)
			})
		}
	}
}

// A certificate of somebody else's authority opens no way, whoever shows it.
func TestKamailioByTLSWithAWrongCertificate(t *testing.T) {
	certs, foreign := certificates(t), certificates(t)
	for name, stranger := range map[string]string{"the proxy's": "proxy", "ours": "hotline"} {
		t.Run(name, func(t *testing.T) {
			files := map[string]sip.TLSFiles{}
			for _, who := range []string{"hotline", "proxy"} {
				files[who] = issue(t, certs, who)
				if who == stranger {
					f := issue(t, foreign, who)
					f.CA = files[who].CA // it trusts the right ones
					files[who] = f
				}
			}
			s := startTLSScene(t, files["hotline"], files["proxy"])
			out := s.callOut()
			s.us.over(out.Done(), "the end of our call")
			if o := out.Outcome(); o.Leg != nil || o.Cause != sip.DialUnreachable {
				t.Errorf("our call: %+v", o)
			}
			in := s.callIn()
			s.far.over(in.Done(), "the end of their call")
			if o := in.Outcome(); o.Leg != nil || o.Code < 400 {
				t.Errorf("their call: %+v", o)
			}
			if len(s.us.legs)+len(s.far.legs) > 0 {
				t.Error("a call got through")
			}
		})
	}
}

// RFC 5923: the proxy calls us on the connection that we opened and showed our certificate on. Where our Via points
// to nobody listens, so there is no other.
func TestKamailioCallsBackOnOurConnection(t *testing.T) {
	certs := certificates(t)
	s := startTLSSceneAs(t, issue(t, certs, "hotline"), issue(t, certs, "proxy"), fmt.Sprintf("127.0.0.1:%d", freePorts(t, 1)))
	in := s.callIn()
	s.far.over(in.Done(), "the end of a call before there is a connection")
	if o := in.Outcome(); o.Leg != nil {
		t.Fatalf("the proxy has reached us by another way: %+v", o)
	}
	out := s.us.dialled(s.callOut())
	s.far.took()
	theirs, ours := s.far.dialled(s.callIn()), s.us.took()
	if in := ours.Incoming(); in.Trunk == nil || in.Trunk.Name != "carrier" {
		t.Errorf("the call is %+v", in)
	}
	s.us.over(ours.Confirmed(), "their ACK")
	theirs.Hangup()
	s.us.over(ours.Done(), "the BYE")
	out.Hangup()
	s.us.over(out.Done(), "the end")
}
