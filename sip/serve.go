package sip

import (
	"net/netip"
	"strconv"
	"strings"

	gosip "github.com/emiago/sipgo/sip"
)

// way is how answers get to whoever sent a request: by his connection, or by datagrams.
type way struct {
	conn  *streamConn
	front *udpFront
	to    netip.AddrPort
}

func (w way) send(b []byte) error {
	if w.conn != nil {
		return w.conn.answer(b)
	}
	return w.front.send(b, w.to)
}

// network is "UDP", "TCP", "TLS", "WS" or "WSS".
func (w way) network() string {
	if w.conn != nil {
		return w.conn.network
	}
	return "UDP"
}

// bind is the listener that the request came by, or that the connection was dialled for.
func (w way) bind() *bind {
	if w.conn != nil {
		return w.conn.bind
	}
	return w.front.bind
}

// stamp notes in a request and its top Via where it came from, and tells where answers go by UDP (RFC 3261
// 18.2.1 and 18.2.2, RFC 3581 4). What the peer itself said of that is taken out.
func stamp(req *gosip.Request, from netip.AddrPort) (answers netip.AddrPort) {
	source := from.String()
	req.SetSource(source)
	via := req.Via()
	if via == nil {
		return from
	}
	rport := false
	params := via.Params[:0]
	for _, p := range via.Params {
		switch {
		case strings.EqualFold(p.K, "rport"):
			rport = true
		case strings.EqualFold(p.K, "received"):
		default:
			params = append(params, p)
		}
	}
	via.Params = params
	if rport {
		via.Params.Add("rport", strconv.Itoa(int(from.Port())))
	}
	host, _ := netip.ParseAddr(strings.Trim(via.Host, "[]"))
	if rport || host.Unmap() != from.Addr() {
		via.Params.Add("received", from.Addr().String())
	}
	if rport {
		return from
	}
	port := via.Port
	if port <= 0 || port > 65535 {
		port = gosip.DefaultUdpPort
	}
	return netip.AddrPortFrom(from.Addr(), uint16(port))
}

// serve gives a request to its transaction, or begins one and has it worked on. It doesn't wait for that.
// The requests of one listener or connection are served in their order.
func (s *Stack) serve(req *gosip.Request, by way) {
	if req.Method == gosip.INVITE && req.Contact() == nil && isRFC2543(req) {
		contactOfSource(req)
	}
	readAll(req)
	switch req.Method {
	case gosip.ACK:
		if k, ok := keyOf(req, gosip.INVITE); ok {
			if tx := s.transactions.find(k); tx != nil && tx.acknowledged() {
				return
			}
		}
		j := job{s.dispatch, req, &transaction{stack: s, by: by, req: req}}
		if l := s.legOf(req); l != nil {
			s.inTurn(l, j)
			return
		}
		s.dispatch(j.req, j.tx) // a stray one is no work, and mustn't cost a goroutine
		return
	case gosip.CANCEL:
		if k, ok := keyOf(req, gosip.INVITE); ok {
			if of := s.transactions.find(k); of != nil {
				s.hand(job{s.handleCancel, req, of})
				return
			}
		}
		s.dispatch(req, &transaction{stack: s, by: by, req: req}) // as a stray ACK; it is answered again when it comes again
		return
	}
	tx := &transaction{stack: s, by: by, req: req}
	var ok bool
	if tx.key, ok = keyOf(req, req.Method); ok {
		if known := s.transactions.begin(tx); known != nil {
			known.repeated()
			return
		}
	}
	if !s.inTurn(s.legOf(req), job{s.dispatch, req, tx}) {
		s.obs.Refused("overload")
		s.refuse(req, tx, 500, "Too Many Requests At Once") // the call itself goes on
	}
}

// readAll reads the header fields that sipgo parses when first asked for them: later they are read by
// several goroutines at once.
func readAll(req *gosip.Request) {
	_, _, _, _, _ = req.Via(), req.Contact(), req.MaxForwards(), req.ContentLength(), req.ContentType()
	_, _, _, _ = req.From(), req.To(), req.CallID(), req.CSeq()
	_, _ = req.Route(), req.RecordRoute()
}

// handler works on a request.
type handler func(*gosip.Request, *transaction)

// handlers are those of the methods that are served.
func (s *Stack) handlers() map[gosip.RequestMethod]handler {
	return map[gosip.RequestMethod]handler{
		gosip.INVITE:    s.handleInvite,
		gosip.ACK:       s.handleAck,
		gosip.BYE:       s.handleBye,
		gosip.CANCEL:    s.handleStrayCancel,
		gosip.OPTIONS:   s.handleOptions,
		gosip.REGISTER:  s.handleRegister,
		gosip.INFO:      s.handleInfo,
		gosip.UPDATE:    s.handleUpdate,
		gosip.PRACK:     s.handlePrack,
		gosip.REFER:     s.handleRefer,
		gosip.NOTIFY:    s.handleNotify,
		gosip.SUBSCRIBE: s.handleSubscribe,
	}
}

const allowed = "INVITE, ACK, CANCEL, BYE, OPTIONS, REGISTER, INFO, UPDATE, PRACK, REFER, NOTIFY, SUBSCRIBE"

// dispatch works on a request that has come for the first time.
func (s *Stack) dispatch(req *gosip.Request, tx *transaction) {
	if !s.begin(req, tx) {
		return
	}
	defer tx.settle()
	if !s.valid(req, tx) {
		return
	}
	if h := s.methods[req.Method]; h != nil {
		h(req, tx)
		return
	}
	if req.Method == gosip.MESSAGE || req.Method == gosip.PUBLISH {
		s.refuse(req, tx, 405, "Method Not Allowed", gosip.NewHeader("Allow", allowed))
		return
	}
	s.refuse(req, tx, 501, "Not Implemented", gosip.NewHeader("Allow", allowed)) // none that we know
}

// handleCancel answers a CANCEL, and the INVITE of that transaction. Both answers carry one tag (RFC 3261
// 9.2).
func (s *Stack) handleCancel(req *gosip.Request, of *transaction) {
	s.obs.ServerRequest(string(gosip.CANCEL), 200)
	if err := of.by.send(wire(s.response(req, 200, "OK", nil))); err != nil {
		s.log.Debug("CANCEL not answered", "error", err)
	}
	of.cancel(req)
}

// handleStrayCancel meets the CANCEL of nothing that we know.
func (s *Stack) handleStrayCancel(req *gosip.Request, tx *transaction) {
	s.refuse(req, tx, 481, "Call/Transaction Does Not Exist")
}
