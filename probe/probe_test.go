package probe

import (
	"context"
	"log/slog"
	"math"
	"net/netip"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"hotline/config"
	"hotline/media"
	"hotline/server"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const hotlineConfig = `
node: test
sip: {listen: [{network: udp, address: "127.0.0.1:0"}, {network: tcp, address: "127.0.0.1:0"}]}
media: {address: 127.0.0.1, rtp_timeout: 0s, codecs: [pcma, pcmu, g722]}
trunks:
  - name: carrier
    addresses: [127.0.0.1]
    dids: [{number: "1", flow: echo}, {number: "2", flow: talk}, {number: "3", flow: bye}]
queues: [{name: sales}]
agents: [{user: alice, password: a-long-secret, queues: [sales]}]
flows:
  echo: {start: e, steps: {e: {echo: {for: 20s}}}}
  talk: {start: p, steps: {p: {play: {prompts: [welcome, choose-language, choose-service], next: bye}}, bye: {hang_up: }}}
  bye: {start: b, steps: {b: {hang_up: }}}
http: {listen: "127.0.0.1:0"}
`

// hotline starts a server and gives its addresses for UDP and TCP.
func hotline(t *testing.T) (udp, tcp netip.AddrPort) {
	t.Helper()
	cfg, err := config.Parse("test", []byte(hotlineConfig))
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	cfg.Records.Dir, cfg.Journal.Dir = filepath.Join(dir, "records"), filepath.Join(dir, "journal")
	cfg.SIP.Register.File = filepath.Join(dir, "registrations.json")
	s, err := server.Start(server.Options{Config: cfg, Version: "test", Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	at := s.SIPAddrs()
	return at[0], at[1]
}

// runAll makes calls, all at once.
func runAll(t *testing.T, calls map[string]Options) map[string]*Report {
	t.Helper()
	var mu sync.Mutex
	var wg sync.WaitGroup
	out := map[string]*Report{}
	ctx, cancel := context.WithTimeout(t.Context(), 60*time.Second)
	defer cancel()
	for name, o := range calls {
		if o.For == 0 {
			o.For = 5 * time.Second
		}
		wg.Go(func() {
			r, err := Run(ctx, o)
			if err != nil {
				t.Errorf("%s: %v", name, err)
				r = &Report{}
			}
			mu.Lock()
			defer mu.Unlock()
			out[name] = r
		})
	}
	wg.Wait()
	return out
}

// near tells whether a figure is known and within so much of another.
func near(v *float64, want, within float64) bool { return v != nil && math.Abs(*v-want) <= within }

func show(r *Report) string {
	var b strings.Builder
	_ = r.WriteText(&b)
	return b.String()
}

// codes are those of the problems, when the call is held against usual limits.
func codes(r *Report) string {
	r.Judge(Limits{MaxSetup: 2 * time.Second, MaxDelay: 300 * time.Millisecond, MaxLoss: 1, MinLevel: -30})
	var out []string
	for _, p := range r.Problems {
		out = append(out, p.Code)
	}
	return strings.Join(out, " ")
}

// Against the echo step of a flow all is known, in each codec and over both transports.
func TestEchoFlow(t *testing.T) {
	udp, tcp := hotline(t)
	for name, r := range runAll(t, map[string]Options{
		"A-law":   {Number: "1", To: "sip:" + udp.String()},
		"µ-law":   {Number: "1", To: "sip:" + tcp.String() + ";transport=tcp", Codecs: []media.Codec{media.PCMU}},
		"G.722":   {Number: "1", To: "sip:" + udp.String(), Codecs: []media.Codec{media.G722}},
		"by name": {Number: "1", To: "sip:localhost:" + strings.TrimPrefix(udp.String(), "127.0.0.1:"), Local: udp.Addr()},
	}) {
		t.Run(name, func(t *testing.T) {
			if c := codes(r); c != "" || !r.Tone || !r.Echo || r.ChirpsSent < 3 || r.ChirpsHeard != r.ChirpsSent {
				t.Errorf("problems %q, %d of %d chirps", c, r.ChirpsHeard, r.ChirpsSent)
			}
			if !near(r.Received.Level, -10, 0.5) || !near(r.Sent.Level, -10, 0.5) {
				t.Error("levels")
			}
			if !near(r.RoundTrip, 0.25, 0.25) || !near(r.Setup, 1, 1) {
				t.Error("times")
			}
			if !near(r.Received.Loss, 0, 0) || !near(r.Sent.Loss, 0, 0) || !near(r.Received.MOS, 4.3, 0.2) || !near(r.Sent.MOS, 4.3, 0.2) {
				t.Error("loss or MOS")
			}
			if t.Failed() {
				t.Log(show(r))
			}
		})
	}
}

// quieter is a path that takes so many dB from A-law.
func quieter(db float64) path {
	gain := math.Pow(10, -db/20)
	return func(p []byte) []byte {
		if isRTP(p) && p[1]&0x7F == 8 {
			for i, b := range p[12:] {
				p[12+i] = media.EncodeALaw(int16(math.Round(gain * float64(media.DecodeALaw(b)))))
			}
		}
		return p
	}
}

// What a relay does to a call is what the report says was done to it.
func TestThroughARelay(t *testing.T) {
	udp, _ := hotline(t)
	const far = 200 * time.Millisecond // each way
	cases := map[string]struct {
		there, back path
		problems    string
		ok          func(*Report) bool
	}{
		"untouched": {clear, clear, "", func(r *Report) bool { return near(r.Received.Level, -10, 0.5) && near(r.Sent.Level, -10, 0.5) }},
		"quieter": {quieter(6), quieter(3), "", func(r *Report) bool {
			return near(r.Sent.Level, -16, 0.5) && near(r.Received.Level, -13, 0.5) && near(r.EchoGain, -9, 0.5)
		}},
		"far away":        {clear, clear, LongDelay, func(r *Report) bool { return near(r.RoundTrip, 0.42, 0.025) && near(r.Sent.Level, -10, 0.5) }},
		"too quiet there": {quieter(25), clear, LowLevel, func(r *Report) bool { return near(r.Sent.Level, -35, 1) && near(r.Received.Level, -10, 0.5) }},
		"5 % lost there": {lossy(20), clear, Loss, func(r *Report) bool {
			return near(r.Sent.Loss, 5, 1) && near(r.Received.Loss, 0, 0.1) && near(r.Sent.Level, -10, 0.5)
		}},
		"5 % lost back": {clear, lossy(20), Loss, func(r *Report) bool {
			return near(r.Received.Loss, 5, 1) && near(r.Sent.Loss, 0, 0.1) && near(r.Received.Level, -10, 0.5) && near(r.Sent.Level, -10, 0.5)
		}},
		"nothing there": {cut, clear, NotHeard, func(r *Report) bool {
			return r.Tone && !r.Echo && near(r.Received.Level, -10, 0.5) && r.Sent.Level == nil
		}},
		"nothing back": {clear, cut, NothingHeard, func(r *Report) bool { return !r.Tone && r.Received.Packets == 0 && r.Sent.Heard == nil }},
	}
	calls := map[string]Options{}
	for name, tt := range cases {
		hold := time.Duration(0)
		if tt.problems == LongDelay {
			hold = far
		}
		calls[name] = Options{Number: "1", To: startRelay(t, udp, tt.there, tt.back, hold), For: 6 * time.Second}
	}
	reports := runAll(t, calls)
	for name, tt := range cases {
		t.Run(name, func(t *testing.T) { wants(t, reports[name], tt.problems, tt.ok) })
	}
}

// wants checks which problems a report names, and its figures.
func wants(t *testing.T, r *Report, problems string, ok func(*Report) bool) {
	t.Helper()
	if c := codes(r); c != problems || !ok(r) {
		t.Errorf("problems %q, want %q\n%s", c, problems, show(r))
	}
}

// A far end that only talks, one that hangs up at once, and those that don't answer.
func TestOtherFarEnds(t *testing.T) {
	udp, _ := hotline(t)
	silent := listenUDP(t, 0)
	defer silent.Close()
	at := "sip:" + udp.String()
	cases := map[string]struct {
		Options
		problems string
		ok       func(*Report) bool
	}{
		"an announcement": {Options{Number: "2", To: at}, "", func(r *Report) bool {
			return !r.Echo && !r.Tone && *r.Received.Heard && *r.Sent.Heard && r.Received.Level != nil && r.Sent.Level == nil && near(r.Received.Loss, 0, 0)
		}},
		"hangs up":  {Options{Number: "3", To: at}, CutShort, func(r *Report) bool { return r.Answered && r.ChirpsSent == 0 }},
		"no number": {Options{Number: "9", To: at}, NotAnswered, func(r *Report) bool { return r.Status == 404 }},
		"no phone": {Options{Number: "1", To: "sip:" + silent.LocalAddr().String(), AnswerWithin: time.Second}, NotAnswered,
			func(r *Report) bool { return r.Status == 0 && r.Cause == "no_answer" }},
	}
	calls := map[string]Options{}
	for name, tt := range cases {
		calls[name] = tt.Options
	}
	reports := runAll(t, calls)
	for name, tt := range cases {
		t.Run(name, func(t *testing.T) { wants(t, reports[name], tt.problems, tt.ok) })
	}
}

func TestBadOptions(t *testing.T) {
	for name, o := range map[string]Options{
		"no number":    {To: "sip:127.0.0.1"},
		"two numbers":  {Number: "1 2", To: "sip:127.0.0.1"},
		"no address":   {Number: "1", To: "127.0.0.1:5060"},
		"a user there": {Number: "1", To: "sip:2@127.0.0.1"},
		"too short":    {Number: "1", To: "sip:127.0.0.1", For: time.Second},
		"too long":     {Number: "1", To: "sip:127.0.0.1", For: time.Hour},
	} {
		if r, err := Run(t.Context(), o); err == nil {
			t.Errorf("%s: %+v", name, r)
		}
	}
}
