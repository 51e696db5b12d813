package sip

import (
	"context"
	"sync"
	"time"

	gosip "github.com/emiago/sipgo/sip"
)

// Health is how the gateways of a trunk are watched by OPTIONS. Any answer but
// 408 and 503 is a sign of life.
type Health struct {
	// Interval between the OPTIONS to one address; 0 sends none.
	Interval time.Duration
	// Failures in a row that make an address count as down; 2. One answer makes
	// it count as up again.
	Failures int
}

// pingWithin is how long a gateway may take to answer OPTIONS, unless the interval
// is shorter.
const pingWithin = 5 * time.Second

// watch pings the gateways of a trunk until ctx ends.
func (s *Stack) watch(ctx context.Context, t *trunkState) {
	every := t.config().Outbound.Health.Interval
	if every <= 0 {
		return // another reload has just switched it off
	}
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		s.round(ctx, t, every)
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		case <-s.closed:
			return
		}
	}
}

// round pings each address of each gateway once, all together.
func (s *Stack) round(ctx context.Context, t *trunkState, every time.Duration) {
	var all sync.WaitGroup
	for _, g := range t.order() {
		hops, err := s.locate(ctx, g.Gateway)
		if err != nil && ctx.Err() == nil {
			s.log.Warn("gateway not found", "trunk", t.config().Name, "gateway", g.Host, "error", err)
		}
		for _, at := range t.merge(g, hops) {
			all.Add(1)
			if !s.spawn(func() {
				defer all.Done()
				alive := s.ping(ctx, t.config(), g.Gateway, at.hop, min(pingWithin, every))
				if ctx.Err() == nil && !s.isClosed() {
					s.heard(t, g, at, alive)
				}
			}) {
				all.Done()
			}
		}
	}
	all.Wait()
}

// ping sends one OPTIONS and tells whether anything but 408 or 503 came back.
func (s *Stack) ping(ctx context.Context, tr *Trunk, g Gateway, to hop, within time.Duration) bool {
	c, ok := s.gatewayContact(g, to, "", &tr.Outbound, tr)
	if !ok {
		return false
	}
	ctx, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	res, err := s.send(ctx, s.outside(gosip.OPTIONS, c, s.opt.UserAgent))
	return err == nil && res.StatusCode != 408 && res.StatusCode != 503
}

// outside builds a request of ours outside of any dialog.
func (s *Stack) outside(method gosip.RequestMethod, c Contact, user string) *gosip.Request {
	req := gosip.NewRequest(method, *c.uri.Clone())
	s.address(req, c.bind, c.Network, c.nextHop())
	from := &gosip.FromHeader{Address: gosip.Uri{Scheme: "sip", User: user, Host: viaHost(c.bind.host)}}
	from.Params.Add("tag", gosip.GenerateTagN(16))
	req.AppendHeader(from)
	req.AppendHeader(&gosip.ToHeader{Address: gosip.Uri{Scheme: "sip", User: c.uri.User, Host: c.uri.Host, Port: c.uri.Port}})
	id := gosip.CallIDHeader(gosip.GenerateTagN(24) + "@" + c.bind.host)
	req.AppendHeader(&id)
	req.AppendHeader(&gosip.CSeqHeader{SeqNo: newSeq(), MethodName: method})
	s.common(req, c.bind)
	return req
}

// heard notes what a ping brought.
func (s *Stack) heard(t *trunkState, g *gatewayState, at *hopState, alive bool) {
	t.mu.Lock()
	limit := t.trunk.Outbound.Health.Failures
	if limit == 0 {
		limit = 2
	}
	before := at.down
	at.answered = alive
	if alive {
		at.failures, at.down, at.suspectUntil = 0, false, time.Time{}
	} else {
		at.failures++
		at.down = at.failures >= limit
	}
	after, name := at.down, t.trunk.Name
	t.mu.Unlock()
	switch {
	case after && !before:
		s.log.Warn("gateway is down", "trunk", name, "gateway", g.Host, "address", at.addr)
	case before && !after:
		s.log.Info("gateway is up", "trunk", name, "gateway", g.Host, "address", at.addr)
	}
}
