package sip

import (
	"bytes"
	"cmp"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"
)

// Traced is one message of a call as it went by. Numbers are masked, bodies and
// credentials aren't kept.
type Traced struct {
	At      time.Time      `json:"at"`
	Sent    bool           `json:"sent"` // else it was received
	Network string         `json:"network"`
	Local   netip.AddrPort `json:"local"`
	Remote  netip.AddrPort `json:"remote"`
	CallID  string         `json:"sip_call_id"`
	// Line is the start line, CSeq and Reason the fields, SDP the connections and media
	// of the body in short; "" for none.
	Line   string `json:"line"`
	CSeq   string `json:"cseq"`
	Reason string `json:"reason,omitempty"`
	SDP    string `json:"sdp,omitempty"`
	// Raw is the whole message, when a capture asked for it; credentials are blotted out.
	Raw []byte `json:"raw,omitempty"`
}

// traces keeps the signalling of the latest calls. What no call has come of, such as a
// flood of INVITEs, has a place of its own and pushes no call out.
type traces struct {
	max int // calls; 0 or less keeps none

	mu       sync.Mutex
	of       map[string]*tracedCall // by Call-ID
	leads    map[string]string      // by routing's name of a call: the Call-ID of its first dialog
	fresh    []string               // the oldest first
	kept     []string
	captures []*capture
	rawBytes int
}

type tracedCall struct {
	group    string // routing's name of the call; "" until it is known
	kept     bool
	capture  *capture
	messages []Traced
}

// capture asks for whole messages of a call, or of calls to and from a number.
type capture struct {
	call, number string
	until        time.Time
}

const (
	maxFresh          = 256
	maxTracedMessages = 200 // of one dialog
	maxCaptures       = 16
	maxRawBytes       = 32 << 20
)

func newTraces(max int) *traces {
	return &traces{max: max, of: make(map[string]*tracedCall), leads: make(map[string]string)}
}

// saw notes a message of an INVITE's dialog.
func (t *traces) saw(g *glance, data []byte, m Traced) {
	if t.max <= 0 || len(g.callID) == 0 {
		return
	}
	switch g.method {
	case "REGISTER", "OPTIONS", "SUBSCRIBE", "PUBLISH", "MESSAGE":
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	c := t.of[string(g.callID)]
	if c == nil {
		if g.method != "INVITE" {
			return
		}
		c = &tracedCall{}
		if m.Sent { // our own word for it
			c.group = string(g.call)
		}
		m.CallID = strings.Clone(string(g.callID))
		t.of[m.CallID] = c
		t.fresh = t.push(t.fresh, m.CallID, maxFresh)
	}
	if len(c.messages) >= maxTracedMessages {
		return
	}
	m.CallID = string(g.callID)
	if len(c.messages) > 0 {
		m.CallID = c.messages[0].CallID
	}
	m.summarise(data)
	if c.capture == nil {
		c.capture = t.captureOf(c, g)
	}
	if c.capture != nil && t.rawBytes+len(data) <= maxRawBytes {
		m.Raw = blot(data)
		t.rawBytes += len(m.Raw)
	}
	c.messages = append(c.messages, m)
}

// push puts a call at the end of a list and forgets the first ones beyond n.
func (t *traces) push(list []string, id string, n int) []string {
	list = append(list, id)
	for len(list) > n {
		if c := t.of[list[0]]; c != nil {
			for _, m := range c.messages {
				t.rawBytes -= len(m.Raw)
			}
			delete(t.of, list[0])
			if t.leads[c.group] == list[0] {
				delete(t.leads, c.group)
			}
		}
		list = list[1:]
	}
	return list
}

// keep notes that a dialog came of it.
func (t *traces) keep(callID string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	c := t.of[callID]
	if c == nil || c.kept {
		return
	}
	c.kept = true
	if i := slices.Index(t.fresh, callID); i >= 0 {
		t.fresh = slices.Delete(t.fresh, i, i+1)
	}
	t.kept = t.push(t.kept, callID, t.max)
}

// join notes which call a dialog belongs to.
func (t *traces) join(callID, call string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if c := t.of[callID]; c != nil {
		c.group = call
		if t.leads[call] == "" {
			t.leads[call] = callID
		}
		for _, k := range t.captures {
			if k.call == call && time.Now().Before(k.until) {
				c.capture = k
			}
		}
	}
}

// lead is the Call-ID of the first dialog of the call that a dialog belongs to, as far as
// it is known; else its own.
func (t *traces) lead(callID string) string {
	t.mu.Lock()
	defer t.mu.Unlock()
	if c := t.of[callID]; c != nil {
		if first := t.leads[c.group]; first != "" {
			return first
		}
	}
	return callID
}

// captureOf is the capture that wants a dialog, by its call or by a number in From or To.
func (t *traces) captureOf(c *tracedCall, g *glance) *capture {
	for _, k := range t.captures {
		switch {
		case time.Now().After(k.until):
		case k.call != "" && k.call == c.group,
			k.number != "" && (bytes.Contains(g.from, []byte(k.number)) || bytes.Contains(g.to, []byte(k.number))):
			return k
		}
	}
	return nil
}

// Trace is what is remembered of the signalling of a call, all its legs together, in the
// order of time. call is the name given to [Leg.JoinTrace] or a Call-ID.
func (s *Stack) Trace(call string) []Traced {
	t := s.traces
	t.mu.Lock()
	defer t.mu.Unlock()
	var out []Traced
	for id, c := range t.of {
		if c.group == call || id == call {
			out = append(out, c.messages...)
		}
	}
	slices.SortStableFunc(out, func(a, b Traced) int { return cmp.Compare(a.At.UnixNano(), b.At.UnixNano()) })
	return out
}

// Capture has whole messages kept for a while: of a call, from now on, or of new calls
// whose From or To holds a number. One of both is given. It is false when as many
// captures as can be are under way.
func (s *Stack) Capture(call, number string, span time.Duration) bool {
	t := s.traces
	t.mu.Lock()
	defer t.mu.Unlock()
	now := time.Now()
	t.captures = slices.DeleteFunc(t.captures, func(k *capture) bool { return now.After(k.until) })
	if len(t.captures) >= maxCaptures {
		return false
	}
	k := &capture{call, number, now.Add(span)}
	t.captures = append(t.captures, k)
	for _, c := range t.of {
		if call != "" && c.group == call {
			c.capture = k
		}
	}
	return true
}

// JoinTrace says which call the leg belongs to, for [Stack.Trace].
func (l *Leg) JoinTrace(call string) { l.stack.traces.join(l.id.callID, call) }

// trace notes a message that came or goes.
func (s *Stack) trace(g *glance, data []byte, sent bool, network string, local, remote netip.AddrPort) {
	now := time.Now()
	s.traces.saw(g, data, Traced{At: now, Sent: sent, Network: network, Local: local, Remote: remote})
	s.export(g, data, sent, network, local, remote, now)
}

// summarise fills in what is shown of a message.
func (m *Traced) summarise(data []byte) {
	data = bytes.TrimLeft(data, "\r\n")
	head, body, _ := bytes.Cut(data, []byte("\r\n\r\n"))
	line, rest, _ := bytes.Cut(head, []byte("\r\n"))
	m.Line = maskNumbers(shorten(line))
	for l := range bytes.Lines(rest) {
		switch is, value := fieldOf(l); is {
		case fieldCSeq:
			m.CSeq = shorten(bytes.TrimSpace(value))
		case fieldReason:
			m.Reason = maskNumbers(shorten(bytes.TrimSpace(value)))
		}
	}
	if !bytes.HasPrefix(body, []byte("v=0")) {
		return
	}
	var sdp []string
	for l := range bytes.Lines(body) {
		l = bytes.TrimSpace(l)
		switch {
		case bytes.HasPrefix(l, []byte("c=")), bytes.HasPrefix(l, []byte("m=")):
			sdp = append(sdp, shorten(l[2:]))
		case bytes.Equal(l, []byte("a=sendonly")), bytes.Equal(l, []byte("a=recvonly")), bytes.Equal(l, []byte("a=inactive")):
			sdp = append(sdp, string(l[2:]))
		}
		if len(sdp) == 8 {
			break
		}
	}
	m.SDP = strings.Join(sdp, ", ")
}

func shorten(b []byte) string {
	return strings.ToValidUTF8(string(b[:min(len(b), 160)]), "?")
}

// maskNumbers keeps the first three and the last two digits of what may be a telephone
// number. Dots and colons end one, so addresses stay readable.
func maskNumbers(s string) string {
	var out strings.Builder
	for i := 0; i < len(s); {
		j := i
		for j < len(s) && s[j] >= '0' && s[j] <= '9' {
			j++
		}
		switch {
		case j-i >= 7:
			out.WriteString(s[i:i+3] + "…" + s[j-2:j])
		case j > i:
			out.WriteString(s[i:j])
		default:
			j++
			out.WriteByte(s[i])
		}
		i = j
	}
	return out.String()
}

// blot copies a message with the values of credentials crossed out, in their length.
func blot(data []byte) []byte {
	out, secret := bytes.Clone(data), false
	for at := 0; at < len(out); {
		end := len(out)
		if i := bytes.IndexByte(out[at:], '\n'); i >= 0 {
			end = at + i
		}
		line := bytes.TrimRight(out[at:end], "\r")
		if bytes.HasPrefix(line, []byte("a=crypto:")) || bytes.HasPrefix(line, []byte("a=ice-pwd:")) {
			blank(line[bytes.IndexByte(line, ':')+1:]) // keys in the body, or what looks like them
		}
		if len(line) > 0 && (line[0] == ' ' || line[0] == '\t') { // goes on with the line before
			if secret {
				blank(line)
			}
			at = end + 1
			continue
		}
		is, value := fieldOf(line)
		if secret = is == fieldAuthorization || is == fieldProxyAuthorization || is == fieldIdentity; secret {
			blank(value)
		}
		at = end + 1
	}
	return out
}

func blank(secret []byte) {
	for i := range secret {
		secret[i] = 'x'
	}
}
