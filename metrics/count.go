package metrics

import (
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"hotline/media"
	"hotline/routing"
	"hotline/sip"

	"github.com/prometheus/client_golang/prometheus"
)

// Decision counts what a decision tells: that a call was answered, its end, and the end of its wrap-up. Each
// decision must come once, in order; those of a journal read back must not come at all.
func (m *Metrics) Decision(d routing.Decision) {
	switch d := d.(type) {
	case *routing.Connected:
		m.connected(&d.Call)
	case *routing.Ended:
		m.ended(&d.Call)
	case *routing.Closed:
		m.closed(&d.Call)
	}
}

func (m *Metrics) ended(c *routing.CallView) {
	tier, queue := c.Tier.String(), string(c.Queue)
	m.calls.WithLabelValues(tier, queue, outcomes.fold(string(c.Outcome))).Inc()
	for _, o := range c.Offers {
		m.offers.WithLabelValues(offerOutcomes.fold(o.Outcome)).Inc()
	}
	m.expected.score(c)
	if c.Queue == "" || c.Connected != 0 {
		return
	}
	m.offered.WithLabelValues(tier, queue).Inc()
	if c.Outcome == routing.OutcomeAbandoned {
		m.abandonedWait.WithLabelValues(tier, queue).Observe(seconds(c.QueueWait))
	}
}

// connected counts the wait of an answered call while the call still talks: the service level
// must not lag behind by the length of the talks.
func (m *Metrics) connected(c *routing.CallView) {
	tier, queue := c.Tier.String(), string(c.Queue)
	m.offered.WithLabelValues(tier, queue).Inc()
	m.answeredWait.WithLabelValues(tier, queue).Observe(seconds(c.QueueWait))
}

// closed counts each part of an answered call, also one of no length: the counts of all parts are
// the number of calls.
func (m *Metrics) closed(c *routing.CallView) {
	for i := range c.Talks { // those that ended by a transfer
		t := &c.Talks[i]
		for k, d := range []routing.Duration{t.Talk, t.Hold, t.WrapUp} {
			m.handle.WithLabelValues(c.Tier.String(), string(t.Queue), parts[k]).Observe(seconds(d))
		}
	}
	if c.Outcome != routing.OutcomeAnswered {
		return
	}
	for i, d := range []routing.Duration{c.Talk, c.Hold, c.WrapUp} {
		m.handle.WithLabelValues(c.Tier.String(), string(c.Queue), parts[i]).Observe(seconds(d))
	}
}

// parts of the handling time.
var parts = []string{"talk", "hold", "wrap_up"}

func seconds(d routing.Duration) float64 { return float64(d) / float64(routing.Second) }

// Lookup implements customers.Observer.
func (m *Metrics) Lookup(source string, took time.Duration) {
	m.lookups.WithLabelValues(sources.fold(source)).Observe(took.Seconds())
}

// Failure implements customers.Observer.
func (m *Metrics) Failure(reason string) {
	m.lookupFailures.WithLabelValues(lookupReasons.fold(reason)).Inc()
}

// ServerRequest implements sip.Observer.
func (m *Metrics) ServerRequest(method string, code int) { m.request("received", method, code) }

// ClientRequest implements sip.Observer.
func (m *Metrics) ClientRequest(method string, code int) { m.request("sent", method, code) }

func (m *Metrics) request(direction, method string, code int) {
	name := "none"
	if code != 0 {
		name = codes.fold(strconv.Itoa(code))
	}
	m.requests.WithLabelValues(direction, methods.fold(method), name).Inc()
}

// Refused implements sip.Observer.
func (m *Metrics) Refused(reason string) { m.refused.WithLabelValues(refusals.fold(reason)).Inc() }

// Message implements sip.MessageObserver. Trunks are named by the config, all else is folded.
func (m *Metrics) Message(x sip.Message) {
	x.Method, x.Network = methods.fold(x.Method), transports.fold(x.Network)
	counted := m.counted.Load()
	if counted != nil {
		if c := (*counted)[x]; c != nil {
			c.Inc()
			return
		}
	}
	direction, code := "received", ""
	if x.Sent {
		direction = "sent"
	}
	if x.Code != 0 {
		code = messageCodes.fold(strconv.Itoa(x.Code))
	}
	c := m.messages.WithLabelValues(direction, x.Method, code, x.Network, x.Peer)
	c.Inc()
	if code == other {
		return // there may be any number of them
	}
	more := map[sip.Message]prometheus.Counter{x: c}
	if counted != nil {
		maps.Copy(more, *counted)
	}
	m.counted.CompareAndSwap(counted, &more) // who loses comes again
}

// QueueDelay implements sip.DelayObserver.
func (m *Metrics) QueueDelay(d time.Duration) { m.queueDelay.Observe(d.Seconds()) }

// OutsideRefused counts a call to the outside that wasn't allowed.
func (m *Metrics) OutsideRefused(reason string) {
	m.outside.WithLabelValues(outsideReasons.fold(reason)).Inc()
}

// MediaLeg counts a leg that has ended. It must come once for each leg.
func (m *Metrics) MediaLeg(s media.LegStats) {
	m.packets.WithLabelValues("sent").Add(float64(s.PacketsSent))
	m.packets.WithLabelValues("received").Add(float64(s.PacketsReceived))
	if s.Codec != 0 {
		m.legs.WithLabelValues(s.Secure.String()).Inc()
	}
	m.unauthentic.Add(float64(s.Unauthentic))
	m.lost.Add(float64(max(s.Lost, 0))) // duplicates can make it negative (RFC 3550 A.3)
	if s.PacketsReceived > 0 {
		m.jitter.Observe(s.Jitter.Seconds())
	}
	if s.MOS > 0 {
		m.mos.Observe(s.MOS)
	}
	if fault := s.Fault(); fault != "" {
		m.faults.WithLabelValues(fault).Inc()
	}
}

// JournalError counts a failure to write the journal.
func (m *Metrics) JournalError() { m.journalErrors.Inc() }

// RecordFailed counts a call record that could not be written.
func (m *Metrics) RecordFailed() { m.recordsFailed.Inc() }

// RecordDropped counts a call record that was dropped because too many waited.
func (m *Metrics) RecordDropped() { m.recordsDropped.Inc() }

// ReloadFailed counts a config that was refused at a reload.
func (m *Metrics) ReloadFailed() { m.reloadsFailed.Inc() }

// other stands for every name that isn't known, so that no peer can make series without end.
const other = "other"

// known is a set of label values.
type known struct{ names []string }

func set(names string) known {
	k := known{strings.Fields(names)}
	slices.Sort(k.names)
	return k
}

func (k known) fold(name string) string {
	if _, ok := slices.BinarySearch(k.names, name); ok {
		return name
	}
	return other
}

var (
	outcomes       = set("answered abandoned shed ivr rejected cut failed")
	offerOutcomes  = set("answered withdrawn refused busy no_answer unreachable fault")
	sources        = set("redis file cache default anonymous")
	lookupReasons  = set("timeout unreachable garbage busy")
	refusals       = set("unknown_source bad_credentials stale_nonce replayed_nonce overload malformed bad_version rate trunk_limit connections handshake origin guessing subscriptions cut")
	outsideReasons = set("no_right destination hours calls minutes route")
	methods        = set("INVITE ACK CANCEL BYE OPTIONS REGISTER INFO UPDATE PRACK SUBSCRIBE NOTIFY PUBLISH MESSAGE REFER")
	transports     = set("UDP TCP TLS WS WSS")
	codes          = set(finalCodes)
	messageCodes   = set("100 180 181 182 183 199 " + finalCodes)
)

const finalCodes = `200 202 204 300 301 302 305 380
	400 401 402 403 404 405 406 407 408 410 412 413 414 415 416 417 420 421 422 423 424 425 428 429 430 433 436 437 438
	439 440 469 470 480 481 482 483 484 485 486 487 488 489 491 493 494 500 501 502 503 504 505 513 555 580
	600 603 604 606 607 608`
