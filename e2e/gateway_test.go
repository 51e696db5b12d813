package e2e

import (
	"bytes"
	"fmt"
	"net"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"hotline/sip"
)

// startGateway starts sipp as a gateway that takes so many calls; the channel
// yields its end.
func startGateway(t *testing.T, calls int) (port int, ended <-chan error) {
	t.Helper()
	bin, err := exec.LookPath("sipp")
	if err != nil {
		t.Fatal("sipp is missing: make deps installs it")
	}
	scenario, err := filepath.Abs("testdata/gateway.xml")
	if err != nil {
		t.Fatal(err)
	}
	port = freePorts(t, 6)
	cmd := exec.CommandContext(t.Context(), bin, "-sf", scenario, "-i", "127.0.0.1", "-p", strconv.Itoa(port), "-mi", "127.0.0.1", "-mp", strconv.Itoa(port+2),
		"-m", strconv.Itoa(calls), "-timeout", "60s", "-timeout_error", "-nostdin", "-trace_err")
	cmd.Dir = t.TempDir()
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	end := make(chan error, 1)
	go func() {
		err := cmd.Wait()
		if err != nil {
			err = fmt.Errorf("sipp: %w\n%s", err, out.Bytes()[max(0, out.Len()-3000):])
		}
		end <- err
	}()
	// It receives when nobody else can have its port.
	within := time.After(patience)
	for {
		c, err := net.ListenPacket("udp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
		if err != nil {
			return port, end
		}
		_ = c.Close()
		select {
		case <-within:
			t.Fatal("sipp doesn't receive")
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// talk lets the gateway change the session, and hangs up.
func (e *end) talk(d *sip.Dialing) {
	e.t.Helper()
	l := e.dialled(d)
	changed := make(chan struct{})
	l.OnReoffer(func(offer []byte) ([]byte, int) {
		if !bytes.Contains(offer, []byte("a=sendonly")) {
			e.t.Errorf("the gateway offers %q", offer)
		}
		close(changed)
		return []byte(someSDP + "a=recvonly\r\n"), 0
	})
	e.over(changed, "the re-INVITE")
	l.Hangup()
}

// Two gateways, the first one dead: the call goes by the other one, and the next
// call there at once.
func TestSippGateways(t *testing.T) {
	const calls = 2
	dead := freePorts(t, 2)
	port, ended := startGateway(t, calls)
	tr := sip.Trunk{Name: "carrier", Outbound: sip.Outbound{Unreachable: time.Second, Gateways: []sip.Gateway{
		{Host: "127.0.0.1", Port: dead, Network: "udp"}, {Host: "127.0.0.1", Port: port, Network: "udp", Priority: 1}}}}
	us := openEnd(t, 0, tr)
	for range calls {
		us.talk(us.DialTrunk("carrier", sip.Outgoing{ToUser: "+8613800000000", FromUser: "+8695599", Offer: []byte(someSDP)}))
	}
	if err := awaitSipp(t, ended); err != nil {
		t.Fatal(err)
	}
	us.Settle(t.Context())
	st := us.Trunks()[0]
	if st.Gateways[0].Addresses[0].State != "suspect" || st.Gateways[1].Addresses[0].State != "up" || st.CallsOut != 0 {
		t.Errorf("trunk %+v", st)
	}
}

// The same through a proxy that stays in the way: re-INVITE and its ACK come along
// the route set, and our BYE takes it.
func TestKamailioAndGateway(t *testing.T) {
	proxy := freePorts(t, 2)
	port, ended := startGateway(t, 1)
	us := openEnd(t, 0, sip.Trunk{Name: "carrier", Outbound: sip.Outbound{Gateways: []sip.Gateway{{Host: "127.0.0.1", Port: proxy, Network: "udp"}}}})
	k := startKamailio(t, proxy, us.port(), port)
	us.talk(us.DialTrunk("carrier", sip.Outgoing{ToUser: "+8613800000000", FromUser: "+8695599", Offer: []byte(someSDP)}))
	if err := awaitSipp(t, ended); err != nil {
		t.Fatal(err)
	}
	for _, what := range []string{
		"relayed INVITE from " + strconv.Itoa(us.port()), "relayed ACK from " + strconv.Itoa(us.port()),
		"relayed INVITE from " + strconv.Itoa(port), "relayed ACK from " + strconv.Itoa(port), "relayed BYE from " + strconv.Itoa(us.port()),
	} {
		k.did(what)
	}
}
