package server

import (
	"net/http"

	"hotline/records"
	"hotline/routing"
)

// recordingView is a recording under way.
type recordingView struct {
	ID     string `json:"id"`
	Leg    string `json:"leg"`
	Paused bool   `json:"paused"`
}

// recordable is a call of any kind whose recording can be changed from outside.
type recordable interface {
	pauseRecording(on bool) bool
	stopRecording() bool
	recordingViews() []recordingView
}

// postRecording pauses what is recorded of a call, goes on with it, or stops it for good:
// action=pause, resume or stop.
func (s *Server) postRecording(w http.ResponseWriter, r *http.Request) {
	id, action := routing.CallID(r.PathValue("call")), r.FormValue("action")
	v, found := s.recs.Load(id)
	if !found {
		problem(w, http.StatusNotFound, "no call "+string(id)+"; GET /api/calls lists them")
		return
	}
	c := v.(recordable)
	done := false
	switch action {
	case "pause", "resume":
		done = c.pauseRecording(action == "pause")
	case "stop":
		done = c.stopRecording()
	default:
		problem(w, http.StatusBadRequest, "say ?action=pause, resume or stop")
		return
	}
	if !done {
		problem(w, http.StatusConflict, "nothing of call "+string(id)+" is being recorded")
		return
	}
	s.log.Info("recording changed by hand", "call", id, "action", action)
	reply(w, http.StatusOK, c.recordingViews())
}

func (c *call) recordingViews() []recordingView { return c.rec.views() }

func (r *recorded) views() []recordingView {
	r.mu.Lock()
	defer r.mu.Unlock()
	views := []recordingView{}
	for _, l := range r.live {
		views = append(views, recordingView{l.ID(), l.leg, l.Paused()})
	}
	return views
}

// repaired are the recordings of a call that the last process was killed in.
func (s *Server) repaired(call string) (out []records.Recording) {
	r := s.recorder.Load()
	if r == nil {
		return nil
	}
	for _, in := range r.Repaired() {
		if in.Call == call {
			out = append(out, records.Recording{ID: in.ID, Leg: in.Leg, Agent: in.Agent, Start: records.Time{Time: in.Start},
				Length: records.Seconds(in.Seconds * 1e6), Ended: in.Ended})
		}
	}
	return out
}
