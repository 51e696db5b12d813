package kernel

import (
	"encoding/binary"
	"fmt"
	"net"
	"net/netip"

	"golang.org/x/sys/unix"
)

// bigEndian turns bytes as they are on the wire into a number that lies in memory like them.
func bigEndian(b []byte) uint32 { return binary.NativeEndian.Uint32(b) }

func port(n uint16) uint16 {
	var b [2]byte
	binary.BigEndian.PutUint16(b[:], n)
	return binary.NativeEndian.Uint16(b[:])
}

func words(a netip.Addr) (w [4]uint32) {
	if a.Is4() {
		b := a.As4()
		w[0] = bigEndian(b[:])
		return w
	}
	b := a.As16()
	for i := range w {
		w[i] = bigEndian(b[4*i:])
	}
	return w
}

// encode turns f into the map's form, not open yet.
func (p *Path) encode(local uint16, f Forward) (bpfForward, error) {
	from, to := f.Source.Addr().Unmap(), f.Destination.Addr().Unmap()
	if from.Is4() != p.local.Is4() || to.Is4() != p.local.Is4() || from.Zone() != "" || to.Zone() != "" {
		return bpfForward{}, fmt.Errorf("%w: from %s to %s", ErrUnsupported, from, to)
	}
	in := bpfForward{
		Local: words(p.local), Source: words(from), Destination: words(to),
		LocalPort: port(local), SourcePort: port(f.Source.Port()),
		DestinationPort: port(f.Destination.Port()), OutPort: port(f.OutPort),
		SsrcIn: f.SSRCIn, SsrcOut: f.SSRCOut,
		TsOffset: f.TSOffset, Origin: f.Origin, SeqOffset: f.SeqOffset,
		Size: uint16(f.Size), Most: uint16(f.Most),
		VoiceIn: f.VoiceIn, VoiceOut: f.VoiceOut, NoiseIn: f.NoiseIn, NoiseOut: f.NoiseOut,
		Family: unix.AF_INET6,
	}
	if p.local.Is4() {
		in.Family = unix.AF_INET
	}
	if onHost(from) && onHost(to) {
		in.OnHost = 1
	}
	return in, nil
}

// onHost tells whether packets to that address never leave the machine.
func onHost(a netip.Addr) bool {
	if a.IsLoopback() {
		return true
	}
	addrs, err := net.InterfaceAddrs()
	if err != nil {
		return false
	}
	for _, own := range addrs {
		if n, ok := own.(*net.IPNet); ok && n.IP.Equal(a.AsSlice()) {
			return true
		}
	}
	return false
}

func (s State) encode() bpfState {
	out := bpfState{
		Highest: s.Highest, Base: s.Base, Received: s.Received, Window: s.Window,
		Transit: s.Transit, Jitter: s.Jitter, Packets: s.Packets, Octets: s.Octets,
		Late: s.Late, Duplicates: s.Duplicates, Stray: s.Stray, Seen: uint64(s.Seen),
		NextSeq: s.NextSeq, Floor: s.Floor, NextTs: s.NextTS, OutPackets: s.OutPackets, OutOctets: s.OutOctets,
		Since: s.Losses.Since, Lost: s.Losses.Lost, Heard: s.Losses.Heard, Runs: s.Losses.Runs,
		Bursts: s.Losses.Bursts, BurstLost: s.Losses.BurstLost, BurstHeard: s.Losses.BurstHeard,
		GapLost: s.Losses.GapLost, GapHeard: s.Losses.GapHeard,
	}
	if s.Timed {
		out.Timed = 1
	}
	return out
}

func decode(s bpfState) State {
	return State{
		Highest: s.Highest, Base: s.Base, Received: s.Received, Window: s.Window,
		Transit: s.Transit, Jitter: s.Jitter, Timed: s.Timed != 0, Packets: s.Packets, Octets: s.Octets,
		Late: s.Late, Duplicates: s.Duplicates, Stray: s.Stray, Seen: int64(s.Seen),
		NextSeq: s.NextSeq, Floor: s.Floor, NextTS: s.NextTs, OutPackets: s.OutPackets, OutOctets: s.OutOctets,
		Losses: Losses{
			Since: s.Since, Lost: s.Lost, Heard: s.Heard, Runs: s.Runs,
			Bursts: s.Bursts, BurstLost: s.BurstLost, BurstHeard: s.BurstHeard,
			GapLost: s.GapLost, GapHeard: s.GapHeard,
		},
	}
}

// Now is CLOCK_MONOTONIC in nanoseconds, the clock of Options.Epoch and State.Seen.
func Now() (int64, error) {
	var ts unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &ts); err != nil {
		return 0, fmt.Errorf("reading the clock: %w", err)
	}
	return ts.Nano(), nil
}
