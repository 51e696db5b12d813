package metrics

import (
	"cmp"
	"embed"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"hotline/media"
	"hotline/routing"
	"hotline/sip"
)

// Files are the Prometheus rules and the Grafana dashboard that belong to these metrics.
//
//go:embed rules/recording.yml rules/alerts.yml dashboards/hotline-now.json
var Files embed.FS

// Target is what is promised to a tier.
type Target struct {
	Wait    time.Duration // within which a call should be answered
	Percent int           // of the calls for which that should hold, 0 to 100
}

// Options configure Metrics.
type Options struct {
	// Targets by tier. Each Wait becomes a bucket of the histograms of waits.
	Targets map[routing.Tier]Target
	// Node and Version are told by hotline_build_info.
	Node, Version string
	// Snapshot is called at each scrape and tells how things stand. It may block for a moment.
	// Nil shows nothing of the moment.
	Snapshot func() Snapshot
}

// Snapshot is how things stand at one moment.
type Snapshot struct {
	Seats  []routing.SeatView
	Queues []routing.QueueView
	Media  media.EngineStats
	// Certificates are those that SIP shows.
	Certificates []sip.Certificate
	Trunks       []sip.TrunkStatus
	// HEP are the copies of SIP messages for a capture server.
	HEP       sip.HEPStats
	Recording RecordingStats
	// Calls is the number of calls in progress, from INVITE to hang-up.
	Calls int
	// Ignored is the number of events that did not fit routing's state, since the start.
	Ignored uint64
	// Invariants is the number of broken invariants found since the start; it must be 0.
	Invariants uint64
}

// Metrics holds all figures of one server, with a registry of its own. Its methods may be called
// from any goroutine and don't block. It implements sip.Observer and customers.Observer.
type Metrics struct {
	registry *prometheus.Registry
	snapshot func() Snapshot
	moment   moment

	calls         *prometheus.CounterVec   // tier, queue, outcome
	offered       *prometheus.CounterVec   // tier, queue
	answeredWait  *prometheus.HistogramVec // tier, queue
	abandonedWait *prometheus.HistogramVec // tier, queue
	handle        *prometheus.HistogramVec // tier, queue, part
	offers        *prometheus.CounterVec   // outcome
	expected      expected
	recording     recordingCounts

	lookups        *prometheus.HistogramVec // source
	lookupFailures *prometheus.CounterVec   // reason
	requests       *prometheus.CounterVec   // direction, method, code
	messages       *prometheus.CounterVec   // direction, method, code, transport, trunk
	// counted are the counters of messages by the message, folded: to find one by its labels costs much more.
	counted     atomic.Pointer[map[sip.Message]prometheus.Counter]
	refused     *prometheus.CounterVec // reason
	queueDelay  prometheus.Histogram
	outside     *prometheus.CounterVec // reason
	packets     *prometheus.CounterVec // direction
	legs        *prometheus.CounterVec // secure
	unauthentic prometheus.Counter
	lost        prometheus.Counter
	jitter      prometheus.Histogram
	mos         prometheus.Histogram
	faults      *prometheus.CounterVec // fault

	journalErrors  prometheus.Counter
	recordsFailed  prometheus.Counter
	recordsDropped prometheus.Counter
	reloadsFailed  prometheus.Counter
}

// waitBounds are the buckets of waits besides the targets, in seconds.
var waitBounds = []float64{1, 2, 5, 10, 15, 20, 30, 45, 60, 90, 120, 180, 300, 600, 1800}

// handleBounds are the buckets of the parts of the handling time, in seconds.
var handleBounds = []float64{5, 10, 20, 30, 60, 120, 180, 300, 600, 1200, 1800, 3600}

// New makes the metrics of one server. All series that an alert asks for are there from the first
// scrape on.
func New(opt Options) *Metrics {
	m := &Metrics{registry: prometheus.NewRegistry(), snapshot: opt.Snapshot, moment: newMoment()}
	m.newCallMetrics(opt.Targets)
	m.newPartMetrics()
	m.recording = newRecordingCounts()
	m.registry.MustRegister(
		m, promises(opt.Targets), build(opt), m.recording.counters(),
		m.offers, m.lookups, m.lookupFailures, m.requests, m.messages, m.refused, m.queueDelay, m.outside, m.packets, m.legs, m.unauthentic, m.lost, m.jitter, m.mos, m.faults,
		m.journalErrors, m.recordsFailed, m.recordsDropped, m.reloadsFailed,
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
	)
	return m
}

func counter(name, help string, labels ...string) *prometheus.CounterVec {
	return prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, labels)
}

func histogram(name, help string, bounds []float64, labels ...string) *prometheus.HistogramVec {
	return prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: name, Help: help, Buckets: bounds}, labels)
}

func (m *Metrics) newCallMetrics(targets map[routing.Tier]Target) {
	waits := waitBuckets(targets)
	m.calls = counter("hotline_calls_total", "Calls that have ended, by outcome; queue is empty for calls that entered none.", "tier", "queue", "outcome")
	m.offered = counter("hotline_calls_offered_total", "Calls that entered a queue, counted when they have ended.", "tier", "queue")
	m.answeredWait = histogram("hotline_answered_wait_seconds", "Time in the queue of calls that were answered.", waits, "tier", "queue")
	m.abandonedWait = histogram("hotline_abandoned_wait_seconds", "Time in the queue of calls whose callers gave up.", waits, "tier", "queue")
	m.handle = histogram("hotline_handle_seconds", "Handling time of answered calls by part: talk, hold, wrap_up.", handleBounds, "tier", "queue", "part")
	m.expected = newExpected()
	m.offers = counter("hotline_offers_total", "Offers of calls to seats, by outcome, counted when the call has ended.", "outcome")
}

func (m *Metrics) newPartMetrics() {
	m.lookups = histogram("hotline_customer_lookup_seconds", "Time to find out who calls, by where the answer came from.",
		[]float64{.0001, .0005, .001, .0025, .005, .01, .025, .05, .1}, "source")
	m.lookupFailures = counter("hotline_customer_lookup_failures_total", "Customer lookups without an answer, by reason.", "reason")
	m.requests = counter("hotline_sip_requests_total", "SIP requests by their final status; none: no answer came.", "direction", "method", "code")
	m.messages = counter("hotline_sip_messages_total", "SIP messages, retransmissions included: code is empty for requests, trunk is agents for agents' phones and empty for others.",
		"direction", "method", "code", "transport", "trunk")
	m.refused = counter("hotline_sip_refused_total", "SIP requests turned away before they became work, by reason.", "reason")
	m.queueDelay = prometheus.NewHistogram(prometheus.HistogramOpts{Name: "hotline_sip_queue_delay_seconds", Help: "How long SIP work waited for a processor, in samples.",
		Buckets: []float64{.0001, .0005, .001, .002, .005, .01, .02, .05, .1, .2, .5, 1}})
	m.outside = counter("hotline_outside_refused_total", "Calls to the outside that weren't allowed, by reason.", "reason")
	m.packets = counter("hotline_rtp_packets_total", "RTP packets of legs that have ended.", "direction")
	m.legs = counter("hotline_rtp_legs_total", "RTP legs that have ended, by how their sound was encrypted: none, sdes, dtls.", "secure")
	m.unauthentic = prometheus.NewCounter(prometheus.CounterOpts{Name: "hotline_rtp_unauthentic_packets_total", Help: "Packets to encrypted legs that weren't their peer's, of legs that have ended."})
	m.lost = prometheus.NewCounter(prometheus.CounterOpts{Name: "hotline_rtp_lost_packets_total", Help: "RTP packets lost on the way to us, of legs that have ended."})
	m.jitter = prometheus.NewHistogram(prometheus.HistogramOpts{Name: "hotline_rtp_jitter_seconds", Help: "Interarrival jitter (RFC 3550) of each leg at its end.",
		Buckets: []float64{.001, .002, .005, .01, .02, .03, .05, .1}})
	m.mos = prometheus.NewHistogram(prometheus.HistogramOpts{Name: "hotline_media_mos", Help: "Score of each leg's incoming sound at its end, by the E-model (ITU-T G.107).",
		Buckets: []float64{2, 2.6, 3.1, 3.6, 4, 4.2, 4.3, 4.5}})
	m.faults = counter("hotline_media_faults_total", "Legs that ended with sound one way only: nothing came, or only silence.", "fault")
	for _, fault := range []string{"one_way", "silent"} {
		m.faults.WithLabelValues(fault)
	}
	single := func(name, help string) prometheus.Counter {
		return prometheus.NewCounter(prometheus.CounterOpts{Name: name, Help: help})
	}
	m.journalErrors = single("hotline_journal_errors_total", "Failures to write the journal.")
	m.recordsFailed = single("hotline_records_failed_total", "Call records that could not be written.")
	m.recordsDropped = single("hotline_records_dropped_total", "Call records dropped because too many waited to be written.")
	m.reloadsFailed = single("hotline_reload_failures_total", "Configs that were refused at a reload.")
	m.begin()
}

// begin makes the series that don't depend on queues.
func (m *Metrics) begin() {
	for _, tier := range routing.Tiers() {
		m.calls.WithLabelValues(tier.String(), "", string(routing.OutcomeIVR))
		m.calls.WithLabelValues(tier.String(), "", string(routing.OutcomeRejected))
	}
	for _, outcome := range offerOutcomes.names {
		m.offers.WithLabelValues(outcome)
	}
	for _, reason := range refusals.names {
		m.refused.WithLabelValues(reason)
	}
	for _, reason := range outsideReasons.names {
		m.outside.WithLabelValues(reason)
	}
	for _, reason := range lookupReasons.names {
		m.lookupFailures.WithLabelValues(reason)
	}
	for _, source := range sources.names {
		m.lookups.WithLabelValues(source)
	}
	for _, direction := range []string{"sent", "received"} {
		m.packets.WithLabelValues(direction)
	}
}

// waitBuckets are the bounds of waits, each tier's target among them.
func waitBuckets(targets map[routing.Tier]Target) []float64 {
	bounds := slices.Clone(waitBounds)
	for _, t := range targets {
		bounds = append(bounds, t.Wait.Seconds())
	}
	slices.Sort(bounds)
	return slices.Compact(bounds)
}

// promises tells what was promised to each tier. The label target is the bound as the histograms'
// label le writes it.
func promises(targets map[routing.Tier]Target) prometheus.Collector {
	wait := prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "hotline_tier_target_seconds",
		Help: "The wait within which calls of the tier should be answered."}, []string{"tier", "target"})
	goal := prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "hotline_tier_goal_ratio",
		Help: "The share of the tier's calls that should be answered within its target."}, []string{"tier"})
	for _, tier := range slices.Sorted(maps.Keys(targets)) {
		t := targets[tier]
		bound := strconv.FormatFloat(t.Wait.Seconds(), 'g', -1, 64)
		wait.WithLabelValues(tier.String(), bound).Set(t.Wait.Seconds())
		goal.WithLabelValues(tier.String()).Set(float64(t.Percent) / 100)
	}
	return group{wait, goal}
}

func build(opt Options) prometheus.Collector {
	info := prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "hotline_build_info", Help: "Always 1; says which version runs on which node."},
		[]string{"version", "node"})
	info.WithLabelValues(cmp.Or(opt.Version, "unknown"), opt.Node).Set(1)
	return info
}

// group is collectors registered as one.
type group []prometheus.Collector

// Describe implements [prometheus.Collector].
func (g group) Describe(ch chan<- *prometheus.Desc) {
	for _, c := range g {
		c.Describe(ch)
	}
}

// Collect implements [prometheus.Collector].
func (g group) Collect(ch chan<- prometheus.Metric) {
	for _, c := range g {
		c.Collect(ch)
	}
}

// Handler serves the metrics to Prometheus.
func (m *Metrics) Handler() http.Handler {
	return promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{Registry: m.registry})
}
