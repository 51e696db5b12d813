package sip

import (
	"encoding/csv"
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

// tortureTest is a message of RFC 4475 and the answers that a server on UDP may give; "silence" is none.
type tortureTest struct {
	section, name string
	answers       []string
}

// readTorture reads what is expected. There are 49 messages, and each that sipgo brings is among them.
func readTorture(t *testing.T, dir string) (all []tortureTest) {
	t.Helper()
	f, err := os.Open("testdata/rfc4475.csv")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	rows, err := csv.NewReader(f).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	names := make(map[string]bool)
	for _, r := range rows[1:] {
		all = append(all, tortureTest{r[0], r[1], strings.Fields(r[3])})
		names[r[1]] = true
	}
	if len(all) != 49 || len(names) != 49 {
		t.Fatalf("%d messages, %d names", len(all), len(names))
	}
	files, _ := filepath.Glob(filepath.Join(dir, "*", "*.dat"))
	for _, f := range files {
		if name := strings.TrimSuffix(filepath.Base(f), ".dat"); !names[name] && name != "test" { // which is none of the RFC's
			t.Errorf("nothing is expected of %s", name)
		}
	}
	return all
}

// tortureDir is where sipgo keeps the messages.
func tortureDir(t *testing.T) string {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "go", "list", "-m", "-f", "{{.Dir}}", "github.com/emiago/sipgo").Output()
	if err != nil {
		t.Fatal(err)
	}
	return filepath.Join(strings.TrimSpace(string(out)), "sip", "testdata", "torture")
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
	dir, self := tortureDir(t), torturer()
	for _, tc := range readTorture(t, dir) {
		t.Run(tc.section+" "+tc.name, func(t *testing.T) {
			srv := realStack(t, "udp", Options{
				Access: Access{
					Trunks:   []Trunk{{Name: "peer", Addresses: []netip.Prefix{netip.PrefixFrom(self.Addr(), 32)}}},
					Accounts: []Account{account(MD5)},
				},
				Handlers: Handlers{Invite: func(l *Leg) { _ = l.Reject(404, "Not Found") }},
			})
			p := openTortured(t, self, srv)
			p.send(tortureMessage(t, dir, tc.name))
			got := p.final(tc.answers[0] == "silence")
			if !slices.Contains(tc.answers, got) {
				t.Errorf("got %s, want one of %s", got, tc.answers)
			}
			p.alive()
		})
	}
}

// torturer is the address of who sends the messages. Another run on the machine has another one.
func torturer() netip.AddrPort {
	pid := os.Getpid()
	return netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 44, byte(pid >> 8), byte(pid)}), 5060)
}

func openTortured(t *testing.T, self netip.AddrPort, srv *Stack) *tortured {
	t.Helper()
	c, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(self))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return &tortured{t: t, c: c, to: srv.Addr(0)}
}

// The REGISTERs of RFC 4475, sent again with the password that their first answer asks for: the bindings are what the
// messages say, escapes and parameters and all, and a call goes there by a Request-URI that may be one.
func TestTortureRegistered(t *testing.T) {
	dir, self := tortureDir(t), torturer()
	for _, tc := range []struct {
		name, user  string
		want, lines []string // the bindings, and how the INVITEs to them begin
	}{
		{"escnull", "null-%00-null", []string{"sip:%00@host5.example.com", "sip:%00%00@host5.example.com"}, nil},
		{"cparam01", "watson", []string{"sip:+19725552222@gw1.example.net"}, nil},
		{"cparam02", "watson", []string{"sip:+19725552222@gw1.example.net;unknownparam"}, nil},
		{"regescrt", "user", []string{"sip:user@example.com?Route=%3Csip:sip.example.com%3E"}, []string{"sip:user@example.com"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			srv := realStack(t, "udp", Options{Access: Access{Accounts: []Account{{Credentials{User: tc.user, Password: "wonderland"}}}}})
			p := openTortured(t, self, srv)
			msg := string(tortureMessage(t, dir, tc.name))
			p.send([]byte(msg))
			asked := p.read("SIP/2.0 401")
			auth := answer(t, asked, "REGISTER", "sip:example.com", tc.user, "wonderland", 1)
			again := strings.NewReplacer("z9hG4bKkdjuw", "z9hG4bKagain", "CSeq: 14398234", "CSeq: 14398235", "CSeq: 2 ", "CSeq: 4 ", "CSeq: 3 ", "CSeq: 4 ").Replace(msg)
			p.send([]byte(strings.Replace(again, "Max-Forwards: 70\r\n", "Max-Forwards: 70\r\n"+auth+"\r\n", 1)))
			ok := p.read("SIP/2.0 200")
			var got []string
			for _, c := range srv.Contacts(tc.user) {
				got = append(got, c.URI)
				if !strings.Contains(ok, "<"+c.URI+">;expires=") {
					t.Errorf("%s isn't in %q", c.URI, ok)
				}
			}
			slices.Sort(got)
			want := slices.Sorted(slices.Values(tc.want))
			if !slices.Equal(got, want) {
				t.Fatalf("bindings %q, want %q", got, want)
			}
			lines := tc.lines
			if lines == nil {
				lines = tc.want
			}
			for _, c := range srv.Contacts(tc.user) {
				d := srv.Dial(Outgoing{Contacts: []Contact{c}, FromUser: "1", ToUser: tc.user, Offer: []byte("v=0\r\n")})
				invite := p.read("INVITE ")
				uri := strings.Fields(invite)[1]
				if !slices.Contains(lines, uri) {
					t.Errorf("INVITE %s, want one of %q", uri, lines)
				}
				d.Cancel()
			}
		})
	}
}

// read reads until a message begins so.
func (p *tortured) read(prefix string) string {
	p.t.Helper()
	_ = p.c.SetReadDeadline(time.Now().Add(5 * time.Second))
	buf := make([]byte, 65536)
	for {
		n, err := p.c.Read(buf)
		if err != nil {
			p.t.Fatalf("waiting for %q: %v", prefix, err)
		}
		if strings.HasPrefix(string(buf[:n]), prefix) {
			return string(buf[:n])
		}
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
