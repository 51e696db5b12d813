package e2e

import (
	"bytes"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"hotline/sip"
)

// startGateway starts sipp as a gateway that takes so many calls; the channel
// yields its end.
func startGateway(t *testing.T, calls int, args ...string) (port int, ended <-chan error) {
	t.Helper()
	port = freePorts(t, 6)
	return port, startCalled(t, "gateway.xml", port, calls, args...)
}

// startCalled starts sipp as somebody who is called at a port of 127.0.0.1; the channel
// yields its end.
func startCalled(t *testing.T, file string, port, calls int, args ...string) <-chan error {
	t.Helper()
	return startCalledAt(t, "127.0.0.1", file, port, calls, args...)
}

// startCalledAt starts it at another address.
func startCalledAt(t *testing.T, ip, file string, port, calls int, args ...string) <-chan error {
	t.Helper()
	bin, err := exec.LookPath("sipp")
	if err != nil {
		t.Fatal("sipp is missing: make deps installs it")
	}
	scenario, err := filepath.Abs(filepath.Join("testdata", file))
	if err != nil {
		t.Fatal(err)
	}
	args = append([]string{"-sf", scenario, "-i", ip, "-p", strconv.Itoa(port), "-mi", ip, "-mp", strconv.Itoa(port + 2),
		"-m", strconv.Itoa(calls), "-timeout", "60s", "-timeout_error", "-nostdin", "-trace_err"}, args...)
	cmd := exec.CommandContext(t.Context(), bin, args...)
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
			logs, _ := filepath.Glob(filepath.Join(cmd.Dir, "*_errors.log"))
			for _, name := range logs {
				text, _ := os.ReadFile(name)
				out.Write(text[:min(len(text), 2000)])
			}
			err = fmt.Errorf("sipp: %w\n%s", err, out.Bytes()[max(0, out.Len()-3000):])
		}
		end <- err
	}()
	// It receives when nobody else can have its port.
	within := time.After(patience)
	for {
		if taken(ip, port) {
			return end
		}
		select {
		case <-within:
			t.Fatal("sipp doesn't receive")
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// taken tells whether somebody receives on a port, by UDP or TCP.
func taken(ip string, port int) bool {
	at := net.JoinHostPort(ip, strconv.Itoa(port))
	c, err := net.ListenPacket("udp", at)
	if err != nil {
		return true
	}
	_ = c.Close()
	l, err := net.Listen("tcp", at)
	if err != nil {
		return true
	}
	_ = l.Close()
	return false
}

// talk lets the gateway change the session and hang up.
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
	e.over(l.Done(), "the gateway to hang up")
	if c := l.End().Cause; c != sip.EndRemoteBye {
		e.t.Errorf("ended with %q", c)
	}
}

// Two gateways, the first one dead: the call goes by the other one, and the next
// call there at once.
func TestSippGateways(t *testing.T) {
	for network, args := range map[string][]string{"udp": nil, "tcp": {"-t", "t1"}} {
		t.Run(network, func(t *testing.T) {
			const calls = 2
			dead := freePorts(t, 2)
			port, ended := startGateway(t, calls, args...)
			tr := sip.Trunk{Name: "carrier", Outbound: sip.Outbound{Unreachable: time.Second, Gateways: []sip.Gateway{
				{Host: "127.0.0.1", Port: dead, Network: network}, {Host: "127.0.0.1", Port: port, Network: network, Priority: 1}}}}
			us := openEnd(t, 0, tr)
			for range calls {
				us.talk(us.DialTrunk("carrier", sip.Outgoing{ToUser: "+8613800000000", FromUser: "+8695599", Offer: []byte(someSDP)}))
			}
			if err := awaitSipp(t, ended); err != nil {
				t.Fatal(err)
			}
			st := us.Trunks()[0]
			if st.Gateways[0].Addresses[0].State != "suspect" || st.Gateways[1].Addresses[0].State != "up" {
				t.Errorf("trunk %+v", st)
			}
		})
	}
}

// The same through a proxy that stays in the way: our ACK takes the route set,
// and re-INVITE, its ACK and BYE come along it.
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
		"relayed INVITE from " + strconv.Itoa(port), "relayed ACK from " + strconv.Itoa(port), "relayed BYE from " + strconv.Itoa(port),
	} {
		k.did(what)
	}
}
