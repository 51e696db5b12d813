package e2e

import "testing"

// An agent sends the caller into another queue, where one waits already: the caller
// comes after that one, or before at the place of old. The agent's phone is hung up
// and the agent wraps up.
func TestTransfersOnLiveCalls(t *testing.T) {
	for _, tc := range []struct{ name, how, first, second string }{
		{"behind the others", "", "bo", "ann"},
		{"at the old place", "--keep-place", "ann", "bo"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			scene{
				config: twoQueues + "queues: [{name: sales, wrap_up: 700ms}, {name: operator, wrap_up: 0s}]\n",
				script: `
					carol comes
					ann calls
					carol talks to ann
					bo calls 2
					cy calls
					hotline seats transfer carol operator ` + tc.how + `
					carol loses ann
					carol is wrap_up ready
					carol rests 700ms
					carol talks to cy
					olga comes
					olga talks to ` + tc.first + `
					olga hangs up
					olga talks to ` + tc.second,
				why:    "ann: sent back by carol into queue operator\nann: talks to olga",
				record: transferred,
			}.play(t)
		})
	}
}

// transferred looks for the talk before in ann's record.
func transferred(t *testing.T, of func(who string) record) {
	t.Helper()
	r := of("ann")
	talks, _ := r["talks"].([]any)
	if len(talks) != 1 || r.str("seat") != "olga" || r.str("queue") != "operator" {
		t.Fatalf("ann's record is %v, want one talk before that with olga", r)
	}
	before, _ := talks[0].(map[string]any)
	if r := record(before); r.str("seat") != "carol" || r.str("queue") != "sales" || r["wrap_up_s"] == 0.0 {
		t.Errorf("the talk before is %v, want carol's, with its wrap-up", r)
	}
}
