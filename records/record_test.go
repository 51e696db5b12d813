package records

import (
	"encoding/json"
	"flag"
	"math"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"
	"pgregory.net/rapid"

	"hotline/routing"
)

var update = flag.Bool("update", false, "write the golden files")

func TestMain(m *testing.M) {
	time.Local = time.FixedZone("CST", 8*3600)
	goleak.VerifyTestMain(m)
}

// noon is 2026-03-02 12:00:00 in the time zone of these tests.
var noon = routing.Time(time.Date(2026, 3, 2, 12, 0, 0, 0, time.FixedZone("", 8*3600)).UnixMicro())

func answered() Record {
	return New(routing.CallView{
		ID: "n1-1", Node: "n1", Number: "+8613800000001", DID: "95599", Trunk: "carrier",
		Attestation: "A", Diversions: []routing.Diversion{{Number: "+8613900000000", Reason: "no-answer"}, {Number: "+861058490000", Reason: "unconditional"}},
		Customer: "10001", Tier: routing.TierA1, Manager: "alice", Team: "east", Language: "zh", Source: "redis",
		Queue: "operator", Step: routing.StepTeam, Seat: "bob", Agent: "bob",
		Arrived: noon, Answered: noon.Add(20 * routing.Millisecond), Identified: noon.Add(24*routing.Millisecond + 600),
		Queued: noon.Add(3 * routing.Second), Connected: noon.Add(33500 * routing.Millisecond), Ended: noon.Add(93500 * routing.Millisecond),
		QueueWait: 30500 * routing.Millisecond, Rings: 2, Talk: 55*routing.Second + 499, Hold: 5*routing.Second + 500, WrapUp: 10 * routing.Second,
		Offers: []routing.OfferView{
			{Offer: 1, Seat: "alice", Agent: "alice", At: noon.Add(3 * routing.Second), Took: 20 * routing.Second, Ring: 19900 * routing.Millisecond, Outcome: "no_answer"},
			{Offer: 2, Seat: "bob", Agent: "bob", At: noon.Add(23 * routing.Second), Took: 10 * routing.Second, Ring: 9 * routing.Second, Outcome: "answered"},
		},
		Outcome: routing.OutcomeAnswered, Cause: routing.CauseCallerHungUp,
	}, Media{Codec: "PCMA", Sent: 4675, Received: 4670, Lost: 5, JitterMS: 1.23456, Secure: "sdes"}, Media{Codec: "PCMU", Sent: 3000, Received: 2990, Lost: -1, JitterMS: math.NaN(), Secure: "none"})
}

func abandoned() Record {
	return New(routing.CallView{
		ID: "n1-2", Node: "n1", Queue: "inquiry", Arrived: noon, Queued: noon.Add(routing.Second), Ended: noon.Add(2 * routing.Second),
		QueueWait: routing.Second, Outcome: routing.OutcomeAbandoned, Cause: routing.CauseCallerHungUp, Source: "anonymous",
	}, Media{Codec: "PCMA", Sent: 100, Received: 100, Secure: "none"}, Media{})
}

func rejected() Record {
	return New(routing.CallView{ID: "n1-3", Node: "n1", Arrived: noon, Ended: noon, Outcome: routing.OutcomeRejected, Cause: routing.CauseRejected},
		Media{}, Media{})
}

// TestLines compares whole lines: they are what others read.
func TestLines(t *testing.T) {
	first := answered()
	first.Seq = 4711
	var got strings.Builder
	for _, r := range []Record{first, abandoned(), rejected()} {
		line, err := json.MarshalIndent(r, "", "  ")
		if err != nil {
			t.Fatal(err)
		}
		got.WriteString(string(line) + "\n")
	}
	const golden = "testdata/records.golden"
	if *update {
		if err := os.WriteFile(golden, []byte(got.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got.String()); diff != "" {
		t.Error(diff)
	}
}

func TestImpossibleJitter(t *testing.T) {
	for _, ms := range []float64{math.NaN(), math.Inf(1), math.Inf(-1), -1, math.MaxFloat64} {
		if m := (Media{JitterMS: ms}).rounded(); m.JitterMS != 0 {
			t.Errorf("%v becomes %v", ms, m.JitterMS)
		}
	}
}

// TestEveryRecordIsALine: whatever routing says, there is a line, and it reads
// back as the same record, to the millisecond.
func TestEveryRecordIsALine(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		draw := func(label string) string { return rapid.String().Draw(t, label) }
		v := routing.CallView{
			ID: routing.CallID(draw("id")), Number: draw("number"), Tier: rapid.SampledFrom(routing.Tiers()).Draw(t, "tier"),
			Arrived: routing.Time(rapid.Int64().Draw(t, "arrived")), Talk: routing.Duration(rapid.Int64Range(0, 1e12).Draw(t, "talk")),
		}
		r := New(v, Media{Codec: draw("codec"), JitterMS: rapid.Float64().Draw(t, "jitter")}, Media{})
		line, err := json.Marshal(r)
		if err != nil {
			t.Fatal(err)
		}
		var back Record
		if err := json.Unmarshal(line, &back); err != nil {
			t.Fatalf("%v: %s", err, line)
		}
		if d := int64(back.Talk) - int64(v.Talk); d < -500 || d > 500 {
			t.Fatalf("talk %d reads as %d", v.Talk, back.Talk)
		}
		if call, ok := callOf(line); !ok || string(call) != back.Call {
			t.Fatalf("call %q found as %q", back.Call, call)
		}
	})
}
