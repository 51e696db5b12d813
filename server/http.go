package server

import (
	"context"
	"crypto/subtle"
	"encoding/json"
	"net/http"
	"strings"
	"time"

	"hotline/metrics"
	"hotline/routing"
)

// Status is what /api/status and the demo's table show.
type Status struct {
	Node     string `json:"node"`
	Draining bool   `json:"draining"`
	// Emergency that is on, if any.
	Emergency string              `json:"emergency,omitempty"`
	Calls     int                 `json:"calls"`
	Queues    []routing.QueueView `json:"queues"`
	Seats     []routing.SeatView  `json:"seats"`
}

func (s *Server) routes() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /metrics", s.authorised(s.metrics.Handler().ServeHTTP))
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, r *http.Request) { s.health(w, r, false) })
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, r *http.Request) { s.health(w, r, true) })
	mux.HandleFunc("GET /api/status", s.authorised(s.getStatus))
	mux.HandleFunc("GET /api/calls", s.authorised(s.getCalls))
	mux.HandleFunc("GET /api/calls/{call}/trace", s.authorised(s.getTrace))
	mux.HandleFunc("POST /api/captures", s.authorised(s.postCapture))
	mux.HandleFunc("POST /api/calls/{call}/recording", s.authorised(s.postRecording))
	mux.HandleFunc("POST /api/calls/{call}/tier", s.authorised(s.postTier))
	mux.HandleFunc("GET /api/trunks", s.authorised(func(w http.ResponseWriter, _ *http.Request) { reply(w, http.StatusOK, s.trunks()) }))
	mux.HandleFunc("GET /api/seats", s.authorised(s.getSeats))
	mux.HandleFunc("POST /api/seats/{seat}/free", s.authorised(s.postFree))
	mux.HandleFunc("POST /api/seats/{seat}/transfer", s.authorised(s.postTransfer))
	mux.HandleFunc("POST /api/emergency/{name}", s.authorised(func(w http.ResponseWriter, r *http.Request) { s.switchEmergency(w, r.PathValue("name")) }))
	mux.HandleFunc("DELETE /api/emergency", s.authorised(func(w http.ResponseWriter, _ *http.Request) { s.switchEmergency(w, "") }))
	return mux
}

func (s *Server) switchEmergency(w http.ResponseWriter, name string) {
	if err := s.SetEmergency(name); err != nil {
		problem(w, http.StatusNotFound, err.Error())
		return
	}
	reply(w, http.StatusOK, map[string]string{"emergency": name})
}

// authorised asks for the API token where one is configured.
func (s *Server) authorised(h http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		token := string(s.settings.Load().HTTP.Token)
		given := strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")
		if token != "" && subtle.ConstantTimeCompare([]byte(given), []byte(token)) != 1 {
			problem(w, http.StatusUnauthorized, "give the API token as Authorization: Bearer TOKEN (http.token in the config)")
			return
		}
		h(w, r)
	}
}

func problem(w http.ResponseWriter, code int, what string) {
	reply(w, code, map[string]string{"error": what})
}

func reply(w http.ResponseWriter, code int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	_ = json.NewEncoder(w).Encode(v)
}

// health is alive while routing answers; ready also means that calls are taken.
func (s *Server) health(w http.ResponseWriter, r *http.Request, ready bool) {
	ctx, cancel := context.WithTimeout(r.Context(), time.Second)
	defer cancel()
	if err := s.core.view(ctx, func(*routing.State) {}); err != nil {
		problem(w, http.StatusServiceUnavailable, "routing doesn't answer")
		return
	}
	if ready && s.draining.Load() {
		problem(w, http.StatusServiceUnavailable, "draining")
		return
	}
	reply(w, http.StatusOK, map[string]string{"status": "ok"})
}

// Status takes a snapshot; it waits for routing, at most until ctx ends.
func (s *Server) Status(ctx context.Context) (Status, error) {
	st := Status{Node: s.core.node, Emergency: s.Emergency(), Draining: s.draining.Load(), Calls: s.Calls()}
	err := s.core.view(ctx, func(r *routing.State) { st.Queues, st.Seats = r.Queues(), r.Seats() })
	return st, err
}

func (s *Server) getStatus(w http.ResponseWriter, r *http.Request) {
	st, err := s.Status(r.Context())
	if err != nil {
		problem(w, http.StatusServiceUnavailable, err.Error())
		return
	}
	reply(w, http.StatusOK, st)
}

func (s *Server) getSeats(w http.ResponseWriter, r *http.Request) {
	st, err := s.Status(r.Context())
	if err != nil {
		problem(w, http.StatusServiceUnavailable, err.Error())
		return
	}
	reply(w, http.StatusOK, st.Seats)
}

// postFree frees a seat: its offer is withdrawn, its talk disconnected.
func (s *Server) postFree(w http.ResponseWriter, r *http.Request) {
	id := routing.SeatID(r.PathValue("seat"))
	found := false
	var before, after routing.SeatView
	err := s.core.view(r.Context(), func(st *routing.State) {
		if before, found = st.Seat(id); found {
			s.core.apply(routing.SeatFreed{Seat: id})
			after, _ = st.Seat(id)
		}
	})
	switch {
	case err != nil:
		problem(w, http.StatusServiceUnavailable, err.Error())
	case !found:
		problem(w, http.StatusNotFound, "no seat "+string(id)+"; GET /api/seats lists them")
	default:
		s.log.Warn("seat freed by hand", "seat", id, "was", before.State, "call", before.Call)
		reply(w, http.StatusOK, after)
	}
}

// postTransfer sends the caller who talks at a seat back into a queue, behind the
// others or, with keep_place=true, at the old place. The agent wraps up.
func (s *Server) postTransfer(w http.ResponseWriter, r *http.Request) {
	id, queue := routing.SeatID(r.PathValue("seat")), routing.QueueID(r.FormValue("queue"))
	if _, ok := s.settings.Load().Queue(string(queue)); !ok {
		problem(w, http.StatusNotFound, "no queue "+string(queue)+"; name one with ?queue=NAME")
		return
	}
	found, done := false, false
	var seat routing.SeatView
	err := s.core.view(r.Context(), func(st *routing.State) {
		if seat, found = st.Seat(id); !found || seat.State != routing.SeatTalking {
			return
		}
		s.core.apply(routing.CallRequeued{Call: seat.Call, Queue: queue, KeepPlace: r.FormValue("keep_place") == "true"})
		after, _ := st.Call(seat.Call)
		done = after.Phase != routing.PhaseTalking
		seat, _ = st.Seat(id)
	})
	switch {
	case err != nil:
		problem(w, http.StatusServiceUnavailable, err.Error())
	case !found:
		problem(w, http.StatusNotFound, "no seat "+string(id)+"; GET /api/seats lists them")
	case !done:
		problem(w, http.StatusConflict, "nobody talks at seat "+string(id))
	default:
		reply(w, http.StatusOK, seat)
	}
}

// snapshot is what metrics show of the moment; a scrape waits for it at most a
// second.
func (s *Server) snapshot() metrics.Snapshot {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	var sn metrics.Snapshot
	_ = s.core.view(ctx, func(st *routing.State) {
		sn.Seats, sn.Queues = st.Seats(), st.Queues()
		sn.Ignored, _ = st.Ignored()
		sn.Invariants = s.core.wrong
	})
	sn.Calls = s.Calls()
	sn.Media = s.media.Stats()
	select {
	case <-s.up: // else s.sip isn't there yet
		sn.Certificates, sn.HEP = s.sip.Certificates(), s.sip.HEP()
	default:
	}
	sn.Trunks = s.trunks()
	if r := s.recorder.Load(); r != nil {
		st := r.Stats()
		sn.Recording = metrics.RecordingStats{Active: st.Active, Free: st.Free, Low: st.Low, Waiting: st.Waiting}
	}
	return sn
}
