package e2e

import (
	"net/netip"
	"testing"
	"time"

	"hotline/config"
	"hotline/sip"
)

// awaitSipp waits for the end of sipp.
func awaitSipp(t *testing.T, ended <-chan error) error {
	t.Helper()
	select {
	case err := <-ended:
		return err
	case <-time.After(70 * time.Second):
		t.Fatal("sipp doesn't end")
		return nil
	}
}

// A trunk over TCP: all of its calls on one connection.
func TestSippTrunkOverTCP(t *testing.T) {
	const calls = 10
	h := startHotline(t, oneAgent)
	p := answeringDesk(t, h.uri(), "carol")
	if err := (&desk{Phone: p}).register(time.Minute); err != nil {
		t.Fatal(err)
	}
	err := awaitSipp(t, sippCallers{scenario: "menu.xml", server: h.SIPAddrs()[1].String(), did: "2",
		calls: calls, rate: 20, args: []string{"-t", "t1"}}.start(t))
	if err != nil {
		t.Fatal(err)
	}
	for range calls {
		h.log.await(t, "call gone")
	}
	h.idle(nil)
	if got := outcomes(t, h.finish()); got["answered"] != calls || len(got) != 1 {
		t.Errorf("records %v, want %d answered", got, calls)
	}
}

// A trunk known by its password alone, with sipp's MD5.
func TestSippDigestTrunk(t *testing.T) {
	h := startHotline(t, func(c *config.Config) {
		oneAgent(c)
		c.Trunks[0].Addresses = nil
		c.Trunks[0].User, c.Trunks[0].Password, c.Trunks[0].Algorithm = "carrier", password, sip.MD5
	})
	callers := sippCallers{scenario: "digest.xml", server: h.SIPAddr().String(), did: "1", calls: 5, rate: 50,
		args: []string{"-au", "carrier", "-ap", password}}
	if err := awaitSipp(t, callers.start(t)); err != nil {
		t.Fatal(err)
	}
	for range callers.calls {
		h.log.await(t, "call closed", "outcome", "abandoned")
		h.log.await(t, "call gone")
	}
	before := h.metrics()
	callers.scenario, callers.calls, callers.args = "wrong-password.xml", 1, []string{"-au", "carrier", "-ap", "a-wrong-secret"}
	if err := awaitSipp(t, callers.start(t)); err != nil {
		t.Error(err)
	}
	const series = `hotline_sip_refused_total{reason="bad_credentials"}`
	if rose := h.metrics()[series] - before[series]; rose != 1 {
		t.Errorf("%s rose by %v, want 1", series, rose)
	}
	h.idle(nil)
	if got := outcomes(t, h.finish()); got["abandoned"] != 5 || len(got) != 1 {
		t.Errorf("records %v, want 5 abandoned", got)
	}
}

// A source that is no trunk is asked for a password, counted, and leaves no record.
func TestSippStranger(t *testing.T) {
	h := startHotline(t, func(c *config.Config) {
		oneAgent(c)
		c.Trunks[0].Addresses = []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")}
	})
	if err := awaitSipp(t, sippCallers{scenario: "menu.xml", server: h.SIPAddr().String(), did: "2", calls: 1}.start(t)); err == nil {
		t.Error("a stranger's call was answered")
	}
	const series = `hotline_sip_requests_total{code="401",direction="received",method="INVITE"}`
	if got := h.metrics()[series]; got != 1 {
		t.Errorf("%s is %v, want 1", series, got)
	}
	if recs := h.finish(); len(recs) != 0 {
		t.Errorf("records %v, want none", recs)
	}
}

// A caller gives up before the hotline has answered, while the customer directory
// thinks: 200 to the CANCEL, 487 to the INVITE, and one record.
func TestSippCancels(t *testing.T) {
	h := startHotline(t, func(c *config.Config) {
		oneAgent(c)
		c.Directory.Redis.Address = rubbish(t, "*") // and then nothing
		c.Directory.Timeout = time.Second
	})
	callers := sippCallers{scenario: "cancel.xml", server: h.SIPAddr().String(), did: "1", calls: 3, rate: 50}
	if err := awaitSipp(t, callers.start(t)); err != nil {
		t.Fatal(err)
	}
	for range callers.calls {
		h.log.await(t, "call gone")
	}
	h.idle(nil)
	recs := h.finish()
	if got := outcomes(t, recs); got["ivr"] != callers.calls || len(got) != 1 {
		t.Errorf("records %v, want %d that ended before a queue", got, callers.calls)
	}
	for _, r := range recs {
		if r.str("cause") != "caller_hung_up" || r.str("answered") != "" {
			t.Errorf("record %v, want an unanswered call that the caller ended", r)
		}
	}
}
