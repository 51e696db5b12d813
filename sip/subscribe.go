package sip

import (
	"cmp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	gosip "github.com/emiago/sipgo/sip"
)

// subscriptions are those who are told of accounts' states (RFC 6665): the notifier.
type subscriptions struct {
	stack *Stack

	mu      sync.Mutex
	byID    map[dialogID]*subscription
	byAgent map[string][]*subscription // the oldest first
	byName  map[string][]*subscription // by the account that is watched
	states  map[string]published       // of accounts that are there
}

func newSubscriptions(s *Stack) *subscriptions {
	return &subscriptions{stack: s, byID: make(map[dialogID]*subscription), byAgent: make(map[string][]*subscription),
		byName: make(map[string][]*subscription), states: make(map[string]published)}
}

// Publish says what is told of an account from now on. Those who watch it hear of a
// change at once, but not more often than every 250 ms: then the last state counts.
// It doesn't block.
func (s *Stack) Publish(account string, p Presentity) {
	t := s.subs
	t.mu.Lock()
	defer t.mu.Unlock()
	was := t.states[account]
	if was.Presentity == p {
		return
	}
	now := published{p, was.calls}
	if was.Call == CallNone && p.Call != CallNone {
		now.calls++
	}
	t.states[account] = now
	for _, u := range t.byName[account] {
		if u.event.differs(was.Presentity, p) {
			u.tell()
		}
	}
}

// Subscriptions is how many there are.
func (s *Stack) Subscriptions() int {
	s.subs.mu.Lock()
	defer s.subs.mu.Unlock()
	return len(s.subs.byID)
}

// handleSubscribe is RFC 6665 4.2.1 for authenticated accounts.
func (s *Stack) handleSubscribe(req *gosip.Request, tx *transaction) {
	tag, _ := req.To().Params.Get("tag")
	known := s.subs.find(req)
	if tag != "" && (known == nil || known.isOver()) {
		s.refuse(req, tx, 481, "Subscription Does Not Exist")
		return
	}
	event, id, ok := eventOf(req)
	if !ok {
		s.refuse(req, tx, 489, "Bad Event", gosip.NewHeader("Allow-Events", allowEvents))
		return
	}
	if c := req.Contact(); c == nil || c.Address.Wildcard || c.Address.Host == "" {
		s.obs.Refused("malformed")
		s.refuse(req, tx, 400, "Missing Contact")
		return
	}
	if tag == "" && s.drain.Load() {
		s.overloaded(req, tx)
		return
	}
	agent, ok := s.subscriber(req, tx)
	if !ok {
		return
	}
	life, ok := s.subscriptionLife(req, tx)
	if !ok {
		return
	}
	switch {
	case tag != "":
		s.refreshSubscription(known, req, tx, agent, event, id, life)
	case known != nil: // the same SUBSCRIBE by two ways (RFC 3261 8.2.2.2)
		s.respond(req, tx, 482, "Loop Detected")
	default:
		s.newSubscription(req, tx, agent, event, id, life)
	}
}

// subscriber is the account that asks. It has answered when it returns false.
func (s *Stack) subscriber(req *gosip.Request, tx *transaction) (agent string, ok bool) {
	table := s.access.Load()
	if !table.anybody {
		s.obs.Refused("unknown_source")
		s.refuse(req, tx, 403, "Forbidden")
		return "", false
	}
	offer := s.offerAt(tx, table.offerTo(req.From().Address.User))
	if agent, ok = s.authenticate(req, tx, offer); !ok {
		return "", false
	}
	if table.accounts[agent] == nil {
		s.obs.Refused("unknown_source")
		s.respond(req, tx, 403, "Forbidden")
		return "", false
	}
	return agent, true
}

// subscriptionLife reads Expires (RFC 6665 4.2.1.1); 0 ends or only fetches. It has
// answered when it returns false.
func (s *Stack) subscriptionLife(req *gosip.Request, tx *transaction) (life time.Duration, ok bool) {
	longest := s.opt.MaxSubscribed
	life = longest
	if v, given := field(req, "Expires"); given {
		d, err := seconds(v)
		if err != nil {
			s.respond(req, tx, 400, "Bad Expires")
			return 0, false
		}
		life = min(d, longest)
	}
	if least := min(s.opt.MinExpires, longest); life > 0 && life < least {
		s.respond(req, tx, 423, "Interval Too Brief", gosip.NewHeader("Min-Expires", wholeSeconds(least)))
		return 0, false
	}
	return life, true
}

func wholeSeconds(d time.Duration) string { return strconv.Itoa(int(d / time.Second)) }

// eventOf reads the Event field; false for a package that isn't served.
func eventOf(req *gosip.Request) (e Event, id string, ok bool) {
	v, _ := field(req, "Event")
	name, _, _ := strings.Cut(v, ";")
	id, _ = param(v, "id")
	e = Event(strings.ToLower(strings.TrimSpace(name)))
	return e, id, e.kindOf() != "" && len(id) <= 64 && !strings.ContainsAny(id, " \t,\"")
}

func (s *Stack) newSubscription(req *gosip.Request, tx *transaction, agent string, event Event, id string, life time.Duration) {
	if !acceptsEvent(req, event) {
		s.respond(req, tx, 406, "Not Acceptable", gosip.NewHeader("Accept", event.kindOf()))
		return
	}
	account, ok := "", false
	if f := s.opt.Handlers.Watch; f != nil {
		account, ok = f(agent, req.Recipient.User, event)
	}
	if !ok {
		s.respond(req, tx, 404, "Not Found")
		return
	}
	u := s.makeSubscription(req, tx, agent, account, event, id)
	if !s.subs.add(u) {
		s.unavailable(req, tx, "subscriptions", nil)
		return
	}
	s.log.Debug("subscribed", "agent", agent, "event", event, "to", account, "sip_call_id", u.id.callID)
	s.acceptSubscribe(u, req, tx, life)
}

// refreshSubscription prolongs or ends a subscription (RFC 6665 4.2.1.4).
func (s *Stack) refreshSubscription(u *subscription, req *gosip.Request, tx *transaction, agent string, event Event, id string, life time.Duration) {
	switch {
	case agent != u.agent || event != u.event || id != u.eventID:
		s.respond(req, tx, 403, "Forbidden")
		return
	case !u.inOrder(req.CSeq().SeqNo):
		s.respond(req, tx, 500, "CSeq Out Of Order")
		return
	}
	u.moved(req, tx)
	s.acceptSubscribe(u, req, tx, life)
}

// acceptSubscribe answers 200, then tells the state (RFC 6665 4.2.1.2).
func (s *Stack) acceptSubscribe(u *subscription, req *gosip.Request, tx *transaction, life time.Duration) {
	by := tx.by.bind()
	s.respond(req, tx, 200, "OK", gosip.NewHeader("Expires", wholeSeconds(life)), s.contactIn(by, u.sips),
		gosip.NewHeader("Allow-Events", allowEvents))
	if life == 0 {
		u.end("timeout")
		return
	}
	u.prolong(life)
	u.tell()
}

// find is the subscription of a request's dialog.
func (t *subscriptions) find(req *gosip.Request) *subscription {
	callID := string(*req.CallID())
	from, _ := req.From().Params.Get("tag")
	to, _ := req.To().Params.Get("tag")
	if to == "" {
		to = t.stack.localTag(callID, from)
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.byID[dialogID{callID, to, from}]
}

// add enters a subscription; of an agent who has too many the oldest gives way: a
// phone that restarted left its old ones. It is false when there are too many of all,
// those counted in whose last word isn't answered yet.
func (t *subscriptions) add(u *subscription) bool {
	t.mu.Lock()
	of, most := t.byAgent[u.agent], t.stack.opt.MaxPerAgent
	if len(t.byID) >= t.stack.opt.MaxSubscriptions || len(of) >= 2*most {
		t.mu.Unlock()
		return false
	}
	live := slices.DeleteFunc(slices.Clone(of), (*subscription).isOver)
	t.byID[u.id] = u
	t.byAgent[u.agent] = append(of, u)
	t.byName[u.account] = append(t.byName[u.account], u)
	t.mu.Unlock()
	if len(live) >= most {
		live[0].end("giveup")
	}
	return true
}

func (t *subscriptions) remove(u *subscription) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.byID[u.id] != u {
		return
	}
	delete(t.byID, u.id)
	without(t.byAgent, u.agent, u)
	without(t.byName, u.account, u)
}

func without(m map[string][]*subscription, key string, u *subscription) {
	left := slices.DeleteFunc(m[key], func(o *subscription) bool { return o == u })
	if m[key] = left; len(left) == 0 {
		delete(m, key)
	}
}

// state is what is told of an account now.
func (t *subscriptions) state(account string) published {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.states[account]
}

// all lists the subscriptions, in the order of their dialogs.
func (t *subscriptions) all() []*subscription {
	t.mu.Lock()
	defer t.mu.Unlock()
	var us []*subscription
	for _, of := range t.byAgent {
		us = append(us, of...)
	}
	slices.SortFunc(us, func(a, b *subscription) int { return cmp.Compare(a.id.callID, b.id.callID) })
	return us
}

// close forgets when they would end.
func (t *subscriptions) close() {
	for _, u := range t.all() {
		u.mu.Lock()
		if u.timer != nil {
			u.timer.Stop()
		}
		u.mu.Unlock()
	}
}

// endAll ends all for a reason (RFC 6665 4.1.3).
func (t *subscriptions) endAll(reason string) {
	for _, u := range t.all() {
		u.end(reason)
	}
}

// keepOnly ends what accounts that are no more watch, and watching them.
func (t *subscriptions) keepOnly(accounts map[string]*Account) {
	for _, u := range t.all() {
		switch {
		case accounts[u.agent] == nil:
			u.end("rejected")
		case accounts[u.account] == nil:
			u.end("noresource")
		}
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	for name := range t.states {
		if accounts[name] == nil {
			delete(t.states, name)
		}
	}
}
