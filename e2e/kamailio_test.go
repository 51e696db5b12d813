package e2e

import (
	"bufio"
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"hotline/sip"
)

var loopback = []netip.Prefix{netip.MustParsePrefix("127.0.0.1/32")}

// end is one end of a call through the proxy, ours or the far one.
type end struct {
	*sip.Stack
	t    *testing.T
	legs chan *sip.Leg
}

// openEnd opens an end that answers all calls; trunks are added to one that lets
// everybody on this machine in.
func openEnd(t *testing.T, port int, trunks ...sip.Trunk) *end {
	t.Helper()
	return openEndWith(t, sip.HEP{}, port, trunks...)
}

// openEndWith opens an end that also sends copies of its messages.
func openEndWith(t *testing.T, hep sip.HEP, port int, trunks ...sip.Trunk) *end {
	t.Helper()
	e := &end{t: t, legs: make(chan *sip.Leg, 4)}
	var err error
	e.Stack, err = sip.Open(sip.Options{
		Logger: slog.New(slog.DiscardHandler), HEP: hep,
		Listen: []sip.Listener{{Network: "udp", Addr: netip.AddrPortFrom(netip.MustParseAddr("127.0.0.1"), uint16(port))}, {Network: "tcp", Addr: netip.MustParseAddrPort("127.0.0.1:0")}},
		Access: sip.Access{Trunks: append(trunks, sip.Trunk{Name: "local", Addresses: loopback, Region: "CN"})},
		Handlers: sip.Handlers{Invite: func(l *sip.Leg) {
			l.Ring()
			_ = l.Answer([]byte(someSDP))
			e.legs <- l
		}},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = e.Close() })
	return e
}

const someSDP = "v=0\r\no=t 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\nm=audio 4000 RTP/AVP 8\r\n"

func (e *end) port() int { return int(e.Addr(0).Port()) }

// took is the next leg that came in.
func (e *end) took() *sip.Leg {
	e.t.Helper()
	select {
	case l := <-e.legs:
		return l
	case <-time.After(patience):
		e.t.Fatal("no call comes")
		return nil
	}
}

// dialled is the leg that comes of a dialling.
func (e *end) dialled(d *sip.Dialing) *sip.Leg {
	e.t.Helper()
	e.over(d.Done(), "an outcome")
	if d.Outcome().Leg == nil {
		e.t.Fatalf("outcome %+v", d.Outcome())
	}
	return d.Outcome().Leg
}

func (e *end) over(ch <-chan struct{}, what string) {
	e.t.Helper()
	select {
	case <-ch:
	case <-time.After(patience):
		e.t.Fatalf("waiting for %s", what)
	}
}

// kamailio is a proxy in front of us; what it does comes line by line.
type kamailio struct {
	t    *testing.T
	port int
	said chan string
}

// startKamailio starts a proxy between us and the far end.
func startKamailio(t *testing.T, port, us, far int) *kamailio {
	t.Helper()
	return runKamailio(t, "kamailio.cfg", port, "@US@", strconv.Itoa(us), "@FAR@", strconv.Itoa(far), "@PASSWORD@", password)
}

// runKamailio starts a proxy with a file of testdata, in which words are replaced, and
// waits until it answers on its UDP port.
func runKamailio(t *testing.T, config string, port int, words ...string) *kamailio {
	t.Helper()
	bin, err := exec.LookPath("kamailio")
	if err != nil {
		t.Fatal("kamailio is missing: make deps installs it")
	}
	text, err := os.ReadFile(filepath.Join("testdata", config))
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	file := filepath.Join(dir, "kamailio.cfg")
	text = []byte(strings.NewReplacer(append(words, "@PROXY@", strconv.Itoa(port))...).Replace(string(text)))
	if err := os.WriteFile(file, text, 0o600); err != nil {
		t.Fatal(err)
	}
	// -DD: in the foreground; little memory is enough.
	cmd := exec.Command(bin, "-f", file, "-DD", "-E", "-Y", dir, "-w", dir, "-m", "32", "-M", "8")
	out, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	k := &kamailio{t: t, port: port, said: make(chan string, 1000)}
	read := make(chan struct{})
	go func() {
		defer close(read)
		for lines := bufio.NewScanner(out); lines.Scan(); {
			select {
			case k.said <- lines.Text():
			default:
			}
		}
	}()
	t.Cleanup(func() {
		_ = cmd.Process.Signal(os.Interrupt)
		kill := time.AfterFunc(patience, func() { _ = cmd.Process.Kill() })
		defer kill.Stop()
		<-read
		_ = cmd.Wait()
	})
	k.answers()
	return k
}

// answers waits until the proxy answers OPTIONS.
func (k *kamailio) answers() {
	k.t.Helper()
	tr := sip.Trunk{Name: "proxy", Outbound: sip.Outbound{Health: sip.Health{Interval: time.Second, Failures: 1},
		Gateways: []sip.Gateway{{Host: "127.0.0.1", Port: k.port, Network: "udp"}}}}
	probe := openEnd(k.t, 0, tr)
	defer probe.Close()
	within := time.After(patience)
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			for _, t := range probe.Trunks() {
				for _, g := range t.Gateways {
					if len(g.Addresses) > 0 && g.Addresses[0].Answered {
						return
					}
				}
			}
		case line := <-k.said:
			k.t.Log(line)
		case <-within:
			k.t.Fatal("kamailio doesn't answer")
		}
	}
}

// did waits until the proxy says that it did something.
func (k *kamailio) did(what string) {
	k.t.Helper()
	within := time.After(patience)
	for {
		select {
		case line := <-k.said:
			if strings.Contains(line, "refused") {
				k.t.Errorf("the proxy says %s", line)
			}
			if strings.Contains(line, what) {
				return
			}
		case <-within:
			k.t.Fatalf("the proxy doesn't say %q", what)
		}
	}
}

func (k *kamailio) gateway() sip.Gateway {
	return sip.Gateway{Host: "127.0.0.1", Port: k.port, Network: "udp"}
}

// Calls both ways through a proxy that stays in the way: whoever hangs up, the BYE
// goes by the route set, and the proxy passes it on.
func TestKamailioInFront(t *testing.T) {
	proxy := freePorts(t, 2)
	tr := sip.Trunk{Name: "carrier", Outbound: sip.Outbound{Gateways: []sip.Gateway{{Host: "127.0.0.1", Port: proxy, Network: "udp"}}}}
	us, far := openEnd(t, 0, tr), openEnd(t, 0)
	k := startKamailio(t, proxy, us.port(), far.port())
	byProxy, err := far.ContactTo(fmt.Sprintf("sip:95599@127.0.0.1:%d", proxy))
	if err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		name       string
		outbound   bool
		weHangUp   bool
		byeThrough int
	}{
		{"in, we hang up", false, true, us.port()}, {"in, the caller hangs up", false, false, far.port()},
		{"out, we hang up", true, true, us.port()}, {"out, the called hangs up", true, false, far.port()},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var ours, theirs *sip.Leg
			if tc.outbound {
				ours = us.dialled(us.DialTrunk("carrier", sip.Outgoing{ToUser: "+8613800000000", FromUser: "+8695599", Offer: []byte(someSDP)}))
				theirs = far.took()
				k.did(fmt.Sprintf("relayed INVITE from %d", us.port()))
				if in := theirs.Incoming(); in.Dialled != "+8613800000000" {
					t.Errorf("the far end was dialled as %q", in.Dialled)
				}
			} else {
				theirs = far.dialled(far.Dial(sip.Outgoing{Contacts: []sip.Contact{byProxy}, ToUser: "95599", FromUser: "13800000000", Offer: []byte(someSDP)}))
				ours = us.took()
				k.did(fmt.Sprintf("relayed INVITE from %d", far.port()))
			}
			us.over(ours.Confirmed(), "our ACK")
			us.over(theirs.Confirmed(), "their ACK")
			first, second := theirs, ours
			if tc.weHangUp {
				first, second = ours, theirs
			}
			first.Hangup()
			us.over(second.Done(), "the BYE")
			if c := second.End().Cause; c != sip.EndRemoteBye {
				t.Errorf("the other end: %q", c)
			}
			k.did(fmt.Sprintf("relayed BYE from %d", tc.byeThrough))
		})
	}
}

// We register with a proxy that asks for a password, are called by it, and go.
func TestKamailioRegistration(t *testing.T) {
	proxy := freePorts(t, 2)
	us := openEnd(t, 0)
	far := openEnd(t, 0)
	k := startKamailio(t, proxy, us.port(), far.port())
	tr := sip.Trunk{Name: "carrier", Addresses: loopback, Region: "CN", Outbound: sip.Outbound{Gateways: []sip.Gateway{k.gateway()}, Domain: "127.0.0.1",
		Login:    &sip.Credentials{User: "4008001234", Password: password, Realm: "carrier"},
		Register: &sip.Registration{Registrar: k.gateway(), User: "4008001234", Expires: 2 * time.Minute}}}
	us.SetAccess(sip.Access{Trunks: []sip.Trunk{tr}})
	k.did("registered 4008001234")
	within := time.After(patience)
	for !us.Trunks()[0].Registration.Registered {
		select {
		case <-within:
			t.Fatalf("not registered: %+v", us.Trunks()[0].Registration)
		case <-time.After(10 * time.Millisecond):
		}
	}
	byProxy, err := far.ContactTo(fmt.Sprintf("sip:4008001234@127.0.0.1:%d", proxy))
	if err != nil {
		t.Fatal(err)
	}
	call := sip.Outgoing{Contacts: []sip.Contact{byProxy}, ToUser: "4008001234", FromUser: "13800000000", Offer: []byte(someSDP)}
	theirs := far.dialled(far.Dial(call))
	ours := us.took()
	if in := ours.Incoming(); in.Dialled != "4008001234" || in.Trunk == nil || in.Trunk.Name != "carrier" || in.Caller.Number != "+8613800000000" {
		t.Errorf("the call is %+v", in)
	}
	ours.Hangup()
	us.over(theirs.Done(), "the BYE")

	us.Drain()
	us.Settle(t.Context())
	d := far.Dial(call)
	us.over(d.Done(), "the refusal")
	if o := d.Outcome(); o.Code != 404 {
		t.Errorf("after the end: %+v, want 404", o)
	}
}
