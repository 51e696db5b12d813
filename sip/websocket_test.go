package sip

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"
)

// browser is a phone in a page: it has one WebSocket and nothing that listens.
type browser struct {
	t    *testing.T
	ws   *websocket.Conn
	via  string // "WS" or "WSS"
	seq  int
	pong chan string
}

func openBrowser(t *testing.T, s *Stack, n int, roots *x509.CertPool) *browser {
	t.Helper()
	b := &browser{t: t, via: "WS", pong: make(chan string, 4)}
	opt := &websocket.DialOptions{Subprotocols: []string{"sip"},
		OnPongReceived: func(_ context.Context, p []byte) { b.pong <- string(p) }}
	scheme := "ws://"
	if roots != nil {
		b.via, scheme = "WSS", "wss://"
		opt.HTTPClient = &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}}}
	}
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	ws, _, err := websocket.Dial(ctx, scheme+s.Addr(n).String()+"/", opt)
	if err != nil {
		t.Fatal(err)
	}
	ws.SetReadLimit(1 << 20)
	b.ws = ws
	t.Cleanup(func() { _ = ws.CloseNow() })
	return b
}

func (b *browser) say(text string) {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	if err := b.ws.Write(ctx, websocket.MessageText, []byte(text)); err != nil {
		b.t.Fatal(err)
	}
}

func (b *browser) hear(prefix string) string {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	for {
		_, msg, err := b.ws.Read(ctx)
		if err != nil {
			b.t.Fatalf("waiting for %q: %v", prefix, err)
		}
		if strings.HasPrefix(string(msg), prefix) {
			return string(msg)
		}
	}
}

// ask sends a request without a Content-Length, which RFC 7118 allows, and returns
// its final answer.
func (b *browser) ask(method string, headers ...string) string {
	b.t.Helper()
	b.seq++
	b.say(fmt.Sprintf("%s sip:127.0.0.1 SIP/2.0\r\nVia: SIP/2.0/%s df7jal23ls0d.invalid;branch=z9hG4bK%d\r\nFrom: <sip:alice@127.0.0.1>;tag=b\r\nTo: <sip:alice@127.0.0.1>\r\nCall-ID: web\r\nCSeq: %d %s\r\nMax-Forwards: 70\r\n%s\r\n",
		method, b.via, b.seq, b.seq, method, strings.Join(append(headers, ""), "\r\n")))
	return b.hear("SIP/2.0 ")
}

func (b *browser) register() {
	b.t.Helper()
	contact := "Contact: <sip:alice@df7jal23ls0d.invalid;transport=ws>;expires=60"
	ch := b.ask("REGISTER", contact)
	if got := b.ask("REGISTER", contact, answer(b.t, ch, "REGISTER", "sip:127.0.0.1", "alice", "wonderland", 1)); !strings.HasPrefix(got, "SIP/2.0 200") {
		b.t.Fatalf("not registered: %q", got)
	}
}

// A browser registers, is called, and hangs up, all on its one connection; by IPv6, too.
func TestBrowserPhone(t *testing.T) {
	six := netip.MustParseAddrPort("[::1]:0")
	for _, tc := range []struct {
		network string
		at      netip.AddrPort
	}{{"ws", local}, {"wss", local}, {"ws", six}, {"wss", six}} {
		t.Run(fmt.Sprintf("%s %s", tc.network, tc.at.Addr()), func(t *testing.T) {
			network := tc.network
			l, roots := Listener{Network: network, Addr: tc.at}, (*x509.CertPool)(nil)
			if network == "wss" {
				a := newAuthority(t)
				l.TLS, roots = a.host("server"), x509.NewCertPool()
				roots.AddCert(a.cert)
			}
			srv := openStack(t, Options{Access: Access{Accounts: []Account{account(MD5)}}}, Listener{Network: "udp", Addr: local}, l)
			b := openBrowser(t, srv, 1, roots)
			b.register()
			cs := srv.Contacts("alice")
			if len(cs) != 1 || cs[0].Network != strings.ToUpper(network) {
				t.Fatalf("contacts %+v", cs)
			}
			d := srv.Dial(Outgoing{Contacts: cs, FromUser: "1", ToUser: "alice", Offer: []byte("v=0\r\n")})
			inv := b.hear("INVITE sip:alice@df7jal23ls0d.invalid")
			if via := header(inv, "Via"); !strings.HasPrefix(via, "SIP/2.0/"+b.via+" "+srv.Addr(1).String()) {
				t.Errorf("Via %q", via)
			}
			if c := header(inv, "Contact"); !strings.Contains(c, srv.Addr(1).String()+";transport=ws") {
				t.Errorf("Contact %q", c)
			}
			copied := "Via: " + header(inv, "Via") + "\r\nFrom: " + header(inv, "From") + "\r\nTo: " + header(inv, "To") + ";tag=web\r\nCall-ID: " + header(inv, "Call-ID") + "\r\n"
			b.say("SIP/2.0 200 OK\r\n" + copied + "CSeq: " + header(inv, "CSeq") + "\r\nContact: <sip:alice@df7jal23ls0d.invalid;transport=ws>\r\nContent-Type: application/sdp\r\n\r\nv=0\r\n")
			within(t, "answer", d.Done())
			if d.Outcome().Leg == nil || string(d.Outcome().Answer) != "v=0\r\n" {
				t.Fatalf("%+v", d.Outcome())
			}
			b.hear("ACK ")
			d.Outcome().Leg.Hangup()
			b.hear("BYE sip:alice@df7jal23ls0d.invalid")
		})
	}
}

// Trap 1: clients that connect and say nothing keep nobody else waiting.
func TestSilentWebClientsBlockNobody(t *testing.T) {
	srv := openStack(t, Options{Access: Access{Accounts: []Account{account(MD5)}}}, Listener{Network: "ws", Addr: local})
	for range 50 {
		c, err := net.Dial("tcp", srv.Addr(0).String())
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
	}
	openBrowser(t, srv, 0, nil).register()
}

// Trap 2: pings, with and without payload, get their pong; fragments and messages
// over 32 KiB are read whole; what is over 64 KiB is refused by its proper code.
func TestWebSocketFrames(t *testing.T) {
	count := newCounter()
	srv := openStack(t, Options{Observer: count}, Listener{Network: "ws", Addr: local})
	b := openBrowser(t, srv, 0, nil)
	const ping = "OPTIONS sip:127.0.0.1 SIP/2.0\r\nVia: SIP/2.0/WS x.invalid;branch=z9hG4bK%d\r\nFrom: <sip:a@b>;tag=1\r\nTo: <sip:c@d>\r\nCall-ID: p\r\nCSeq: %d OPTIONS\r\n"
	raw := rawWebSocket(t, srv)
	raw.frame(0x89, "are you there")
	if op, payload := raw.read(); op != 0x8a || payload != "are you there" {
		t.Errorf("a ping got %x %q", op, payload)
	}
	raw.frame(0x89, "")
	if op, _ := raw.read(); op != 0x8a {
		t.Errorf("an empty ping got %x", op)
	}
	raw.frame(0x01, fmt.Sprintf(ping, 1, 1)[:20]) // text, more to come
	raw.frame(0x89, "between")
	raw.frame(0x00, fmt.Sprintf(ping, 1, 1)[20:])
	raw.frame(0x80, "\r\n") // the end
	if op, payload := raw.read(); op != 0x8a || payload != "between" {
		t.Errorf("a ping between fragments got %x %q", op, payload)
	}
	if _, got := raw.read(); !strings.HasPrefix(got, "SIP/2.0 200") {
		t.Errorf("fragments got %q", got)
	}
	raw.frame(0x81, "\r\n\r\n")
	if _, got := raw.read(); got != "\r\n" {
		t.Errorf("a keep-alive got %q", got)
	}
	raw.frame(0x81, "rubbish\r\n\r\n") // no message of it is followed by a close
	raw.frame(0x82, fmt.Sprintf(ping, 2, 2)+"\r\n")
	if _, got := raw.read(); !strings.HasPrefix(got, "SIP/2.0 200") {
		t.Errorf("a binary message got %q", got)
	}
	raw.frame(0x88, "\x03\xe8")
	if op, _ := raw.read(); op != 0x88 {
		t.Errorf("a close got %x", op)
	}

	b.say(fmt.Sprintf(ping, 3, 3) + "Subject: " + strings.Repeat("x", 50000) + "\r\n\r\n")
	if got := b.hear("SIP/2.0"); !strings.HasPrefix(got, "SIP/2.0 200") {
		t.Errorf("50 KB got %q", got)
	}
	b.say(fmt.Sprintf(ping, 4, 4) + "Subject: " + strings.Repeat("x", 70000) + "\r\n\r\n")
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	if _, _, err := b.ws.Read(ctx); websocket.CloseStatus(err) != websocket.StatusMessageTooBig {
		t.Errorf("70 KB: %v", err)
	}
	count.until(t, "malformed", 2)
}

func TestBadFramesEndTheConnection(t *testing.T) {
	for name, bytes := range map[string]string{
		"unmasked":          "\x81\x02hi",
		"reserved bit":      "\xc1\x80\x00\x00\x00\x00",
		"unknown opcode":    "\x83\x80\x00\x00\x00\x00",
		"long control":      "\x89\xfe\x00\x80\x00\x00\x00\x00",
		"endless length":    "\x81\xff\xff\xff\xff\xff\xff\xff\xff\xff\x00\x00\x00\x00",
		"continues nothing": "\x80\x80\x00\x00\x00\x00",
	} {
		t.Run(name, func(t *testing.T) {
			count := newCounter()
			srv := openStack(t, Options{Observer: count}, Listener{Network: "ws", Addr: local})
			raw := rawWebSocket(t, srv)
			_, _ = raw.c.Write([]byte(bytes))
			if _, err := io.Copy(io.Discard, raw.r); err != nil && !errors.Is(err, net.ErrClosed) && !strings.Contains(err.Error(), "reset") {
				t.Errorf("%v, want the connection closed", err)
			}
			count.until(t, "malformed", 1)
		})
	}
}

func TestWhoMayOpenAWebSocket(t *testing.T) {
	count := newCounter()
	srv := openStack(t, Options{Observer: count}, Listener{Network: "ws", Addr: local, Origins: []string{"desk.example.com", "https://*.example.org"}})
	host := srv.Addr(0).String()
	for _, tc := range []struct {
		name, method, origin, protocol string
		version                        string
		status                         int
	}{
		{"no page at all", "GET", "", "sip", "13", 101},
		{"a page of the same host", "GET", "http://" + host, "sip", "13", 101},
		{"a page that may", "GET", "https://desk.example.com", "sip", "13", 101},
		{"a page of a pattern", "GET", "https://a.example.org", "xmpp, sip", "13", 101},
		{"the pattern's scheme counts", "GET", "http://a.example.org", "sip", "13", 403},
		{"another page", "GET", "https://evil.example", "sip", "13", 403},
		{"a name that only begins so", "GET", "https://desk.example.com.evil.example", "sip", "13", 403},
		{"a file", "GET", "null", "sip", "13", 403},
		{"another protocol", "GET", "", "xmpp", "13", 400},
		{"no protocol", "GET", "", "", "13", 400},
		{"an old version", "GET", "", "sip", "8", 400},
		{"no GET", "POST", "", "sip", "13", 405},
	} {
		t.Run(tc.name, func(t *testing.T) {
			c, err := net.Dial("tcp", host)
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			_ = c.SetDeadline(time.Now().Add(5 * time.Second))
			req := tc.method + " / HTTP/1.1\r\nHost: " + host + "\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: " + tc.version + "\r\n"
			if tc.origin != "" {
				req += "Origin: " + tc.origin + "\r\n"
			}
			if tc.protocol != "" {
				req += "Sec-WebSocket-Protocol: " + tc.protocol + "\r\n"
			}
			_, _ = io.WriteString(c, req+"\r\n")
			res, err := http.ReadResponse(bufio.NewReader(c), nil)
			if err != nil {
				t.Fatal(err)
			}
			if res.StatusCode != tc.status {
				t.Errorf("got %d, want %d", res.StatusCode, tc.status)
			}
			if tc.status == 101 && res.Header.Get("Sec-WebSocket-Protocol") != "sip" {
				t.Errorf("protocol %q", res.Header.Get("Sec-WebSocket-Protocol"))
			}
		})
	}
	count.until(t, "origin", 4)
	count.until(t, "handshake", 4)
}

// rawSocket writes frames as they stand.
type rawSocket struct {
	t *testing.T
	c net.Conn
	r *bufio.Reader
}

func rawWebSocket(t *testing.T, s *Stack) *rawSocket {
	t.Helper()
	c, err := net.Dial("tcp", s.Addr(0).String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	_ = c.SetDeadline(time.Now().Add(5 * time.Second))
	_, _ = io.WriteString(c, "GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: sip\r\n\r\n")
	r := bufio.NewReader(c)
	res, err := http.ReadResponse(r, nil)
	if err != nil || res.StatusCode != 101 {
		t.Fatalf("%v %v", res, err)
	}
	return &rawSocket{t, c, r}
}

// frame writes one masked frame; its mask is zero.
func (s *rawSocket) frame(first byte, payload string) {
	s.t.Helper()
	var b bytes.Buffer
	b.WriteByte(first)
	if len(payload) < 126 {
		b.WriteByte(0x80 | byte(len(payload)))
	} else {
		b.WriteByte(0x80 | 126)
		_ = binary.Write(&b, binary.BigEndian, uint16(len(payload)))
	}
	b.WriteString("\x00\x00\x00\x00" + payload)
	if _, err := s.c.Write(b.Bytes()); err != nil {
		s.t.Fatal(err)
	}
}

func (s *rawSocket) read() (first byte, payload string) {
	s.t.Helper()
	var head [2]byte
	if _, err := io.ReadFull(s.r, head[:]); err != nil {
		s.t.Fatal(err)
	}
	n := int(head[1] & 0x7f)
	if n == 126 {
		var l uint16
		_ = binary.Read(s.r, binary.BigEndian, &l)
		n = int(l)
	}
	b := make([]byte, n)
	if _, err := io.ReadFull(s.r, b); err != nil {
		s.t.Fatal(err)
	}
	return head[0], string(b)
}
