package probe

import (
	"bytes"
	"flag"
	"io"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "write the golden files")

// Reports with fixed figures, in each format.
func TestGolden(t *testing.T) {
	at := time.Date(2026, 3, 1, 8, 30, 0, 250e6, time.UTC)
	fine := Report{
		Number: "95590", To: "sip:192.0.2.10:5060", At: at, Answered: true, Status: 200,
		PostDialDelay: new(0.12), Setup: new(0.345), Lasted: 10, Codec: "PCMA", Tone: true, Echo: true, ChirpsSent: 12, ChirpsHeard: 12,
		RoundTrip: new(0.0421), EchoGain: new(-3.04),
		Received: Direction{502, new(true), new(-11.02), new(0.2), new(0.0031), new(4.36)},
		Sent:     Direction{500, new(true), new(-12.02), new(0.0), new(0.0004), new(4.38)},
	}
	bad := Report{
		Number: `9"5`, To: "sip:192.0.2.10:5060", At: at, Answered: true, Status: 200, Setup: new(2.5), Lasted: 10, Codec: "PCMU", Tone: true, ChirpsSent: 12,
		Received: Direction{470, new(true), new(-41.0), new(6.0), new(0.02), new(3.1)},
		Sent:     Direction{Packets: 500, Heard: new(false)},
	}
	far := bad
	far.Number, far.Tone, far.Echo, far.RoundTrip, far.EchoGain, far.ChirpsHeard = "3", false, true, new(0.4), new(-20.0), 11
	far.Received.Heard, far.Received.Packets, far.Sent.Heard = new(false), 0, nil
	refused := Report{Number: "9", To: "sip:192.0.2.10:5060", At: at, Status: 404, Cause: "unreachable"}
	for name, r := range map[string]Report{"fine": fine, "bad": bad, "far": far, "refused": refused} {
		r.Judge(Limits{MaxSetup: 2 * time.Second, MaxDelay: 300 * time.Millisecond, MaxLoss: 1, MinLevel: -30})
		for ext, write := range map[string]func(*Report, io.Writer) error{
			"txt": (*Report).WriteText, "json": (*Report).WriteJSON, "prom": (*Report).WritePrometheus,
		} {
			file := filepath.Join("testdata", name+"."+ext)
			var got bytes.Buffer
			if err := write(&r, &got); err != nil {
				t.Fatal(err)
			}
			if *update {
				if err := os.WriteFile(file, got.Bytes(), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(want), got.String()); diff != "" {
				t.Errorf("%s: %s", file, diff)
			}
		}
	}
}

// Each limit that is missed is a problem, and one that is met or not set is none.
func TestLimits(t *testing.T) {
	r := Report{Answered: true, Lasted: 5, Setup: new(1.0), RoundTrip: new(0.1), Received: Direction{Loss: new(1.0), Level: new(-20.0)}}
	for want, l := range map[string]Limits{
		"":        {MaxSetup: time.Second, MaxDelay: 100 * time.Millisecond, MaxLoss: 1, MinLevel: -20},
		SlowSetup: {MaxSetup: 999 * time.Millisecond},
		LongDelay: {MaxDelay: 99 * time.Millisecond},
		Loss:      {MaxLoss: 0.9},
		LowLevel:  {MinLevel: -19},
	} {
		r.Judge(l)
		if len(r.Problems) != len(want)/max(len(want), 1) || want != "" && r.Problems[0].Code != want {
			t.Errorf("%+v: %v, want %q", l, r.Problems, want)
		}
	}
	if r.Judge(Limits{}); r.Problems != nil {
		t.Errorf("without limits: %v", r.Problems)
	}
}
