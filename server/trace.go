package server

import (
	"net/http"
	"strings"
	"time"

	"hotline/sip"
)

// TraceMessage is one SIP message of a call, see [sip.Traced].
type TraceMessage = sip.Traced

// getTrace shows the signalling of a call, all legs together.
func (s *Server) getTrace(w http.ResponseWriter, r *http.Request) {
	id := r.PathValue("call")
	trace := s.sip.Trace(id)
	if len(trace) == 0 {
		problem(w, http.StatusNotFound, "nothing is remembered of call "+id+": it is too long ago, or was on another node; sip.trace_calls says how many are")
		return
	}
	reply(w, http.StatusOK, trace)
}

// captureFor is how long a capture goes on.
const captureFor = time.Hour

// postCapture has whole messages kept for an hour: of ?call=, or of new calls from and to
// ?number=.
func (s *Server) postCapture(w http.ResponseWriter, r *http.Request) {
	call, number := r.FormValue("call"), r.FormValue("number")
	if (call == "") == (number == "") || number != "" && (len(number) < 5 || strings.Trim(number, "+0123456789") != "") {
		problem(w, http.StatusBadRequest, "say what to capture: ?call=CALL, or ?number= with at least five digits as they stand in From or To")
		return
	}
	if !s.sip.Capture(call, number, captureFor) {
		problem(w, http.StatusConflict, "too many captures are under way; each ends after an hour")
		return
	}
	s.log.Warn("capture begun", "call", call, "number", maskNumber(number), "for", captureFor)
	reply(w, http.StatusOK, map[string]string{"until": time.Now().Add(captureFor).Format(time.RFC3339)})
}
