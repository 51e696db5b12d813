// Package records keeps the call records: one JSON line for each call, whatever
// way it ended, in one file for each day.
//
// A record is made of what routing says about the call when it is closed, so
// that records and metrics can't disagree. It holds the caller's full number:
// records are confidential data, unlike logs.
package records

import (
	"bytes"
	"fmt"
	"math"
	"strconv"
	"time"

	"hotline/routing"
)

// Record is the record of one call. Fields that don't apply to the call are left
// out of its line. The field "call" comes first in each line.
type Record struct {
	// Call is the call's id, unique over all nodes: a call that was recorded
	// twice, before and after a crash, has the same one.
	Call string `json:"call"`
	// Node owned the call.
	Node string `json:"node"`
	// Seq is the journal entry that closed the call; left out when not known.
	Seq uint64 `json:"seq,omitempty"`

	// Outcome is "answered", "abandoned", "shed", "ivr", "rejected", "cut" or "failed".
	Outcome string `json:"outcome"`
	// Cause is why the call ended, such as "caller_hung_up".
	Cause string `json:"cause,omitempty"`

	// Number is the caller's in E.164, left out when anonymous. DID is what was
	// dialled, Trunk where the call came in.
	Number string `json:"number,omitempty"`
	DID    string `json:"did,omitempty"`
	Trunk  string `json:"trunk,omitempty"`
	// Attestation is what the network says of Number (STIR, RFC 8588): "A", "B" or "C" as
	// signed, "none" without a signature, "invalid" with a wrong one; left out for a trunk
	// without verify_identity. Diversions say whom the call was meant for before, the
	// latest first, as far as the trunk is trusted with it.
	Attestation string      `json:"attestation,omitempty"`
	Diversions  []Diversion `json:"diversions,omitempty"`

	// Customer and the next fields are who called. Source is where that is known
	// from: "redis", "file", "cache", "default" or "anonymous".
	Customer string `json:"customer,omitempty"`
	Tier     string `json:"tier"`
	Manager  string `json:"manager,omitempty"`
	Team     string `json:"team,omitempty"`
	Language string `json:"language,omitempty"`
	Source   string `json:"source,omitempty"`

	// Queue is where the call waited last; Moves are its ways out of the queues
	// before. Step is how far the circle of candidates
	// had widened: the last step of the queue's plan, such as "manager".
	Queue string `json:"queue,omitempty"`
	Moves []Move `json:"moves,omitempty"`
	Step  string `json:"step,omitempty"`
	// Seat and Agent are who talked with the caller.
	Seat  string `json:"seat,omitempty"`
	Agent string `json:"agent,omitempty"`

	// The times: the INVITE came; our flow answered; the customer was found; the
	// call entered the queue; caller and agent were bridged; the call ended.
	Arrived    Time `json:"arrived,omitzero"`
	Answered   Time `json:"answered,omitzero"`
	Identified Time `json:"identified,omitzero"`
	Queued     Time `json:"queued,omitzero"`
	// Place is the call's place in the line when that is older than Queued: the
	// caller's last call left it.
	Place     Time `json:"place,omitzero"`
	Connected Time `json:"connected,omitzero"`
	Ended     Time `json:"ended,omitzero"`

	// Forwarded is when the agent left a call that went on, and ForwardedTo where it
	// went: "trunk NAME", "flow NAME", or "outside" when the agent didn't wait for the
	// answer there.
	Forwarded   Time   `json:"forwarded,omitzero"`
	ForwardedTo string `json:"forwarded_to,omitempty"`

	// Expected is what was estimated when the call came into its first queue.
	Expected *Expected `json:"expected_s,omitempty"`
	// QueueWait is from Queued to Connected, or to the end without a talk. Talk
	// is without Hold.
	QueueWait Seconds `json:"queue_wait_s"`
	Talk      Seconds `json:"talk_s"`
	Hold      Seconds `json:"hold_s"`
	WrapUp    Seconds `json:"wrap_up_s"`

	// Talks are the talks before, which ended with a transfer; queue,
	// seat, agent, queued, connected and the durations above are of the last part.
	Talks []Talk `json:"talks,omitempty"`

	// Rings counts the offers to agents; Offers are those, in order.
	Rings  int     `json:"rings"`
	Offers []Offer `json:"offers,omitempty"`

	// Dials are the calls that dial steps of flows made for the caller, in order; left out for a call that was
	// cut by the end of its node.
	Dials []Dial `json:"dials,omitempty"`

	// Recordings are those of the call's sound, in order; see the package recording.
	Recordings []Recording `json:"recordings,omitempty"`

	// CallerMedia and AgentMedia are the sound of the two legs; left out for a
	// leg that never was, and for a call that was cut by the end of its node.
	CallerMedia Media `json:"caller_media,omitzero"`
	AgentMedia  Media `json:"agent_media,omitzero"`
}

// Diversion is a number that a call was meant for before, and why it went on, in the
// words of RFC 5806: "unconditional", "user-busy", "no-answer", "unknown", ...
type Diversion struct {
	Number string `json:"number"`
	Reason string `json:"reason,omitempty"`
}

// Dial is a call that a flow made for its caller.
type Dial struct {
	Flow string `json:"flow"`
	// To is "agent NAME", or the number outside with its middle left out. Trunk is whose gateway answered,
	// or was tried last; left out when the call wasn't sent.
	To    string `json:"to"`
	Trunk string `json:"trunk,omitempty"`
	// At is when it was dialled. Ring is from then to the answer, or until that was given up; Talk is
	// from the answer on.
	At   Time    `json:"at"`
	Ring Seconds `json:"ring_s"`
	Talk Seconds `json:"talk_s"`
	// Outcome is "talked", "busy", "no_answer" or "refused".
	Outcome string `json:"outcome"`
}

// Recording is a recording of the call's sound.
type Recording struct {
	// ID names it in the directory of recordings; left out when it could not begin.
	ID string `json:"id,omitempty"`
	// Leg is whose sound is on the left: "caller" or "agent". Agent is who talked when it began.
	Leg   string `json:"leg"`
	Agent string `json:"agent,omitempty"`
	// Start is when it began, Length what it was when it ended, pauses included.
	Start  Time    `json:"start,omitzero"`
	Length Seconds `json:"length_s"`
	// Ended is why: "call_ended", "talk_ended", "stopped", "too_long", "interrupted" by the end of
	// the process; or how it was lost: "disk_slow", "disk_full", "disk_error", "disk_low", "too_many".
	Ended string `json:"ended"`
}

// Talk is a talk that ended with a transfer.
type Talk struct {
	Queue     string  `json:"queue"`
	Seat      string  `json:"seat"`
	Agent     string  `json:"agent"`
	Queued    Time    `json:"queued"`
	Connected Time    `json:"connected"`
	Ended     Time    `json:"ended"`
	QueueWait Seconds `json:"queue_wait_s"`
	Talk      Seconds `json:"talk_s"`
	Hold      Seconds `json:"hold_s"`
	WrapUp    Seconds `json:"wrap_up_s"` // 0 when the call was over before it
}

// Expected is a wait that was estimated: half of the callers are answered within P50,
// four of five within P80.
type Expected struct {
	P50 Seconds `json:"p50"`
	P80 Seconds `json:"p80"`
}

// Move is a call's way out of one queue into the next.
type Move struct {
	From string `json:"from"`
	At   Time   `json:"at"`
	// Cause is "queue_full", "nobody_there", "waited_too_long" or "overflow".
	Cause string `json:"cause"`
}

// Offer is one time that an agent's phone was rung.
type Offer struct {
	Seat  string `json:"seat"`
	Agent string `json:"agent"`
	At    Time   `json:"at"`
	// Took is from the offer to its outcome; Ring is how long of that it rang.
	Took Seconds `json:"took_s"`
	Ring Seconds `json:"ring_s"`
	// Outcome is "answered", "refused", "busy", "no_answer", "unreachable",
	// "fault" or "withdrawn".
	Outcome string `json:"outcome"`
}

// Media are the figures of one leg's sound.
type Media struct {
	Codec    string `json:"codec"`    // "PCMA", "PCMU" or "G722"
	Sent     uint64 `json:"sent"`     // RTP packets to the phone
	Received uint64 `json:"received"` // and from it
	Lost     int64  `json:"lost"`     // of those from it (RFC 3550 A.3)
	// JitterMS is the jitter of those from it in milliseconds (RFC 3550 A.8).
	JitterMS float64 `json:"jitter_ms"`
	// RTTMS is the round trip by RTCP in milliseconds; 0 when the phone sends no reports.
	RTTMS float64 `json:"rtt_ms,omitempty"`
	// MOS is the E-model's score of what came from the phone (ITU-T G.107), 1 to 4.41; PeerMOS that
	// of what the phone reports to hear. 0: nothing is known.
	MOS     float64 `json:"mos,omitempty"`
	PeerMOS float64 `json:"peer_mos,omitempty"`
	// PhoneMOS is how the phone itself scores what it hears of us, 1 to 5, and PhoneDiscarded the share of our
	// packets that its jitter buffer had no use for (RFC 3611); left out where it doesn't say.
	PhoneMOS       float64 `json:"phone_mos,omitempty"`
	PhoneDiscarded float64 `json:"phone_discarded,omitempty"`
	// Fault is "one_way" when the phone was sent sound and nothing ever came from it, "silent" when only
	// silence came.
	Fault string `json:"fault,omitempty"`
	// Secure is how both ways were encrypted: "none", "sdes" or "dtls" (SRTP).
	Secure string `json:"secure,omitempty"`
}

// New makes the record of a call that is closed (routing.Closed), with the media
// of its two legs; Media{} for a leg that never was. Seq is the caller's to add.
func New(v routing.CallView, caller, agent Media) Record {
	r := Record{
		Call: string(v.ID), Node: v.Node, Outcome: string(v.Outcome), Cause: v.Cause,
		Number: v.Number, DID: v.DID, Trunk: v.Trunk, Attestation: v.Attestation,
		Customer: string(v.Customer), Tier: v.Tier.String(), Manager: string(v.Manager), Team: v.Team,
		Language: v.Language, Source: v.Source,
		Queue: string(v.Queue), Step: string(v.Step), Seat: string(v.Seat), Agent: string(v.Agent),
		Arrived: at(v.Arrived), Answered: at(v.Answered), Identified: at(v.Identified),
		Queued: at(v.Queued), Place: at(v.Place), Connected: at(v.Connected), Ended: at(v.Ended),
		Forwarded: at(v.Forwarded), ForwardedTo: v.ForwardedTo,
		QueueWait: Seconds(v.QueueWait), Talk: Seconds(v.Talk), Hold: Seconds(v.Hold), WrapUp: Seconds(v.WrapUp),
		Rings:       v.Rings,
		CallerMedia: caller.rounded(), AgentMedia: agent.rounded(),
	}
	if e := v.Expected; e != nil {
		r.Expected = &Expected{Seconds(e.P50), Seconds(e.P80)}
	}
	for _, d := range v.Diversions {
		r.Diversions = append(r.Diversions, Diversion(d))
	}
	for _, m := range v.Moves {
		r.Moves = append(r.Moves, Move{From: string(m.From), At: at(m.At), Cause: m.Cause})
	}
	for _, t := range v.Talks {
		r.Talks = append(r.Talks, Talk{
			Queue: string(t.Queue), Seat: string(t.Seat), Agent: string(t.Agent), Queued: at(t.Queued), Connected: at(t.Connected), Ended: at(t.Ended),
			QueueWait: Seconds(t.QueueWait), Talk: Seconds(t.Talk), Hold: Seconds(t.Hold), WrapUp: Seconds(t.WrapUp),
		})
	}
	for _, o := range v.Offers {
		r.Offers = append(r.Offers, Offer{
			Seat: string(o.Seat), Agent: string(o.Agent), At: at(o.At),
			Took: Seconds(o.Took), Ring: Seconds(o.Ring), Outcome: o.Outcome,
		})
	}
	return r
}

// SetMedia gives the record the media of the call's two legs, where they were known
// later than the rest.
func (r *Record) SetMedia(caller, agent Media) {
	r.CallerMedia, r.AgentMedia = caller.rounded(), agent.rounded()
}

// rounded has three decimals of jitter. A figure that can't be (JSON knows no
// infinity) becomes 0.
func (m Media) rounded() Media {
	if !(m.JitterMS >= 0 && m.JitterMS < 1e9) {
		m.JitterMS = 0
	}
	m.JitterMS = math.Round(m.JitterMS*1000) / 1000
	return m
}

// day is the day whose file holds the record, in local time: that of the call's
// end, so that a record which is written again lands in the same file.
func (r Record) day() string {
	t := r.Ended
	if t.IsZero() {
		t = r.Arrived
	}
	return t.Local().Format(time.DateOnly)
}

// Time is a point in time. In a line it is RFC 3339 with milliseconds and the
// offset of the local time zone.
type Time struct{ time.Time }

func at(t routing.Time) Time {
	if t == 0 {
		return Time{}
	}
	return Time{time.UnixMicro(int64(t))}
}

// MarshalJSON implements json.Marshaler. A year that RFC 3339 can't say becomes
// null: one wrong clock must not cost the record.
func (t Time) MarshalJSON() ([]byte, error) {
	local := t.Local()
	if year := local.Year(); year < 0 || year > 9999 {
		return []byte("null"), nil
	}
	return local.AppendFormat(nil, `"2006-01-02T15:04:05.000Z07:00"`), nil
}

// Seconds is a span in microseconds. In a line it is a number of seconds with
// three decimals.
type Seconds int64

// MarshalJSON implements json.Marshaler.
func (s Seconds) MarshalJSON() ([]byte, error) {
	sign, us := "", int64(s)
	if us < 0 {
		sign, us = "-", -us
	}
	ms := us/1000 + us%1000/500
	return fmt.Appendf(nil, "%s%d.%03d", sign, ms/1000, ms%1000), nil
}

// UnmarshalJSON implements json.Unmarshaler.
func (s *Seconds) UnmarshalJSON(data []byte) error {
	if bytes.Equal(data, []byte("null")) {
		return nil
	}
	f, err := strconv.ParseFloat(string(data), 64)
	if err != nil {
		return fmt.Errorf("read seconds: %w", err)
	}
	*s = Seconds(math.Round(f * 1e6))
	return nil
}
