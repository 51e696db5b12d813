package media

import (
	"net/netip"
	"time"
)

// LegStats are the figures of a leg.
type LegStats struct {
	Codec      Codec
	Secure     Security       // how what is sent and received is encrypted
	RemoteAddr netip.AddrPort // where the leg sends; invalid before it is known

	PacketsSent, BytesSent         uint64 // bytes of payload
	SendFailures                   uint64
	SentEarly                      uint64    // of PacketsSent, before the call was answered
	PacketsReceived, BytesReceived uint64    // from the peer, duplicates included
	FirstPacketAt                  time.Time // zero: nothing came yet

	Lost       int64         // RFC 3550 appendix A.3
	Jitter     time.Duration // RFC 3550 appendix A.8
	Late       uint64        // came after a later one
	Duplicates uint64        // came twice, or far too late
	Invalid    uint64        // no RTP or RTCP
	Stray      uint64        // from another source than the peer
	Unknown    uint64        // of a payload type that was not agreed

	// MOS scores what comes from the phone by the E-model (ITU-T G.107, narrowband), 1 to 4.41; 0 before
	// anything came. PeerMOS scores what it hears of us, by its reports; 0 without any.
	MOS, PeerMOS float64
	// PhoneMOS is how the phone itself scores what it hears of us, 1 to 5, and PhoneDiscarded the share of our packets
	// that its jitter buffer had no use for (RFC 3611); 0 where it doesn't say.
	PhoneMOS, PhoneDiscarded float64
	Burst                    float64   // how losses cluster: 1 at random, more in bursts (G.107 BurstR)
	SoundAt                  time.Time // when something louder than noise came last; zero: never
	Unauthentic              uint64    // no SRTP, SRTCP, STUN or DTLS of the peer's: another key, changed on the way, or come twice
	Forwarded                uint64    // of PacketsReceived, passed on by the kernel
	InKernel                 bool      // the kernel passes on what the phone says

	SSRCChanges   uint64
	DigitsDropped uint64 // nobody took them from Digits

	RTT          time.Duration // from RTCP; 0: not known
	PeerLost     int64         // of our packets, by the peer's reports
	PeerFraction float64       // of our packets lost lately, 0 to 1
	PeerJitter   time.Duration
	PeerBye      bool   // the peer said BYE in RTCP
	PeerReports  uint64 // RTCP packets that came
	PeerHeard    uint64 // reports in them on our stream; 0 of many: it doesn't hear us
}

// Stats tells how the leg fares; it may be asked after Close too.
func (l *Leg) Stats() LegStats {
	var s LegStats
	l.mu.Lock()
	defer l.mu.Unlock()
	l.lookIn()
	r := &l.rx
	s.Codec, s.Secure = l.nego.codec, l.secrets.kind
	if o := l.opener.Load(); o != nil {
		s.Unauthentic = o.unauthentic()
	}
	s.Unauthentic += l.foreign.Load()
	s.PacketsReceived, s.BytesReceived = r.packets, r.octets
	if r.packets > 0 {
		s.FirstPacketAt = l.engine.wall(r.first)
	}
	s.Lost, s.Jitter = r.stream.lost(), duration(r.stream.jitter>>4)
	s.Late, s.Duplicates, s.Invalid, s.Stray, s.Unknown = r.late, r.duplicate, r.invalid, r.stray, r.unknown
	s.Forwarded, s.InKernel = r.forwarded, l.inKernel()
	s.SSRCChanges, s.DigitsDropped = r.ssrcChanges, r.digitsDropped
	l.sender.stats(&s)
	s.SentEarly = min(l.early.until(s.PacketsSent), s.PacketsSent)
	l.reports.stats(&s)
	s.rated(r)
	if r.quality.loud {
		s.SoundAt = l.engine.wall(r.quality.soundAt)
	}
	return s
}

func (s *sender) stats(to *LegStats) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lookIn()
	to.RemoteAddr = s.remote
	to.PacketsSent, to.BytesSent, to.SendFailures = s.packets, s.octets, s.failed
}

func (r *reports) stats(to *LegStats) {
	r.mu.Lock()
	defer r.mu.Unlock()
	to.PhoneMOS, to.PhoneDiscarded = r.phone.mos, r.phone.discarded
	to.RTT, to.PeerLost, to.PeerBye = r.rtt, r.peerLost, r.peerBye
	to.PeerReports, to.PeerHeard = r.came, r.onUs
	to.PeerFraction, to.PeerJitter = float64(r.peerFraction)/256, duration(r.peerJitter)
	to.Invalid += r.invalid
	to.Stray += r.stray
}

// figures is the leg's share of the engine's.
func (l *Leg) figures() EngineStats {
	s := l.Stats()
	return EngineStats{
		PacketsSent: s.PacketsSent, PacketsReceived: s.PacketsReceived, PacketsLost: s.Lost,
		PacketsDropped: s.Invalid + s.Stray + s.Unknown + s.Duplicates + s.Unauthentic,
		SendFailures:   s.SendFailures, DigitsDropped: s.DigitsDropped,
		KernelPackets: s.Forwarded,
	}
}

// duration turns timestamp units into time.
func duration(units uint32) time.Duration { return time.Duration(units) * time.Second / clockRate }
