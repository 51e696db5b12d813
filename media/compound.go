package media

import (
	"encoding/binary"

	"github.com/pion/rtcp"
)

// readReports reads a compound packet (RFC 3550 section 6.1), each of its packets alone: some phones send
// extensions that can't be read, and their reports count all the same. Bad is how many couldn't be
// read; what follows a length that can't be right is one of them.
func readReports(data []byte) (packets []rtcp.Packet, bad uint64) {
	for len(data) > 0 {
		size := reportSize(data)
		if size == 0 {
			return packets, bad + 1
		}
		if p, err := rtcp.Unmarshal(data[:size]); err == nil {
			packets = append(packets, p...)
		} else {
			bad++
		}
		data = data[size:]
	}
	return packets, bad
}

// reportSize is the length of the first packet, in bytes; 0 when there is none.
func reportSize(data []byte) int {
	if len(data) < 4 || data[0]>>6 != 2 {
		return 0
	}
	size := 4 * (int(binary.BigEndian.Uint16(data[2:])) + 1)
	if size > len(data) {
		return 0
	}
	return size
}
