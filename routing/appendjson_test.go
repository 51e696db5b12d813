package routing

import (
	"bytes"
	"testing"

	"pgregory.net/rapid"
)

// TestAppendJSON holds the short way of writing an entry against the long one.
func TestAppendJSON(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.String()
		e := Entry{Seq: rapid.Uint64().Draw(t, "seq"), At: Time(rapid.Int64().Draw(t, "at")), Node: text.Draw(t, "node")}
		e.Event = rapid.SampledFrom([]Event{nil, Tick{}, NodeStarted{}, CallIdentified{Call: CallID(text.Draw(t, "call")), Tier: Tier(rapid.IntRange(0, 6).Draw(t, "tier"))},
			AgentStatusChanged{Agent: "a", Reason: text.Draw(t, "reason")}}).Draw(t, "event")
		want, wantErr := e.MarshalJSON()
		got, err := e.AppendJSON([]byte("before"))
		if (err == nil) != (wantErr == nil) {
			t.Fatalf("error %v, want %v", err, wantErr)
		}
		if !bytes.Equal(got, append([]byte("before"), want...)) {
			t.Fatalf("%s\n%s", got, want)
		}
	})
}
