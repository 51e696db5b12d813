package server

import (
	"errors"
	"strings"
	"sync"
	"time"

	"hotline/config"
	"hotline/sip"
)

// Why a call to the outside isn't allowed.
const (
	noRight       = "no_right"    // the agent or flow may not call outside at all
	noDestination = "destination" // not that number
	noHours       = "hours"       // not now
	noCallsLeft   = "calls"       // it has as many calls as it may
	noMinutesLeft = "minutes"     // it has talked as long as it may today
	noRoute       = "route"       // no trunk takes the number
)

// errOutside says why a call to the outside isn't allowed.
type errOutside struct{ reason string }

func (e *errOutside) Error() string { return "call to the outside refused: " + e.reason }

// outsideReason is why dialOut refused; "" when err is something else.
func outsideReason(err error) string {
	var e *errOutside
	if errors.As(err, &e) {
		return e.reason
	}
	return ""
}

// byAgent and byFlow name who calls outside.
func byAgent(user string) string { return "agent:" + user }
func byFlow(name string) string  { return "flow:" + name }

// spending is what agents and flows have called outside.
type spending struct {
	mu  sync.Mutex
	who map[string]*spent
}

// spent is what one agent or flow has called; spending.mu guards it.
type spent struct {
	calls int           // in progress, from dialling on
	day   time.Time     // midnight of the latest day
	used  time.Duration // on that day, by calls that have ended
	talks map[*outcall]bool
	// changed is closed when what each call has left is another: one was answered, or
	// has ended.
	changed chan struct{}
}

// outcall is one call to the outside.
type outcall struct {
	of       *spending
	who      string
	right    config.Right
	answered time.Time // zero before

	number string   // in E.164, or as it was dialled
	trunks []string // of its route
	zone   *time.Location
}

// objection says why who may not call a number now, given as it was dialled and in
// E.164; "" for may. now is in the time zone of days and hours. The caller holds s.mu.
func (s *spending) objection(r *config.Right, who, dialled, number string, now time.Time) string {
	sp := s.who[who]
	switch {
	case r == nil:
		return noRight
	case !r.Reaches(dialled, number):
		return noDestination
	case !r.Open(now):
		return noHours
	case sp != nil && r.MaxCalls > 0 && sp.calls >= r.MaxCalls:
		return noCallsLeft
	case sp != nil && r.MinutesPerDay > 0 && sp.left(r, now) <= 0:
		return noMinutesLeft
	}
	return ""
}

// begin decides, and takes a place among the calls of who when they may call.
// [outcall.end] must follow.
func (s *spending) begin(r *config.Right, who, dialled, number string, now time.Time) (*outcall, string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if reason := s.objection(r, who, dialled, number, now); reason != "" {
		return nil, reason
	}
	if s.who == nil {
		s.who = make(map[string]*spent)
	}
	sp := s.who[who]
	if sp == nil {
		sp = newSpent()
		s.who[who] = sp
	}
	sp.calls++
	return &outcall{of: s, who: who, right: *r}, ""
}

func newSpent() *spent {
	return &spent{talks: make(map[*outcall]bool), changed: make(chan struct{})}
}

// retime has all calls ask again what they have left.
func (sp *spent) retime() {
	close(sp.changed)
	sp.changed = make(chan struct{})
}

func midnight(t time.Time) time.Time {
	y, m, d := t.Date()
	return time.Date(y, m, d, 0, 0, 0, 0, t.Location())
}

// today is what was talked since midnight.
func (sp *spent) today(now time.Time) time.Duration {
	day := midnight(now)
	total := time.Duration(0)
	if sp.day.Equal(day) {
		total = sp.used
	}
	for c := range sp.talks {
		total += now.Sub(later(c.answered, day))
	}
	return total
}

func (sp *spent) left(r *config.Right, now time.Time) time.Duration {
	return time.Duration(r.MinutesPerDay)*time.Minute - sp.today(now)
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// answer begins the time that counts.
func (c *outcall) answer(now time.Time) {
	c.of.mu.Lock()
	defer c.of.mu.Unlock()
	c.answered = now
	sp := c.of.who[c.who]
	sp.talks[c] = true
	sp.retime()
}

// left is how long the call may go on, as all that are answered share what is left of
// the day; false when that isn't bounded. It is another when changed is closed.
func (c *outcall) left(now time.Time) (left time.Duration, bounded bool, changed <-chan struct{}) {
	if c.right.MinutesPerDay == 0 {
		return 0, false, nil
	}
	c.of.mu.Lock()
	defer c.of.mu.Unlock()
	sp := c.of.who[c.who]
	return sp.left(&c.right, now) / time.Duration(max(1, len(sp.talks))), true, sp.changed
}

// end gives the place back and counts what was talked today.
func (c *outcall) end(now time.Time) {
	c.of.mu.Lock()
	defer c.of.mu.Unlock()
	sp := c.of.who[c.who]
	sp.calls--
	if !c.answered.IsZero() {
		day := midnight(now)
		if !sp.day.Equal(day) {
			sp.day, sp.used = day, 0
		}
		sp.used += now.Sub(later(c.answered, day))
		delete(sp.talks, c)
		sp.retime()
	}
}

// beginOutside takes a place among the calls of an agent or a flow (byAgent, byFlow) for a
// number, if they may call it and a route leads there; [outcall.end] must follow. It
// fails with an errOutside, which is counted and logged here.
func (s *Server) beginOutside(who, dialled string) (*outcall, error) {
	set := s.settings.Load()
	zone := set.Routing.Zone()
	number := set.Outbound.Number(dialled)
	c, reason := s.spending.begin(set.rightOf(who), who, dialled, number, time.Now().In(zone))
	trunks := set.Outbound.TrunksFor(number)
	if c != nil && len(trunks) == 0 {
		c.end(time.Now().In(zone))
		reason = noRoute
	}
	if reason != "" {
		s.metrics.OutsideRefused(reason)
		s.log.Warn("call to the outside refused", "who", who, "number", maskNumber(number), "reason", reason)
		return nil, &errOutside{reason}
	}
	c.number, c.trunks, c.zone = number, trunks, zone
	return c, nil
}

// dialOut dials a number outside for an agent or a flow (byAgent, byFlow), if they
// may, by the trunks of its route. It fails with an errOutside before anything is
// sent; what goes wrong later is the Dialing's outcome. The call is hung up when
// its time for the day is over. It blocks for nothing.
func (s *Server) dialOut(who, dialled string, o sip.Outgoing) (*sip.Dialing, error) {
	c, err := s.beginOutside(who, dialled)
	if err != nil {
		return nil, err
	}
	now := func() time.Time { return time.Now().In(c.zone) }
	s.log.Info("call to the outside", "who", who, "number", maskNumber(c.number), "trunks", c.trunks)
	o.ToUser = c.number
	d := s.sip.DialTrunks(c.trunks, o)
	go func() {
		<-d.Done()
		if l := d.Outcome().Leg; l != nil {
			c.answer(now())
			s.follow(c, l, now)
		}
		c.end(now())
	}()
	return d, nil
}

// outLeg is a leg as follow needs it.
type outLeg interface {
	Done() <-chan struct{}
	Hangup()
}

// follow waits for the end of a call to the outside, and brings it about when its
// time is over.
func (s *Server) follow(c *outcall, l outLeg, now func() time.Time) {
	for {
		left, bounded, changed := c.left(now())
		if !bounded {
			<-l.Done()
			return
		}
		if left <= 0 {
			s.log.Warn("call to the outside ended: its minutes for the day are used up", "who", c.who)
			l.Hangup()
			return
		}
		t := time.NewTimer(left)
		select {
		case <-l.Done():
			t.Stop()
			return
		case <-changed:
			t.Stop()
		case <-t.C:
		}
	}
}

// rightOf is what an agent or a flow may dial; nil: nothing.
func (s *settings) rightOf(who string) *config.Right {
	kind, name, _ := strings.Cut(who, ":")
	switch kind {
	case "agent":
		return s.AgentRight(name)
	case "flow":
		return s.FlowRight(name)
	}
	return nil
}

// TrunkStatus and what it holds are what /api/trunks shows.
type (
	TrunkStatus        = sip.TrunkStatus
	GatewayStatus      = sip.GatewayStatus
	AddressStatus      = sip.AddressStatus
	RegistrationStatus = sip.RegistrationStatus
)

// trunks tells how the trunks are; none before SIP is up.
func (s *Server) trunks() []sip.TrunkStatus {
	select {
	case <-s.up:
		return s.sip.Trunks()
	default:
		return []sip.TrunkStatus{}
	}
}
