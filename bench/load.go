package main

import (
	"bytes"
	"crypto/md5"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"sync"
	"time"
)

// load is a generator of calls that costs little itself: SIP as text over one UDP
// socket, without transactions. On loopback nothing is lost unless the server drops it,
// and that is to be seen as a failed call.
type load struct {
	conn   *net.UDPConn
	server netip.AddrPort
	name   string // of its calls
	self   string

	mu    sync.Mutex
	calls []loadCall
	// agents answer calls that come; invited is when the INVITE for a caller's number
	// came to them.
	invited map[int]time.Time
	reg     chan string // answers to REGISTER

	// sdp is what callers offer and agents answer. answer and offer are told the port that the server
	// names to the caller of call i, and to the agent it is put through to. Set before the first call.
	sdp           string
	answer, offer func(i int, port uint16)
}

// loadCall is one call: when it began and how far it has come.
type loadCall struct {
	sent, answered time.Time
	over           bool
	code           int    // final status of the INVITE
	ghost          bool   // answered with 200 after it was refused
	repeated       int    // the INVITE, when no answer came
	to             []byte // of its answer
}

const loadSDP = "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\nm=audio 9 RTP/AVP 8 101\r\na=rtpmap:101 telephone-event/8000\r\n"

func openLoad(server netip.AddrPort, name string) (*load, error) {
	c, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(loopback))
	if err != nil {
		return nil, err
	}
	_ = c.SetReadBuffer(8 << 20)
	_ = c.SetWriteBuffer(8 << 20)
	l := &load{conn: c, server: server, name: name, self: c.LocalAddr().String(), invited: map[int]time.Time{}, reg: make(chan string, 16), sdp: loadSDP}
	go l.read()
	return l, nil
}

func (l *load) close() error { return l.conn.Close() }

// audioPort is the port of the m line in a message, 0 if there is none.
func audioPort(msg []byte) uint16 {
	_, rest, _ := bytes.Cut(msg, []byte("m=audio "))
	digits, _, _ := bytes.Cut(rest, []byte(" "))
	port, _ := strconv.ParseUint(string(digits), 10, 16)
	return uint16(port)
}

func (l *load) send(b []byte) { _, _ = l.conn.WriteToUDPAddrPort(b, l.server) }

// numberOf is the calling number of call i.
func numberOf(i int) string { return fmt.Sprintf("+86138%08d", i) }

// run makes rate calls a second to number for span and waits for their ends; talk is how
// long each is up. It returns the calls that it made.
func (l *load) run(number string, rate float64, span, talk time.Duration) []loadCall {
	first := len(l.calls)
	n := int(rate * span.Seconds())
	begin := time.Now()
	for i := range n {
		if wait := time.Until(begin.Add(time.Duration(float64(i) / rate * float64(time.Second)))); wait > 0 {
			time.Sleep(wait)
		}
		l.invite(number)
	}
	l.settle(first, 5*time.Second, talk)
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.calls[first:])
}

// settle waits until all calls from first on are over.
func (l *load) settle(first int, limit, talk time.Duration) {
	end := time.Now().Add(limit + talk)
	for time.Now().Before(end) {
		l.mu.Lock()
		open := slices.ContainsFunc(l.calls[first:], func(c loadCall) bool { return !c.over })
		l.mu.Unlock()
		if !open {
			return
		}
		time.Sleep(20 * time.Millisecond)
	}
}

func (l *load) invite(number string) {
	l.mu.Lock()
	i := len(l.calls)
	l.calls = append(l.calls, loadCall{sent: time.Now()})
	l.mu.Unlock()
	l.sendInvite(number, i)
}

func (l *load) sendInvite(number string, i int) {
	l.send(fmt.Appendf(nil, "INVITE sip:%s@%s SIP/2.0\r\nVia: SIP/2.0/UDP %s;branch=z9hG4bK%s%d;rport\r\nMax-Forwards: 70\r\nFrom: <sip:%s@%s>;tag=%d\r\nTo: <sip:%s@%s>\r\nCall-ID: %d@%s\r\nCSeq: 1 INVITE\r\nContact: <sip:load@%s>\r\nContent-Type: application/sdp\r\nContent-Length: %d\r\n\r\n%s",
		number, l.server, l.self, l.name, i, numberOf(i), l.self, i, number, l.server, i, l.name, l.self, len(l.sdp), l.sdp))
}

// inDialog is an ACK or BYE of call i; to is the To field of the answer.
func (l *load) inDialog(method string, i, seq int, number, to []byte) {
	l.send(fmt.Appendf(nil, "%s sip:%s@%s SIP/2.0\r\nVia: SIP/2.0/UDP %s;branch=z9hG4bK%s%s%d;rport\r\nMax-Forwards: 70\r\nFrom: <sip:%s@%s>;tag=%d\r\nTo: %s\r\nCall-ID: %d@%s\r\nCSeq: %d %s\r\nContent-Length: 0\r\n\r\n",
		method, number, l.server, l.self, l.name, method, i, numberOf(i), l.self, i, to, i, l.name, seq, method))
}

func (l *load) read() {
	buf := make([]byte, 65536)
	for {
		n, _, err := l.conn.ReadFromUDPAddrPort(buf)
		if err != nil {
			if errors.Is(err, net.ErrClosed) {
				return
			}
			continue
		}
		if bytes.HasPrefix(buf[:n], []byte("SIP/2.0 ")) {
			l.response(buf[:n])
		} else {
			l.request(buf[:n])
		}
	}
}

func fieldOf(msg []byte, name string) []byte {
	i := bytes.Index(msg, []byte("\r\n"+name+": "))
	if i < 0 {
		return nil
	}
	v := msg[i+4+len(name):]
	if j := bytes.IndexByte(v, '\r'); j >= 0 {
		v = v[:j]
	}
	return v
}

func (l *load) response(msg []byte) {
	code, _ := strconv.Atoi(string(msg[8:11]))
	seq := fieldOf(msg, "CSeq")
	if bytes.HasSuffix(seq, []byte("REGISTER")) {
		l.reg <- string(msg)
		return
	}
	id, _, _ := bytes.Cut(fieldOf(msg, "Call-ID"), []byte("@"))
	i, err := strconv.Atoi(string(id))
	if err != nil || code < 200 {
		return
	}
	if bytes.HasSuffix(seq, []byte("BYE")) {
		l.mu.Lock()
		l.calls[i].over = true
		l.mu.Unlock()
		return
	}
	l.mu.Lock()
	c := &l.calls[i]
	again := c.code != 0
	c.ghost = c.ghost || c.code >= 300 && code == 200
	if !again {
		c.code, c.answered = code, time.Now()
		c.over = code >= 300
		c.to = bytes.Clone(fieldOf(msg, "To"))
	}
	l.mu.Unlock()
	if !again && code < 300 && l.answer != nil {
		l.answer(i, audioPort(msg))
	}
	to := fieldOf(msg, "To")
	number, _, _ := bytes.Cut(bytes.TrimPrefix(to, []byte("<sip:")), []byte("@"))
	l.inDialog("ACK", i, 1, number, to)
	if !again && code < 300 && l.hangsUp() {
		l.inDialog("BYE", i, 2, number, to)
	}
}

// request answers what the server sends: INVITE to an agent with 200, BYE with 200.
func (l *load) request(msg []byte) {
	method, _, _ := bytes.Cut(msg, []byte(" "))
	if bytes.Equal(method, []byte("ACK")) {
		return
	}
	to := fieldOf(msg, "To")
	id := fieldOf(msg, "Call-ID")
	var out bytes.Buffer
	fmt.Fprintf(&out, "SIP/2.0 200 OK\r\nVia: %s\r\nFrom: %s\r\nTo: %s", fieldOf(msg, "Via"), fieldOf(msg, "From"), to)
	if !bytes.Contains(to, []byte(";tag=")) {
		out.WriteString(";tag=agent")
	}
	fmt.Fprintf(&out, "\r\nCall-ID: %s\r\nCSeq: %s\r\n", id, fieldOf(msg, "CSeq"))
	switch string(method) {
	case "INVITE":
		from := fieldOf(msg, "From")
		_, number, _ := bytes.Cut(from, []byte("<sip:+86138"))
		if len(number) >= 8 {
			if i, err := strconv.Atoi(string(number[:8])); err == nil {
				l.mu.Lock()
				l.invited[i] = time.Now()
				l.mu.Unlock()
				if l.offer != nil {
					l.offer(i, audioPort(msg))
				}
			}
		}
		fmt.Fprintf(&out, "Contact: <sip:agent@%s>\r\nContent-Type: application/sdp\r\nContent-Length: %d\r\n\r\n%s", l.self, len(l.sdp), l.sdp)
	default:
		out.WriteString("Content-Length: 0\r\n\r\n")
	}
	l.send(out.Bytes())
	if string(method) == "BYE" {
		if num, _, _ := bytes.Cut(id, []byte("@")); bytes.HasSuffix(id, []byte("@"+l.name)) {
			if i, err := strconv.Atoi(string(num)); err == nil {
				l.mu.Lock()
				l.calls[i].over = true
				l.mu.Unlock()
			}
		}
	}
}

// register registers agents agent0 to agent(n-1), one after the other.
func (l *load) register(n int) error {
	for i := range n {
		who := fmt.Sprintf("agent%d", i)
		auth := ""
		for seq := 1; ; seq++ {
			l.send(fmt.Appendf(nil, "REGISTER sip:%s SIP/2.0\r\nVia: SIP/2.0/UDP %s;branch=z9hG4bKr%s%d;rport\r\nMax-Forwards: 70\r\nFrom: <sip:%s@%s>;tag=%s\r\nTo: <sip:%s@%s>\r\nCall-ID: %s\r\nCSeq: %d REGISTER\r\nContact: <sip:%s@%s>\r\nExpires: 3600\r\n%sContent-Length: 0\r\n\r\n",
				l.server, l.self, who, seq, who, l.server, who, who, l.server, who, seq, who, l.self, auth))
			var msg string
			select {
			case msg = <-l.reg:
			case <-time.After(5 * time.Second):
				return fmt.Errorf("%s not registered: no answer", who)
			}
			if msg[8:11] == "200" {
				break
			}
			if seq > 1 {
				return fmt.Errorf("%s not registered: %s", who, msg[:40])
			}
			auth = digestOf(who, "bench-secret", string(fieldOf([]byte(msg), "WWW-Authenticate")), "sip:"+l.server.String())
		}
	}
	return nil
}

// digestOf is the Authorization field for a REGISTER (RFC 7616, MD5).
func digestOf(user, password, challenge, uri string) string {
	_, nonce, _ := bytes.Cut([]byte(challenge), []byte(`nonce="`))
	nonce, _, _ = bytes.Cut(nonce, []byte(`"`))
	h := func(s string) string { return fmt.Sprintf("%x", md5.Sum([]byte(s))) }
	response := h(h(user+":hotline:"+password) + ":" + string(nonce) + ":00000001:c:auth:" + h("REGISTER:"+uri))
	return fmt.Sprintf("Authorization: Digest username=\"%s\", realm=\"hotline\", nonce=\"%s\", uri=\"%s\", response=\"%s\", algorithm=MD5, qop=auth, nc=00000001, cnonce=\"c\"\r\n", user, nonce, uri, response)
}

// hangUpAfter hangs answered calls up when they have been up for talk, until done is
// closed and nothing is left to hang up.
func (l *load) hangUpAfter(talk time.Duration, done <-chan struct{}) {
	next := 0
	for {
		l.mu.Lock()
		var due []int
		for next < len(l.calls) && (l.calls[next].code != 0 && time.Since(l.calls[next].answered) > talk || time.Since(l.calls[next].sent) > 5*time.Second) {
			if l.calls[next].code == 200 && !l.calls[next].over {
				due = append(due, next)
			}
			next++
		}
		tos := make([][]byte, len(due))
		for k, i := range due {
			tos[k] = l.calls[i].to
		}
		l.mu.Unlock()
		for k, i := range due {
			l.inDialog("BYE", i, 2, []byte("3"), tos[k])
		}
		select {
		case <-done:
			return
		case <-time.After(5 * time.Millisecond):
		}
	}
}
