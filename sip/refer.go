package sip

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"time"

	gosip "github.com/emiago/sipgo/sip"
)

// Referral is a REFER of the peer's (RFC 3515): it wants the other side of its call
// to be brought to somebody else. Whoever gets it calls Accept or Refuse at once,
// and Done in the end of what was accepted.
type Referral struct {
	// To is the user part of the target, unescaped: a number, an extension, a name.
	To string
	// Instance is the phone of that account that is meant, where a GRUU names one.
	Instance string
	// URI is the target as the peer wrote it, without parameters and header fields.
	URI string
	// Replaces is the leg of another call of ours that the target is talking on: an
	// attended transfer (RFC 5589 7). Nil for a blind one.
	Replaces *Leg

	leg    *Leg
	req    *gosip.Request
	tx     *transaction
	silent bool // no NOTIFY is wanted (RFC 4488)
	once   sync.Once
	told   chan struct{}

	mu    sync.Mutex
	queue []referState
	busy  bool
	over  bool
}

// referState is how far a transfer has come, as NOTIFY tells it.
type referState struct {
	code   int
	phrase string
	final  bool
}

// decideWithin is how long a REFER may wait for its answer.
const decideWithin = 5 * time.Second

// referLife is how long a transfer may take, as its NOTIFYs say.
const referLife = "180"

// OnRefer sets what receives a REFER of the peer's. It must not block: Accept or
// Refuse may be called later, within five seconds. Without one they are refused
// with 403.
func (l *Leg) OnRefer(f func(*Referral)) {
	l.mu.Lock()
	l.onRefer = f
	l.mu.Unlock()
}

// handleRefer takes a REFER within a call. One outside of a call would make us
// call somebody for a stranger: it is refused.
func (s *Stack) handleRefer(req *gosip.Request, tx *transaction) {
	if tag, _ := req.To().Params.Get("tag"); tag == "" {
		s.refuse(req, tx, 403, "Forbidden")
		return
	}
	l := s.inDialog(req, tx)
	if l == nil {
		return
	}
	r, code, phrase := s.readRefer(l, req)
	if r == nil {
		s.respond(req, tx, code, phrase)
		return
	}
	l.mu.Lock()
	f, live := l.onRefer, l.state == legConfirmed
	l.mu.Unlock()
	if f == nil || !live {
		s.respond(req, tx, 403, "Forbidden")
		return
	}
	r.tx = tx
	f(r)
	time.AfterFunc(decideWithin, func() { s.spawn(func() { r.Refuse(500, "Server Internal Error") }) })
}

// readRefer reads what a REFER asks for; nil comes with the status that refuses it.
func (s *Stack) readRefer(l *Leg, req *gosip.Request) (r *Referral, code int, phrase string) {
	to := fields(req, "Refer-To")
	if len(to) != 1 {
		return nil, 400, "One Refer-To Is Needed" // RFC 3515 2.4.2
	}
	var u gosip.Uri
	var params gosip.HeaderParams
	if _, err := gosip.ParseAddressValue(to[0], &u, &params); err != nil {
		return nil, 400, "Bad Refer-To"
	}
	if u.Scheme != "sip" && u.Scheme != "sips" && u.Scheme != "tel" {
		return nil, 416, "Unsupported URI Scheme"
	}
	if m, ok := u.UriParams.Get("method"); ok && !strings.EqualFold(m, "INVITE") {
		return nil, 403, "Only Calls Are Transferred"
	}
	r = &Referral{leg: l, req: req, To: unescape(u.User), told: make(chan struct{})}
	r.To, r.Instance = s.meant(&u, r.To)
	if u.Scheme == "tel" {
		number, _, _ := strings.Cut(u.Raw(), ";")
		r.To = number
	}
	sub, _ := field(req, "Refer-Sub")
	r.silent = strings.EqualFold(strings.TrimSpace(sub), "false") || hasToken(req, "Require", "norefersub")
	if v, ok := headerOf(&u, "Replaces"); ok {
		d, ok := readReplaces(v)
		if !ok {
			return nil, 400, "Bad Replaces"
		}
		if r.Replaces, _ = s.replaced(d); r.Replaces == nil {
			// Not 481: that would say that the call with the peer is gone.
			return nil, 404, "No Such Call To Replace"
		}
	}
	bare := gosip.Uri{Scheme: u.Scheme, User: u.User, Host: u.Host, Port: u.Port}
	r.URI = bare.String()
	return r, 0, ""
}

// Accept takes the transfer on: 202, and NOTIFY with 100.
func (r *Referral) Accept() {
	r.once.Do(func() {
		s := r.leg.stack
		code, phrase := 202, "Accepted"
		hs := []gosip.Header{r.leg.contact()}
		if r.silent {
			code, phrase = 200, "OK"
			hs = append(hs, gosip.NewHeader("Refer-Sub", "false"))
		}
		s.respond(r.req, r.tx, code, phrase, hs...)
		r.tell(referState{100, "Trying", false})
	})
}

// Refuse turns the transfer down with a status of 400 or more; the call goes on.
func (r *Referral) Refuse(code int, phrase string) {
	r.once.Do(func() {
		r.leg.stack.respond(r.req, r.tx, code, phrase)
	})
}

// Progress tells the peer how far an accepted transfer has come: 180 when the
// target rings.
func (r *Referral) Progress(code int, phrase string) { r.tell(referState{code, phrase, false}) }

// Done tells the peer how an accepted transfer ended, with the status of the call
// to the target. With 2xx the peer hangs up; with anything else it has its call
// again. The returned channel is closed when the peer knows.
func (r *Referral) Done(code int, phrase string) <-chan struct{} {
	r.tell(referState{code, phrase, true})
	return r.told
}

// tell queues a NOTIFY: they must arrive in their order.
func (r *Referral) tell(st referState) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.over {
		return
	}
	r.over = st.final
	if r.silent {
		if st.final {
			close(r.told)
		}
		return
	}
	r.queue = append(r.queue, st)
	if r.busy {
		return
	}
	r.busy = r.leg.stack.spawn(r.notifyAll)
}

func (r *Referral) notifyAll() {
	for {
		r.mu.Lock()
		if len(r.queue) == 0 {
			r.busy = false
			r.mu.Unlock()
			return
		}
		st := r.queue[0]
		r.queue = r.queue[1:]
		r.mu.Unlock()
		if !isClosed(r.leg.done) {
			req := r.notification(st)
			if _, err := r.leg.exchange(req); err != nil {
				r.leg.stack.log.Debug("NOTIFY not answered", "sip_call_id", r.leg.id.callID, "error", err)
			}
		}
		if st.final {
			close(r.told)
		}
	}
}

// notification is RFC 3515 2.4.4 to 2.4.6.
func (r *Referral) notification(st referState) *gosip.Request {
	req := r.leg.request(gosip.NOTIFY)
	req.AppendHeader(r.leg.contact())
	req.AppendHeader(gosip.NewHeader("Event", "refer;id="+strconv.FormatUint(uint64(r.req.CSeq().SeqNo), 10)))
	state := "active;expires=" + referLife
	if st.final {
		state = "terminated;reason=noresource"
	}
	req.AppendHeader(gosip.NewHeader("Subscription-State", state))
	req.AppendHeader(gosip.NewHeader("Content-Type", "message/sipfrag;version=2.0"))
	req.SetBody(fmt.Appendf(nil, "SIP/2.0 %d %s\r\n", st.code, st.phrase))
	return req
}

// refer is a REFER of ours until its last NOTIFY.
type refer struct {
	seq  uint32
	code chan int // the final status; capacity 1
}

// Refer asks the peer to call the SIP URI to itself, which takes it off our hands,
// and returns the final status of that call. It blocks until the peer has told it,
// or ctx or the call ends; a *RefusedError says that the peer doesn't do it. The
// call is still ours to hang up.
func (l *Leg) Refer(ctx context.Context, to string) (code int, err error) {
	req := l.request(gosip.REFER)
	req.AppendHeader(l.contact())
	req.AppendHeader(gosip.NewHeader("Refer-To", "<"+to+">"))
	req.AppendHeader(gosip.NewHeader("Referred-By", "<"+l.contact().Address.String()+">"))
	r := &refer{seq: req.CSeq().SeqNo, code: make(chan int, 1)}
	l.mu.Lock()
	l.referred = r
	l.mu.Unlock()
	sent := make(chan error, 1)
	if !l.stack.spawn(func() {
		if _, err := l.exchange(req); err != nil {
			sent <- err
		}
	}) {
		return 0, ErrEnded
	}
	select {
	case err := <-sent:
		return 0, fmt.Errorf("refer: %w", err)
	case code := <-r.code:
		return code, nil
	case <-l.done:
		select { // the NOTIFY may have come right before the BYE
		case code := <-r.code:
			return code, nil
		default:
			return 0, ErrEnded
		}
	case <-ctx.Done():
		return 0, fmt.Errorf("refer: %w", ctx.Err())
	}
}

// ReferTo is Refer to a number at the peer's own address.
func (l *Leg) ReferTo(ctx context.Context, number string) (code int, err error) {
	l.mu.Lock()
	u := gosip.Uri{Scheme: "sip", User: number, Host: l.target.Host, Port: l.target.Port}
	l.mu.Unlock()
	return l.Refer(ctx, u.String())
}

// handleNotify takes what a peer tells of a REFER of ours.
func (s *Stack) handleNotify(req *gosip.Request, tx *transaction) {
	event, _ := field(req, "Event")
	name, _, _ := strings.Cut(event, ";")
	if !strings.EqualFold(strings.TrimSpace(name), "refer") {
		s.refuse(req, tx, 489, "Bad Event", gosip.NewHeader("Allow-Events", "refer"))
		return
	}
	l := s.inDialog(req, tx)
	if l == nil {
		return
	}
	l.mu.Lock()
	r, seq := l.referred, uint32(0)
	if r != nil {
		seq = r.seq
	}
	l.mu.Unlock()
	if id, ok := param(event, "id"); r == nil || ok && id != strconv.FormatUint(uint64(seq), 10) {
		s.respond(req, tx, 481, "Subscription Does Not Exist")
		return
	}
	s.respond(req, tx, 200, "OK")
	if code, ok := fragment(req.Body()); ok && code >= 200 {
		select {
		case r.code <- code:
		default:
		}
	}
}

// fragment reads the status line of a message/sipfrag (RFC 3420).
func fragment(body []byte) (code int, ok bool) {
	f := strings.Fields(string(body[:min(len(body), 64)]))
	if len(f) < 2 || !strings.EqualFold(f[0], "SIP/2.0") {
		return 0, false
	}
	code, err := strconv.Atoi(f[1])
	return code, err == nil && code >= 100 && code < 700
}
