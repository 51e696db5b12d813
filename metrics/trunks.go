package metrics

import "github.com/prometheus/client_golang/prometheus"

// trunkMoment describes what is read of trunks at each scrape.
type trunkMoment struct{ calls, refused, gateway, registered *prometheus.Desc }

func newTrunkMoment() trunkMoment {
	desc := func(name, help string, labels ...string) *prometheus.Desc {
		return prometheus.NewDesc(name, help, labels, nil)
	}
	return trunkMoment{
		calls:      desc("hotline_sip_trunk_calls", "Calls in progress by trunk.", "trunk", "direction"),
		refused:    desc("hotline_sip_trunk_refused_total", "Calls beyond the limits of the trunk.", "trunk", "direction"),
		gateway:    desc("hotline_sip_gateway_up", "1 when calls may go by the gateway, 0 when it is down or resting.", "trunk", "gateway"),
		registered: desc("hotline_sip_trunk_registered", "1 while we are registered with the trunk; missing when we don't register.", "trunk"),
	}
}

func (d *trunkMoment) all() []*prometheus.Desc {
	return []*prometheus.Desc{d.calls, d.refused, d.gateway, d.registered}
}

func (m *Metrics) collectTrunks(ch chan<- prometheus.Metric, s *Snapshot) {
	d := &m.moment.trunks
	truth := map[bool]float64{true: 1}
	for _, t := range s.Trunks {
		gauge(ch, d.calls, float64(t.CallsIn), t.Name, "in")
		gauge(ch, d.calls, float64(t.CallsOut), t.Name, "out")
		count(ch, d.refused, t.RefusedIn, t.Name, "in")
		count(ch, d.refused, t.RefusedOut, t.Name, "out")
		for _, g := range t.Gateways {
			gauge(ch, d.gateway, truth[g.Up], t.Name, g.Gateway)
		}
		if r := t.Registration; r != nil {
			gauge(ch, d.registered, truth[r.Registered], t.Name)
		}
	}
}
