package sip

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"sync"
	"time"

	gosip "github.com/emiago/sipgo/sip"
)

// Registration is how we register with a trunk, so that it sends its calls here.
// Outbound.Login answers the registrar's challenges.
type Registration struct {
	// Registrar to register with; its Priority and Weight mean nothing.
	Registrar Gateway
	// User is the user part of the address of record.
	User string
	// Expires is the life asked for; 10 min.
	Expires time.Duration
}

const (
	defaultRegistration = 10 * time.Minute
	// registerWithin is how long one address of a registrar may take to answer.
	registerWithin = 8 * time.Second
	// RFC 5626 4.5: the first pause after a failure, and the longest.
	retryBase = 30 * time.Second
	retryMax  = 30 * time.Minute
	// maxAsked bounds what a registrar's Min-Expires can make us ask for.
	maxAsked = 24 * time.Hour
)

// registering keeps one trunk registered. Its run owns it; mu guards what others
// read.
type registering struct {
	s    *Stack
	t    *trunkState
	name string // of the trunk
	out  Outbound
	reg  Registration
	stop context.CancelFunc
	done chan struct{} // closed when run has ended

	callID gosip.CallIDHeader
	tag    string
	seq    uint32
	asks   time.Duration
	at     hop // where the latest success was

	mu sync.Mutex
	st RegistrationStatus
}

// RegistrationStatus is how the registration with a trunk is at one moment.
type RegistrationStatus struct {
	Registrar  string `json:"registrar"`
	Registered bool   `json:"registered"`
	// Expires is when the registration ends unless it is refreshed.
	Expires time.Time `json:"expires,omitzero"`
	// Failures in a row, and what the last one was.
	Failures int    `json:"failures,omitempty"`
	Problem  string `json:"problem,omitempty"`
}

// register begins to keep a trunk registered, once before has ended. The caller
// holds t.mu.
func (s *Stack) register(t *trunkState, o Outbound, before *registering) *registering {
	ctx, stop := context.WithCancel(context.Background())
	r := &registering{s: s, t: t, name: t.trunk.Name, out: o, reg: *o.Register, stop: stop, done: make(chan struct{}),
		callID: gosip.CallIDHeader(gosip.GenerateTagN(24)), tag: gosip.GenerateTagN(16), seq: newSeq()}
	r.st.Registrar = r.reg.Registrar.String()
	if r.asks = r.reg.Expires; r.asks == 0 {
		r.asks = defaultRegistration
	}
	if !s.spawn(func() {
		defer close(r.done)
		if before != nil {
			select {
			case <-before.done:
			case <-s.closed:
				return
			}
		}
		r.run(ctx)
	}) {
		close(r.done)
	}
	return r
}

// leave ends the registration; [Stack.Settle] waits for it.
func (r *registering) leave() {
	r.s.count(1)
	r.stop()
	if !r.s.spawn(func() {
		<-r.done
		r.s.count(-1)
	}) {
		r.s.count(-1)
	}
}

func (r *registering) run(ctx context.Context) {
	for {
		t := time.NewTimer(r.refresh(ctx))
		select {
		case <-t.C:
		case <-ctx.Done():
			t.Stop()
			r.remove()
			return
		case <-r.s.closed:
			t.Stop()
			return
		}
	}
}

// refresh registers once and tells when to do so again.
func (r *registering) refresh(ctx context.Context) time.Duration {
	granted, rest, err := r.attempt(ctx)
	r.mu.Lock()
	defer r.mu.Unlock()
	if err == nil {
		if !r.st.Registered {
			r.s.log.Info("registered with the trunk", "trunk", r.name, "registrar", r.st.Registrar, "expires_s", int(granted/time.Second))
		}
		r.st.Registered, r.st.Failures, r.st.Problem = true, 0, ""
		r.st.Expires = time.Now().Add(granted)
		// Some time before the end, and not all servers at once.
		return granted * time.Duration(75+rand.IntN(16)) / 100
	}
	if ctx.Err() != nil || r.s.isClosed() {
		return 0
	}
	if r.st.Registered && !time.Now().Before(r.st.Expires) || r.st.Problem != err.Error() {
		r.s.log.Warn("not registered with the trunk", "trunk", r.name, "registrar", r.st.Registrar, "error", err)
	}
	r.st.Registered = r.st.Registered && time.Now().Before(r.st.Expires)
	wait := max(rest, pause(r.st.Failures))
	r.st.Failures++
	r.st.Problem = err.Error()
	return wait
}

// pause is how long to wait after failures that came before this one (RFC 5626
// 4.5): doubling, with a random share of up to half taken off.
func pause(failures int) time.Duration {
	upper := min(retryMax, retryBase<<min(failures, 10))
	return upper - rand.N(upper/2)
}

// attempt registers at the first address of the registrar that answers. rest is
// what a registrar asked us to wait.
func (r *registering) attempt(ctx context.Context) (granted, rest time.Duration, err error) {
	hops, err := r.s.locate(ctx, r.reg.Registrar)
	if err != nil {
		return 0, 0, err
	}
	for _, to := range hops {
		var on bool
		granted, rest, on, err = r.ask(ctx, to, r.asks)
		if err == nil {
			r.at = to
			return granted, 0, nil
		}
		if !on {
			break
		}
	}
	return 0, rest, err
}

// ask sends a REGISTER to one address, answers a challenge, one more that says
// stale, and 423. on tells that another address may do better.
func (r *registering) ask(ctx context.Context, to hop, life time.Duration) (granted, rest time.Duration, on bool, err error) {
	req, err := r.request(to, life)
	if err != nil {
		return 0, 0, true, err
	}
	challenges, raised := 0, false
	for {
		within, cancel := context.WithTimeout(ctx, registerWithin)
		res, err := r.s.send(within, req)
		cancel()
		if err != nil {
			return 0, 0, true, err
		}
		switch code := res.StatusCode; {
		case code == 200:
			return r.granted(req, res, life), 0, false, nil
		case (code == 401 || code == 407) && r.out.Login != nil && (challenges == 0 || challenges == 1 && stale(res)):
			challenges++
			again := req.Clone()
			if !authorise(again, res, *r.out.Login) {
				return 0, 0, false, fmt.Errorf("%d: no challenge for our realm and algorithm", code)
			}
			req = r.anew(again, to)
		case code == 423 && !raised && life > 0:
			raised = true
			least, ok := minExpires(res)
			if !ok || least <= life || least > maxAsked {
				return 0, 0, false, errors.New("423 without a Min-Expires that can be asked for")
			}
			r.asks, life = least, least
			again := req.Clone()
			again.RemoveHeader("Expires")
			again.AppendHeader(gosip.NewHeader("Expires", strconv.Itoa(int(life/time.Second))))
			req = r.anew(again, to)
		default:
			rest = min(retryAfter(res), retryMax)
			return 0, rest, code == 503 || code == 408 || code == 500, fmt.Errorf("the registrar answers %d", code)
		}
	}
}

// request builds a REGISTER (RFC 3261 10.2): all of one registration carry one
// Call-ID and rising numbers.
func (r *registering) request(to hop, life time.Duration) (*gosip.Request, error) {
	c, ok := r.s.gatewayContact(r.reg.Registrar, to, "", &r.out, r.t.config())
	if !ok {
		return nil, fmt.Errorf("no listener leads to %s %s", to.network, to.addr)
	}
	req := r.s.outside(gosip.REGISTER, c, r.reg.User)
	aor := gosip.Uri{Scheme: "sip", User: r.reg.User, Host: c.uri.Host}
	req.From().Address, req.To().Address = aor, *aor.Clone()
	req.From().Params.Remove("tag")
	req.From().Params.Add("tag", r.tag)
	*req.CallID() = r.callID
	r.seq++
	req.CSeq().SeqNo = r.seq
	req.Contact().Address.User = r.reg.User
	req.AppendHeader(gosip.NewHeader("Expires", strconv.Itoa(int(life/time.Second))))
	return req, nil
}

// anew makes a changed copy of a REGISTER the next request.
func (r *registering) anew(req *gosip.Request, to hop) *gosip.Request {
	req.RemoveHeader("Via")
	r.s.address(req, r.s.bindToward(to), to.network, to.addr)
	r.seq++
	req.CSeq().SeqNo = r.seq
	return req
}

// granted is the life that the registrar gives our contact.
func (r *registering) granted(req *gosip.Request, res *gosip.Response, asked time.Duration) time.Duration {
	granted := asked
	if h := res.GetHeader("Expires"); h != nil {
		if d, err := seconds(h.Value()); err == nil {
			granted = d
		}
	}
	own := req.Contact().Address
	for _, h := range res.GetHeaders("Contact") {
		c, ok := h.(*gosip.ContactHeader)
		if !ok || c.Address.User != own.User || !strings.EqualFold(c.Address.Host, own.Host) || c.Address.Port != own.Port {
			continue
		}
		if v, ok := c.Params.Get("expires"); ok {
			if d, err := seconds(v); err == nil {
				granted = d
			}
		}
	}
	return max(time.Second, min(granted, maxAsked))
}

// remove takes our binding back at the end (RFC 3261 10.2.2).
func (r *registering) remove() {
	r.mu.Lock()
	there := r.st.Registered
	r.st.Registered, r.st.Expires = false, time.Time{}
	r.mu.Unlock()
	if !there {
		return
	}
	if _, _, _, err := r.ask(context.Background(), r.at, 0); err != nil {
		r.s.log.Warn("registration with the trunk not removed", "trunk", r.name, "error", err)
	}
}

func (r *registering) status() *RegistrationStatus {
	r.mu.Lock()
	defer r.mu.Unlock()
	st := r.st
	st.Registered = st.Registered && time.Now().Before(st.Expires)
	return &st
}

// minExpires reads Min-Expires (RFC 3261 20.23).
func minExpires(res *gosip.Response) (time.Duration, bool) {
	h := res.GetHeader("Min-Expires")
	if h == nil {
		return 0, false
	}
	d, err := seconds(h.Value())
	return d, err == nil
}
