// Package kernel forwards RTP packets inside the Linux kernel (eBPF): one that comes for a local UDP
// port leaves again, rewritten, without a system call or a copy to this process. It knows nothing of
// calls; see docs/kernel.md.
//
// What [Path.Set] doesn't describe exactly goes up to the port's socket as if there were no program:
// another SSRC or payload type, header extensions, IP options, fragments, VLAN tags, a time to live
// that ends, a jump of sequence numbers or timestamps.
package kernel

import (
	"errors"
	"net/netip"
)

//go:generate go run github.com/cilium/ebpf/cmd/bpf2go@v0.22.0 -cc clang-14 -strip llvm-strip-14 -target bpfel,bpfeb -type forward -type state -go-package kernel -tags linux bpf bpf/forward.c -- -O2 -g -fno-strict-aliasing -Wall -Werror -I/usr/include/x86_64-linux-gnu

// ErrUnsupported says that packets can't be forwarded by the kernel here.
var ErrUnsupported = errors.New("the kernel can't forward packets here")

// Mode is how programs are attached to an interface.
type Mode string

// The modes, each tried in turn by [Open].
const (
	XDP        Mode = "xdp"         // in the driver
	TCX        Mode = "tcx"         // Linux 6.6; several programs may share an interface
	XDPGeneric Mode = "xdp-generic" // any driver
)

// Options say what a [Path] serves.
type Options struct {
	// Addr is the local IP address of the ports. It must be of one interface, or of loopback.
	Addr netip.Addr
	// PortMin and PortMax bound the local ports; both 0 means any. Each costs 230 bytes of the
	// kernel's memory.
	PortMin, PortMax uint16
	// Epoch is when timestamps are at [Forward.Origin], on CLOCK_MONOTONIC.
	Epoch int64
	// Interfaces by name; nil means those that hold Addr, and loopback.
	Interfaces []string
	// Modes to try; nil means XDP for hardware, then TCX, then XDPGeneric.
	Modes []Mode
}

// NoType stands for a payload type that there is none of.
const NoType = 0xFF

// Forward is what is done with the packets of a local port.
type Forward struct {
	Source      netip.AddrPort // the only one that is believed
	Destination netip.AddrPort
	OutPort     uint16 // local port that the packets leave from

	SSRCIn, SSRCOut uint32
	SeqOffset       uint16 // number sent minus number received
	TSOffset        uint32 // timestamp sent minus timestamp received
	Origin          uint32 // timestamp sent that stands for Options.Epoch

	VoiceIn, VoiceOut uint8 // payload types
	NoiseIn, NoiseOut uint8 // of comfort noise; NoType: goes up
	Size              int   // of a voice packet's sound in bytes; 0: any
	Most              int   // bytes
}

// State is how a port's stream stands. The kernel goes on from the state given to [Path.Set], and
// [Path.Remove] hands it back. The first group is of the stream received (RFC 3550 appendix A.1, A.3,
// A.8), the second of that sent.
type State struct {
	Highest, Base, Received uint32 // extended sequence numbers; packets
	Window                  uint64 // bit i: Highest-i came
	Transit, Jitter         uint32 // timestamp units; jitter times 16
	Timed                   bool   // Transit is set
	Packets, Octets         uint64
	Late, Duplicates, Stray uint64
	Seen                    int64 // the last packet from the source, on CLOCK_MONOTONIC

	NextSeq, Floor        uint16 // what is older than Floor is not sent; it follows NextSeq
	NextTS                uint32
	OutPackets, OutOctets uint64

	Losses Losses
}

// Losses is how a stream's losses cluster (RFC 3611 section 4.7.2), in packets; Runs and Bursts are how many there were.
type Losses struct {
	Since, Lost, Heard, Runs      uint32 // since the last loss; of the group of losses under way; runs of losses in all
	Bursts, BurstLost, BurstHeard uint32
	GapLost, GapHeard             uint32
}

// Attachment is an interface that packets are forwarded on.
type Attachment struct {
	Interface string
	Mode      Mode
}
