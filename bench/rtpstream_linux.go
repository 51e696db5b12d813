package main

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"slices"
	"strings"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

const (
	rtpVoice = 8   // PCMA
	rtpKeys  = 101 // telephone-event, as loadSDP says
	rtpBytes = 12 + 160

	keyEvery = 250 // packets: 5 s
	keyOf    = 6   // packets of a press: three while it lasts, three of its end (RFC 4733 section 2.5.1.4)
	keyPress = 5   // the key
)

// streamKind says what a phone does and what it ought to hear.
type streamKind struct {
	sends    bool
	keys     bool // presses a key every 5 s
	playback bool // hears the server, not the other side
	shared   bool // the server has one port for all
	first    int  // packets that the server may play before the other side is heard
}

// rtpStream is one phone's RTP both ways. What it sends carries who sent it, a running number and the
// time; what comes back is checked for it.
type rtpStream struct {
	kind streamKind
	i    int

	packet [rtpBytes]byte
	iov    unix.Iovec
	to     unix.RawSockaddrInet4
	seq    uint16
	ts     uint32
	count  uint32
	press  uint32 // the count at which the key goes down
	keyTS  uint32

	started  bool
	ssrc     uint32
	inSeq    uint16
	inTS     uint32
	elapsed  int64 // timestamp units since the first packet
	base     int64 // the least of arrival less timestamp, ns
	lastEnd  uint32
	anyEnd   bool
	recent   [2]int64 // the least in this second and the one before
	recentAt int64
	early    int64 // what the recent ones were at the last reset

	received uint64
	paired   bool // has heard the other side
	over     bool // is no longer in the load
}

// rtpFigures are those of a side, counted from the last reset on.
type rtpFigures struct {
	sent, failed, received uint64
	lost, behind, skipped  int64  // gaps of the sequence; late or twice; frames that only the timestamp shows to be missing
	corrupt, strange       uint64 // not what was sent; no RTP, or another SSRC
	foreign                uint64 // nobody's
	pressed, heard         uint64 // keys
	delay, lateness        histogram
}

var rtpMagic = []byte("hRTP")

func newStream(side, i int, port uint16, kind streamKind) *rtpStream {
	s := &rtpStream{kind: kind, i: i, press: uint32(50 + i*7%keyEvery)}
	p := s.packet[:]
	p[0], p[1] = 0x80, rtpVoice
	binary.BigEndian.PutUint32(p[8:], ssrcOf(side, i))
	s.seq, s.ts = uint16(i*977), uint32(i*7919)
	copy(p[12:], rtpMagic)
	for k := 32; k < rtpBytes; k++ {
		p[k] = byte(k*31 + i*7 + side)
	}
	s.iov.Base = &s.packet[0]
	s.iov.SetLen(rtpBytes)
	s.to = unix.RawSockaddrInet4{Family: unix.AF_INET, Port: port>>8 | port<<8, Addr: [4]byte{127, 0, 0, 1}}
	if *(*byte)(unsafe.Pointer(&s.to.Family)) == 0 { // big endian
		s.to.Port = port
	}
	return s
}

// ssrcOf is the SSRC of a phone; a relay on one socket knows it by that.
func ssrcOf(side, i int) uint32 { return 0x5a000000 | uint32(i)<<1 | uint32(side) }

// next makes the next packet.
func (s *rtpStream) next(now int64, f *rtpFigures) {
	p := s.packet[:]
	size, marker := rtpBytes, byte(0)
	at := s.count - s.press
	if s.kind.keys && s.count >= s.press && at%keyEvery < keyOf {
		size = s.key(at % keyEvery)
		if at%keyEvery == 0 {
			f.pressed++
			marker = 0x80
		}
	} else {
		p[1] = rtpVoice
		copy(p[12:], rtpMagic)
		binary.BigEndian.PutUint32(p[4:], s.ts)
		binary.BigEndian.PutUint32(p[16:], uint32(s.i))
		binary.BigEndian.PutUint32(p[20:], s.count)
		binary.BigEndian.PutUint64(p[24:], uint64(now))
	}
	p[1] |= marker
	binary.BigEndian.PutUint16(p[2:], s.seq)
	s.iov.SetLen(size)
	s.seq++
	s.ts += 160
	s.count++
	f.sent++
}

// key puts packet k of a key press.
func (s *rtpStream) key(k uint32) (size int) {
	p := s.packet[:]
	if k == 0 {
		s.keyTS = s.ts
	}
	p[1] = rtpKeys
	binary.BigEndian.PutUint32(p[4:], s.keyTS)
	p[12], p[13] = keyPress, 10
	if k >= keyOf/2 {
		p[13] |= 0x80
	}
	binary.BigEndian.PutUint16(p[14:], uint16(160*min(k+1, keyOf/2+1)))
	return 16
}

// carried is the number of the stream whose sound a packet holds.
func carried(b []byte) (i int, ok bool) {
	if len(b) != rtpBytes || !bytes.Equal(b[12:16], rtpMagic) {
		if len(b) == 16 { // a key: no more than its SSRC tells
			return int(binary.BigEndian.Uint32(b[8:]) & 0xffffff >> 1), true
		}
		return 0, false
	}
	return int(binary.BigEndian.Uint32(b[16:])), true
}

// take checks a packet that came, at a time in ns since 1970.
func (s *rtpStream) take(b []byte, at int64, peer *rtpStream, f *rtpFigures) {
	s.received++
	f.received++
	if len(b) < 12 || b[0] != 0x80 {
		f.strange++
		return
	}
	seq, ts, ssrc := binary.BigEndian.Uint16(b[2:]), binary.BigEndian.Uint32(b[4:]), binary.BigEndian.Uint32(b[8:])
	if !s.started {
		s.started, s.ssrc, s.inSeq, s.inTS = true, ssrc, seq-1, ts-160
		s.base = at - s.since(ts, true)
	}
	if ssrc != s.ssrc {
		f.strange++
		return
	}
	step := int16(seq - s.inSeq)
	if step <= 0 {
		f.behind++
		f.lost--
		return
	}
	f.lost += int64(step) - 1
	s.inSeq = seq
	switch {
	case s.kind.playback:
		s.pace(ts, at, int64(step), f)
	case b[1]&0x7f == rtpKeys:
		s.hearKey(b, ts, f)
	default:
		s.compare(b, at, peer, f)
	}
}

// since is how long after the stream's first packet a timestamp is, in ns.
func (s *rtpStream) since(ts uint32, first bool) int64 {
	if !first {
		s.elapsed += int64(int32(ts - s.inTS))
	}
	s.inTS = ts
	return s.elapsed * int64(time.Second/8000)
}

// pace measures how late a packet is against the grid that the timestamps are, whose origin is the
// earliest packet's arrival.
func (s *rtpStream) pace(ts uint32, at, step int64, f *rtpFigures) {
	if missing := int64(int32(ts-s.inTS))/160 - step; missing > 0 {
		f.skipped += missing
	}
	off := at - s.since(ts, false)
	s.base = min(s.base, off)
	f.lateness.add(time.Duration(off - s.base))
	if second := at / int64(time.Second); second != s.recentAt {
		s.recentAt, s.recent[1], s.recent[0] = second, s.recent[0], off
	}
	s.recent[0] = min(s.recent[0], off)
}

// floor is the least of arrival less timestamp in the last second or two.
func (s *rtpStream) floor() int64 {
	if s.recent[1] == 0 {
		return s.recent[0]
	}
	return min(s.recent[0], s.recent[1])
}

// drift is how far the stream has moved against its grid since the last reset.
func (s *rtpStream) drift() time.Duration { return time.Duration(s.floor() - s.early) }

func (s *rtpStream) hearKey(b []byte, ts uint32, f *rtpFigures) {
	if len(b) != 16 || b[12] != keyPress {
		f.corrupt++
		return
	}
	if b[13]&0x80 != 0 && (!s.anyEnd || ts != s.lastEnd) {
		s.anyEnd, s.lastEnd = true, ts
		f.heard++
	}
}

// compare checks that a packet is the other phone's, byte for byte, and how long it took.
func (s *rtpStream) compare(b []byte, at int64, peer *rtpStream, f *rtpFigures) {
	if i, ok := carried(b); !ok || peer == nil || i != s.i || b[1]&0x7f != rtpVoice || !bytes.Equal(b[32:], peer.packet[32:]) {
		if s.paired || s.received > uint64(s.kind.first) {
			f.corrupt++
		}
		return
	}
	s.paired = true
	f.delay.add(time.Duration(at - int64(binary.BigEndian.Uint64(b[24:]))))
}

// justBegun is how many packets a phone sends before it must have heard something.
const justBegun = 50

// rtpResult sums up both sides since the last reset.
type rtpResult struct {
	rtpFigures
	streams, silent int           // silent: nothing came for them
	own             histogram     // how late the load's own ticks were
	drift           time.Duration // the median stream's against its grid
}

// reset begins to count anew.
func (l *rtpLoad) reset() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.own = histogram{}
	for _, s := range l.sides {
		s.figures = rtpFigures{}
		for _, st := range s.streams {
			if st != nil {
				st.received = 0
				st.early = st.floor()
			}
		}
	}
}

func (l *rtpLoad) result() *rtpResult {
	l.mu.Lock()
	defer l.mu.Unlock()
	r := &rtpResult{own: l.own}
	var drifts []time.Duration
	for _, s := range l.sides {
		r.add(&s.figures)
		for _, st := range s.streams {
			if st == nil {
				continue
			}
			r.streams++
			if st.received == 0 && (st.count > justBegun || !st.kind.sends) {
				r.silent++
			}
			drifts = append(drifts, st.drift())
		}
	}
	if len(drifts) > 0 {
		slices.Sort(drifts)
		r.drift = drifts[len(drifts)/2]
	}
	return r
}

func (r *rtpFigures) add(f *rtpFigures) {
	r.sent += f.sent
	r.failed += f.failed
	r.received += f.received
	r.lost += f.lost
	r.behind += f.behind
	r.skipped += f.skipped
	r.corrupt += f.corrupt
	r.strange += f.strange
	r.foreign += f.foreign
	r.pressed += f.pressed
	r.heard += f.heard
	r.delay.merge(&f.delay)
	r.lateness.merge(&f.lateness)
}

// faults tells what was wrong; "" is nothing. A few packets are under way when the counting begins and ends.
func (r *rtpResult) faults() string {
	var wrong []string
	for _, f := range []struct {
		n    int64
		what string
	}{{r.lost, "lost"}, {r.behind, "late or twice"}, {r.skipped, "frames skipped"}, {int64(r.corrupt), "not as sent"},
		{int64(r.strange), "of another SSRC"}, {int64(r.foreign), "foreign"}, {int64(r.silent), "streams silent"}, {int64(r.failed), "not sent by the load"}} {
		if f.n != 0 {
			wrong = append(wrong, fmt.Sprintf("%d %s", f.n, f.what))
		}
	}
	return strings.Join(wrong, ", ")
}

// histogram counts times in steps of 10 µs up to 200 ms; what is longer counts as that.
type histogram struct {
	bins [20001]uint32
	n    uint64
	most time.Duration
}

const histogramStep = 10 * time.Microsecond

func (h *histogram) add(d time.Duration) {
	i := min(max(int(d/histogramStep), 0), len(h.bins)-1)
	h.bins[i]++
	h.n++
	h.most = max(h.most, d)
}

func (h *histogram) merge(o *histogram) {
	for i, n := range o.bins {
		h.bins[i] += n
	}
	h.n += o.n
	h.most = max(h.most, o.most)
}

// quantile is the upper edge of the step that it lies in.
func (h *histogram) quantile(q float64) time.Duration {
	need := uint64(q * float64(h.n))
	for i, n := range h.bins {
		if uint64(n) > need {
			return time.Duration(i+1) * histogramStep
		}
		need -= uint64(n)
	}
	return h.most
}
