package routing

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
)

// wireEntry is an Entry in the journal.
type wireEntry struct {
	Seq   uint64          `json:"seq"`
	At    Time            `json:"at"`
	Node  string          `json:"node"`
	Kind  string          `json:"kind"`
	Event json.RawMessage `json:"event"`
}

// MarshalJSON writes {"seq":1,"at":...,"node":"n1","kind":"call_queued","event":{...}}.
func (e Entry) MarshalJSON() ([]byte, error) {
	if e.Event == nil {
		return nil, errors.New("journal entry has no event")
	}
	body, err := json.Marshal(e.Event)
	if err != nil {
		return nil, fmt.Errorf("write event %s: %w", e.Event.Kind(), err)
	}
	return json.Marshal(wireEntry{Seq: e.Seq, At: e.At, Node: e.Node, Kind: e.Event.Kind(), Event: body})
}

// UnmarshalJSON reads what MarshalJSON writes. An unknown kind or field is an
// error: leaving out a fact would silently lead to another state than that of
// the version which wrote it.
func (e *Entry) UnmarshalJSON(data []byte) error {
	var w wireEntry
	if err := strict(data, &w); err != nil {
		return fmt.Errorf("read journal entry: %w", err)
	}
	decode := decoders[w.Kind]
	if decode == nil {
		return fmt.Errorf("read journal entry %d: unknown event kind %q; was it written by a newer version?", w.Seq, w.Kind)
	}
	if len(w.Event) == 0 {
		return fmt.Errorf("read journal entry %d: %s has no event", w.Seq, w.Kind)
	}
	ev, err := decode(w.Event)
	if err != nil {
		return fmt.Errorf("read journal entry %d: %s: %w", w.Seq, w.Kind, err)
	}
	*e = Entry{Seq: w.Seq, At: w.At, Node: w.Node, Event: ev}
	return nil
}

func strict(data []byte, into any) error {
	d := json.NewDecoder(bytes.NewReader(data))
	d.DisallowUnknownFields()
	return d.Decode(into)
}

func decodeAs[E Event](data []byte) (Event, error) {
	var ev E
	err := strict(data, &ev)
	return ev, err
}

// decoders is only ever looked up by kind.
var decoders = map[string]func([]byte) (Event, error){
	PolicyChanged{}.Kind():      decodeAs[PolicyChanged],
	NodeStarted{}.Kind():        decodeAs[NodeStarted],
	CallArrived{}.Kind():        decodeAs[CallArrived],
	CallAnswered{}.Kind():       decodeAs[CallAnswered],
	CallIdentified{}.Kind():     decodeAs[CallIdentified],
	CallQueued{}.Kind():         decodeAs[CallQueued],
	CallRequeued{}.Kind():       decodeAs[CallRequeued],
	CallTaken{}.Kind():          decodeAs[CallTaken],
	CallForwarded{}.Kind():      decodeAs[CallForwarded],
	OwnCallChanged{}.Kind():     decodeAs[OwnCallChanged],
	CallEnded{}.Kind():          decodeAs[CallEnded],
	SeatRegistered{}.Kind():     decodeAs[SeatRegistered],
	SeatUnregistered{}.Kind():   decodeAs[SeatUnregistered],
	AgentStatusChanged{}.Kind(): decodeAs[AgentStatusChanged],
	OfferRinging{}.Kind():       decodeAs[OfferRinging],
	OfferAnswered{}.Kind():      decodeAs[OfferAnswered],
	OfferFailed{}.Kind():        decodeAs[OfferFailed],
	TalkStarted{}.Kind():        decodeAs[TalkStarted],
	HoldChanged{}.Kind():        decodeAs[HoldChanged],
	WrapUpEnded{}.Kind():        decodeAs[WrapUpEnded],
	WrapUpExtended{}.Kind():     decodeAs[WrapUpExtended],
	SeatFreed{}.Kind():          decodeAs[SeatFreed],
	Estimated{}.Kind():          decodeAs[Estimated],
	Tick{}.Kind():               decodeAs[Tick],
}
