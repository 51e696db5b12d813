package metrics

import (
	"github.com/prometheus/client_golang/prometheus"

	"hotline/routing"
)

// moment describes what is read from a Snapshot at each scrape.
type moment struct {
	seats, readySeats                         *prometheus.Desc
	waiting, longest, onOffer                 *prometheus.Desc
	talking, entered, left, expected          *prometheus.Desc
	calls, ignored, invariants                *prometheus.Desc
	legs, oneWay, ports, lateFrames, sendFail *prometheus.Desc
	certificate, certificateFailures          *prometheus.Desc
	kernel, kernelLegs, kernelPackets         *prometheus.Desc
	hep                                       *prometheus.Desc
	trunks                                    trunkMoment
}

func newMoment() moment {
	desc := func(name, help string, labels ...string) *prometheus.Desc {
		return prometheus.NewDesc(name, help, labels, nil)
	}
	return moment{
		trunks:              newTrunkMoment(),
		seats:               desc("hotline_seats", "Seats by what the system knows (state) and what the agent chose (status).", "state", "status"),
		readySeats:          desc("hotline_queue_ready_seats", "Registered seats with a ready agent that serve the queue, busy ones included.", "queue"),
		waiting:             desc("hotline_waiting_calls", "Calls waiting in the queue, without those on offer.", "tier", "queue"),
		longest:             desc("hotline_longest_wait_seconds", "Longest time in the queue of those waiting or on offer.", "queue"),
		onOffer:             desc("hotline_on_offer_calls", "Calls of the queue on offer to a seat.", "queue"),
		talking:             desc("hotline_talking_calls", "Calls of the queue talking to an agent.", "queue"),
		entered:             desc("hotline_queue_entered_total", "Entries into the queue since the journal began.", "queue"),
		left:                desc("hotline_queue_left_total", "Exits from the queue since the journal began; with waiting, on offer and talking they equal the entries.", "queue", "exit"),
		expected:            desc("hotline_expected_wait_seconds", "What callers who come now have to wait: half of them less than quantile 0.5, four of five less than 0.8. Missing when nothing is estimated.", "tier", "queue", "quantile"),
		calls:               desc("hotline_calls_in_progress", "Calls in progress, from INVITE to hang-up."),
		ignored:             desc("hotline_ignored_events_total", "Events that did not fit the state of routing."),
		invariants:          desc("hotline_invariant_violations", "Broken invariants of routing found since the start; must be 0."),
		legs:                desc("hotline_media_legs", "Open RTP legs."),
		oneWay:              desc("hotline_media_one_way_legs", "Legs whose phone is sent sound and has sent nothing for five seconds."),
		ports:               desc("hotline_media_ports", "Pairs of RTP ports by state; free and resting are 0 when the kernel chooses.", "state"),
		lateFrames:          desc("hotline_media_late_frames_total", "Frames sent 20 ms or more after their instant, or given up."),
		certificate:         desc("hotline_sip_certificate_expiry_timestamp_seconds", "When a certificate that SIP shows ends, as a Unix time.", "file"),
		certificateFailures: desc("hotline_sip_certificate_failures_total", "Changed certificate files that could not be taken over; the old one stayed.", "file"),
		hep:                 desc("hotline_hep_messages_total", "Copies of SIP messages for the capture server: sent, dropped because too many waited, failed in the network.", "result"),
		sendFail:            desc("hotline_media_send_failures_total", "RTP packets that the kernel did not take."),
		kernel:              desc("hotline_media_kernel", "1 if the kernel may forward bridged calls."),
		kernelLegs:          desc("hotline_media_kernel_legs", "Legs whose voice the kernel forwards now."),
		kernelPackets:       desc("hotline_media_kernel_packets_total", "RTP packets that the kernel has forwarded."),
	}
}

func (d *moment) all() []*prometheus.Desc {
	return append(d.trunks.all(), d.seats, d.readySeats, d.waiting, d.longest, d.onOffer, d.talking, d.entered, d.left, d.expected,
		d.calls, d.ignored, d.invariants, d.legs, d.oneWay, d.ports, d.lateFrames, d.sendFail, d.certificate, d.certificateFailures, d.hep,
		d.kernel, d.kernelLegs, d.kernelPackets)
}

// byCall are the metrics with a queue's name as label.
func (m *Metrics) byCall() group {
	return append(m.expected.all(), m.calls, m.offered, m.answeredWait, m.abandonedWait, m.handle)
}

// Describe implements [prometheus.Collector] for the registry.
func (m *Metrics) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range append(m.moment.all(), m.recording.descs()...) {
		ch <- d
	}
	m.byCall().Describe(ch)
}

// Collect implements [prometheus.Collector] for the registry: it takes the snapshot.
func (m *Metrics) Collect(ch chan<- prometheus.Metric) {
	if m.snapshot != nil {
		s := m.snapshot()
		m.prepare(s.Queues)
		m.collectSeats(ch, &s)
		m.collectQueues(ch, &s)
		m.collectServer(ch, &s)
		m.collectTrunks(ch, &s)
		m.collectRecording(ch, &s)
	}
	m.byCall().Collect(ch)
}

// prepare makes the series of each queue before its first call: a rate over a counter that begins
// with 1 doesn't see that 1.
func (m *Metrics) prepare(queues []routing.QueueView) {
	for _, q := range queues {
		for _, tier := range routing.Tiers() {
			t, id := tier.String(), string(q.ID)
			m.offered.WithLabelValues(t, id)
			m.answeredWait.WithLabelValues(t, id)
			m.abandonedWait.WithLabelValues(t, id)
			m.expected.prepare(t, id)
			for _, part := range parts {
				m.handle.WithLabelValues(t, id, part)
			}
			for _, o := range queueOutcomes {
				m.calls.WithLabelValues(t, id, string(o))
			}
		}
	}
}

// queueOutcomes are the outcomes of calls that entered a queue.
var queueOutcomes = []routing.Outcome{routing.OutcomeAnswered, routing.OutcomeAbandoned, routing.OutcomeShed, routing.OutcomeCut, routing.OutcomeFailed}

func gauge(ch chan<- prometheus.Metric, d *prometheus.Desc, v float64, labels ...string) {
	ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
}

func count(ch chan<- prometheus.Metric, d *prometheus.Desc, v uint64, labels ...string) {
	ch <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, float64(v), labels...)
}

var (
	seatStates = []routing.SeatState{routing.SeatOffline, routing.SeatIdle, routing.SeatOffered,
		routing.SeatRinging, routing.SeatTalking, routing.SeatWrapUp, routing.SeatOwnCall}
	statuses = []routing.Status{routing.StatusReady, routing.StatusBreak, routing.StatusLoggedOut}
)

func (m *Metrics) collectSeats(ch chan<- prometheus.Metric, s *Snapshot) {
	type key struct {
		state  routing.SeatState
		status routing.Status
	}
	seats := map[key]int{}
	ready := map[routing.QueueID]int{}
	for _, x := range s.Seats {
		seats[key{x.State, x.Status}]++
		if x.Status == routing.StatusReady && x.State != routing.SeatOffline {
			for _, q := range x.Queues {
				ready[q]++
			}
		}
	}
	for _, state := range seatStates {
		for _, status := range statuses {
			gauge(ch, m.moment.seats, float64(seats[key{state, status}]), string(state), string(status))
		}
	}
	for _, q := range s.Queues {
		gauge(ch, m.moment.readySeats, float64(ready[q.ID]), string(q.ID))
	}
}

func (m *Metrics) collectQueues(ch chan<- prometheus.Metric, s *Snapshot) {
	for _, q := range s.Queues {
		id := string(q.ID)
		for _, w := range q.Waiting {
			gauge(ch, m.moment.waiting, float64(w.Count), w.Tier.String(), id)
		}
		for _, e := range q.Expected {
			gauge(ch, m.moment.expected, seconds(e.P50), e.Tier.String(), id, quantiles[0])
			gauge(ch, m.moment.expected, seconds(e.P80), e.Tier.String(), id, quantiles[1])
		}
		gauge(ch, m.moment.longest, seconds(q.LongestWait), id)
		gauge(ch, m.moment.onOffer, float64(q.OnOffer), id)
		gauge(ch, m.moment.talking, float64(q.Talking), id)
		count(ch, m.moment.entered, q.Totals.Entered, id)
		count(ch, m.moment.left, q.Totals.Answered, id, "answered")
		count(ch, m.moment.left, q.Totals.Abandoned, id, "abandoned")
		count(ch, m.moment.left, q.Totals.MovedOn, id, "moved_on")
		count(ch, m.moment.left, q.Totals.Shed, id, "shed")
		count(ch, m.moment.left, q.Totals.Cut, id, "cut")
		count(ch, m.moment.left, q.Totals.Failed, id, "failed")
	}
}

func (m *Metrics) collectServer(ch chan<- prometheus.Metric, s *Snapshot) {
	gauge(ch, m.moment.calls, float64(s.Calls))
	count(ch, m.moment.ignored, s.Ignored)
	gauge(ch, m.moment.invariants, float64(s.Invariants))
	gauge(ch, m.moment.legs, float64(s.Media.Legs))
	gauge(ch, m.moment.oneWay, float64(s.Media.OneWay))
	gauge(ch, m.moment.ports, float64(s.Media.PortsInUse), "in_use")
	gauge(ch, m.moment.ports, float64(s.Media.PortsFree), "free")
	gauge(ch, m.moment.ports, float64(s.Media.PortsResting), "resting")
	count(ch, m.moment.lateFrames, s.Media.LateFrames+s.Media.SkippedFrames)
	count(ch, m.moment.sendFail, s.Media.SendFailures)
	count(ch, m.moment.hep, s.HEP.Sent, "sent")
	count(ch, m.moment.hep, s.HEP.Dropped, "dropped")
	count(ch, m.moment.hep, s.HEP.Failed, "failed")
	on := 0.0
	if s.Media.Kernel {
		on = 1
	}
	gauge(ch, m.moment.kernel, on)
	gauge(ch, m.moment.kernelLegs, float64(s.Media.KernelLegs))
	count(ch, m.moment.kernelPackets, s.Media.KernelPackets)
	seen := make(map[string]bool)
	for _, c := range s.Certificates {
		if seen[c.File] { // two listeners show it
			continue
		}
		seen[c.File] = true
		gauge(ch, m.moment.certificate, float64(c.Expires.Unix()), c.File)
		count(ch, m.moment.certificateFailures, uint64(c.Failures), c.File)
	}
}
