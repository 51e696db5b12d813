package sip

import (
	"encoding/binary"
	"log/slog"
	"net"
	"net/netip"
	"sync/atomic"
	"time"
)

// HEP sends a copy of each SIP message to a capture server such as Homer, by HEP version 3
// (EEP, "HEP3 Network Protocol Specification" rev. 32) over UDP. What a flood brings and is
// refused unread isn't sent.
type HEP struct {
	// Collector is the address of the capture server; the zero value sends nothing.
	Collector netip.AddrPort
	// AgentID tells the capture server who sends.
	AgentID uint32
	// Password is sent with each copy, in the clear; "" sends none.
	Password string
	// Queue is how many messages may wait to be sent; the rest is dropped and counted.
	// 0 is 4096.
	Queue int
}

// HEPStats count the copies of messages since the start.
type HEPStats struct {
	Sent    uint64
	Dropped uint64 // too many waited
	Failed  uint64 // the network refused them
}

// hepExport sends copies on one goroutine of its own: no call waits for it.
type hepExport struct {
	opt     HEP
	log     *slog.Logger
	conn    net.Conn
	queue   chan hepMessage
	fault   *sampler
	sent    atomic.Uint64
	dropped atomic.Uint64
	failed  atomic.Uint64
}

// hepMessage is one message on its way to the capture server.
type hepMessage struct {
	at       time.Time
	stream   bool // it went by TCP or by what is carried by it
	from, to netip.AddrPort
	// correlation is what the dialogs of one call share.
	correlation string
	text        []byte
}

// openHEP begins the export; nil when there is none.
func (s *Stack) openHEP(o HEP) (*hepExport, error) {
	if !o.Collector.IsValid() {
		return nil, nil
	}
	if o.Queue == 0 {
		o.Queue = 4096
	}
	conn, err := net.DialUDP("udp", nil, net.UDPAddrFromAddrPort(o.Collector))
	if err != nil {
		return nil, err
	}
	h := &hepExport{opt: o, log: s.log, conn: conn, queue: make(chan hepMessage, o.Queue), fault: newSampler(time.Minute)}
	s.wg.Go(func() { h.run(s.closed) })
	return h, nil
}

// offer takes a message to be sent, or drops it. It doesn't block.
func (h *hepExport) offer(m hepMessage) {
	if len(h.queue) == cap(h.queue) { // before it is copied
		h.dropped.Add(1)
		return
	}
	m.text = blot(m.text)
	select {
	case h.queue <- m:
	default:
		h.dropped.Add(1)
	}
}

func (h *hepExport) run(closed <-chan struct{}) {
	defer func() { _ = h.conn.Close() }()
	for {
		select {
		case m := <-h.queue:
			h.send(&m)
		case <-closed:
			for range len(h.queue) {
				m := <-h.queue
				h.send(&m)
			}
			return
		}
	}
}

func (h *hepExport) send(m *hepMessage) {
	if _, err := h.conn.Write(hepPacket(m, h.opt.AgentID, h.opt.Password)); err != nil {
		h.failed.Add(1)
		h.fault.do(func(n int) { h.log.Warn("hep copy not sent", "error", err, "since_last", n) })
		return
	}
	h.sent.Add(1)
}

// HEP counts what went to the capture server.
func (s *Stack) HEP() HEPStats {
	if s.hep == nil {
		return HEPStats{}
	}
	return HEPStats{Sent: s.hep.sent.Load(), Dropped: s.hep.dropped.Load(), Failed: s.hep.failed.Load()}
}

// The chunks of HEP3 that we send, of vendor 0.
const (
	hepFamily      = 0x0001 // 1 byte: 2 IPv4, 10 IPv6
	hepProtocol    = 0x0002 // 1 byte: 17 UDP, 6 TCP
	hepSource4     = 0x0003
	hepTarget4     = 0x0004
	hepSource6     = 0x0005
	hepTarget6     = 0x0006
	hepSourcePort  = 0x0007 // 2 bytes
	hepTargetPort  = 0x0008
	hepSeconds     = 0x0009 // 4 bytes, Unix time
	hepMicros      = 0x000a // 4 bytes
	hepType        = 0x000b // 1 byte: 1 SIP
	hepAgent       = 0x000c // 4 bytes
	hepPassword    = 0x000e
	hepPayload     = 0x000f
	hepCorrelation = 0x0011
)

// maxHEPPayload keeps a copy within one datagram; a longer message is cut.
const maxHEPPayload = 60000

// hepPacket is a message as the capture server gets it:
//
//	"HEP3"  length of all (16 bits)
//	chunk:  vendor (16)  type (16)  length with these 6 bytes (16)  value
func hepPacket(m *hepMessage, agent uint32, password string) []byte {
	p := append(make([]byte, 0, len(m.text)+200), "HEP3\x00\x00"...)
	from, to := m.from.Addr(), m.to.Addr()
	protocol := byte(17)
	if m.stream {
		protocol = 6
	}
	family, source, target := byte(2), uint16(hepSource4), uint16(hepTarget4)
	if !from.Is4() {
		family, source, target = 10, hepSource6, hepTarget6
	}
	p = hepChunk(p, hepFamily, []byte{family})
	p = hepChunk(p, hepProtocol, []byte{protocol})
	p = hepChunk(p, source, from.AsSlice())
	p = hepChunk(p, target, to.AsSlice())
	p = hepChunk(p, hepSourcePort, binary.BigEndian.AppendUint16(nil, m.from.Port()))
	p = hepChunk(p, hepTargetPort, binary.BigEndian.AppendUint16(nil, m.to.Port()))
	p = hepChunk(p, hepSeconds, binary.BigEndian.AppendUint32(nil, uint32(m.at.Unix())))
	p = hepChunk(p, hepMicros, binary.BigEndian.AppendUint32(nil, uint32(m.at.Nanosecond()/1000)))
	p = hepChunk(p, hepType, []byte{1})
	p = hepChunk(p, hepAgent, binary.BigEndian.AppendUint32(nil, agent))
	if password != "" {
		p = hepChunk(p, hepPassword, []byte(password[:min(len(password), 255)]))
	}
	p = hepChunk(p, hepCorrelation, []byte(m.correlation[:min(len(m.correlation), 255)]))
	p = hepChunk(p, hepPayload, m.text[:min(len(m.text), maxHEPPayload)])
	binary.BigEndian.PutUint16(p[4:], uint16(len(p)))
	return p
}

func hepChunk(p []byte, kind uint16, value []byte) []byte {
	p = append(p, 0, 0)
	p = binary.BigEndian.AppendUint16(p, kind)
	p = binary.BigEndian.AppendUint16(p, uint16(6+len(value)))
	return append(p, value...)
}

// export offers a message to the capture server.
func (s *Stack) export(g *glance, data []byte, sent bool, network string, local, remote netip.AddrPort, at time.Time) {
	if s.hep == nil {
		return
	}
	m := hepMessage{at: at, stream: reliable(network), from: remote, to: local, text: data, correlation: s.traces.lead(string(g.callID))}
	if sent {
		m.from, m.to = local, remote
	}
	s.hep.offer(m)
}
