package e2e

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"hotline/config"
	"hotline/sip"
)

// hepCopy is a message as a capture server reads it: its chunks by type.
type hepCopy map[uint16][]byte

func (c hepCopy) number(kind uint16) (n uint64) {
	for _, b := range c[kind] {
		n = n<<8 | uint64(b)
	}
	return n
}

func (c hepCopy) addr(host, port uint16) netip.AddrPort {
	a, _ := netip.AddrFromSlice(c[host])
	return netip.AddrPortFrom(a, uint16(c.number(port)))
}

func (c hepCopy) field(name string) string {
	for line := range strings.Lines(string(c[0x0f])) {
		if k, v, _ := strings.Cut(line, ":"); k == name {
			return strings.TrimSpace(v)
		}
	}
	return ""
}

// line says what it is: "INVITE", or "200 INVITE".
func (c hepCopy) line() string {
	words := strings.Fields(string(c[0x0f]))
	if words[0] != "SIP/2.0" {
		return words[0]
	}
	_, method, _ := strings.Cut(c.field("CSeq"), " ")
	return words[1] + " " + method
}

// readHEP takes a datagram of HEP version 3 apart.
func readHEP(t *testing.T, b []byte) hepCopy {
	t.Helper()
	if len(b) < 6 || string(b[:4]) != "HEP3" || int(binary.BigEndian.Uint16(b[4:])) != len(b) {
		t.Fatalf("no HEP3 packet: %q", b)
	}
	c := hepCopy{}
	for b = b[6:]; len(b) > 0; {
		if len(b) < 6 || binary.BigEndian.Uint16(b) != 0 {
			t.Fatalf("no chunk: %q", b)
		}
		n := int(binary.BigEndian.Uint16(b[4:]))
		if n < 6 || n > len(b) {
			t.Fatalf("a chunk of %d bytes in %d", n, len(b))
		}
		kind := binary.BigEndian.Uint16(b[2:])
		if _, twice := c[kind]; twice {
			t.Fatalf("chunk %#x is there twice", kind)
		}
		c[kind] = slices.Clone(b[6:n])
		b = b[n:]
	}
	return c
}

// A capture server gets a copy of each message of a call, of both legs under one
// correlation id, and of the registration, without credentials.
func TestHEPToACollector(t *testing.T) {
	collector, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(netip.MustParseAddrPort("127.0.0.1:0")))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = collector.Close() }()
	_ = collector.SetReadBuffer(1 << 20)
	began := time.Now()
	h := startHotline(t, func(c *config.Config) {
		oneAgent(c)
		c.SIP.HEP = config.HEP{Address: collector.LocalAddr().(*net.UDPAddr).AddrPort(), AgentID: 4000000000, Password: "homers-secret", Queue: 1000}
	})
	carol := h.seat("carol")
	call := h.dial(h.phone(), "1", "13900000001")
	agentCall, _ := carol.pickUp(t)
	h.log.await(t, "talk started")
	call.Hangup()
	awaitDone(t, "the agent's end", agentCall.Done())
	h.log.await(t, "call gone")

	legs := map[string][]string{} // what was seen, by Call-ID
	of := map[string]string{}     // correlation id by Call-ID
	first, buf := "", make([]byte, 1<<16)
	_ = collector.SetReadDeadline(time.Now().Add(patience))
	for done := 0; done < 2; {
		n, err := collector.Read(buf)
		if err != nil {
			t.Fatalf("%v after %v", err, legs)
		}
		c := readHEP(t, buf[:n])
		id := c.field("Call-ID")
		legs[id], of[id] = append(legs[id], c.line()), string(c[0x11])
		from, to, us := c.addr(3, 7), c.addr(4, 8), h.SIPAddr()
		at := time.Unix(int64(c.number(9)), int64(c.number(10))*1000)
		if (from == us) == (to == us) || !from.IsValid() || !to.IsValid() || at.Before(began.Truncate(time.Microsecond)) || at.After(time.Now()) || c.number(10) >= 1e6 {
			t.Errorf("%s went from %v to %v at %v", c.line(), from, to, at)
		}
		if c.number(1) != 2 || c.number(2) != 17 || c.number(11) != 1 || c.number(12) != 4000000000 || string(c[14]) != "homers-secret" {
			t.Errorf("chunks %v", c)
		}
		if c.line() == "INVITE" && first == "" {
			first = id
			if to != us || !bytes.Contains(c[0x0f], []byte("13900000001")) || !bytes.Contains(c[0x0f], []byte("m=audio")) {
				t.Errorf("the caller's INVITE to %v: %q", to, c[0x0f])
			}
		}
		if a := c.field("Authorization"); strings.Trim(a, "x") != "" {
			t.Errorf("credentials: %s", a)
		}
		if c.line() == "200 BYE" {
			done++
		}
	}
	calls := 0
	for id, lines := range legs {
		if !slices.Contains(lines, "INVITE") {
			continue
		}
		calls++
		for _, want := range []string{"INVITE", "200 INVITE", "ACK", "BYE", "200 BYE"} {
			if !slices.Contains(lines, want) {
				t.Errorf("no %s in %v", want, lines)
			}
		}
		if of[id] != first {
			t.Errorf("leg %s is with %s, want %s", id, of[id], first)
		}
	}
	if calls != 2 || !strings.Contains(fmt.Sprint(legs), "REGISTER 401 REGISTER REGISTER 200 REGISTER") {
		t.Errorf("seen: %v", legs)
	}
	if m := h.metrics(); m[`hotline_hep_messages_total{result="sent"}`] < 14 || m[`hotline_hep_messages_total{result="dropped"}`]+m[`hotline_hep_messages_total{result="failed"}`] != 0 {
		t.Errorf("%v sent", m[`hotline_hep_messages_total{result="sent"}`])
	}
	h.idle(nil)
}

// sngrep receives the copies of a call and writes them as packets between those who
// talked.
func TestSngrepTakesHEP(t *testing.T) {
	bin, err := exec.LookPath("sngrep")
	if err != nil {
		t.Fatal("sngrep is missing: make deps installs it")
	}
	port, dir := freePorts(t, 1), t.TempDir()
	file := filepath.Join(dir, "out.pcap")
	cmd := exec.CommandContext(t.Context(), bin, "-F", "-N", "-L", fmt.Sprintf("udp:127.0.0.1:%d", port), "-O", file)
	cmd.Dir, cmd.Env = dir, append(os.Environ(), "TERM=xterm", "HOME="+dir)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	dialogs, ended := make(chan string, 1000), make(chan error, 1)
	go func() {
		lines := bufio.NewScanner(out)
		lines.Split(func(data []byte, end bool) (int, []byte, error) { // each says "Dialog count: 1", with nothing behind
			if i := bytes.LastIndex(data, []byte("Dialog")); i > 0 {
				return i, data[:i], nil
			}
			return 0, nil, nil
		})
		for lines.Scan() {
			select {
			case dialogs <- lines.Text():
			default:
			}
		}
		ended <- cmd.Wait()
	}()
	t.Cleanup(func() { _ = cmd.Process.Kill() })
	awaitSocket(t, port)

	collector := netip.AddrPortFrom(netip.MustParseAddr("127.0.0.1"), uint16(port))
	us := openEndWith(t, sip.HEP{Collector: collector, AgentID: 1}, 0)
	far := openEnd(t, 0)
	to, err := far.ContactTo(fmt.Sprintf("sip:95599@127.0.0.1:%d", us.port()))
	if err != nil {
		t.Fatal(err)
	}
	for range 2 { // when it has seen the second call it has seen all of the first
		theirs := far.dialled(far.Dial(sip.Outgoing{Contacts: []sip.Contact{to}, ToUser: "95599", FromUser: "13800000000", Offer: []byte(someSDP)}))
		us.over(us.took().Confirmed(), "the ACK")
		theirs.Hangup()
		far.Settle(t.Context())
	}
	for within := time.After(patience); ; {
		select {
		case text := <-dialogs:
			if !strings.Contains(text, "count: 2") {
				continue
			}
		case <-within:
			t.Fatal("sngrep doesn't count two calls")
		}
		break
	}
	_ = cmd.Process.Signal(syscall.SIGINT)
	select {
	case <-ended:
	case <-time.After(patience):
		t.Fatal("sngrep doesn't end")
	}
	seen := readPcap(t, file)
	caller, callee := fmt.Sprintf("%v > %v ", far.Addr(0), us.Addr(0)), fmt.Sprintf("%v > %v ", us.Addr(0), far.Addr(0))
	for _, want := range []string{caller + "INVITE sip:95599@", callee + "SIP/2.0 180 Ringing", callee + "SIP/2.0 200 OK", caller + "ACK sip:", caller + "BYE sip:", callee + "SIP/2.0 200 OK"} {
		i := slices.IndexFunc(seen, func(s string) bool { return strings.HasPrefix(s, want) })
		if i < 0 {
			t.Fatalf("no %q, in this order, in what is left: %q", want, seen)
		}
		seen = seen[i+1:]
	}
}

// awaitSocket waits until some process has the UDP port.
func awaitSocket(t *testing.T, port int) {
	t.Helper()
	want := fmt.Sprintf(":%04X ", port)
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for within := time.After(patience); ; {
		select {
		case <-tick.C:
			if data, _ := os.ReadFile("/proc/net/udp"); strings.Contains(string(data), want) {
				return
			}
		case <-within:
			t.Fatalf("nobody listens at port %d", port)
		}
	}
}

// readPcap lists the packets of a file as "from > to first line".
func readPcap(t *testing.T, file string) (out []string) {
	t.Helper()
	data, err := os.ReadFile(file)
	if err != nil || len(data) < 24 || binary.LittleEndian.Uint32(data) != 0xa1b2c3d4 {
		t.Fatalf("no capture: %v %q", err, data[:min(len(data), 24)])
	}
	link := map[uint32]int{1: 14, 101: 0, 12: 0, 113: 16}[binary.LittleEndian.Uint32(data[20:])]
	for data = data[24:]; len(data) >= 16; {
		n := int(binary.LittleEndian.Uint32(data[8:]))
		p := data[16 : 16+n][link:]
		data = data[16+n:]
		if p[0]>>4 != 4 || p[9] != 17 {
			t.Fatalf("no UDP over IPv4: % x", p[:20])
		}
		addr := func(host, port int) netip.AddrPort {
			a, _ := netip.AddrFromSlice(p[host : host+4])
			return netip.AddrPortFrom(a, binary.BigEndian.Uint16(p[port:]))
		}
		head := int(p[0]&15) * 4
		line, _, _ := strings.Cut(string(p[head+8:]), "\r\n")
		out = append(out, fmt.Sprintf("%v > %v %s", addr(12, head), addr(16, head+2), line))
	}
	return out
}
