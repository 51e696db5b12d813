package main

import (
	"strings"
	"testing"
	"time"

	"hotline/config"
	"hotline/routing"
	"hotline/routing/staffing"
)

// 60 calls of 5 minutes an hour are 5 erlang: the two or three agents of a queue
// of the example can't do it; 6 calls an hour they can.
func TestTargetsThatTheLoadMakesImpossible(t *testing.T) {
	cfg, err := config.Load("../../config.example.yaml")
	if err != nil {
		t.Fatal(err)
	}
	past := func(perHour int, tier routing.Tier) []staffing.Call {
		var out []staffing.Call
		for day := range 7 {
			for k := range perHour {
				at := time.Date(2026, 11, 2+day, 10, 0, 0, 0, time.UTC).Add(time.Duration(k) * time.Hour / time.Duration(perHour))
				out = append(out, staffing.Call{At: at, Tier: tier, Queue: "fault", Answered: true, Talk: 280, WrapUp: 20, Wait: 5})
			}
		}
		return out
	}
	got, err := impossibleTargets(cfg, past(60, routing.TierC))
	if err != nil || len(got) != 1 || !strings.Contains(got[0], "tier C can't be answered in time in queue fault") ||
		!strings.Contains(got[0], "60 calls an hour of 300 s") || !strings.Contains(got[0], "would be needed") {
		t.Errorf("60 an hour: %q %v", got, err)
	}
	if got, err := impossibleTargets(cfg, past(6, routing.TierC)); err != nil || len(got) != 0 {
		t.Errorf("6 an hour: %q %v", got, err)
	}
	// C is served after A: much of C makes nothing impossible for A.
	if got, err := impossibleTargets(cfg, append(past(60, routing.TierC), past(3, routing.TierA1)...)); err != nil || len(got) != 1 || strings.Contains(got[0], "tier A1") {
		t.Errorf("with A1: %q %v", got, err)
	}
}
