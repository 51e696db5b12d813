package media

import (
	"crypto/rand"
	"encoding/base64"
	mathrand "math/rand/v2"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/pion/rtcp"
)

// reports is a leg's RTCP (RFC 3550 section 6).
type reports struct {
	next atomic.Int64 // when the next report is due; 0: not started

	mu      sync.Mutex
	closed  bool
	muxed   bool // by the RTP port
	metrics bool // the peer wants VoIP metrics
	remote  netip.AddrPort
	phone   phoneReport

	lastSR   uint32        // middle 32 bits of the NTP time in the peer's last sender report
	lastSRAt time.Duration // when that came

	rtt          time.Duration // 0: not known
	peerLost     int64         // of ours, as the peer counts
	peerFraction uint8
	peerJitter   uint32 // timestamp units
	peerBye      bool
	came, onUs   uint64 // reports, and those that tell of our stream
	invalid      uint64
	stray        uint64
}

// newCNAME makes a short-term persistent name of 96 random bits (RFC 7022 section 4.2).
func newCNAME() string {
	var b [12]byte
	rand.Read(b[:]) // never fails
	return base64.RawURLEncoding.EncodeToString(b[:])
}

// start sets the first report for half an interval from now, unless reports run already.
func (r *reports) start(now time.Duration) { r.next.CompareAndSwap(0, int64(now)+1) }

// due tells whether a report shall be sent.
func (r *reports) due(now time.Duration) bool {
	next := r.next.Load()
	return next != 0 && int64(now) >= next
}

// schedule sets the next report: 0.5 to 1.5 intervals from now (RFC 3550 section 6.3.1).
func (r *reports) schedule(now, interval time.Duration) {
	wait := time.Duration((0.5 + mathrand.Float64()) * float64(interval))
	r.next.Store(int64(now + wait))
}

// want has our reports hold VoIP metrics, or not.
func (r *reports) want(metrics bool) {
	r.mu.Lock()
	r.metrics = metrics
	r.mu.Unlock()
}

func (r *reports) redirect(to netip.AddrPort) {
	r.mu.Lock()
	r.remote = to
	r.mu.Unlock()
}

// follow moves reports along when RTP turns out to come from another IP address than signalled.
func (r *reports) follow(rtp netip.AddrPort) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.muxed {
		r.remote = rtp
	} else if r.remote.Addr() != rtp.Addr() {
		r.remote = netip.AddrPortFrom(rtp.Addr(), rtp.Port()+1)
	}
}

func (r *reports) close() {
	r.mu.Lock()
	r.closed = true
	r.mu.Unlock()
	r.next.Store(0)
}

// sendReport sends a compound packet: our report, our name and, at the end, BYE.
func (l *Leg) sendReport(now time.Duration, bye bool) {
	r := &l.reports
	if r.next.Load() == 0 {
		return // nothing agreed: nobody to tell
	}
	r.schedule(now, l.engine.cfg.ReportInterval)
	blocks, metrics := l.receptionReport(now)
	ssrc, ts, packets, octets, active := l.sender.report(now)
	var first rtcp.Packet = &rtcp.ReceiverReport{SSRC: ssrc, Reports: blocks}
	if active {
		first = &rtcp.SenderReport{
			SSRC: ssrc, NTPTime: ntpTime(l.engine.wall(now)), RTPTime: ts,
			PacketCount: uint32(packets), OctetCount: uint32(octets), Reports: blocks,
		}
	}
	compound := []rtcp.Packet{first, rtcp.NewCNAMESourceDescription(ssrc, l.engine.cname)}
	if metrics != nil {
		compound = append(compound, &rtcp.ExtendedReport{SenderSSRC: ssrc, Reports: []rtcp.ReportBlock{metrics}})
	}
	if bye {
		compound = append(compound, &rtcp.Goodbye{Sources: []uint32{ssrc}})
	}
	l.sendCompound(compound)
}

func (l *Leg) sendCompound(compound []rtcp.Packet) {
	r := &l.reports
	text, err := rtcp.Marshal(compound)
	if err != nil {
		l.log.Error("making RTCP report", "error", err)
		return
	}
	if text, err = l.sender.sealReport(text); err == errKeyless {
		return
	} else if err != nil {
		l.log.Error("encrypting RTCP report", "error", err)
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed || !r.remote.IsValid() || r.remote.Port() == 0 {
		return
	}
	// A report that is lost is like one lost on the way: the next one says the same.
	to, socket := newTarget(r.remote), l.pair.rtcp
	if r.muxed {
		socket = l.pair.rtp
	}
	_ = socket.send(text, &to)
}

// receptionReport tells what we hear of the peer; none before it was heard, and metrics only where wanted.
func (l *Leg) receptionReport(now time.Duration) ([]rtcp.ReceptionReport, *rtcp.VoIPMetricsReportBlock) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.lookIn()
	s := &l.rx.stream
	if !s.started {
		return nil, nil
	}
	block := rtcp.ReceptionReport{
		SSRC: s.ssrc, FractionLost: s.fraction(),
		TotalLost:          min(s.expected()-s.received, 0x7FFFFF),
		LastSequenceNumber: s.highest - 1<<16, // our count begins in the second cycle
		Jitter:             s.jitter >> 4,
	}
	l.reports.mu.Lock()
	defer l.reports.mu.Unlock()
	if l.reports.lastSRAt != 0 {
		block.LastSenderReport = l.reports.lastSR
		block.Delay = ntpUnits(now - l.reports.lastSRAt)
	}
	return []rtcp.ReceptionReport{block}, l.metrics()
}

// receiveReport takes one datagram from the RTCP port.
func (l *Leg) receiveReport(data []byte, src netip.AddrPort, now time.Duration) {
	data, ok := l.unseal(data)
	if !ok {
		return
	}
	l.mu.Lock()
	locked := l.rx.latch.locked
	l.mu.Unlock()
	ours, _, _, _, _ := l.sender.report(now)

	r := &l.reports
	r.mu.Lock()
	defer r.mu.Unlock()
	if src.Addr() != r.remote.Addr() && src.Addr() != locked.Addr() {
		r.stray++
		return
	}
	packets, bad := readReports(data)
	r.invalid += bad
	if len(packets) == 0 {
		return
	}
	r.remote = src // symmetric RTCP, RFC 4961
	r.came++
	for _, p := range packets {
		switch p := p.(type) {
		case *rtcp.SenderReport:
			l.compare(p.SSRC)
			r.lastSR, r.lastSRAt = uint32(p.NTPTime>>16), now
			r.heed(p.Reports, ours, l.engine.wall(now))
		case *rtcp.ReceiverReport:
			l.compare(p.SSRC)
			r.heed(p.Reports, ours, l.engine.wall(now))
		case *rtcp.ExtendedReport:
			r.heedMetrics(p, ours)
		case *rtcp.Goodbye:
			r.peerBye = true
		}
	}
}

// heed takes what the peer says of our stream; the round trip is RFC 3550 section 6.4.1's.
func (r *reports) heed(blocks []rtcp.ReceptionReport, ours uint32, wall time.Time) {
	for _, b := range blocks {
		if b.SSRC != ours {
			continue
		}
		r.onUs++
		r.peerLost, r.peerFraction, r.peerJitter = int64(int32(b.TotalLost<<8)>>8), b.FractionLost, b.Jitter
		if b.LastSenderReport == 0 {
			continue
		}
		units := int32(uint32(ntpTime(wall)>>16) - b.LastSenderReport - b.Delay)
		if rtt := time.Duration(units) * time.Second >> 16; rtt >= 0 && rtt < time.Minute {
			r.rtt = rtt
		}
	}
}

// ntpTime is t in the format of RFC 3550 section 4: seconds since 1900, 32 bits of fraction.
func ntpTime(t time.Time) uint64 {
	const to1900 = 2208988800
	seconds := uint64(t.Unix() + to1900)
	return seconds<<32 | uint64(t.Nanosecond())<<32/uint64(time.Second)
}

// ntpUnits is d in 1/65536 s.
func ntpUnits(d time.Duration) uint32 { return uint32(int64(d) << 16 / int64(time.Second)) }
