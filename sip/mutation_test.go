package sip

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// mutator makes messages that are almost right. The same seed makes the same ones.
type mutator struct {
	dice *rand.Rand
	n    int
	from string
}

func newMutator(seed uint64, from string) *mutator {
	return &mutator{dice: rand.New(rand.NewPCG(seed, 5)), from: from}
}

func pick[T any](d *rand.Rand, of []T) T { return of[d.IntN(len(of))] }

var mutated = []string{"INVITE", "INVITE", "INVITE", "REGISTER", "OPTIONS", "BYE", "CANCEL", "ACK", "INFO", "UPDATE", "PRACK", "REFER", "NOTIFY", "SUBSCRIBE", "MESSAGE", "PUBLISH"}

const mutatedSDP = "v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\ns=-\r\nc=IN IP4 192.0.2.1\r\nt=0 0\r\nm=audio 4000 RTP/AVP 8 0 101\r\na=rtpmap:101 telephone-event/8000\r\na=fmtp:101 0-15\r\na=ptime:20\r\na=sendrecv\r\n"

// proper is a message as it should be, or an answer to none of ours.
func (m *mutator) proper(transport string) []byte {
	m.n++
	method := pick(m.dice, mutated)
	first := method + " sip:95599@10.0.0.1;user=phone SIP/2.0"
	if m.dice.IntN(12) == 0 {
		first = pick(m.dice, []string{"SIP/2.0 200 OK", "SIP/2.0 180 Ringing", "SIP/2.0 401 Unauthorized"})
	}
	lines := []string{first,
		fmt.Sprintf("Via: SIP/2.0/%s %s;branch=z9hG4bKm%d;rport", transport, m.from, m.n),
		"Via: SIP/2.0/UDP [2001:db8::9]:5060;received=192.0.2.7;branch=z9hG4bKother",
		"Max-Forwards: 70",
		fmt.Sprintf("From: \"A \\\"quoted\\\" name\" <sip:+8613800000000@example.com;x=%%41>;tag=m%d", m.n),
		"To: <sip:95599@10.0.0.1>" + pick(m.dice, []string{"", "", ";tag=x"}),
		fmt.Sprintf("Call-ID: m%d@example.com", m.n),
		"CSeq: 1 " + method,
		fmt.Sprintf("Contact: <sip:x@%s;transport=udp>;q=0.5;expires=60", m.from),
	}
	more := []string{"Supported: 100rel, timer", "Require: 100rel", "Session-Expires: 1800;refresher=uac", "Min-SE: 90", "Record-Route: <sip:192.0.2.9;lr>, <sip:192.0.2.10;lr>",
		"Route: <sip:10.0.0.1;lr>", "Refer-To: <sip:1@10.0.0.1?Replaces=a%3Bto-tag%3Db%3Bfrom-tag%3Dc>", "Replaces: a;to-tag=b;from-tag=c", "RAck: 1 1 INVITE", "Event: refer;id=1",
		"Subscription-State: active;expires=60", "Expires: 60", "P-Asserted-Identity: \"x\" <sip:+8613900000000@example.com>, <tel:+8613900000000>", "Privacy: id",
		"Diversion: <sip:1@example.com>;reason=unconditional;counter=1", "History-Info: <sip:1@example.com>;index=1", "Accept: application/sdp, */*;q=0.1", "Allow: INVITE, ACK, UPDATE",
		"Authorization: Digest username=\"alice\", realm=\"hotline\", nonce=\"abc\", uri=\"sip:10.0.0.1\", response=\"00000000000000000000000000000000\", qop=auth, nc=00000001, cnonce=\"x\"",
		"Reason: Q.850;cause=16;text=\"x\"", "Date: Sat, 13 Nov 2010 23:29:00 GMT", "Path: <sip:192.0.2.11;lr;ob>", "Identity: a.b.c;info=<https://x/y>;alg=ES256;ppt=shaken"}
	m.dice.Shuffle(len(more), func(i, j int) { more[i], more[j] = more[j], more[i] })
	lines = append(lines, more[:m.dice.IntN(6)]...)
	body := ""
	if m.dice.IntN(2) == 0 {
		body = mutatedSDP
		lines = append(lines, "Content-Type: application/sdp")
	}
	lines = append(lines, fmt.Sprintf("Content-Length: %d", len(body)))
	return []byte(strings.Join(lines, "\r\n") + "\r\n\r\n" + body)
}

// nasty are values that some parser somewhere has tripped over.
var nasty = []string{"", " ", "\x00", "%00", "%zz%", "-1", "0", "4294967296", "99999999999999999999", "1e9", "\"", "\"\\", "<", "<>", ">;<", ";;,;,,", ";tag=", "=;=", "sip:", "sip:@", "sips:x@[", "sip:[::1", "sip:]@x:99999",
	"tel:", "\xff\xfe\xc0\xaf", "日本", "(((((", "a\r\n b", "*", "?x=y&", ",", "\r", "\t", "SIP/2.0", "z9hG4bK", strings.Repeat("a", 5000), strings.Repeat("(", 2000), strings.Repeat(";a=b", 1000), strings.Repeat("<sip:a@b>,", 300)}

// next is a message with one to four faults.
func (m *mutator) next(transport string) []byte {
	msg := m.proper(transport)
	for range 1 + m.dice.IntN(4) {
		msg = pick(m.dice, []func([]byte) []byte{m.bytes, m.line, m.value, m.cut, m.length, m.encoding, m.sdp, m.start})(msg)
	}
	return msg[:min(len(msg), 60_000)]
}

func (m *mutator) bytes(msg []byte) []byte {
	for range 1 + m.dice.IntN(8) {
		if len(msg) > 0 {
			msg[m.dice.IntN(len(msg))] = byte(m.dice.IntN(256))
		}
	}
	return msg
}

// line leaves a line out, says it twice, or moves it.
func (m *mutator) line(msg []byte) []byte {
	lines := strings.SplitAfter(string(msg), "\r\n")
	i, j := m.dice.IntN(len(lines)), m.dice.IntN(len(lines))
	switch m.dice.IntN(3) {
	case 0:
		lines[i] = ""
	case 1:
		lines[i] = strings.Repeat(lines[i], 2+m.dice.IntN(70))
	default:
		lines[i], lines[j] = lines[j], lines[i]
	}
	return []byte(strings.Join(lines, ""))
}

// value puts something nasty into a header field: in place of its value, before or behind it.
func (m *mutator) value(msg []byte) []byte {
	lines := strings.Split(string(msg), "\r\n")
	i := m.dice.IntN(len(lines))
	name, value, _ := strings.Cut(lines[i], ":")
	bad := pick(m.dice, nasty)
	lines[i] = name + ":" + pick(m.dice, []string{bad, value + bad, bad + value, " " + bad, value + ";" + bad})
	return []byte(strings.Join(lines, "\r\n"))
}

func (m *mutator) cut(msg []byte) []byte { return msg[:m.dice.IntN(len(msg)+1)] }

func (m *mutator) length(msg []byte) []byte {
	i := bytes.Index(msg, []byte("Content-Length: "))
	if i < 0 {
		return msg
	}
	end := bytes.IndexByte(msg[i:], '\r')
	if end < 0 {
		return msg
	}
	wrong := pick(m.dice, []string{"-1", "1", "70", "65535", "99999999999", "abc", "", "0x10", "+5", "5 5", "١"})
	return bytes.Join([][]byte{msg[:i], []byte("Content-Length: " + wrong), msg[i+end:]}, nil)
}

// encoding changes how the same is written: ends of lines, folds, short names, cases.
func (m *mutator) encoding(msg []byte) []byte {
	switch m.dice.IntN(6) {
	case 0:
		return bytes.ReplaceAll(msg, []byte("\r\n"), []byte("\n"))
	case 1:
		return bytes.ReplaceAll(msg, []byte("\r\n"), []byte("\r"))
	case 2:
		return bytes.ReplaceAll(msg, []byte(";"), []byte("\r\n ;"))
	case 3:
		return []byte(strings.NewReplacer("From:", "f:", "To:", "t :", "Via:", "v:", "Call-ID:", "i:", "Contact:", "m\t:", "Content-Length:", "l:", "Content-Type:", "c:").Replace(string(msg)))
	case 4:
		return bytes.ToUpper(msg)
	default:
		return append([]byte(strings.Repeat("\r\n", m.dice.IntN(9))), msg...)
	}
}

func (m *mutator) sdp(msg []byte) []byte {
	old := pick(m.dice, strings.Split(strings.TrimSpace(mutatedSDP), "\r\n"))
	bad := pick(m.dice, []string{"", "m=audio 99999 RTP/AVP 8", "m=audio 0 RTP/AVP 8", "m=audio -1 RTP/AVP", "m=", "c=IN IP6 ::1", "c=IN IP4 0.0.0.0", "c=IN IP4 300.1.1.1", "c=", "a=rtpmap:999 x/0", "a=rtpmap:", "a=ptime:0",
		"a=fmtp:101 0-99999999", "o=", "t=", "v=1", "=", "a=crypto:1 x inline:y", strings.Repeat("m=audio 4000 RTP/AVP 8\r\n", 200), "m=audio 4000 RTP/AVP " + strings.Repeat("8 ", 2000)})
	return bytes.Replace(msg, []byte(old), []byte(bad), 1)
}

func (m *mutator) start(msg []byte) []byte {
	_, rest, _ := bytes.Cut(msg, []byte("\r\n"))
	first := pick(m.dice, []string{"", "INVITE", "INVITE  SIP/2.0", "INVITE sip:x SIP/2.1", "invite sip:x SIP/2.0", "INVITE sip:1@10.0.0.1 SIP/2.0 ", "\xffNVITE sip:x SIP/2.0", "SIP/2.0 99999 x", "SIP/2.0 000", "SIP/2.0",
		"ACK tel:+1 SIP/2.0", "INVITE http://x/ SIP/2.0", "OPTIONS * SIP/2.0", "GET / HTTP/1.1", strings.Repeat("X", 3000) + " sip:x SIP/2.0", "REGISTER sip:10.0.0.1?a=b SIP/2.0"})
	return append([]byte(first+"\r\n"), rest...)
}

// ringThenEnd rings, and refuses every second caller and hangs up the others.
func ringThenEnd(l *Leg) {
	l.Ring()
	if len(l.Incoming().Caller.Number)%2 == 0 {
		_ = l.Reject(486, "Busy Here")
		return
	}
	_ = l.Answer([]byte("v=0\r\n"))
	l.Hangup()
}

// Six thousand mutated messages kill nothing: the server answers after each of them,
// and when their timers are over it is as it was.
func TestMutatedMessages(t *testing.T) {
	const messages, batch = 6000, 1
	synctest.Test(t, func(t *testing.T) {
		n, count := newMemNet(), newCounter()
		n.quiet = true
		srv := memStack(t, n, serverAddr, Options{Observer: count, TraceCalls: 20, Access: Access{Accounts: []Account{account(MD5)}, Trunks: []Trunk{carrier}},
			Handlers: Handlers{Invite: ringThenEnd}})
		peer, healthy := n.listen(callerAddr), &rawPeer{t: t, c: n.listen("10.0.0.9:5060"), from: "healthy"}
		m := newMutator(42, callerAddr)
		run := func(messages int) {
			for i := range messages {
				msg := m.next("UDP")
				_, _ = peer.WriteTo(msg, net.UDPAddrFromAddrPort(netip.MustParseAddrPort(serverAddr)))
				if i%batch == batch-1 {
					synctest.Wait()
					if res := healthy.send("OPTIONS", "sip:10.0.0.1"); !strings.HasPrefix(res, "SIP/2.0 200") {
						t.Fatalf("after message %d (last %.200q): %q", i, msg, res)
					}
					time.Sleep(50 * time.Millisecond)
				}
				for len(peer.in) > 0 {
					<-peer.in
				}
			}
			time.Sleep(5 * time.Minute)
			for len(peer.in) > 0 {
				<-peer.in
			}
		}
		run(2000) // so much is remembered of calls anyway
		goroutines, memory := runtime.NumGoroutine(), heap()
		run(messages)
		if g := runtime.NumGoroutine(); g > goroutines+2 { // the runtime has some of its own
			t.Errorf("%d goroutines, %d before", g, goroutines)
		}
		if h := heap(); h > memory+memory/10 {
			t.Errorf("heap %d KiB, %d before", h>>10, memory>>10)
		}
		if srv.Calls() != 0 || srv.pending.Load() != 0 {
			t.Errorf("%d calls and %d requests are left", srv.Calls(), srv.pending.Load())
		}
		if count.of("malformed") < messages/10 || count.server[486] == 0 {
			t.Errorf("the messages are too wrong or too right: %d malformed, answers %v", count.of("malformed"), count.server)
		}
		_ = srv.Close()
	})
}

// The same over TCP, in pieces of any size: others are served, and what a broken stream
// held is free.
func TestMutatedStreams(t *testing.T) {
	srv := openStack(t, Options{MaxConnections: 100, MaxPerSource: 100, Access: Access{Accounts: []Account{account(MD5)}, Trunks: []Trunk{{Name: "peer", Addresses: []netip.Prefix{netip.MustParsePrefix("127.5.0.0/16")}}}},
		Handlers: Handlers{Invite: func(l *Leg) { _ = l.Reject(486, "Busy Here") }}}, Listener{Network: "tcp", Addr: local})
	healthy := slowClients(t, srv.Addr(0), 1, "")[0]
	defer healthy.Close()
	goroutines := runtime.NumGoroutine()
	m := newMutator(7, "127.5.0.1:5060")
	var c net.Conn
	for i := range 1500 {
		if c == nil {
			d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 5, 0, 1)}, Timeout: 5 * time.Second}
			var err error
			if c, err = d.Dial("tcp", srv.Addr(0).String()); err != nil {
				t.Fatal(err)
			}
		}
		_ = c.SetDeadline(time.Now().Add(5 * time.Second))
		for msg := m.next("TCP"); len(msg) > 0; {
			n := min(len(msg), 1+m.dice.IntN(1500))
			if _, err := c.Write(msg[:n]); err != nil {
				break
			}
			msg = msg[n:]
		}
		if i%4 == 3 { // another stream: this one may wait for the rest of some length
			_ = c.Close()
			c = nil
		}
		_ = healthy.SetDeadline(time.Now().Add(5 * time.Second))
		_, _ = fmt.Fprintf(healthy, "%sContent-Length: 0\r\n\r\n", strings.Replace(options, "z9hG4bKk", fmt.Sprint("z9hG4bKk", i), 1))
		if res := readUntil(t, healthy, "SIP/2.0 "); !strings.HasPrefix(res, "SIP/2.0 200") {
			t.Fatalf("after message %d: %q", i, res)
		}
	}
	idleAgain(t, goroutines)
}
