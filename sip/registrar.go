package sip

import (
	"cmp"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	gosip "github.com/emiago/sipgo/sip"
)

// Contact is one place where an account can be rung.
type Contact struct {
	// URI as the phone wrote it; it becomes the Request-URI.
	URI string
	// Source is the address the REGISTER came from; requests are sent there,
	// which reaches phones behind NAT.
	Source  string
	Network string // "UDP", "TCP", "TLS", "WS" or "WSS"
	Q       int    // preference in thousandths, 1000 highest
	Expires time.Time
	// Offer is our SDP for this contact; empty for that of the Outgoing.
	Offer []byte

	uri      gosip.Uri
	hop      string // where requests outside of a dialog go when it isn't Source
	callID   string
	seq      uint32
	bind     *bind
	at       time.Time
	path     []gosip.Uri // RFC 3327, first hop first
	instance string      // RFC 5626, with its angle brackets
	regID    string      // "" without Outbound
	conn     *streamConn // the only way to it; nil with UDP and with a path
}

// nextHop is where a request outside of a dialog is sent, host:port; "" by its URI.
func (c *Contact) nextHop() string {
	if c.hop != "" {
		return c.hop
	}
	return c.Source
}

// source is Source as it is compared; the zero value for a phone behind a proxy.
func (c *Contact) source() netip.AddrPort {
	at, _ := netip.ParseAddrPort(c.Source)
	return plainAddr(at)
}

// registrar holds the bindings of accounts (RFC 3261 section 10). One timer per
// binding ends it; the clock of a binding is the server's.
type registrar struct {
	stack *Stack

	mu     sync.Mutex
	aors   map[string][]*Contact
	timers map[*Contact]*time.Timer
	// sources counts the bindings by the address they came from.
	sources map[netip.AddrPort]int
	closed  bool

	// telling holds one token: the owner is told of one change at a time.
	telling chan struct{}

	file   string        // of the registrations; "" keeps none
	dirty  chan struct{} // holds one token while the file is behind
	gruus  gruus
	saving sync.Mutex
}

func newRegistrar(s *Stack) *registrar {
	return &registrar{stack: s, aors: make(map[string][]*Contact), timers: make(map[*Contact]*time.Timer),
		sources: make(map[netip.AddrPort]int), telling: make(chan struct{}, 1), file: s.opt.Registrations, dirty: make(chan struct{}, 1), gruus: newGRUUs()}
}

// Contacts lists where the account can be rung now, best first; empty when it
// isn't registered.
func (s *Stack) Contacts(user string) []Contact {
	s.reg.mu.Lock()
	defer s.reg.mu.Unlock()
	out := make([]Contact, 0, len(s.reg.aors[user]))
	for _, c := range onePerPhone(s.reg.aors[user]) {
		out = append(out, *c)
	}
	return out
}

// handleRegister is RFC 3261 10.3 for authenticated accounts.
func (s *Stack) handleRegister(req *gosip.Request, tx *transaction) {
	if tags := unknownTags(req); len(tags) > 0 {
		s.refuse(req, tx, 420, "Bad Extension", gosip.NewHeader("Unsupported", strings.Join(tags, ", ")))
		return
	}
	table := s.access.Load()
	aor := req.To().Address.User
	if !table.anybody {
		s.obs.Refused("unknown_source")
		s.refuse(req, tx, 403, "Forbidden")
		return
	}
	user, ok := s.authenticate(req, tx, table.offerTo(aor))
	if !ok {
		return
	}
	if _, acc, _ := table.credentialsOf(user); acc == nil || user != aor {
		s.obs.Refused("bad_credentials")
		s.respond(req, tx, 403, "Forbidden")
		return
	}
	asked, err := s.readContacts(req, tx)
	switch {
	case errors.Is(err, errFirstHop):
		s.respond(req, tx, 439, "First Hop Lacks Outbound Support")
		return
	case errors.Is(err, errSIPS):
		s.respond(req, tx, 400, "SIPS Contact Without TLS", s.sipsNotAllowed())
		return
	case err != nil:
		s.respond(req, tx, 400, "Bad Contact")
		return
	}
	for _, c := range asked {
		if life := c.Expires.Sub(c.at); life > 0 && life < s.opt.MinExpires {
			s.respond(req, tx, 423, "Interval Too Brief",
				gosip.NewHeader("Min-Expires", strconv.Itoa(int(s.opt.MinExpires/time.Second))))
			return
		}
	}
	if !s.reg.update(user, asked) {
		s.respond(req, tx, 500, "CSeq Out Of Order")
		return
	}
	s.respond(req, tx, 200, "OK", s.registered(user, req, asked)...)
}

// registered are the fields of a 200: all bindings, the path as it was, and what is
// asked of a phone with Outbound.
func (s *Stack) registered(user string, req *gosip.Request, asked []*Contact) []gosip.Header {
	now := time.Now()
	var hs []gosip.Header
	gruu := supports(req, "gruu")
	s.reg.mu.Lock()
	for _, c := range s.reg.aors[user] {
		v := c.contactValue(now)
		if gruu {
			v += s.reg.gruuParams(user, req.To().Address, c)
		}
		hs = append(hs, gosip.NewHeader("Contact", v))
	}
	s.reg.mu.Unlock()
	if supports(req, "path") {
		for _, h := range req.GetHeaders("Path") {
			hs = append(hs, gosip.NewHeader("Path", h.Value()))
		}
	}
	if slices.ContainsFunc(asked, func(c *Contact) bool { return c.regID != "" }) {
		hs = append(hs, gosip.NewHeader("Require", "outbound"))
		if slices.ContainsFunc(asked, func(c *Contact) bool { return c.Network != "WS" && c.Network != "WSS" }) {
			hs = append(hs, gosip.NewHeader("Flow-Timer", strconv.Itoa(int(flowTimer/time.Second))))
		}
	}
	return hs
}

// errFirstHop refuses Outbound by a proxy that doesn't know it.
var errFirstHop = errors.New("the first hop lacks outbound support")

// readContacts turns the Contact fields into bindings; an Expires equal to the
// time of the request asks for removal. "*" stands alone and removes all.
func (s *Stack) readContacts(req *gosip.Request, tx *transaction) ([]*Contact, error) {
	now := time.Now()
	general := s.opt.MaxExpires
	if h := req.GetHeader("Expires"); h != nil {
		general = lifeAsked(h.Value())
	}
	path, err := readPath(req)
	if err != nil {
		return nil, err
	}
	var out []*Contact
	for _, h := range req.GetHeaders("Contact") {
		ch, ok := h.(*gosip.ContactHeader)
		if !ok {
			return nil, fmt.Errorf("contact %q can't be read", h.Name())
		}
		c := &Contact{Source: req.Source(), Q: 1000,
			uri: *ch.Address.Clone(), callID: string(*req.CallID()), seq: req.CSeq().SeqNo, at: now}
		c.Network, c.bind = tx.by.network(), tx.by.bind()
		c.conn = tx.by.conn
		if _, lacks := c.readFlow(req, ch.Params); lacks {
			return nil, errFirstHop
		}
		c.follow(s, path)
		life := general
		if ch.Address.Wildcard {
			if general != 0 || len(req.GetHeaders("Contact")) != 1 {
				return nil, fmt.Errorf("contact * needs Expires: 0 and to be alone")
			}
			c.URI = "*"
		} else {
			if ch.Address.Scheme != "sip" && ch.Address.Scheme != "sips" || ch.Address.Host == "" || len(ch.Address.String()) > 512 {
				return nil, fmt.Errorf("contact is not a sip URI")
			}
			if !c.keepsSIPS() {
				return nil, errSIPS
			}
			c.URI = ch.Address.String()
			if v, ok := ch.Params.Get("expires"); ok {
				life = lifeAsked(v)
			}
		}
		if v, ok := ch.Params.Get("q"); ok {
			q, err := strconv.ParseFloat(v, 64)
			if err != nil || q < 0 || q > 1 {
				return nil, fmt.Errorf("q %q is not between 0 and 1", v)
			}
			c.Q = int(q*1000 + 0.5)
		}
		c.Expires = now.Add(min(life, s.opt.MaxExpires))
		out = append(out, c)
	}
	return out, nil
}

// lifeAsked is how long a binding is asked to live; a malformed value stands for an hour (RFC 3261 10.2.1.1).
func lifeAsked(v string) time.Duration {
	life, err := seconds(v)
	if err != nil {
		return time.Hour
	}
	return life
}

// seconds reads delta-seconds, from 0 to 2^32-1 (RFC 3261 20.19).
func seconds(v string) (time.Duration, error) {
	n, err := strconv.ParseUint(strings.TrimSpace(v), 10, 32)
	if err != nil {
		return 0, fmt.Errorf("expires %q is not a number of seconds", v)
	}
	return time.Duration(n) * time.Second, nil
}

// update applies all of one REGISTER or nothing; false when a binding has seen a
// later CSeq of the same Call-ID.
func (r *registrar) update(user string, asked []*Contact) bool {
	r.mu.Lock()
	if r.closed {
		r.mu.Unlock()
		return false
	}
	cs := slices.Clone(r.aors[user])
	for _, a := range asked {
		for _, c := range cs {
			if a.replaces(c) && a.callID == c.callID && a.seq <= c.seq {
				r.mu.Unlock()
				return false
			}
		}
	}
	before := len(cs)
	for _, a := range asked {
		cs = slices.DeleteFunc(cs, a.replaces)
		if a.Expires.After(a.at) {
			if a.conn != nil {
				a.conn.bound.Store(true)
				if !slices.Contains(a.conn.users, user) {
					a.conn.users = append(a.conn.users, user)
				}
			}
			cs = append(cs, a)
		}
	}
	sortContacts(cs)
	for len(cs) > r.stack.opt.MaxContacts { // a phone that restarted left its old one
		oldest := slices.MinFunc(cs, func(a, b *Contact) int { return a.at.Compare(b.at) })
		cs = slices.DeleteFunc(cs, func(c *Contact) bool { return c == oldest })
	}
	r.set(user, cs)
	changed := before != len(cs) || len(asked) > 0
	r.mu.Unlock()
	if changed {
		r.tell(user)
	}
	for _, a := range asked {
		if a.conn != nil && a.conn.gone.Load() { // it was closed before it was bound
			r.connectionLost(a.conn)
		}
	}
	return true
}

// sortContacts puts the best first, and of equals the latest.
func sortContacts(cs []*Contact) {
	slices.SortStableFunc(cs, func(a, b *Contact) int {
		return cmp.Or(cmp.Compare(b.Q, a.Q), b.at.Compare(a.at))
	})
}

// set stores the bindings of an account and keeps one timer for each.
func (r *registrar) set(user string, cs []*Contact) {
	r.changed()
	for _, old := range r.aors[user] {
		if !slices.Contains(cs, old) {
			r.timers[old].Stop()
			delete(r.timers, old)
			at := old.source()
			if r.sources[at]--; r.sources[at] == 0 {
				delete(r.sources, at)
			}
		}
	}
	for _, c := range cs {
		if r.timers[c] == nil {
			r.sources[c.source()]++
			r.timers[c] = time.AfterFunc(time.Until(c.Expires), func() { r.expire(user, c) })
		}
	}
	if len(cs) == 0 {
		delete(r.aors, user)
		return
	}
	r.aors[user] = cs
}

// knows tells whether some account registered from this address and port.
func (r *registrar) knows(source netip.AddrPort) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return source.IsValid() && r.sources[source] > 0
}

// offerAt is the algorithm of the account that registered from where a request comes, else what there is to offer to
// anybody: a phone that has shown who it is is offered nothing that it may not understand, whatever it calls itself.
func (s *Stack) offerAt(tx *transaction, anybody Algorithm) Algorithm {
	if a := s.access.Load().accounts[s.reg.userAt(sourceAddr(tx.req), tx.by.conn)]; a != nil {
		return a.Algorithm
	}
	return anybody
}

// userAt is who registered by the connection, or from the address and port; "" for nobody.
func (r *registrar) userAt(source netip.AddrPort, conn *streamConn) string {
	r.mu.Lock()
	defer r.mu.Unlock()
	if conn != nil && len(conn.users) > 0 {
		return conn.users[0]
	}
	if !source.IsValid() || r.sources[source] == 0 {
		return ""
	}
	for user, cs := range r.aors {
		if slices.ContainsFunc(cs, func(c *Contact) bool { return c.source() == source }) {
			return user
		}
	}
	return ""
}

func (r *registrar) expire(user string, c *Contact) {
	r.mu.Lock()
	if r.closed || !slices.Contains(r.aors[user], c) {
		r.mu.Unlock()
		return
	}
	left := slices.DeleteFunc(slices.Clone(r.aors[user]), func(o *Contact) bool { return o == c })
	r.set(user, left)
	r.mu.Unlock()
	r.tell(user)
}

// keepOnly ends the bindings of accounts that are no more.
func (r *registrar) keepOnly(accounts map[string]*Account) {
	r.mu.Lock()
	var gone []string
	for user := range r.aors {
		if accounts[user] == nil {
			r.set(user, nil)
			gone = append(gone, user)
		}
	}
	r.mu.Unlock()
	for _, user := range gone {
		r.tell(user)
	}
}

// tell says how many contacts the account has now. What was true when the change
// was made may be old news: the last word must be the latest.
func (r *registrar) tell(user string) {
	f := r.stack.opt.Handlers.Registered
	if f == nil {
		return
	}
	select {
	case r.telling <- struct{}{}:
	case <-r.stack.closed:
		return
	}
	defer func() { <-r.telling }()
	r.mu.Lock()
	contacts, closed := len(onePerPhone(r.aors[user])), r.closed
	r.mu.Unlock()
	if !closed {
		f(user, contacts)
	}
}

func (r *registrar) close() {
	if err := r.save(); err != nil {
		r.stack.log.Error("registrations not saved; phones must register again", "error", err)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.closed = true
	for _, t := range r.timers {
		t.Stop()
	}
	clear(r.timers)
	clear(r.aors)
}
