package server

import (
	"net/url"
	"strings"

	"hotline/ivr"
	"hotline/routing"
)

// destination is where an agent's call, or a transfer, is to go: exactly one of the
// fields is set, phone aside.
type destination struct {
	agent  string
	phone  string // which of the agent's, by its instance; "" for all
	queue  routing.QueueID
	flow   string
	number string // outside
	trunk  string // by which the number is reached, once that is known
}

// String is the destination for logs and records, without a number.
func (d destination) String() string {
	switch {
	case d.agent != "":
		return "agent " + d.agent
	case d.queue != "":
		return "queue " + string(d.queue)
	case d.flow != "":
		return "flow " + d.flow
	case d.trunk != "":
		return "trunk " + d.trunk
	default:
		return "outside"
	}
}

// resolve finds out whom somebody means who dials this: an extension, the name of an
// agent, a queue or a flow, or a telephone number. It is false for nothing of these.
func (s *settings) resolve(dialled string) (destination, bool) {
	if v, err := url.PathUnescape(dialled); err == nil {
		dialled = v
	}
	if e, ok := s.Extension(dialled); ok {
		return destination{agent: e.Agent, queue: routing.QueueID(e.Queue), flow: e.Flow}, true
	}
	if _, ok := s.Agent(dialled); ok {
		return destination{agent: dialled}, true
	}
	if _, ok := s.Queue(dialled); ok {
		return destination{queue: routing.QueueID(dialled)}, true
	}
	if s.Flows[dialled] != nil {
		return destination{flow: dialled}, true
	}
	if number := strings.TrimPrefix(dialled, "+"); number != "" && strings.Trim(number, "0123456789") == "" {
		return destination{number: dialled}, true
	}
	return destination{}, false
}

// flowOf is the flow of a destination, nil when it is none.
func (s *settings) flowOf(d destination) *ivr.Flow { return s.Flows[d.flow] }
