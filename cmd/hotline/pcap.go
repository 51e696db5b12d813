package main

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"os"

	"hotline/server"
)

// writePcap writes the whole messages of a trace as UDP packets, whatever carried them,
// in the format of libpcap with raw IP (link type 101).
func writePcap(file string, trace []server.TraceMessage) error {
	out := binary.LittleEndian.AppendUint32(nil, 0xa1b2c3d4)
	out = binary.LittleEndian.AppendUint16(out, 2)
	out = binary.LittleEndian.AppendUint16(out, 4)
	for _, v := range []uint32{0, 0, 1 << 18, 101} {
		out = binary.LittleEndian.AppendUint32(out, v)
	}
	written := 0
	for i := range trace {
		m := &trace[i]
		if len(m.Raw) == 0 {
			continue
		}
		from, to := m.Remote, m.Local
		if m.Sent {
			from, to = to, from
		}
		p := packet(from, to, m.Raw)
		for _, v := range []uint32{uint32(m.At.Unix()), uint32(m.At.Nanosecond() / 1000), uint32(len(p)), uint32(len(p))} {
			out = binary.LittleEndian.AppendUint32(out, v)
		}
		out = append(out, p...)
		written++
	}
	if written == 0 {
		return errors.New("no whole message was kept of this call: ask for a capture before it comes (hotline trace capture NUMBER)")
	}
	if err := os.WriteFile(file, out, 0o600); err != nil {
		return fmt.Errorf("write capture: %w", err)
	}
	return nil
}

// packet is a UDP datagram with its IP header. The UDP checksum is left out with IPv4
// and computed with IPv6, where it must be.
func packet(from, to netip.AddrPort, data []byte) []byte {
	data = data[:min(len(data), 65000)]
	udp := binary.BigEndian.AppendUint16(nil, from.Port())
	udp = binary.BigEndian.AppendUint16(udp, to.Port())
	udp = binary.BigEndian.AppendUint16(udp, uint16(8+len(data)))
	udp = append(binary.BigEndian.AppendUint16(udp, 0), data...)
	src, dst := from.Addr().AsSlice(), to.Addr().AsSlice()
	if from.Addr().Is4() && to.Addr().Is4() {
		ip := []byte{0x45, 0, 0, 0, 0, 0, 0x40, 0, 64, 17, 0, 0}
		binary.BigEndian.PutUint16(ip[2:], uint16(20+len(udp)))
		ip = append(append(ip, src...), dst...)
		binary.BigEndian.PutUint16(ip[10:], ^sum(0, ip))
		return append(ip, udp...)
	}
	a, b := from.Addr().As16(), to.Addr().As16()
	ip := []byte{0x60, 0, 0, 0, 0, 0, 17, 64}
	binary.BigEndian.PutUint16(ip[4:], uint16(len(udp)))
	ip = append(append(ip, a[:]...), b[:]...)
	binary.BigEndian.PutUint16(udp[6:], ^sum(uint32(sum(uint32(len(udp))+17, ip[8:])), udp))
	return append(ip, udp...)
}

// sum is the Internet's one's complement sum (RFC 1071).
func sum(start uint32, b []byte) uint16 {
	s := start
	for i := 0; i < len(b); i += 2 {
		s += uint32(b[i]) << 8
		if i+1 < len(b) {
			s += uint32(b[i+1])
		}
	}
	for s > 0xffff {
		s = s>>16 + s&0xffff
	}
	return uint16(s)
}
