package sip

import (
	"errors"
	"slices"
	"strconv"
	"strings"
	"time"

	gosip "github.com/emiago/sipgo/sip"
)

// begin admits a request to be worked on.
func (s *Stack) begin(req *gosip.Request, tx *transaction) bool {
	if s.pending.Add(1) > int64(s.opt.MaxPending) && (req.Method == gosip.INVITE || req.Method == gosip.REGISTER || req.Method == gosip.OPTIONS || req.Method == gosip.SUBSCRIBE) {
		s.pending.Add(-1)
		s.overloaded(req, tx)
		return false
	}
	tx.pending.Store(true)
	return true
}

// overloaded answers 503.
func (s *Stack) overloaded(req *gosip.Request, tx *transaction) {
	s.unavailable(req, tx, "overload", s.trunkFrom(sourceAddr(req), tx.by.conn))
}

// valid is RFC 3261 8.1.1 and 8.2.2: the fields each request must have, and what
// it may ask for. It has answered when it returns false.
func (s *Stack) valid(req *gosip.Request, tx *transaction) bool {
	bad := func(code int, phrase string, hs ...gosip.Header) bool {
		if code == 400 {
			s.obs.Refused("malformed")
		}
		if !req.IsAck() {
			s.refuse(req, tx, code, phrase, hs...)
		}
		return false
	}
	from, to, seq := req.From(), req.To(), req.CSeq()
	if from == nil || to == nil || req.CallID() == nil || seq == nil {
		return bad(400, "Missing From, To, Call-ID or CSeq")
	}
	if name := twice(req); name != "" {
		return bad(400, "Multiple "+name)
	}
	if tag, _ := from.Params.Get("tag"); tag == "" && !isRFC2543(req) {
		return bad(400, "Missing From tag")
	}
	if !strings.EqualFold(string(seq.MethodName), string(req.Method)) { // sipgo writes one in capitals
		return bad(400, "CSeq Method Differs")
	}
	switch req.Recipient.Scheme {
	case "sip", "sips", "tel":
	default:
		return bad(416, "Unsupported URI Scheme")
	}
	if s.downgraded(req, tx) {
		return bad(480, "SIPS Without TLS", s.sipsNotAllowed())
	}
	if u := unsupported(req); u != "" && req.Method != gosip.CANCEL && req.Method != gosip.REGISTER && !req.IsAck() {
		return bad(420, "Bad Extension", gosip.NewHeader("Unsupported", u))
	}
	if len(req.Body()) > maxBody {
		return bad(413, "Request Entity Too Large")
	}
	if len(req.Body()) > 0 {
		if enc := req.GetHeader("Content-Encoding"); enc != nil && !strings.EqualFold(enc.Value(), "identity") {
			return bad(415, "Unsupported Media Type", gosip.NewHeader("Accept-Encoding", "identity"))
		}
		if (req.Method == gosip.INVITE) && !isSDP(req) {
			return bad(415, "Unsupported Media Type", gosip.NewHeader("Accept", "application/sdp"))
		}
	}
	if req.Method == gosip.INVITE && !acceptsSDP(req) {
		return bad(406, "Not Acceptable")
	}
	if req.Method == gosip.INVITE || req.Method == gosip.UPDATE {
		if _, _, ok := sessionOf(req); !ok {
			return bad(400, "Bad Session-Expires")
		}
		if s.tooShort(req) {
			return bad(422, "Session Interval Too Small", gosip.NewHeader("Min-SE", strconv.Itoa(int(s.opt.MinSession/time.Second))))
		}
	}
	return true
}

// maxBody is the longest body in bytes. The SDP of a phone with many codecs and ICE
// candidates has some 10,000.
const maxBody = 16 << 10

// unsupported lists the extensions that a request needs and we don't have (RFC
// 3261 8.2.2.3).
func unsupported(req *gosip.Request) string {
	var out []string
	for _, line := range fields(req, "Require") {
		for v := range strings.SplitSeq(line, ",") {
			if v = strings.TrimSpace(v); v != "" && !slices.Contains(extensions, strings.ToLower(v)) {
				out = append(out, v)
			}
		}
	}
	return strings.Join(out, ", ")
}

var extensions = strings.Split(supportedByAgents, ", ")

// single are the fields that a request has once (RFC 3261 7.3.1): of two nobody
// knows which one counts.
var single = [6]string{"From", "To", "Call-ID", "CSeq", "Max-Forwards", "Content-Length"}

// twice is the first field of single that is there more than once; "" for none.
func twice(req *gosip.Request) string {
	var seen [6]bool
	for _, h := range req.Headers() {
		for i, name := range single {
			if !strings.EqualFold(h.Name(), name) {
				continue
			}
			if seen[i] {
				return name
			}
			seen[i] = true
		}
	}
	return ""
}

// isRFC2543 says that the peer is older than RFC 3261 (its 8.1.1.7): it needs
// neither a From tag nor a Contact.
func isRFC2543(req *gosip.Request) bool {
	v := req.Via()
	if v == nil {
		return false
	}
	branch, _ := v.Params.Get("branch")
	return !strings.HasPrefix(branch, gosip.RFC3261BranchMagicCookie)
}

// acceptsSDP says whether an answer with SDP is one that the caller takes (RFC 3261
// 20.1).
func acceptsSDP(req *gosip.Request) bool {
	none := true
	for _, h := range req.Headers() {
		if !isField(h, "Accept") {
			continue
		}
		none = false
		for t := range strings.SplitSeq(h.Value(), ",") {
			t, _, _ = strings.Cut(t, ";")
			switch strings.ToLower(strings.TrimSpace(t)) {
			case "application/sdp", "application/*", "*/*":
				return true
			}
		}
	}
	return none
}

func isSDP(m interface {
	ContentType() *gosip.ContentTypeHeader
}) bool {
	h := m.ContentType()
	if h == nil {
		return false
	}
	t, _, _ := strings.Cut(h.Value(), ";")
	return strings.EqualFold(strings.TrimSpace(t), "application/sdp")
}

// respond answers a request within its transaction, which repeats the answer, and
// counts it. To gets our tag where it has none.
func (s *Stack) respond(req *gosip.Request, tx *transaction, code int, phrase string, hs ...gosip.Header) {
	s.answer(req, code, phrase, hs, tx.Respond)
}

// refuse answers like respond but keeps no state (RFC 3261 8.2.7): a transaction
// would live for 32 s and repeat its answer, for somebody of whom nothing is
// known and whose address may be forged. The same request gets the same To tag
// again.
func (s *Stack) refuse(req *gosip.Request, tx *transaction, code int, phrase string, hs ...gosip.Header) {
	s.answer(req, code, phrase, hs, tx.refuse)
}

func (s *Stack) answer(req *gosip.Request, code int, phrase string, hs []gosip.Header, send func(*gosip.Response) error) {
	if req.IsAck() {
		return
	}
	res := s.response(req, code, phrase, nil, hs...)
	err := send(res)
	if !errors.Is(err, errAnswered) {
		s.obs.ServerRequest(string(req.Method), code)
	}
	if err != nil {
		s.log.Debug("answer not sent", "method", req.Method, "code", code, "error", err)
	}
}

// response builds an answer with our To tag, Server and the given fields (RFC 3261 8.2.6). It shares header fields with
// the request, which must not be changed.
func (s *Stack) response(req *gosip.Request, code int, phrase string, sdp []byte, hs ...gosip.Header) *gosip.Response {
	res := gosip.NewResponse(code, phrase)
	dialog := code > 100 && code < 300 && req.Method != gosip.REGISTER // RFC 3261 12.1.1
	for _, h := range req.Headers() {
		switch {
		case isField(h, "Via"), dialog && isField(h, "Record-Route"), code == 100 && isField(h, "Timestamp"):
			res.AppendHeader(h)
		}
	}
	from, to, id := req.From(), req.To(), req.CallID()
	if from != nil {
		res.AppendHeader(from)
	}
	if to != nil {
		res.AppendHeader(s.tagged(to, from, id, code))
	}
	if id != nil {
		res.AppendHeader(id)
	}
	if seq := req.CSeq(); seq != nil {
		res.AppendHeader(seq)
	}
	res.AppendHeader(gosip.NewHeader("Server", s.opt.UserAgent))
	for _, h := range hs {
		res.AppendHeader(h)
	}
	if len(sdp) > 0 {
		res.AppendHeader(gosip.NewHeader("Content-Type", "application/sdp"))
	}
	res.SetBody(sdp)
	return res
}

// tagged is the To of an answer: the request's, with our tag where it has none.
func (s *Stack) tagged(to *gosip.ToHeader, from *gosip.FromHeader, id *gosip.CallIDHeader, code int) *gosip.ToHeader {
	if tag, _ := to.Params.Get("tag"); tag != "" || code == 100 {
		return to
	}
	tag := rawToTag
	if from != nil && id != nil {
		fromTag, _ := from.Params.Get("tag")
		tag = s.localTag(string(*id), fromTag)
	}
	out := *to
	out.Params = append(to.Params.Clone(), gosip.HeaderKV{K: "tag", V: tag})
	return &out
}

// handleOptions answers a ping (RFC 3261 11.2).
func (s *Stack) handleOptions(req *gosip.Request, tx *transaction) {
	if tag, _ := req.To().Params.Get("tag"); tag != "" && s.findLeg(req) == nil {
		s.refuse(req, tx, 481, "Call/Transaction Does Not Exist")
		return
	}
	if to, _ := req.To().Params.Get("tag"); to == "" && s.drain.Load() {
		s.overloaded(req, tx) // so that a trunk that pings sends its calls elsewhere
		return
	}
	s.refuse(req, tx, 200, "OK", gosip.NewHeader("Allow", allowed), gosip.NewHeader("Accept", "application/sdp"),
		gosip.NewHeader("Allow-Events", allowEvents))
}
