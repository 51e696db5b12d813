package media

import (
	"math"
	"strings"
	"time"

	"github.com/pion/rtcp"
	"github.com/pion/sdp/v3"

	"hotline/media/kernel"
	"hotline/sound"
)

// xrMetrics is how SDP asks for reports of the voice's quality (RFC 3611 section 5.1).
const xrMetrics = "voip-metrics"

// xrUnknown stands for a figure of a VoIP metrics block that isn't measured (RFC 3611 section 4.7).
const xrUnknown = 127

// wantsMetrics tells whether the peer's SDP asks for them, for the stream or for all.
func wantsMetrics(session *sdp.SessionDescription, m *sdp.MediaDescription) bool {
	value, ok := m.Attribute("rtcp-xr")
	if !ok {
		value, _ = session.Attribute("rtcp-xr")
	}
	for _, format := range strings.Fields(value) {
		if strings.EqualFold(format, xrMetrics) {
			return true
		}
	}
	return false
}

// minGap is how many packets in a row must come between two losses that are in no burst (RFC 3611 section
// 4.7.2, Gmin).
const minGap = 16

// bursts tells losses that come together from those that come alone (RFC 3611 section 4.7.2). Its zero value has
// seen nothing. The kernel counts on in the same way.
type bursts kernel.Losses

// add counts packets in the order they were sent: so many lost, then one that came.
func (b *bursts) add(lost uint32) {
	if lost > 0 {
		if b.Since >= minGap || b.Lost == 0 {
			b.settle()
			b.GapHeard += b.Since
			b.Lost, b.Heard = 0, 0
		} else {
			b.Heard += b.Since
		}
		b.Lost += lost
		b.Runs++
		b.Since = 0
	}
	b.Since++
}

// settle counts the group of losses under way.
func (b *bursts) settle() {
	if b.Lost > 1 {
		b.Bursts++
		b.BurstLost += b.Lost
		b.BurstHeard += b.Heard
	} else {
		b.GapLost += b.Lost
	}
}

// ratio is BurstR of the E-model.
func (b bursts) ratio() float64 {
	b.settle()
	lost := b.BurstLost + b.GapLost
	return sound.BurstRatio(uint64(lost+b.BurstHeard+b.GapHeard+b.Since), uint64(lost), uint64(b.Runs))
}

// densities are the shares lost within bursts and between them, and lengths how many packets each lasts in the
// mean; without a burst all is one gap.
func (b bursts) densities() (burst, gap, burstLength, gapLength float64) {
	b.settle()
	b.GapHeard += b.Since
	within, between := float64(b.BurstLost+b.BurstHeard), float64(b.GapLost+b.GapHeard)
	if within > 0 {
		burst, burstLength = float64(b.BurstLost)/within, within/float64(b.Bursts)
	}
	if between > 0 {
		gap = float64(b.GapLost) / between
	}
	return burst, gap, burstLength, between / float64(max(b.Bursts, 1))
}

// metrics are what we say of the peer's stream; nil unless it asks for that, or before it was heard. The leg's
// lock and that of its reports are held.
func (l *Leg) metrics() *rtcp.VoIPMetricsReportBlock {
	r := &l.rx
	if !l.reports.metrics || !r.stream.started {
		return nil
	}
	jitter := duration(r.stream.jitter >> 4)
	path := pathOf(l.nego.codec, r.loss(), r.quality.bursts.ratio(), jitter, l.reports.rtt)
	burst, gap, burstLength, gapLength := r.quality.bursts.densities()
	heard := path // listening knows no delay
	heard.Delay = 0
	return &rtcp.VoIPMetricsReportBlock{
		SSRC:     r.stream.ssrc,
		LossRate: xrShare(r.loss()), BurstDensity: xrShare(burst), GapDensity: xrShare(gap),
		BurstDuration: xrMilliseconds(packets(burstLength)), GapDuration: xrMilliseconds(packets(gapLength)),
		RoundTripDelay: xrMilliseconds(l.reports.rtt),
		SignalLevel:    xrUnknown, NoiseLevel: xrUnknown, RERL: xrUnknown, Gmin: minGap,
		RFactor: uint8(math.Round(min(max(path.Rating(), 0), 100))), ExtRFactor: xrUnknown,
		MOSLQ: xrScore(heard.MOS()), MOSCQ: xrScore(path.MOS()),
	}
}

// loss is the share of the peer's packets that never came.
func (r *receiver) loss() float64 {
	lost := max(float64(r.stream.lost()), 0)
	if all := float64(r.packets) + lost; all > 0 {
		return lost / all
	}
	return 0
}

// pathOf is what the E-model asks of one direction.
func pathOf(codec Codec, loss, burst float64, jitter, rtt time.Duration) sound.Path {
	model := sound.G711
	if codec == G722 {
		model = sound.G722
	}
	return sound.Path{Delay: rtt/2 + phoneDelay + 2*jitter, Loss: loss, Burst: burst, Codec: model}
}

// packets is how long so many of them last.
func packets(n float64) time.Duration { return time.Duration(n * float64(ptime)) }

func xrShare(v float64) uint8 { return uint8(min(max(v*256, 0), 255)) }

func xrMilliseconds(d time.Duration) uint16 {
	return uint16(min(max(d.Milliseconds(), 0), math.MaxUint16))
}

func xrScore(mos float64) uint8 { return uint8(math.Round(10 * min(max(mos, 1), 5))) }

// phoneReport is what the phone itself says of what it hears of us, by RFC 3611; 0 is unknown.
type phoneReport struct {
	mos       float64
	discarded float64 // share of our packets that came too late or too early for its buffer
}

// heedMetrics takes what the peer says of our stream. The lock is held.
func (r *reports) heedMetrics(x *rtcp.ExtendedReport, ours uint32) {
	for _, block := range x.Reports {
		m, ok := block.(*rtcp.VoIPMetricsReportBlock)
		if !ok || m.SSRC != ours {
			continue
		}
		r.phone.discarded = float64(m.DiscardRate) / 256
		for _, score := range []uint8{m.MOSLQ, m.MOSCQ} { // the latter counts, where there is one
			if score >= 10 && score <= 50 {
				r.phone.mos = float64(score) / 10
			}
		}
	}
}
