package media

import (
	"bytes"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/pion/rtcp"
)

// Losses fall into bursts and gaps as RFC 3611 section 4.7.2 has it: "x" is lost, "." came, a number repeats.
func TestBursts(t *testing.T) {
	for _, c := range []struct {
		name, sent                      string
		burst, gap, burstLen, gapLength float64
	}{
		{"nothing lost", strings.Repeat(".", 100), 0, 0, 0, 100},
		{"one alone", strings.Repeat(".", 50) + "x" + strings.Repeat(".", 49), 0, 0.01, 0, 100},
		{"the first at once", "." + "x" + strings.Repeat(".", 98), 0, 0.01, 0, 100},
		{"two far apart", strings.Repeat(".", 40) + "x" + strings.Repeat(".", 16) + "x" + strings.Repeat(".", 42), 0, 0.02, 0, 100},
		{"two near each other", strings.Repeat(".", 40) + "x" + strings.Repeat(".", 15) + "x" + strings.Repeat(".", 43), 2.0 / 17, 0, 17, 83},
		{"a row", strings.Repeat(".", 40) + "xxxx" + strings.Repeat(".", 56), 1, 0, 4, 96},
		{"two bursts", strings.Repeat(".", 20) + "x.x" + strings.Repeat(".", 30) + "xx.x" + strings.Repeat(".", 43), 5.0 / 7, 0, 3.5, 46.5},
	} {
		t.Run(c.name, func(t *testing.T) {
			var b bursts
			lost := uint32(0)
			for _, p := range c.sent {
				if p == 'x' {
					lost++
					continue
				}
				b.add(lost)
				lost = 0
			}
			burst, gap, burstLen, gapLength := b.densities()
			got, want := fmt.Sprintf("%.4f %.4f %.2f %.2f", burst, gap, burstLen, gapLength), fmt.Sprintf("%.4f %.4f %.2f %.2f", c.burst, c.gap, c.burstLen, c.gapLength)
			if got != want {
				t.Errorf("%s, want %s", got, want)
			}
		})
	}
}

// What is measured stands in the block where RFC 3611 section 4.7 puts it.
func TestMetricsOnTheWire(t *testing.T) {
	for _, c := range []struct {
		name string
		set  func(*Leg)
		want string // from the block's type on
	}{
		{"a clean stream", func(l *Leg) {
			for seq := range uint16(100) {
				l.rx.stream.track(0xC0FFEE, seq)
				l.rx.quality.bursts.add(0)
			}
			l.rx.packets = 100
		}, "07000008 00c0ffee 00000000 000007d0 00000000 7f7f7f10 5c7f2c2c 00000000 00000000"},
		{"losses, jitter and a round trip", func(l *Leg) {
			for seq := range uint16(100) {
				gap := uint32(0)
				if seq >= 40 {
					seq += 4
				}
				if seq == 44 {
					gap = 4
				}
				l.rx.stream.track(0xC0FFEE, seq)
				l.rx.quality.bursts.add(gap)
			}
			l.rx.packets = 100
			l.rx.stream.jitter = 160 << 4 // 20 ms
			l.reports.rtt = 300 * time.Millisecond
		}, "07000008 00c0ffee 0900ff00 005007d0 012c0000 7f7f7f10 447f2823 00000000 00000000"},
	} {
		t.Run(c.name, func(t *testing.T) {
			l := openLeg(t, openEngine(t, nil))
			l.nego.codec = PCMA
			if c.set(l); l.metrics() != nil {
				t.Fatal("metrics though nobody asks for them")
			}
			l.reports.want(true)
			text, err := (rtcp.ExtendedReport{SenderSSRC: 7, Reports: []rtcp.ReportBlock{l.metrics()}}).Marshal()
			if err != nil {
				t.Fatal(err)
			}
			if got := fmt.Sprintf("%x", text[8:]); got != strings.ReplaceAll(c.want, " ", "") {
				t.Errorf("%s\nwant %s", got, strings.ReplaceAll(c.want, " ", ""))
			}
		})
	}
}

// What a phone says of its own ear is believed where it can be.
func TestPhonesMetrics(t *testing.T) {
	l := openLeg(t, openEngine(t, nil))
	for _, c := range []struct {
		name             string
		block            rtcp.VoIPMetricsReportBlock
		score, discarded float64
	}{
		{"both scores", rtcp.VoIPMetricsReportBlock{SSRC: 9, DiscardRate: 64, MOSLQ: 41, MOSCQ: 38}, 3.8, 0.25},
		{"listening only", rtcp.VoIPMetricsReportBlock{SSRC: 9, MOSLQ: 41, MOSCQ: 127}, 4.1, 0},
		{"none", rtcp.VoIPMetricsReportBlock{SSRC: 9, MOSLQ: 127, MOSCQ: 127}, 0, 0},
		{"nonsense", rtcp.VoIPMetricsReportBlock{SSRC: 9, MOSLQ: 9, MOSCQ: 51}, 0, 0},
		{"of another stream", rtcp.VoIPMetricsReportBlock{SSRC: 8, DiscardRate: 64, MOSLQ: 41, MOSCQ: 38}, 0, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			l.reports.phone = phoneReport{}
			l.reports.heedMetrics(&rtcp.ExtendedReport{Reports: []rtcp.ReportBlock{&c.block, &rtcp.UnknownReportBlock{}}}, 9)
			if s := l.Stats(); s.PhoneMOS != c.score || s.PhoneDiscarded != c.discarded {
				t.Errorf("score %v, discarded %v", s.PhoneMOS, s.PhoneDiscarded)
			}
		})
	}
}

// A phone that asks for VoIP metrics gets them with our reports, and its own count; one that doesn't, gets none.
func TestMetricsBetweenPhones(t *testing.T) {
	for _, line := range []string{"a=rtcp-xr:rcvr-rtt=all VoIP-metrics stat-summary=loss", "a=rtcp-xr:stat-summary=loss"} {
		wanted := strings.Contains(line, "VoIP")
		e := openEngine(t, func(c *Config) { c.ReportInterval = 20 * time.Millisecond })
		p := newPhone(t, PCMA)
		l := openLeg(t, e)
		answer, err := l.Answer(p.offer(line))
		if err != nil {
			t.Fatal(err)
		}
		if got := bytes.Contains(answer, []byte("a=rtcp-xr:voip-metrics\r\n")); got != wanted {
			t.Errorf("answer to %s:\n%s", line, answer)
		}
		for i := range 40 {
			if i == 20 {
				p.seq += 10
				p.ts += 10 * frameSamples
			}
			l.receive(p.packet(8, silence(PCMA), frameSamples), addrOf(p.rtp), e.now())
		}
		block, ssrc := p.metrics()
		if !wanted {
			if block != nil {
				t.Errorf("%s: %+v", line, block)
			}
			continue
		}
		for deadline := time.Now().Add(patience); (block == nil || block.LossRate == 0) && time.Now().Before(deadline); {
			block, ssrc = p.metrics()
		}
		if block == nil || block.SSRC != p.ssrc || block.LossRate != 51 || block.BurstDensity != 255 || block.BurstDuration != 200 || block.MOSCQ >= 40 {
			t.Fatalf("%+v", block)
		}
		reply, err := rtcp.Marshal([]rtcp.Packet{&rtcp.ReceiverReport{SSRC: p.ssrc}, &rtcp.ExtendedReport{
			SenderSSRC: p.ssrc, Reports: []rtcp.ReportBlock{&rtcp.VoIPMetricsReportBlock{SSRC: ssrc, DiscardRate: 32, MOSCQ: 35}},
		}})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := p.rtcp.WriteToUDPAddrPort(reply, netip.AddrPortFrom(loopback, l.port+1)); err != nil {
			t.Fatal(err)
		}
		for deadline := time.Now().Add(patience); l.Stats().PhoneMOS == 0 && time.Now().Before(deadline); {
			<-time.After(time.Millisecond)
		}
		if s := l.Stats(); s.PhoneMOS != 3.5 || s.PhoneDiscarded != 0.125 {
			t.Errorf("the phone's score %v, discarded %v", s.PhoneMOS, s.PhoneDiscarded)
		}
	}
}

// metrics reads the next report from the leg: its VoIP metrics, nil without, and who sent it.
func (p *phone) metrics() (block *rtcp.VoIPMetricsReportBlock, from uint32) {
	p.t.Helper()
	list, err := rtcp.Unmarshal(readDatagram(p.t, p.rtcp))
	if err != nil {
		p.t.Fatal(err)
	}
	for _, r := range list {
		if x, ok := r.(*rtcp.ExtendedReport); ok {
			return x.Reports[0].(*rtcp.VoIPMetricsReportBlock), x.SenderSSRC
		}
	}
	return nil, 0
}
