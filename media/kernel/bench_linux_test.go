package kernel

import (
	"bytes"
	"encoding/binary"
	"net/netip"
	"testing"
	"time"

	"github.com/cilium/ebpf"
)

// hopsInABatch is how often a packet may be forwarded to itself before its time to live ends.
const hopsInABatch = 250

// nanosPerUnit is one of the RTP clock.
const nanosPerUnit = 125_000

// BenchmarkProgram is what a run of the program costs, by the kernel's own clock around many runs, without
// what sends or receives, and with all that it needs in the processor's caches: for a packet that is forwarded, and
// for one that is nobody's.
func BenchmarkProgram(b *testing.B) {
	for _, mode := range []Mode{TCX, XDPGeneric} {
		for name, addr := range map[string]netip.Addr{"IPv4": loopback4, "IPv6": loopback6} {
			b.Run(string(mode)+"/"+name, func(b *testing.B) {
				epoch := monotonic() - int64(time.Hour) // as openPath has it, or a little before
				path := openPath(b, Options{Addr: addr, PortMin: 20000, PortMax: 29999})
				program := path.objects.ForwardTcx
				if mode == XDPGeneric {
					program = path.objects.ForwardXdp
				}
				phone, local := netip.AddrPortFrom(addr, 40000), netip.AddrPortFrom(addr, 20000)
				begin := func() { forwardToItself(b, path, epoch, phone, local) }
				b.Run("forwarded", func(b *testing.B) { benchmarkRuns(b, path, program, datagram(phone, local), begin, hopsInABatch) })
				b.Run("nobody's", func(b *testing.B) { benchmarkRuns(b, path, program, datagram(local, phone), begin, 0) })
			})
		}
	}
}

// benchmarkRuns has the kernel repeat the program on one packet, which each run finds as the last one left it.
func benchmarkRuns(b *testing.B, path *Path, program *ebpf.Program, packet []byte, begin func(), forwarded uint64) {
	var took time.Duration
	var runs int
	for b.Loop() {
		begin()
		// A signal in between makes it begin again.
		_, each, err := program.Benchmark(packet, hopsInABatch, begin)
		if err != nil {
			b.Fatal(err)
		}
		if s, err := path.Read(20000); err != nil || s.OutPackets != forwarded {
			b.Fatalf("%d of %d packets were forwarded (%v)", s.OutPackets, forwarded, err)
		}
		took += each * hopsInABatch
		runs += hopsInABatch
	}
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(float64(took)/float64(runs), "ns/run")
}

// forwardToItself forwards the phone's packets such that what leaves is what came, but for its number,
// which is the next one's.
func forwardToItself(b *testing.B, path *Path, epoch int64, phone, local netip.AddrPort) {
	b.Helper()
	const number = 1000
	ts, elapsed := uint32(8000), monotonic()-epoch
	if err := path.Set(local.Port(), Forward{
		Source: phone, Destination: local, OutPort: phone.Port(),
		SSRCIn: 1, SSRCOut: 1, SeqOffset: 1, Origin: ts - uint32(elapsed/nanosPerUnit),
		VoiceIn: 8, VoiceOut: 8, NoiseIn: 13, NoiseOut: 13, Size: soundSize, Most: 1400,
	}, State{
		Highest: 1<<16 + number - 1, Base: 1 << 16, Received: 1, Window: 1, Seen: monotonic(),
		Floor: number, NextSeq: number + 1, NextTS: ts,
	}); err != nil {
		b.Fatal(err)
	}
}

// datagram is a frame with a packet of voice, number 1000.
func datagram(from, to netip.AddrPort) []byte {
	rtp := make([]byte, 12+soundSize)
	rtp[0], rtp[1] = 0x80, 8
	binary.BigEndian.PutUint16(rtp[2:], 1000)
	binary.BigEndian.PutUint32(rtp[4:], 8000)
	binary.BigEndian.PutUint32(rtp[8:], 1)
	udp := make([]byte, 8)
	binary.BigEndian.PutUint16(udp[0:], from.Port())
	binary.BigEndian.PutUint16(udp[2:], to.Port())
	binary.BigEndian.PutUint16(udp[4:], uint16(len(udp)+len(rtp)))
	binary.BigEndian.PutUint16(udp[6:], anyChecksum)
	ethernet := make([]byte, 14)
	ip := make([]byte, 40)
	if from.Addr().Is4() {
		binary.BigEndian.PutUint16(ethernet[12:], 0x0800)
		ip = ip[:20]
		ip[0], ip[8], ip[9] = 0x45, 255, protocolUDP
		binary.BigEndian.PutUint16(ip[2:], uint16(len(ip)+len(udp)+len(rtp)))
		copy(ip[12:], from.Addr().AsSlice())
		copy(ip[16:], to.Addr().AsSlice())
	} else {
		binary.BigEndian.PutUint16(ethernet[12:], 0x86DD)
		ip[0], ip[6], ip[7] = 0x60, protocolUDP, 255
		binary.BigEndian.PutUint16(ip[4:], uint16(len(udp)+len(rtp)))
		copy(ip[8:], from.Addr().AsSlice())
		copy(ip[24:], to.Addr().AsSlice())
	}
	return bytes.Join([][]byte{ethernet, ip, udp, rtp}, nil)
}

// BenchmarkRead is what it costs to ask how a stream stands, which each report of RTCP does twice.
func BenchmarkRead(b *testing.B) {
	path := openPath(b, Options{Addr: loopback4, PortMin: 20000, PortMax: 29999})
	b.ReportAllocs()
	for b.Loop() {
		if _, err := path.Read(20000); err != nil {
			b.Fatal(err)
		}
	}
}
