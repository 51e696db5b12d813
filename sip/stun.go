package sip

import (
	"encoding/binary"
	"hash/crc32"
	"net/netip"
)

// STUN (RFC 8489) on the SIP port, as far as RFC 5626 4.4.2 asks for it: a phone
// keeps its way through a NAT open and learns when its address there changes.
const (
	stunHeader     = 20
	stunCookie     = 0x2112A442
	stunBinding    = 0x0001
	stunSuccess    = 0x0101
	stunMapped     = 0x0020 // XOR-MAPPED-ADDRESS
	stunPrint      = 0x8028 // FINGERPRINT
	stunPrintXOR   = 0x5354554e
	stunFamilyIPv4 = 1
	stunFamilyIPv6 = 2
)

// isSTUN tells STUN from SIP by its first two bits and its cookie.
func isSTUN(data []byte) bool {
	return len(data) >= stunHeader && data[0]&0xc0 == 0 && binary.BigEndian.Uint32(data[4:]) == stunCookie
}

// stunAnswer answers a binding request; nil for anything else, and for a request
// whose attributes are broken or must be understood, none of which a keep-alive
// needs. An answer is at most 32 bytes longer than its request.
func stunAnswer(data []byte, from netip.AddrPort) []byte {
	if binary.BigEndian.Uint16(data) != stunBinding || !stunPlain(data) {
		return nil
	}
	addr := from.Addr().Unmap().AsSlice()
	family := byte(stunFamilyIPv4)
	if len(addr) == 16 {
		family = stunFamilyIPv6
	}
	out := make([]byte, stunHeader, stunHeader+4+4+16+8)
	binary.BigEndian.PutUint16(out, stunSuccess)
	copy(out[4:], data[4:stunHeader]) // cookie and transaction
	out = binary.BigEndian.AppendUint16(out, stunMapped)
	out = binary.BigEndian.AppendUint16(out, uint16(4+len(addr)))
	out = append(out, 0, family)
	out = binary.BigEndian.AppendUint16(out, from.Port()^(stunCookie>>16))
	for i, b := range addr {
		out = append(out, b^data[4+i])
	}
	// The fingerprint counts itself in the length.
	binary.BigEndian.PutUint16(out[2:], uint16(len(out)-stunHeader+8))
	sum := crc32.ChecksumIEEE(out) ^ stunPrintXOR
	out = binary.BigEndian.AppendUint16(out, stunPrint)
	out = binary.BigEndian.AppendUint16(out, 4)
	return binary.BigEndian.AppendUint32(out, sum)
}

// stunPlain walks the attributes: those below 0x8000 would have to be understood.
func stunPlain(data []byte) bool {
	rest := data[stunHeader:]
	if int(binary.BigEndian.Uint16(data[2:])) != len(rest) || len(rest)%4 != 0 {
		return false
	}
	for len(rest) >= 4 {
		size := 4 + (int(binary.BigEndian.Uint16(rest[2:]))+3)&^3
		if size > len(rest) || binary.BigEndian.Uint16(rest) < 0x8000 {
			return false
		}
		rest = rest[size:]
	}
	return true
}
