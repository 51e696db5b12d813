package server

import (
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"

	"hotline/routing"
)

// The trace of a call has both its legs, whole numbers and bodies in none of it; a
// capture keeps whole messages.
func TestTraceOfACall(t *testing.T) {
	h := start(t, nil)
	post := func(path string) int {
		code, _ := h.get("POST", path, "")
		return code
	}
	for path, want := range map[string]int{
		"/api/captures": 400, "/api/captures?number=12": 400, "/api/captures?number=13800000001&call=x": 400, "/api/captures?number=abcdef": 400,
		"/api/captures?number=13800000001": 200,
	} {
		if got := post(path); got != want {
			t.Errorf("%s: %d, want %d", path, got, want)
		}
	}
	_, rings := h.desk("alice")
	caller := h.call()
	agent := h.pickUp(rings)
	var id string
	h.when("talking", func(s *routing.State) bool {
		for _, c := range s.Calls() {
			if c.Phase == routing.PhaseTalking {
				id = string(c.ID)
			}
		}
		return id != ""
	})
	res, err := http.Get("http://" + h.HTTPAddr().String() + "/api/calls/" + id + "/trace")
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(res.Body)
	_ = res.Body.Close()
	if err != nil {
		t.Fatal(err)
	}
	var trace []TraceMessage
	if err := json.Unmarshal(body, &trace); err != nil {
		t.Fatalf("%v in %s", err, body)
	}
	legs, came, left, answers, whole := map[string]bool{}, false, false, 0, 0
	for i := range trace {
		m := &trace[i]
		legs[m.CallID] = true
		invite := strings.HasPrefix(m.Line, "INVITE ")
		came, left = came || invite && !m.Sent && m.SDP != "", left || invite && m.Sent
		if m.Line == "SIP/2.0 200 OK" {
			answers++
		}
		if len(m.Raw) > 0 {
			whole++
		}
		m.Raw = nil
		if i > 0 && m.At.Before(trace[i-1].At) {
			t.Error("not in the order of time")
		}
	}
	if len(legs) != 2 || !came || !left || answers != 2 || whole == 0 {
		t.Errorf("%d legs, INVITE came %t and left %t, %d whole messages: %s", len(legs), came, left, whole, body)
	}
	if shown, _ := json.Marshal(trace); strings.Contains(string(shown), "13800000001") || strings.Contains(string(shown), "rtpmap") {
		t.Errorf("a whole number or a body is in %s", shown)
	}
	if code, _ := h.get("GET", "/api/calls/nobody/trace", ""); code != 404 {
		t.Errorf("an unknown call: %d", code)
	}
	caller.Hangup()
	<-agent.Done()
	h.finish()
}
