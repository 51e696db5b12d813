package metrics_test

import (
	"io"
	"net/http/httptest"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"go.uber.org/goleak"

	"hotline/media"
	"hotline/metrics"
	"hotline/routing"
	"hotline/sip"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var (
	_ sip.Observer        = (*metrics.Metrics)(nil)
	_ sip.MessageObserver = (*metrics.Metrics)(nil)
)

// targets as the example config has them.
var targets = map[routing.Tier]metrics.Target{
	routing.TierA1: {Wait: 10 * time.Second, Percent: 90}, routing.TierA2: {Wait: 10 * time.Second, Percent: 90},
	routing.TierB1: {Wait: 20 * time.Second, Percent: 90}, routing.TierB2: {Wait: 20 * time.Second, Percent: 90},
	routing.TierC: {Wait: 7500 * time.Millisecond, Percent: 80},
}

// desk is a routing state with one queue and one seat, whose decisions go to the metrics.
type desk struct {
	t     *testing.T
	state *routing.State
	m     *metrics.Metrics
	now   routing.Time
	offer uint64 // the open one
	calls int
}

const node = "n1"

func newDesk(t *testing.T) *desk {
	d := &desk{t: t, state: routing.New(), now: routing.Time(1_800_000_000 * routing.Second)}
	d.m = metrics.New(metrics.Options{Targets: targets, Node: node, Version: "1.2.3", Snapshot: d.snapshot})
	policy := routing.Policy{RingTime: 20 * routing.Second, OfferLease: 5 * routing.Second,
		Queues: []routing.QueuePolicy{{ID: "fault", WrapUp: 30 * routing.Second}},
		Seats:  []routing.SeatPolicy{{ID: "s1", VIP: true, Queues: []routing.QueueID{"fault"}}}}
	for _, tier := range routing.Tiers() {
		policy.Tiers = append(policy.Tiers, routing.TierPolicy{Tier: tier, TargetMS: targets[tier].Wait.Milliseconds()})
	}
	d.apply(routing.NodeStarted{})
	d.apply(routing.PolicyChanged{Policy: policy})
	d.apply(routing.SeatRegistered{Seat: "s1"})
	return d
}

func (d *desk) snapshot() metrics.Snapshot {
	return metrics.Snapshot{Seats: d.state.Seats(), Queues: d.state.Queues(), Calls: d.calls, Media: media.EngineStats{Legs: 2, PortsInUse: 2, Kernel: true, KernelLegs: 2, KernelPackets: 70},
		Certificates: []sip.Certificate{{File: "cert.pem", Expires: time.Unix(1800000000, 0), Failures: 1}, {File: "cert.pem", Expires: time.Unix(1800000000, 0), Failures: 1}},
		HEP:          sip.HEPStats{Sent: 7, Dropped: 8, Failed: 9},
		Trunks: []sip.TrunkStatus{{Name: "carrier", CallsIn: 3, CallsOut: 1, RefusedIn: 2, RefusedOut: 4, Registration: &sip.RegistrationStatus{Registered: true},
			Gateways: []sip.GatewayStatus{{Gateway: "a", Up: true}, {Gateway: "b", Up: true}}}, {Name: "in"}}}
}

func (d *desk) apply(ev routing.Event) {
	d.t.Helper()
	for _, dec := range d.state.Apply(routing.Entry{At: d.now, Node: node, Event: ev}) {
		if o, ok := dec.(*routing.Offer); ok {
			d.offer = o.Offer
		}
		d.m.Decision(dec)
	}
	if n, why := d.state.Ignored(); n > 0 {
		d.t.Fatalf("the test sent an event that does not fit: %s", why)
	}
}

func (d *desk) pass(seconds float64) {
	d.now = d.now.Add(routing.Duration(seconds * float64(routing.Second)))
}

func (d *desk) queued(id routing.CallID, tier routing.Tier) {
	d.calls++
	d.apply(routing.CallArrived{Call: id})
	d.apply(routing.CallIdentified{Call: id, Tier: tier})
	d.apply(routing.CallAnswered{Call: id})
	d.apply(routing.CallQueued{Call: id, Queue: "fault"})
}

func (d *desk) answered(id routing.CallID) {
	d.apply(routing.OfferAnswered{Call: id, Seat: "s1", Offer: d.offer})
	d.apply(routing.TalkStarted{Call: id, Seat: "s1", Offer: d.offer})
}

func (d *desk) ended(id routing.CallID, cause string) {
	d.calls--
	d.apply(routing.CallEnded{Call: id, Cause: cause})
}

// day is a day at the desk: A1 refused once, then answered after 4 s, talks 60 s of which 15 s on
// hold; a C call gives up after 7.5 s; one hangs up in the IVR; one still waits.
func (d *desk) day() {
	d.queued("a", routing.TierA1)
	d.pass(2)
	d.apply(routing.OfferFailed{Call: "a", Seat: "s1", Offer: d.offer, Cause: routing.OfferRefused})
	d.pass(2)
	d.answered("a")
	d.pass(25)
	d.apply(routing.HoldChanged{Call: "a", Held: true})
	d.pass(15)
	d.apply(routing.HoldChanged{Call: "a", Held: false})
	d.queued("c", routing.TierC)
	d.pass(7.5)
	d.ended("c", routing.CauseCallerHungUp)
	d.calls++
	d.apply(routing.CallArrived{Call: "ivr"})
	d.apply(routing.CallAnswered{Call: "ivr"})
	d.ended("ivr", routing.CauseCallerHungUp)
	d.pass(12.5)
	d.ended("a", routing.CauseCallerHungUp)
	d.apply(routing.Estimated{Queue: "fault", Tiers: []routing.TierEstimate{{Tier: routing.TierB1, P50: 8 * routing.Second, P80: 20 * routing.Second}}})
	d.queued("b", routing.TierB1)
	d.pass(12)
	d.apply(routing.WrapUpEnded{Seat: "s1"})
	d.pass(3)
}

// scrape gets the metrics as Prometheus does.
func scrape(t *testing.T, m *metrics.Metrics) string {
	t.Helper()
	w := httptest.NewRecorder()
	m.Handler().ServeHTTP(w, httptest.NewRequest("GET", "/metrics", nil))
	body, err := io.ReadAll(w.Result().Body)
	if err != nil || w.Code != 200 {
		t.Fatalf("scrape: %d %v\n%s", w.Code, err, body)
	}
	return string(body)
}

// compare compares metrics by name as text.
func compare(t *testing.T, m *metrics.Metrics, want string, names ...string) {
	t.Helper()
	srv := httptest.NewServer(m.Handler())
	defer srv.Close()
	if err := testutil.ScrapeAndCompare(srv.URL, strings.NewReader(want), names...); err != nil {
		t.Error(err)
	}
}

func TestADayAtTheDesk(t *testing.T) {
	d := newDesk(t)
	d.day()
	compare(t, d.m, `
# HELP hotline_calls_offered_total Calls that entered a queue, counted when they have ended.
# TYPE hotline_calls_offered_total counter
hotline_calls_offered_total{queue="fault",tier="A1"} 1
hotline_calls_offered_total{queue="fault",tier="A2"} 0
hotline_calls_offered_total{queue="fault",tier="B1"} 0
hotline_calls_offered_total{queue="fault",tier="B2"} 0
hotline_calls_offered_total{queue="fault",tier="C"} 1
# HELP hotline_offers_total Offers of calls to seats, by outcome, counted when the call has ended.
# TYPE hotline_offers_total counter
hotline_offers_total{outcome="answered"} 1
hotline_offers_total{outcome="busy"} 0
hotline_offers_total{outcome="fault"} 0
hotline_offers_total{outcome="no_answer"} 0
hotline_offers_total{outcome="refused"} 1
hotline_offers_total{outcome="unreachable"} 0
hotline_offers_total{outcome="withdrawn"} 0
# HELP hotline_waiting_calls Calls waiting in the queue, without those on offer.
# TYPE hotline_waiting_calls gauge
hotline_waiting_calls{queue="fault",tier="A1"} 0
hotline_waiting_calls{queue="fault",tier="A2"} 0
hotline_waiting_calls{queue="fault",tier="B1"} 0
hotline_waiting_calls{queue="fault",tier="B2"} 0
hotline_waiting_calls{queue="fault",tier="C"} 0
# HELP hotline_on_offer_calls Calls of the queue on offer to a seat.
# TYPE hotline_on_offer_calls gauge
hotline_on_offer_calls{queue="fault"} 1
# HELP hotline_longest_wait_seconds Longest time in the queue of those waiting or on offer.
# TYPE hotline_longest_wait_seconds gauge
hotline_longest_wait_seconds{queue="fault"} 12
# HELP hotline_queue_entered_total Entries into the queue since the journal began.
# TYPE hotline_queue_entered_total counter
hotline_queue_entered_total{queue="fault"} 3
# HELP hotline_queue_left_total Exits from the queue since the journal began; with waiting, on offer and talking they equal the entries.
# TYPE hotline_queue_left_total counter
hotline_queue_left_total{exit="abandoned",queue="fault"} 1
hotline_queue_left_total{exit="answered",queue="fault"} 1
hotline_queue_left_total{exit="cut",queue="fault"} 0
hotline_queue_left_total{exit="failed",queue="fault"} 0
hotline_queue_left_total{exit="moved_on",queue="fault"} 0
hotline_queue_left_total{exit="shed",queue="fault"} 0
# HELP hotline_queue_ready_seats Registered seats with a ready agent that serve the queue, busy ones included.
# TYPE hotline_queue_ready_seats gauge
hotline_queue_ready_seats{queue="fault"} 1
# HELP hotline_calls_in_progress Calls in progress, from INVITE to hang-up.
# TYPE hotline_calls_in_progress gauge
hotline_calls_in_progress 1
`, "hotline_calls_offered_total", "hotline_offers_total", "hotline_waiting_calls", "hotline_on_offer_calls",
		"hotline_longest_wait_seconds", "hotline_queue_entered_total", "hotline_queue_left_total", "hotline_queue_ready_seats", "hotline_calls_in_progress")
	text := scrape(t, d.m)
	for _, want := range []string{
		`hotline_calls_total{outcome="abandoned",queue="fault",tier="C"} 1`,
		`hotline_calls_total{outcome="answered",queue="fault",tier="A1"} 1`,
		`hotline_calls_total{outcome="cut",queue="fault",tier="A1"} 0`,
		`hotline_calls_total{outcome="ivr",queue="",tier="C"} 1`,
		`hotline_answered_wait_seconds_sum{queue="fault",tier="A1"} 4`,
		`hotline_answered_wait_seconds_bucket{queue="fault",tier="A1",le="2"} 0`,
		`hotline_answered_wait_seconds_bucket{queue="fault",tier="A1",le="5"} 1`,
		`hotline_abandoned_wait_seconds_bucket{queue="fault",tier="C",le="5"} 0`,
		`hotline_abandoned_wait_seconds_bucket{queue="fault",tier="C",le="7.5"} 1`, // at the target counts as within
		`hotline_handle_seconds_sum{part="talk",queue="fault",tier="A1"} 45`,
		`hotline_handle_seconds_sum{part="hold",queue="fault",tier="A1"} 15`,
		`hotline_handle_seconds_sum{part="wrap_up",queue="fault",tier="A1"} 12`,
		`hotline_tier_target_seconds{target="7.5",tier="C"} 7.5`,
		`hotline_tier_goal_ratio{tier="C"} 0.8`,
		`hotline_seats{state="offered",status="ready"} 1`,
		`hotline_seats{state="idle",status="ready"} 0`,
		`hotline_build_info{node="n1",version="1.2.3"} 1`,
		`hotline_invariant_violations 0`,
		`hotline_media_ports{state="in_use"} 2`,
		`hotline_media_kernel 1`, `hotline_media_kernel_legs 2`, `hotline_media_kernel_packets_total 70`,
		`hotline_sip_certificate_expiry_timestamp_seconds{file="cert.pem"} 1.8e+09`,
		`hotline_sip_certificate_failures_total{file="cert.pem"} 1`,
		`hotline_hep_messages_total{result="sent"} 7`, `hotline_hep_messages_total{result="dropped"} 8`, `hotline_hep_messages_total{result="failed"} 9`,
	} {
		if !strings.Contains(text, "\n"+want+"\n") {
			t.Errorf("not in the scrape: %s", want)
		}
	}
}

func TestEachTargetIsABucket(t *testing.T) {
	text := scrape(t, newDesk(t).m)
	for tier, target := range targets {
		m := regexp.MustCompile(`hotline_tier_target_seconds\{target="([^"]+)",tier="` + tier.String() + `"\}`).FindStringSubmatch(text)
		if m == nil {
			t.Fatalf("%v has no target", tier)
		}
		for _, name := range []string{"answered", "abandoned"} {
			want := `hotline_` + name + `_wait_seconds_bucket{queue="fault",tier="` + tier.String() + `",le="` + m[1] + `"} `
			if !strings.Contains(text, want) {
				t.Errorf("target %v of %v is no bucket: no %s", target.Wait, tier, want)
			}
		}
	}
}

// Estimates are scored against what came of them: two are told 10 s (P80 20 s), one is
// answered after 4 s, one after 15 s; who gives up after 12 s tells that 10 s were not
// enough but nothing about 20 s; one for whom no wait was expected doesn't count.
func TestExpectedWaitsAreScored(t *testing.T) {
	d := newDesk(t)
	tell := func(p50 routing.Duration) {
		d.apply(routing.Estimated{Queue: "fault", Tiers: []routing.TierEstimate{{Tier: routing.TierC, P50: p50 * routing.Second, P80: 2 * p50 * routing.Second, Spread: 6 * routing.Second}}})
	}
	tell(10)
	for i, wait := range []float64{4, 15, 0} {
		if i == 2 {
			tell(0)
		}
		id := routing.CallID(string(rune('a' + i)))
		d.queued(id, routing.TierC)
		d.pass(wait)
		d.answered(id)
		d.ended(id, routing.CauseCallerHungUp)
		d.apply(routing.WrapUpEnded{Seat: "s1"})
	}
	tell(10)
	d.queued("x", routing.TierC)
	d.pass(12)
	d.ended("x", routing.CauseCallerHungUp)
	text := scrape(t, d.m)
	for _, want := range []string{
		`hotline_expected_wait_judged_total{quantile="0.5",queue="fault",tier="C"} 3`,
		`hotline_expected_wait_within_total{quantile="0.5",queue="fault",tier="C"} 1`,
		`hotline_expected_wait_judged_total{quantile="0.8",queue="fault",tier="C"} 2`,
		`hotline_expected_wait_within_total{quantile="0.8",queue="fault",tier="C"} 2`,
		`hotline_expected_wait_told_seconds_total{queue="fault",tier="C"} 20`,
		`hotline_expected_wait_waited_seconds_total{queue="fault",tier="C"} 19`,
		`hotline_expected_wait_error_squared_seconds_total{queue="fault",tier="C"} 61`,
		`hotline_expected_wait_spread_squared_seconds_total{queue="fault",tier="C"} 72`,
		`hotline_expected_wait_seconds{quantile="0.5",queue="fault",tier="C"} 10`,
		`hotline_expected_wait_seconds{quantile="0.8",queue="fault",tier="C"} 20`,
		`hotline_expected_wait_judged_total{quantile="0.5",queue="fault",tier="A1"} 0`,
	} {
		if !strings.Contains(text, "\n"+want+"\n") {
			t.Errorf("no %s", want)
		}
	}
}

// What peers send makes no series of its own.
func TestLabelsAreBounded(t *testing.T) {
	m := metrics.New(metrics.Options{})
	m.ServerRequest("INVITE", 200)
	m.ServerRequest("X-EVIL-1", 299)
	m.ServerRequest("X-EVIL-2", 298)
	m.ClientRequest("BYE", 0)
	m.Message(sip.Message{Method: "INVITE", Network: "UDP", Peer: "carrier"})
	m.Message(sip.Message{Sent: true, Method: "INVITE", Code: 183, Network: "UDP", Peer: "carrier"})
	for i := range 1000 {
		m.Message(sip.Message{Method: "X-EVIL-" + strconv.Itoa(i), Code: 1000 + i, Network: "pigeon"})
	}
	m.Refused("rate")
	m.Refused("a reason nobody knows")
	m.Lookup("redis", 700*time.Microsecond)
	m.Lookup("elsewhere", time.Second)
	m.Failure("timeout")
	m.Failure("moon phase")
	m.Decision(&routing.Ended{Call: routing.CallView{Outcome: "unheard of", Offers: []routing.OfferView{{Outcome: "strange"}}}})
	compare(t, m, `
# HELP hotline_sip_requests_total SIP requests by their final status; none: no answer came.
# TYPE hotline_sip_requests_total counter
hotline_sip_requests_total{code="200",direction="received",method="INVITE"} 1
hotline_sip_requests_total{code="none",direction="sent",method="BYE"} 1
hotline_sip_requests_total{code="other",direction="received",method="other"} 2
# HELP hotline_sip_messages_total SIP messages, retransmissions included: code is empty for requests, trunk is agents for agents' phones and empty for others.
# TYPE hotline_sip_messages_total counter
hotline_sip_messages_total{code="",direction="received",method="INVITE",transport="UDP",trunk="carrier"} 1
hotline_sip_messages_total{code="183",direction="sent",method="INVITE",transport="UDP",trunk="carrier"} 1
hotline_sip_messages_total{code="other",direction="received",method="other",transport="other",trunk=""} 1000
# HELP hotline_customer_lookup_failures_total Customer lookups without an answer, by reason.
# TYPE hotline_customer_lookup_failures_total counter
hotline_customer_lookup_failures_total{reason="busy"} 0
hotline_customer_lookup_failures_total{reason="garbage"} 0
hotline_customer_lookup_failures_total{reason="other"} 1
hotline_customer_lookup_failures_total{reason="timeout"} 1
hotline_customer_lookup_failures_total{reason="unreachable"} 0
`, "hotline_sip_requests_total", "hotline_sip_messages_total", "hotline_customer_lookup_failures_total")
	text := scrape(t, m)
	for _, want := range []string{`hotline_sip_refused_total{reason="other"} 1`, `hotline_sip_refused_total{reason="rate"} 1`,
		`hotline_calls_total{outcome="other",queue="",tier="C"} 1`, `hotline_offers_total{outcome="other"} 1`,
		`hotline_customer_lookup_seconds_count{source="other"} 1`} {
		if !strings.Contains(text, "\n"+want+"\n") {
			t.Errorf("not in the scrape: %s", want)
		}
	}
}

func TestPartsThatFail(t *testing.T) {
	m := metrics.New(metrics.Options{})
	m.JournalError()
	m.RecordFailed()
	m.RecordDropped()
	m.ReloadFailed()
	m.MediaLeg(media.LegStats{PacketsSent: 50, PacketsReceived: 40, Lost: 3, Jitter: 4 * time.Millisecond})
	m.MediaLeg(media.LegStats{PacketsSent: 5, Lost: -2})
	m.MediaLeg(media.LegStats{PacketsSent: 250})
	text := scrape(t, m)
	for _, want := range []string{"hotline_journal_errors_total 1", "hotline_records_failed_total 1", "hotline_records_dropped_total 1",
		"hotline_reload_failures_total 1", `hotline_rtp_packets_total{direction="sent"} 305`, `hotline_rtp_packets_total{direction="received"} 40`,
		"hotline_rtp_lost_packets_total 3", "hotline_rtp_jitter_seconds_count 1", "hotline_rtp_jitter_seconds_sum 0.004",
		`hotline_media_faults_total{fault="one_way"} 1`, `hotline_media_faults_total{fault="silent"} 0`} {
		if !strings.Contains(text, "\n"+want+"\n") {
			t.Errorf("not in the scrape: %s", want)
		}
	}
}

// Two servers in one process don't meet.
func TestTheRegistryIsItsOwn(t *testing.T) {
	metrics.New(metrics.Options{})
	metrics.New(metrics.Options{})
	families, err := prometheus.DefaultGatherer.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		if strings.HasPrefix(f.GetName(), "hotline_") {
			t.Errorf("%s is in the global registry", f.GetName())
		}
	}
}
