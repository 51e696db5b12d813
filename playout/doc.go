// Package playout decides which sound of an RTP stream is heard when: an adaptive jitter
// buffer for streams that are decoded or mixed here.
//
// Packets go in as they arrive ([Buffer.Put]), pieces of 10 ms come out as they are due
// ([Buffer.Next]): sound, a loss to be concealed, or silence. The delay follows the jitter
// that was measured and stays within bounds, whatever the clocks of both sides do; it changes by
// whole periods, in quiet moments where there are any.
//
// Payloads are never looked into. They must have one byte per tick of an 8 kHz RTP clock, as
// G.711 and G.722 have (RFC 3551 4.5.2, 4.5.14), so that a packet can be cut at any 10 ms.
//
// A buffer has no clock, goroutine or lock, allocates nothing after [New] and holds about
// 6 KiB. It belongs to one goroutine.
package playout
