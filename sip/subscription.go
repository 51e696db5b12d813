package sip

import (
	"context"
	"sync"
	"time"

	gosip "github.com/emiago/sipgo/sip"
)

// notifyEvery is the shortest time between two NOTIFYs of one subscription: what
// changes meanwhile is told together.
const notifyEvery = 250 * time.Millisecond

// subscription is the dialog of one who watches an account. One NOTIFY is under way
// at a time.
type subscription struct {
	stack   *Stack
	id      dialogID
	agent   string // who watches
	account string // who is watched
	event   Event
	eventID string
	entity  string // the URI that was subscribed to
	local   gosip.FromHeader
	remote  gosip.ToHeader
	routes  []gosip.Uri
	sips    bool // it goes by TLS alone

	mu        sync.Mutex
	bind      *bind
	network   string
	dest      string // where NOTIFYs are sent, host:port; "" by the route
	target    gosip.Uri
	localSeq  uint32
	remoteSeq uint32
	expires   time.Time
	timer     *time.Timer
	version   int
	due       bool // something is to be told
	busy      bool // a goroutine tells it
	last      time.Time
	reason    string        // why it is over; "" while it lives
	ended     chan struct{} // closed then
	owed      bool          // Settle waits for its last word
}

func (s *Stack) makeSubscription(req *gosip.Request, tx *transaction, agent, account string, event Event, id string) *subscription {
	fromTag, _ := req.From().Params.Get("tag")
	callID := string(*req.CallID())
	tag := s.localTag(callID, fromTag)
	u := &subscription{stack: s, id: dialogID{callID, tag, fromTag}, agent: agent, account: account, event: event, eventID: id,
		entity: entityOf(req.Recipient), local: req.To().AsFrom(), remote: req.From().AsTo(),
		routes: recordRoutes(req.GetHeaders("Record-Route"), false), localSeq: newSeq(), remoteSeq: req.CSeq().SeqNo,
		ended: make(chan struct{})}
	u.local.Params = u.local.Params.Clone()
	u.local.Params.Remove("tag")
	u.local.Params.Add("tag", tag)
	network := tx.by.network()
	u.sips = wantsSIPS(&req.Recipient, u.routes) && private(network)
	u.moved(req, tx)
	return u
}

// moved takes the way and the target of a SUBSCRIBE (RFC 3261 12.2.2): NOTIFYs go
// back where it came from, like all requests in a dialog.
func (u *subscription) moved(req *gosip.Request, tx *transaction) {
	network, by := tx.by.network(), tx.by.bind()
	if u.sips && !private(network) {
		return // it stays where it is
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	u.network, u.bind = network, by
	u.dest = u.stack.flow(network, req.Source(), true, len(u.routes) > 0)
	u.target = *req.Contact().Address.Clone()
}

func (u *subscription) inOrder(seq uint32) bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	if seq <= u.remoteSeq {
		return false
	}
	u.remoteSeq = seq
	return true
}

// prolong sets the end of the subscription.
func (u *subscription) prolong(life time.Duration) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.reason != "" {
		return
	}
	u.expires = time.Now().Add(life)
	if u.timer == nil {
		u.timer = time.AfterFunc(life, u.expire)
	} else {
		u.timer.Reset(life)
	}
}

// expire ends a subscription that nobody has prolonged meanwhile.
func (u *subscription) expire() {
	u.mu.Lock()
	over := !time.Now().Before(u.expires)
	u.mu.Unlock()
	if over {
		u.end("timeout")
	}
}

// tell has the state told soon.
func (u *subscription) tell() {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.reason == "" {
		u.due = true
		u.begin()
	}
}

// end ends the subscription, and has its peer told so (RFC 6665 4.1.3); Settle waits
// for that.
func (u *subscription) end(reason string) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.reason == "" {
		u.stack.count(1)
		u.over(reason)
		u.due, u.owed = true, true
		u.begin()
	}
}

// over marks the subscription as ended; the caller holds the lock.
func (u *subscription) over(reason string) {
	u.reason = reason
	close(u.ended)
	if u.timer != nil {
		u.timer.Stop()
	}
}

// isOver tells whether it has ended: its last word may still be under way.
func (u *subscription) isOver() bool { return isClosed(u.ended) }

// begin starts the goroutine that tells, if there is none; the caller holds the lock.
func (u *subscription) begin() {
	if !u.busy {
		u.busy = u.stack.spawn(u.tellAll) // false: the stack is closed, nobody is told
	}
}

// tellAll sends NOTIFYs, one after the other, until there is nothing to tell.
func (u *subscription) tellAll() {
	for {
		u.mu.Lock()
		if !u.due {
			u.busy = false
			u.mu.Unlock()
			return
		}
		wait := notifyEvery - time.Since(u.last)
		u.mu.Unlock()
		if wait > 0 {
			select {
			case <-time.After(wait):
			case <-u.ended: // the last word doesn't wait
			case <-u.stack.closed:
			}
		}
		req, last := u.notification()
		if u.lost(req) || last {
			u.forget()
			return
		}
	}
}

// forget drops a subscription that is over: nothing is told any more.
func (u *subscription) forget() {
	u.mu.Lock()
	if u.reason == "" {
		u.over("lost")
	}
	if u.owed {
		u.stack.count(-1)
	}
	u.due, u.owed = false, false
	u.mu.Unlock()
	u.stack.subs.remove(u)
}

// lost sends a NOTIFY and tells whether its answer, or none, ends the subscription
// (RFC 6665 4.2.2).
func (u *subscription) lost(req *gosip.Request) bool {
	ctx, cancel := context.WithTimeout(context.Background(), timeout+time.Second)
	defer cancel()
	res, err := u.stack.send(ctx, req)
	if err != nil {
		u.stack.log.Debug("NOTIFY not answered", "agent", u.agent, "sip_call_id", u.id.callID, "error", err)
		return true
	}
	switch c := res.StatusCode; c {
	case 404, 405, 408, 410, 416, 480, 481, 482, 483, 484, 485, 489, 501, 604:
		u.stack.log.Debug("subscription refused by its phone", "agent", u.agent, "sip_call_id", u.id.callID, "code", c)
		return true
	}
	return false
}

// notification is the NOTIFY of the state as it is now; last says that it is the
// subscription's last word.
func (u *subscription) notification() (req *gosip.Request, last bool) {
	p := u.stack.subs.state(u.account)
	u.mu.Lock()
	defer u.mu.Unlock()
	u.due, u.last = false, time.Now()
	u.localSeq++
	s := u.stack
	req = gosip.NewRequest(gosip.NOTIFY, requestURI(&u.target))
	s.address(req, u.bind, u.network, u.dest)
	for i := range u.routes {
		req.AppendHeader(&gosip.RouteHeader{Address: *u.routes[i].Clone()})
	}
	from, to := u.local, u.remote
	from.Params, to.Params = from.Params.Clone(), to.Params.Clone()
	req.AppendHeader(&from)
	req.AppendHeader(&to)
	id := gosip.CallIDHeader(u.id.callID)
	req.AppendHeader(&id)
	req.AppendHeader(&gosip.CSeqHeader{SeqNo: u.localSeq, MethodName: gosip.NOTIFY})
	s.common(req, u.bind)
	req.AppendHeader(s.contactIn(u.bind, u.sips))
	event := string(u.event)
	if u.eventID != "" {
		event += ";id=" + u.eventID
	}
	req.AppendHeader(gosip.NewHeader("Event", event))
	req.AppendHeader(gosip.NewHeader("Subscription-State", u.substate()))
	req.AppendHeader(gosip.NewHeader("Content-Type", u.event.kindOf()))
	req.SetBody(u.event.document(u.entity, u.version, p))
	u.version++
	s.log.Debug("watcher told", "agent", u.agent, "event", u.event, "of", u.account, "call", p.Call, "open", p.Open, "sip_call_id", u.id.callID)
	return req, u.reason != ""
}

// substate is RFC 6665 4.1.3; the caller holds the lock.
func (u *subscription) substate() string {
	switch u.reason {
	case "":
		return "active;expires=" + wholeSeconds(max(0, time.Until(u.expires)+time.Second/2))
	case "giveup":
		return "terminated;reason=giveup;retry-after=" + wholeSeconds(u.stack.opt.MaxSubscribed)
	default:
		return "terminated;reason=" + u.reason
	}
}
