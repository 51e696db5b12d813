package probe

import (
	"fmt"
	"time"

	"hotline/media"
)

// Report is what came of a test call. What isn't known is nil.
type Report struct {
	Number string    `json:"number"`
	To     string    `json:"to"`
	At     time.Time `json:"at"`

	Answered bool   `json:"answered"`
	Status   int    `json:"status"`          // final SIP status; 0: none came
	Cause    string `json:"cause,omitempty"` // why nobody answered

	PostDialDelay *float64 `json:"post_dial_delay_seconds,omitempty"` // INVITE to the first 18x
	Setup         *float64 `json:"setup_seconds,omitempty"`           // INVITE to 200
	Lasted        float64  `json:"lasted_seconds"`                    // from 200 to the end
	Codec         string   `json:"codec,omitempty"`
	Tone          bool     `json:"tone"` // the reference tone was heard
	Echo          bool     `json:"echo"` // the signal came back
	ChirpsSent    int      `json:"chirps_sent"`
	ChirpsHeard   int      `json:"chirps_heard"`                 // of those sent, that came back
	RoundTrip     *float64 `json:"round_trip_seconds,omitempty"` // of the voice path
	EchoGain      *float64 `json:"echo_gain_db,omitempty"`       // there and back

	Received Direction `json:"received"` // from the far end
	Sent     Direction `json:"sent"`     // to the far end, as it hears us

	Problems []Problem `json:"problems,omitempty"` // see [Report.Judge]
}

// Direction is one direction of a call.
type Direction struct {
	Packets uint64 `json:"packets"`
	// Heard: there was sound in what came.
	Heard *bool `json:"heard,omitempty"`
	// Level in dBm0 of a signal sent at -10 dBm0; without a reference tone, received: of all sound.
	Level  *float64 `json:"level_dbm0,omitempty"`
	Loss   *float64 `json:"loss_percent,omitempty"`
	Jitter *float64 `json:"jitter_seconds,omitempty"`
	MOS    *float64 `json:"mos,omitempty"` // E-model, ITU-T G.107
}

// Problem is one thing that is wrong with a call.
type Problem struct {
	Code string `json:"code"` // one of the Problem constants
	What string `json:"what"`
	Hint string `json:"hint"`
}

// The codes of problems.
const (
	NotAnswered  = "not_answered"
	CutShort     = "cut_short"     // the far end hung up before anything could be measured
	NothingHeard = "nothing_heard" // nothing came from the far end, or only silence
	NotHeard     = "not_heard"     // the far end doesn't hear us
	SlowSetup    = "slow_setup"
	LongDelay    = "long_delay"
	Loss         = "loss"
	LowLevel     = "low_level"
)

// Limits are what a call is held against; 0 is no limit.
type Limits struct {
	MaxSetup time.Duration // INVITE to 200
	MaxDelay time.Duration // round trip of the voice path
	MaxLoss  float64       // percent, either direction
	MinLevel float64       // dBm0, either direction
}

// shortest is how long a call must last to tell that something isn't heard.
const shortest = 2 * time.Second

func seconds(d time.Duration) *float64 {
	if d <= 0 {
		return nil
	}
	return new(d.Seconds())
}

// measure fills in what was heard. at are the beginnings of the chirps in the signal, nil if none was played.
func (r *Report) measure(sent, received *track, at []int, s *media.LegStats) {
	r.Codec = s.Codec.String()
	r.count(s)
	level, tone := toneLevel(received.pcm)
	e, found := findEcho(sent, received, at)
	r.Tone, r.Echo, r.ChirpsSent, r.ChirpsHeard = tone, found, e.sent, e.heard
	long := r.Lasted >= shortest.Seconds()
	switch {
	case found || s.PeerHeard > 0 && !tone:
		r.Sent.Heard = new(true)
	case long && (tone && e.sent > 1 || s.PeerReports > 1 && s.PeerHeard == 0):
		r.Sent.Heard = new(false)
	}
	if found {
		r.RoundTrip, r.EchoGain = seconds(e.delay), new(e.gain)
	}
	loud := tone
	if !tone {
		level, loud = activeLevel(received.pcm)
	}
	if loud || found || long {
		r.Received.Heard = new(loud || found)
	}
	if loud {
		r.Received.Level = new(level)
	}
	if tone && found {
		r.Sent.Level = new(media.ReferenceLevel + e.gain - (level - media.ReferenceLevel))
	}
}

// count takes over the figures of RTP and RTCP.
func (r *Report) count(s *media.LegStats) {
	r.Received.Packets, r.Sent.Packets = s.PacketsReceived, s.PacketsSent
	if all := float64(s.PacketsReceived-s.Duplicates) + float64(s.Lost); s.PacketsReceived > 0 && all > 0 {
		r.Received.Loss = new(100 * max(float64(s.Lost), 0) / all)
		r.Received.Jitter, r.Received.MOS = new(s.Jitter.Seconds()), known(s.MOS)
	}
	if s.PeerHeard > 0 && s.PacketsSent > 0 {
		r.Sent.Loss = new(100 * max(float64(s.PeerLost), 0) / float64(s.PacketsSent))
		r.Sent.Jitter, r.Sent.MOS = new(s.PeerJitter.Seconds()), known(s.PeerMOS)
	}
}

func known(v float64) *float64 {
	if v == 0 {
		return nil
	}
	return new(v)
}

// Judge holds the call against limits, and says with a hint what is wrong; sound that goes one way
// is always wrong.
func (r *Report) Judge(l Limits) {
	r.Problems = nil
	wrong := func(code, hint, what string, args ...any) {
		r.Problems = append(r.Problems, Problem{code, fmt.Sprintf(what, args...), hint})
	}
	if !r.Answered {
		wrong(NotAnswered, r.refusalHint(), "not answered: %s (SIP status %d)", r.Cause, r.Status)
		return
	}
	if r.Lasted < shortest.Seconds() {
		wrong(CutShort, "call a number that stays on the line, such as a flow with an echo step", "the far end hung up after %.1f s", r.Lasted)
	}
	if r.Received.Heard != nil && !*r.Received.Heard {
		if r.Received.Packets == 0 {
			wrong(NothingHeard, "a firewall or NAT on the way here: RTP must reach the ports of this machine, and the far end must send to the address in our SDP", "no sound packet came from the far end")
		} else {
			wrong(NothingHeard, "the far end, or a gateway behind it, has nobody to relay: look at its own far side", "the far end sends packets of silence")
		}
	}
	if r.Sent.Heard != nil && !*r.Sent.Heard {
		wrong(NotHeard, "a firewall or NAT on the way there: the address in the far end's SDP must be reachable from here by UDP", "the far end doesn't hear us")
	}
	if v := r.Setup; v != nil && l.MaxSetup > 0 && *v > l.MaxSetup.Seconds() {
		wrong(SlowSetup, "compare with the post-dial delay: before it the trunk is slow, after it the callee", "set-up took %.2f s, more than %.2f s", *v, l.MaxSetup.Seconds())
	}
	if v := r.RoundTrip; v != nil && l.MaxDelay > 0 && *v > l.MaxDelay.Seconds() {
		wrong(LongDelay, "jitter buffers and detours add up: compare with ping, and count the gateways that decode", "the voice path's round trip takes %.0f ms, more than %.0f ms", *v*1000, l.MaxDelay.Seconds()*1000)
	}
	for _, d := range []struct {
		name string
		*Direction
	}{{"received", &r.Received}, {"sent", &r.Sent}} {
		if v := d.Loss; v != nil && l.MaxLoss > 0 && *v > l.MaxLoss {
			wrong(Loss, "look for a full link or a missing QoS mark: mtr with UDP shows where", "%.1f %% of the packets %s are lost, more than %g %%", *v, d.name, l.MaxLoss)
		}
		if v := d.Level; v != nil && l.MinLevel != 0 && *v < l.MinLevel {
			wrong(LowLevel, "a gateway attenuates: look at its gain", "the sound %s has %.1f dBm0, less than %g", d.name, *v, l.MinLevel)
		}
	}
}

// refusalHint says what to look at for a call that nobody answered.
func (r *Report) refusalHint() string {
	switch r.Status {
	case 401, 407:
		return "name --user and --password-file, or check them: the challenge was not answered rightly"
	case 403:
		return "the far end doesn't know this address, or the account may not call there"
	case 404, 484:
		return "the number isn't known there: list it in dids, or dial it as the trunk wants it"
	case 486, 600:
		return "the number is busy; call another time, or one made for test calls"
	case 488:
		return "no codec in common: try --codec"
	case 503:
		return "the far end is overloaded, draining, or has no way on"
	}
	if r.Status == 0 {
		return "nobody picked up, or nobody is there: check host, port, --transport and firewalls, and call a number that answers by itself"
	}
	return "ask the far end why; 'hotline trace' shows the call if that is a hotline, too"
}
