package sip

import (
	"encoding/xml"
	"fmt"
	"strings"

	gosip "github.com/emiago/sipgo/sip"
)

// Event is an event package (RFC 6665 7.2): what somebody wants to be told of.
type Event string

// The packages that are served.
const (
	EventDialog   Event = "dialog"          // RFC 4235: busy lamps
	EventPresence Event = "presence"        // RFC 3856
	EventMessages Event = "message-summary" // RFC 3842
)

// allowEvents are the packages for Allow-Events (RFC 6665 8.2.2).
const allowEvents = string(EventDialog + ", " + EventPresence + ", " + EventMessages)

// CallState is what an account's phone does, as a busy lamp shows it.
type CallState string

// The states.
const (
	CallNone      CallState = ""
	CallRinging   CallState = "early" // it is being rung
	CallConfirmed CallState = "confirmed"
)

// Presentity is what is told of an account to those who watch it. The zero value is
// somebody who isn't there. Numbers and names of callers are no part of it.
type Presentity struct {
	Call CallState
	// Incoming: the call came to the account; false when it may have made it.
	Incoming bool
	// Open: it takes calls, if not at this moment.
	Open bool
	// Note says why not, or more; "" says nothing. Text for people.
	Note string
}

// published is the state of an account with what its documents need.
type published struct {
	Presentity
	calls int // how many it has had: each is a dialog of its own
}

// kindOf is the type of a package's documents.
func (e Event) kindOf() string {
	switch e {
	case EventDialog:
		return "application/dialog-info+xml"
	case EventPresence:
		return "application/pidf+xml"
	case EventMessages:
		return "application/simple-message-summary"
	default:
		return ""
	}
}

// differs tells whether a document of the package changes with the state.
func (e Event) differs(a, b Presentity) bool {
	switch e {
	case EventDialog:
		return a.Call != b.Call || a.Incoming != b.Incoming
	case EventPresence:
		return a.Open != b.Open || a.Note != b.Note
	default:
		return false
	}
}

// document is the state of an account, entity by its URI, as the package writes it;
// version counts the documents of one subscription.
func (e Event) document(entity string, version int, p published) []byte {
	switch e {
	case EventDialog:
		return dialogInfo(entity, version, p)
	case EventPresence:
		return pidf(entity, p.Presentity)
	default:
		// Nobody can leave a message yet.
		return []byte("Messages-Waiting: no\r\nMessage-Account: " + entity + "\r\n")
	}
}

// dialogInfo is RFC 4235 4.1, always the full state. A phone that does nothing has
// one dialog that is over, rather than none: some lamps stay lit otherwise.
func dialogInfo(entity string, version int, p published) []byte {
	type dialog struct {
		ID        string `xml:"id,attr"`
		Direction string `xml:"direction,attr,omitempty"`
		State     string `xml:"state"`
	}
	d := dialog{ID: fmt.Sprintf("c%d", p.calls), State: string(p.Call)}
	switch {
	case p.Call == CallNone:
		d.State = "terminated"
	case p.Incoming:
		d.Direction = "recipient"
	}
	return document(struct {
		XMLName xml.Name `xml:"urn:ietf:params:xml:ns:dialog-info dialog-info"`
		Version int      `xml:"version,attr"`
		State   string   `xml:"state,attr"`
		Entity  string   `xml:"entity,attr"`
		Dialog  dialog   `xml:"dialog"`
	}{Version: version, State: "full", Entity: entity, Dialog: d})
}

// pidf is RFC 3863 4.1.
func pidf(entity string, p Presentity) []byte {
	basic := "closed"
	if p.Open {
		basic = "open"
	}
	type tuple struct {
		ID    string `xml:"id,attr"`
		Basic string `xml:"status>basic"`
		Note  string `xml:"note,omitempty"`
	}
	return document(struct {
		XMLName xml.Name `xml:"urn:ietf:params:xml:ns:pidf presence"`
		Entity  string   `xml:"entity,attr"`
		Tuple   tuple    `xml:"tuple"`
	}{Entity: entity, Tuple: tuple{ID: "phone", Basic: basic, Note: p.Note}})
}

func document(v any) []byte {
	body, err := xml.Marshal(v)
	if err != nil {
		panic(fmt.Sprintf("a document of plain strings can't be written: %v", err))
	}
	return append([]byte(`<?xml version="1.0" encoding="UTF-8"?>`+"\n"), append(body, '\n')...)
}

// entityOf is the URI that was subscribed to, without parameters (RFC 4235 4.1.1).
func entityOf(u gosip.Uri) string {
	bare := gosip.Uri{Scheme: u.Scheme, User: u.User, Host: u.Host, Port: u.Port}
	return bare.String()
}

// acceptsEvent tells whether a SUBSCRIBE takes the documents of its package (RFC
// 6665 3.1.3).
func acceptsEvent(req *gosip.Request, e Event) bool {
	lines := fields(req, "Accept")
	for _, line := range lines {
		for t := range strings.SplitSeq(line, ",") {
			t, _, _ = strings.Cut(t, ";")
			switch t = strings.ToLower(strings.TrimSpace(t)); t {
			case e.kindOf(), "application/*", "*/*":
				return true
			}
		}
	}
	return len(lines) == 0
}
