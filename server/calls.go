package server

import (
	"net/http"

	"hotline/routing"
)

// getCalls lists the calls in progress, without whole numbers of callers.
func (s *Server) getCalls(w http.ResponseWriter, r *http.Request) {
	calls := []routing.CallView{}
	if err := s.core.view(r.Context(), func(st *routing.State) { calls = st.Calls() }); err != nil {
		problem(w, http.StatusServiceUnavailable, err.Error())
		return
	}
	for i := range calls {
		calls[i].Number = maskNumber(calls[i].Number)
	}
	reply(w, http.StatusOK, calls)
}

// postTier gives a caller who isn't on offer or talking another tier, which counts at
// once; the place in the line stays.
func (s *Server) postTier(w http.ResponseWriter, r *http.Request) {
	id := routing.CallID(r.PathValue("call"))
	tier, err := routing.ParseTier(r.FormValue("tier"))
	if err != nil {
		problem(w, http.StatusBadRequest, err.Error())
		return
	}
	var call routing.CallView
	found, done := false, false
	err = s.core.view(r.Context(), func(st *routing.State) {
		if call, found = st.Call(id); !found {
			return
		}
		before, _ := st.Ignored()
		s.core.apply(routing.CallIdentified{Call: id, Customer: call.Customer, Tier: tier, Manager: call.Manager,
			Team: call.Team, Language: call.Language, Source: "operator"})
		after, _ := st.Ignored()
		done = before == after
		call, _ = st.Call(id)
	})
	switch {
	case err != nil:
		problem(w, http.StatusServiceUnavailable, err.Error())
	case !found:
		problem(w, http.StatusNotFound, "no call "+string(id)+"; GET /api/calls lists them")
	case !done:
		problem(w, http.StatusConflict, "call "+string(id)+" is "+string(call.Phase)+": its tier can't change any more")
	default:
		s.log.Warn("tier changed by hand", "call", id, "tier", tier)
		call.Number = maskNumber(call.Number)
		reply(w, http.StatusOK, call)
	}
}
