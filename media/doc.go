// Package media carries the sound of calls: RTP legs with G.711 A-law and µ-law and G.722
// (RFC 3551), digits (RFC 4733), offer and answer (RFC 3264), reports (RFC 3550), encryption
// (RFC 3711 with keys by RFC 4568 or RFC 5764), prompts, hold music, the bridge of two legs
// and the mix of more.
//
// An [Engine] owns the ports and the pace; its shards read and send for many legs each. A
// [Leg] is one phone's stream: it answers or makes an offer, plays a [Clip], keeps silence, is
// bridged to another leg, or is a party of a [Mix].
//
// Towards each phone a leg is one stream from its first packet to its last: one SSRC,
// one run of sequence numbers, one clock of timestamps, whatever the sound comes from.
// What the engine itself makes (prompts, silence, digits) leaves on an absolute 20 ms grid;
// what the other leg of a bridge sends leaves at once, from the shard that received it,
// with its own gaps kept so that a receiver can tell a lost packet from a silent one.
//
// Locks: each leg has one for what it receives and one for what it sends, taken in that
// order; no goroutine ever holds locks of two legs.
package media
