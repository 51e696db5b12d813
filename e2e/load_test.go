package e2e

import (
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"hotline/config"
	"hotline/routing"
	"hotline/sip"
	"hotline/softphone"
)

// openFiles counts this process's open files whose target begins with kind; ""
// counts all.
func openFiles(t *testing.T, kind string) int {
	t.Helper()
	names, err := filepath.Glob("/proc/self/fd/*")
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, name := range names {
		if target, err := os.Readlink(name); err == nil && strings.HasPrefix(target, kind) {
			n++
		}
	}
	return n
}

const (
	loadCalls  = 200
	loadAgents = 20
)

// 200 callers at once go through the menu into the queue; then 20 agents come and
// serve them. None is lost, and nothing is left over.
func TestTwoHundredCallsAtOnce(t *testing.T) {
	before, files := goleak.IgnoreCurrent(), openFiles(t, "")
	h := startHotline(t, func(c *config.Config) {
		c.Agents = nil
		for n := range loadAgents {
			c.Agents = append(c.Agents, agent(loadAgent(n), false, "sales"))
		}
		c.Log.Level = "info"
	})
	var phones []*softphone.Phone
	for n := range loadAgents {
		phones = append(phones, answeringDesk(t, h.uri(), loadAgent(n)))
	}
	sockets := openFiles(t, "socket:")

	ended := sippCallers{scenario: "menu.xml", server: h.SIPAddr().String(), did: "2", calls: loadCalls, rate: 100}.start(t)
	for range loadCalls {
		h.log.await(t, "call queued", "queue", "sales")
	}
	if calls, legs := h.Calls(), h.Media().Legs; calls != loadCalls || legs != loadCalls {
		t.Errorf("%d calls and %d media legs at once, want %d", calls, legs, loadCalls)
	}
	registered := make(chan error, len(phones))
	for _, p := range phones {
		go func() { registered <- (&desk{Phone: p}).register(time.Minute) }()
	}
	for range phones {
		if err := <-registered; err != nil {
			t.Fatal(err)
		}
	}
	if err := awaitSipp(t, ended); err != nil {
		t.Fatal(err)
	}
	for range loadCalls {
		h.log.await(t, "call closed", "outcome", "answered")
	}
	for range loadCalls {
		h.log.await(t, "call gone")
	}
	seats := map[string]routing.SeatState{}
	for n := range loadAgents {
		seats[loadAgent(n)] = routing.SeatIdle
	}
	h.idle(seats)
	if m := h.Media(); m.PortsInUse != 0 {
		t.Errorf("%d pairs of ports in use after the calls, want none", m.PortsInUse)
	}
	for _, p := range phones { // the agents' media are sockets of this process too
		if err := p.Close(); err != nil {
			t.Error(err)
		}
	}
	if left := openFiles(t, "socket:") - sockets + loadAgents - 2*h.Media().PortsSpare; left > 0 {
		t.Errorf("%d sockets more than before the calls", left)
	}
	loadMetrics(t, h)
	loadRecords(t, h.finish())
	if err := goleak.Find(before); err != nil {
		t.Errorf("goroutines left: %v", err)
	}
	if left := openFiles(t, "") - files; left > 0 {
		t.Errorf("%d files more than before", left)
	}
}

func loadAgent(n int) string { return "agent" + string(rune('a'+n)) }

// answeringDesk is an agent's phone that answers at once and hangs up after a
// moment. It isn't registered yet.
func answeringDesk(t *testing.T, uri, user string) *softphone.Phone {
	t.Helper()
	p, err := softphone.Open(softphone.Options{
		Server: uri, Listen: netip.MustParseAddrPort("127.0.0.1:0"),
		Credentials: sip.Credentials{User: user, Password: password}, Ring: talkAWhile,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.Close() })
	return p
}

func talkAWhile(r *softphone.Ringing) {
	c, err := r.Answer()
	if err != nil {
		return // the call will be missed by the test
	}
	select {
	case <-time.After(200 * time.Millisecond):
	case <-c.Done():
	}
	c.Hangup()
}

// loadMetrics wants each figure to be what the test did, to the integer.
func loadMetrics(t *testing.T, h *hotline) {
	t.Helper()
	m := h.metrics()
	for series, want := range map[string]float64{
		`hotline_calls_total{outcome="answered",queue="sales",tier="C"}`:              loadCalls,
		`hotline_calls_offered_total{queue="sales",tier="C"}`:                         loadCalls,
		`hotline_answered_wait_seconds_count{queue="sales",tier="C"}`:                 loadCalls,
		`hotline_handle_seconds_count{part="talk",queue="sales",tier="C"}`:            loadCalls,
		`hotline_handle_seconds_count{part="wrap_up",queue="sales",tier="C"}`:         loadCalls,
		`hotline_queue_entered_total{queue="sales"}`:                                  loadCalls,
		`hotline_queue_left_total{exit="answered",queue="sales"}`:                     loadCalls,
		`hotline_offers_total{outcome="answered"}`:                                    loadCalls,
		`hotline_sip_requests_total{code="200",direction="received",method="INVITE"}`: loadCalls,
		`hotline_sip_requests_total{code="200",direction="sent",method="INVITE"}`:     loadCalls,
		`hotline_waiting_calls{queue="sales",tier="C"}`:                               0,
		`hotline_calls_in_progress`:                                                   0,
		`hotline_media_legs`:                                                          0,
		`hotline_invariant_violations`:                                                0,
	} {
		got, ok := m[series]
		if !ok || got != want {
			t.Errorf("%s is %v (there: %t), want %v", series, got, ok, want)
		}
	}
	total := 0.0
	for series, v := range m {
		if strings.HasPrefix(series, "hotline_calls_total{") || strings.HasPrefix(series, "hotline_queue_left_total{") {
			total += v
		}
	}
	if total != 2*loadCalls {
		t.Errorf("ends and exits sum to %v, want %d each", total, loadCalls)
	}
}

// loadRecords wants one record for each caller.
func loadRecords(t *testing.T, recs []record) {
	t.Helper()
	if got := outcomes(t, recs); got["answered"] != loadCalls || len(got) != 1 {
		t.Errorf("records %v, want %d answered", got, loadCalls)
	}
	numbers := map[string]bool{}
	for _, r := range recs {
		numbers[r.str("number")] = true
		if r.str("queue") != "sales" || r.str("did") != "2" || r.str("cause") != "agent_hung_up" ||
			!strings.HasPrefix(r.str("seat"), "agent") || r["rings"] != 1.0 || r["talk_s"].(float64) <= 0 {
			t.Errorf("record %v isn't what happened", r)
		}
	}
	for n := range loadCalls {
		if !numbers["+86"+sippNumber(n)] {
			t.Errorf("no record of the caller %s", sippNumber(n))
		}
	}
}
