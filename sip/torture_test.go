package sip

import (
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// torture are the messages of RFC 4475 and the answers that a server on UDP may give;
// "silence" is none.
var torture = []struct{ section, name, answers string }{
	{"3.1.1.1", "wsinv", "200 404 480 481 484 486 488 503 603"},
	{"3.1.1.2", "intmeth", "405 501"},
	{"3.1.1.3", "esc01", "200 404 480 481 484 486 488 503 603"},
	{"3.1.1.4", "escnull", "200 401 403 404"},
	{"3.1.1.5", "esc02", "405 501"},
	{"3.1.1.6", "lwsdisp", "200 404"},
	{"3.1.1.7", "longreq", "200 404 480 481 484 486 488 503 603"},
	{"3.1.1.8", "dblreq", "200 401 403 404"},
	{"3.1.1.9", "semiuri", "200 404"},
	{"3.1.1.10", "transports", "200 404"},
	{"3.1.1.11", "mpart01", "200 202 405 415 501"},
	{"3.1.1.12", "unreason", "silence"},
	{"3.1.1.13", "noreason", "silence"},
	{"3.1.2.1", "badinv01", "400"},
	{"3.1.2.2", "clerr", "400"},
	{"3.1.2.3", "ncl", "400"},
	{"3.1.2.4", "scalar02", "400"},
	{"3.1.2.5", "scalarlg", "silence"},
	{"3.1.2.6", "quotbal", "400"},
	{"3.1.2.7", "ltgtruri", "200 400 404 480 481 484 486 488 503 603"},
	{"3.1.2.8", "lwsruri", "200 400 404 480 481 484 486 488 503 603"},
	{"3.1.2.9", "lwsstart", "200 400 404 480 481 484 486 488 503 603"},
	{"3.1.2.10", "trws", "200 400 404"},
	{"3.1.2.11", "escruri", "200 400 404 480 481 484 486 488 503 603"},
	{"3.1.2.12", "baddate", "200 400 404 480 481 484 486 488 503 603"},
	{"3.1.2.13", "regbadct", "200 400"},
	{"3.1.2.14", "badaspec", "200 400 404"},
	{"3.1.2.15", "baddn", "200 400 404 silence"},
	{"3.1.2.16", "badvers", "505"},
	{"3.1.2.17", "mismatch01", "400"},
	{"3.1.2.18", "mismatch02", "400 501"},
	{"3.1.2.19", "bigcode", "silence"},
	{"3.2.1", "badbranch", "200 400 404 480 481 484 486 488 503 603"},
	{"3.3.1", "insuf", "400"},
	{"3.3.2", "unkscm", "416"},
	{"3.3.3", "novelsc", "416"},
	{"3.3.4", "unksm2", "400 401 403 404"},
	{"3.3.5", "bext01", "420"},
	{"3.3.6", "invut", "415"},
	{"3.3.7", "regaut01", "200 401 403"},
	{"3.3.8", "multi01", "400"},
	{"3.3.9", "mcl01", "400"},
	{"3.3.10", "bcast", "silence"},
	{"3.3.11", "zeromf", "200 404 483"},
	{"3.3.12", "cparam01", "200 401 403 404"},
	{"3.3.13", "cparam02", "200 401 403 404"},
	{"3.3.14", "regescrt", "200 401 403 404"},
	{"3.3.15", "sdp01", "400 406"},
	{"3.4.1", "inv2543", "200 404 480 481 484 486 488 503 603"},
}

// tortureMessage is one of the messages, which come with sipgo.
func tortureMessage(t *testing.T, dir, name string) []byte {
	t.Helper()
	for _, kind := range []string{"valid", "invalid"} {
		if data, err := os.ReadFile(filepath.Join(dir, kind, name+".dat")); err == nil {
			return data
		}
	}
	t.Fatalf("sipgo has no message %s", name)
	return nil
}

// RFC 4475, message by message over a real UDP socket: each gets an answer that the RFC
// allows, and the server answers the next request. Answers go to the port of the Via,
// so the peer has port 5060 of a loopback address of its own.
func TestTorture(t *testing.T) {
	out, err := exec.CommandContext(t.Context(), "go", "list", "-m", "-f", "{{.Dir}}", "github.com/emiago/sipgo").Output()
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(strings.TrimSpace(string(out)), "sip", "testdata", "torture")
	// Another run of this test on the machine has another one.
	pid := os.Getpid()
	self := netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 44, byte(pid >> 8), byte(pid)}), 5060)
	for _, tc := range torture {
		t.Run(tc.section+" "+tc.name, func(t *testing.T) {
			srv := realStack(t, "udp", Options{
				Access: Access{
					Trunks:   []Trunk{{Name: "peer", Addresses: []netip.Prefix{netip.PrefixFrom(self.Addr(), 32)}}},
					Accounts: []Account{account(MD5)},
				},
				Handlers: Handlers{Invite: func(l *Leg) { _ = l.Reject(404, "Not Found") }},
			})
			p := &tortured{t: t, to: srv.Addr(0)}
			if p.c, err = net.ListenUDP("udp", net.UDPAddrFromAddrPort(self)); err != nil {
				t.Fatal(err)
			}
			defer p.c.Close()
			p.send(tortureMessage(t, dir, tc.name))
			got := p.final(tc.answers == "silence")
			if !slices.Contains(strings.Fields(tc.answers), got) {
				t.Errorf("got %s, want %s", got, tc.answers)
			}
			p.alive()
		})
	}
}

type tortured struct {
	t  *testing.T
	c  *net.UDPConn
	to netip.AddrPort
}

func (p *tortured) send(msg []byte) {
	p.t.Helper()
	if _, err := p.c.WriteToUDPAddrPort(msg, p.to); err != nil {
		p.t.Fatal(err)
	}
}

// until reads until a final answer comes of which is true, and returns its code;
// "silence" when none does within d.
func (p *tortured) until(d time.Duration, is func(msg string) bool) string {
	_ = p.c.SetReadDeadline(time.Now().Add(d))
	buf := make([]byte, 65536)
	for {
		n, _, err := p.c.ReadFromUDPAddrPort(buf)
		if err != nil {
			return "silence"
		}
		w := strings.Fields(string(buf[:min(n, 40)]))
		if len(w) > 1 && w[0] == "SIP/2.0" && w[1] >= "200" && is(string(buf[:n])) {
			return w[1]
		}
	}
}

const stillThere = "still-there"

// final is the final answer to the message. Where none is expected, one to a request
// sent after it has come long before the time is over.
func (p *tortured) final(none bool) string {
	wait := 5 * time.Second
	if none {
		wait = 300 * time.Millisecond
	}
	return p.until(wait, func(msg string) bool { return !strings.Contains(msg, stillThere) })
}

func (p *tortured) alive() {
	p.t.Helper()
	p.send([]byte("OPTIONS sip:x@127.0.0.1 SIP/2.0\r\nVia: SIP/2.0/UDP " + p.c.LocalAddr().String() + ";branch=z9hG4bK" + stillThere +
		"\r\nFrom: <sip:a@example.com>;tag=1\r\nTo: <sip:x@127.0.0.1>\r\nCall-ID: " + stillThere +
		"\r\nCSeq: 1 OPTIONS\r\nMax-Forwards: 70\r\nContent-Length: 0\r\n\r\n"))
	if got := p.until(5*time.Second, func(msg string) bool { return strings.Contains(msg, stillThere) }); got != "200" {
		p.t.Errorf("the next request got %s", got)
	}
}
