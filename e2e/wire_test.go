package e2e

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"regexp"
	"slices"
	"sync"
	"testing"
	"time"

	"hotline/media"
	"hotline/sip"
)

const (
	frame       = 160 // samples, 20 ms
	frameTime   = 20 * time.Millisecond
	wirePackets = 300 // measured in each direction
	keyPayload  = 101
)

// packetSeen is an RTP packet that came to a phone.
type packetSeen struct {
	at      time.Time
	seq     uint16
	ts      uint32
	ssrc    uint32
	number  int // of the packet the other phone sent; -1 when it is none of those
	payload uint8
}

// wirePhone is a phone whose sound is a bare UDP socket: what is measured on it
// has met no other media code than the server's.
type wirePhone struct {
	t     *testing.T
	codec media.Codec
	stack *sip.Stack
	sound *net.UDPConn
	ready chan *sip.Leg // the agent's leg, once answered

	to     netip.AddrPort // where the server takes our RTP; set before talk
	keys   chan byte
	wg     sync.WaitGroup
	closed chan struct{}

	mu   sync.Mutex
	sent []time.Time // by number
	seen []packetSeen
	news chan struct{}
}

func openWirePhone(t *testing.T, codec media.Codec) *wirePhone {
	t.Helper()
	sound, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	p := &wirePhone{t: t, codec: codec, sound: sound, ready: make(chan *sip.Leg, 1), keys: make(chan byte, 1),
		closed: make(chan struct{}), news: make(chan struct{})}
	p.stack, err = sip.Open(sip.Options{
		Listen:   []sip.Listener{{Network: "udp", Addr: netip.MustParseAddrPort("127.0.0.1:0")}},
		Handlers: sip.Handlers{Invite: p.answer},
		Access:   sip.Access{Trunks: []sip.Trunk{{Name: "any", Addresses: []netip.Prefix{netip.MustParsePrefix("0.0.0.0/0")}}}},
	})
	if err != nil {
		t.Fatal(errors.Join(err, sound.Close()))
	}
	p.wg.Go(p.receive)
	return p
}

func (p *wirePhone) close() {
	close(p.closed)
	_ = p.stack.Close()
	_ = p.sound.Close()
	p.wg.Wait()
}

// sdp names the phone's socket, its one codec and telephone-event.
func (p *wirePhone) sdp() []byte {
	pt := p.codec.PayloadType()
	return fmt.Appendf(nil, "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\n"+
		"m=audio %d RTP/AVP %d %d\r\na=rtpmap:%d %s/8000\r\na=rtpmap:%d telephone-event/8000\r\na=fmtp:%d 0-15\r\na=ptime:20\r\n",
		p.sound.LocalAddr().(*net.UDPAddr).Port, pt, keyPayload, pt, p.codec, keyPayload, keyPayload)
}

var audioLine = regexp.MustCompile(`(?m)^m=audio (\d+) `)

// portIn is where an SDP of the server's wants RTP.
func portIn(sdp []byte) (netip.AddrPort, error) {
	m := audioLine.FindSubmatch(sdp)
	if m == nil {
		return netip.AddrPort{}, fmt.Errorf("no audio in %q", sdp)
	}
	return netip.ParseAddrPort("127.0.0.1:" + string(m[1]))
}

// dial calls the hotline and talks as soon as it answers.
func (p *wirePhone) dial(h *hotline, did string) *sip.Leg {
	p.t.Helper()
	to, err := p.stack.ContactTo("sip:" + did + "@" + h.SIPAddr().String())
	if err != nil {
		p.t.Fatal(err)
	}
	d := p.stack.Dial(sip.Outgoing{Contacts: []sip.Contact{to}, FromUser: "13900000001", ToUser: did, Offer: p.sdp(), Unreachable: -1})
	awaitDone(p.t, "answer of the hotline", d.Done())
	out := d.Outcome()
	if out.Leg == nil {
		p.t.Fatalf("the hotline didn't answer: %+v", out)
	}
	if p.to, err = portIn(out.Answer); err != nil {
		p.t.Fatal(err)
	}
	p.wg.Go(p.talk)
	return out.Leg
}

func (p *wirePhone) register(h *hotline, user string) {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if _, err := p.stack.Register(ctx, h.uri(), sip.Credentials{User: user, Password: password}, time.Minute); err != nil {
		p.t.Fatal(err)
	}
}

// answer picks up at once.
func (p *wirePhone) answer(leg *sip.Leg) {
	leg.Ring()
	to, err := portIn(leg.Incoming().Offer)
	if err != nil || leg.Answer(p.sdp()) != nil {
		leg.Hangup()
		return
	}
	p.to = to
	p.ready <- leg
	p.wg.Go(p.talk)
	<-leg.Done()
}

// talk sends a numbered packet each 20 ms until the phone is closed, and the
// packets of a key instead while one is pressed.
func (p *wirePhone) talk() {
	begin := time.Now()
	seq, base := uint16(0x1234), uint32(0xfffff000) // both wrap round during the call
	var key byte
	pressed, pressedAt := 0, uint32(0)
	for n := 0; ; n++ {
		select {
		case <-time.After(time.Until(begin.Add(time.Duration(n) * frameTime))):
		case <-p.closed:
			return
		}
		select {
		case key = <-p.keys:
			pressed, pressedAt = 8, base+uint32(n)*frame
		default:
		}
		seq++
		if pressed > 0 {
			p.write(keyPayload, seq, pressedAt, keyEvent(key, 9-pressed, pressed <= 3))
			pressed--
			continue
		}
		p.mu.Lock()
		number := len(p.sent)
		p.sent = append(p.sent, time.Now())
		p.mu.Unlock()
		p.write(p.codec.PayloadType(), seq, base+uint32(n)*frame, numbered(p.codec, number))
	}
}

func (p *wirePhone) write(payload uint8, seq uint16, ts uint32, data []byte) {
	b := []byte{0x80, payload}
	b = binary.BigEndian.AppendUint16(b, seq)
	b = binary.BigEndian.AppendUint32(b, ts)
	b = binary.BigEndian.AppendUint32(b, 0xc0ffee00)
	_, _ = p.sound.WriteToUDPAddrPort(append(b, data...), p.to)
}

// keyEvent is the payload of RFC 4733 for the n-th packet of a press.
func keyEvent(key byte, n int, end bool) []byte {
	flags := byte(10)
	if end {
		flags |= 0x80
	}
	return binary.BigEndian.AppendUint16([]byte{key - '0', flags}, uint16(n*frame))
}

// What numbered writes: a mark, then the number, each bit a loud sample whose
// sign any G.711 transcoding keeps.
const (
	wireMark = 0xb10cface
	loud     = 8000
)

func numbered(codec media.Codec, number int) []byte {
	bits := uint64(wireMark)<<32 | uint64(uint32(number))
	out := make([]byte, frame)
	for i := range out {
		sample := int16(loud)
		if bits>>(63-i%64)&1 == 0 {
			sample = -loud
		}
		if out[i] = media.EncodeALaw(sample); codec == media.PCMU {
			out[i] = media.EncodeULaw(sample)
		}
	}
	return out
}

// numberOf reads what numbered wrote; -1 is another sound.
func numberOf(payloadType uint8, data []byte) int {
	if len(data) != frame {
		return -1
	}
	var bits uint64
	for _, b := range data[:64] {
		sample := media.DecodeALaw(b)
		if payloadType == media.PCMU.PayloadType() {
			sample = media.DecodeULaw(b)
		}
		if max(sample, -sample) < loud-1000 || max(sample, -sample) > loud+1000 {
			return -1 // nobody's, or not transcoded
		}
		bits <<= 1
		if sample > 0 {
			bits |= 1
		}
	}
	if bits>>32 != wireMark {
		return -1
	}
	return int(uint32(bits))
}

func (p *wirePhone) receive() {
	buf := make([]byte, 2048)
	for {
		n, _, err := p.sound.ReadFromUDPAddrPort(buf)
		at := time.Now()
		if err != nil {
			return
		}
		if n < 12 || buf[0] != 0x80 {
			continue
		}
		s := packetSeen{at: at, seq: binary.BigEndian.Uint16(buf[2:]), ts: binary.BigEndian.Uint32(buf[4:]),
			ssrc: binary.BigEndian.Uint32(buf[8:]), payload: buf[1] & 0x7f}
		s.number = numberOf(s.payload, buf[12:n])
		p.mu.Lock()
		p.seen = append(p.seen, s)
		close(p.news)
		p.news = make(chan struct{})
		p.mu.Unlock()
	}
}

// await waits until the phone has seen n packets, or n of the other phone's.
func (p *wirePhone) await(n int, numbered bool) {
	p.t.Helper()
	deadline := time.After(patience + time.Duration(n)*frameTime)
	for {
		p.mu.Lock()
		have, news := len(p.seen), p.news
		if numbered {
			have = len(p.heard())
		}
		p.mu.Unlock()
		if have >= n {
			return
		}
		select {
		case <-news:
		case <-deadline:
			p.t.Fatalf("%d packets came to the phone, want %d", have, n)
		}
	}
}

// heard are the packets of the other phone; p.mu is held.
func (p *wirePhone) heard() []packetSeen {
	return slices.DeleteFunc(slices.Clone(p.seen), func(s packetSeen) bool { return s.number < 0 })
}

// wireFigures are what was measured at one phone.
type wireFigures struct {
	p50, p99, worst time.Duration // delay from phone to phone
	gap             time.Duration // longest between two packets that came
	faults          []string      // what no busy machine excuses
	leaps           []string      // of the timestamp, over time that a busy machine may have lost
}

// measure compares what p saw with what the other phone sent.
func (p *wirePhone) measure(from *wirePhone) wireFigures {
	p.mu.Lock()
	defer p.mu.Unlock()
	from.mu.Lock()
	defer from.mu.Unlock()
	var f wireFigures
	var delays []time.Duration
	for _, s := range p.heard() {
		if s.payload != p.codec.PayloadType() {
			f.faults = append(f.faults, fmt.Sprintf("payload type %d, want %v", s.payload, p.codec))
		}
		delays = append(delays, s.at.Sub(from.sent[s.number]))
	}
	slices.Sort(delays)
	f.p50, f.p99, f.worst = delays[len(delays)/2], delays[(len(delays)*99+99)/100-1], delays[len(delays)-1]
	f.continuity(p.seen)
	for i, s := range p.seen[1:] {
		f.gap = max(f.gap, s.at.Sub(p.seen[i].at))
	}
	return f
}

// maxSwitch is by how much the timestamp may jump, beyond a frame, where the
// source changes: as much as the silence in between may last.
const maxSwitch = 60 * 8

// continuity wants one stream: one SSRC, no hole in the numbers, timestamps that
// go on by a frame, and by a little more only where the source changes.
func (f *wireFigures) continuity(seen []packetSeen) {
	jumps := 0
	for i, s := range seen[1:] {
		last, n := seen[i], i+1
		if s.ssrc != last.ssrc {
			f.faults = append(f.faults, fmt.Sprintf("packet %d: another SSRC", n))
		}
		if s.seq != last.seq+1 {
			f.faults = append(f.faults, fmt.Sprintf("packet %d: number %d after %d", n, s.seq, last.seq))
		}
		step := int32(s.ts - last.ts)
		if step < frame {
			f.faults = append(f.faults, fmt.Sprintf("packet %d: timestamp goes on by %d", n, step))
		}
		if step > frame+maxSwitch {
			f.leaps = append(f.leaps, fmt.Sprintf("packet %d: timestamp goes on by %d", n, step))
		}
		if step != frame {
			jumps++
		}
	}
	if jumps > 5 { // prompt, silence, music, bridge, the key
		f.leaps = append(f.leaps, fmt.Sprintf("the timestamp jumped %d times", jumps))
	}
}

// wireTry makes one call by raw sockets and measures it at both phones.
func wireTry(t *testing.T, callerCodec, agentCodec media.Codec) (atAgent, atCaller wireFigures) {
	t.Helper()
	h := startHotline(t, oneAgent)
	caller, agent := openWirePhone(t, callerCodec), openWirePhone(t, agentCodec)
	defer caller.close()
	defer agent.close()
	leg := caller.dial(h, "2")
	caller.await(40, false) // of the prompt
	caller.keys <- '1'
	h.log.await(t, "call queued")
	caller.mu.Lock()
	played := len(caller.seen)
	caller.mu.Unlock()
	caller.await(played+40, false) // of the music
	agent.register(h, "carol")
	var legB *sip.Leg
	select {
	case legB = <-agent.ready:
	case <-time.After(patience):
		t.Fatal("the agent's phone doesn't ring")
	}
	agent.await(wirePackets, true)
	caller.await(wirePackets, true)
	atAgent, atCaller = agent.measure(caller), caller.measure(agent)
	leg.Hangup()
	awaitDone(t, "hang-up at the agent", legB.Done())
	h.log.await(t, "call gone")
	h.finish()
	return atAgent, atCaller
}

// On the wire, from the caller's packet to the agent's and back: delay, gaps, and
// one unbroken stream towards each phone over prompt, music and bridge.
//
// Others use the machine too, so that a delay says something about the server
// only when it is short: the best of three tries counts. A broken stream is never
// excused.
func TestOnTheWire(t *testing.T) {
	for _, tc := range []struct {
		caller, agent media.Codec
		limit         time.Duration
	}{
		{media.PCMA, media.PCMA, 10 * time.Millisecond},
		{media.PCMA, media.PCMU, 60 * time.Millisecond},
	} {
		t.Run(tc.caller.String()+" to "+tc.agent.String(), func(t *testing.T) {
			for try := range 3 {
				agent, caller := wireTry(t, tc.caller, tc.agent)
				t.Logf("try %d, caller to agent: %v", try+1, agent)
				t.Logf("try %d, agent to caller: %v", try+1, caller)
				if faults := append(agent.faults, caller.faults...); len(faults) > 0 {
					t.Fatalf("a stream is broken: %v", faults[:min(len(faults), 10)])
				}
				if agent.within(tc.limit) && caller.within(tc.limit) {
					return
				}
			}
			t.Errorf("in none of three tries was p99 of the delay at most %v and each gap at most %v", tc.limit, maxGap)
		})
	}
}

// maxGap is the longest silence on the wire, at the bridge or anywhere.
const maxGap = 60 * time.Millisecond

func (f wireFigures) within(limit time.Duration) bool {
	return f.p99 <= limit && f.gap <= maxGap && len(f.leaps) == 0
}

func (f wireFigures) String() string {
	return fmt.Sprintf("delay p50 %v, p99 %v, longest %v; longest gap %v %v", f.p50, f.p99, f.worst, f.gap, f.leaps)
}
