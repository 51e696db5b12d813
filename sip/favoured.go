package sip

import (
	"bytes"
	"hash/maphash"
	"sync"

	gosip "github.com/emiago/sipgo/sip"
)

// callers remembers who called lately and is refused last when there are too many calls.
// A number is kept as a hash of how it stood in the INVITE: to bring it to E.164 would cost
// more than the refusal. It has two generations; the older one is forgotten as a whole.
type callers struct {
	mu            sync.Mutex
	young, before map[uint64]struct{}
}

var callerSeed = maphash.MakeSeed()

// callerKey is a caller of a trunk: the user part of the address that the trunk vouches for.
func callerKey(tr *Trunk, user []byte) uint64 {
	var h maphash.Hash
	h.SetSeed(callerSeed)
	_, _ = h.WriteString(tr.Name)
	_ = h.WriteByte(0)
	_, _ = h.Write(user)
	return h.Sum64()
}

func (c *callers) has(key uint64) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	_, ok := c.young[key]
	if !ok {
		_, ok = c.before[key]
	}
	return ok
}

// note adds a caller, or takes one out. No more than size are kept.
func (c *callers) note(key uint64, favoured bool, size int) {
	if size <= 0 {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if !favoured {
		delete(c.young, key)
		delete(c.before, key)
		return
	}
	if len(c.young) >= max(1, size/2) {
		c.young, c.before = nil, c.young
	}
	if c.young == nil {
		c.young = make(map[uint64]struct{})
	}
	c.young[key] = struct{}{}
}

// Favour says whether new calls of this caller are among the last to be refused when there
// are too many. It is remembered for the caller's number as it came, with the trunk; it
// does nothing for an agent's leg.
func (l *Leg) Favour(on bool) {
	tr := l.info.Trunk
	if tr == nil || l.callReq == nil {
		return
	}
	if user := callerIn(l.callReq, tr); user != "" {
		l.stack.admission.callers.note(callerKey(tr, []byte(user)), on, l.stack.opt.FavouredCallers)
	}
}

// callerIn is the user part that callerOf takes for the caller.
func callerIn(req *gosip.Request, tr *Trunk) string {
	if tr.TrustIdentity {
		for _, name := range []string{"P-Asserted-Identity", "Remote-Party-ID"} {
			if list := addresses(req, name); len(list) > 0 {
				return list[0].number()
			}
		}
	}
	return req.From().Address.User
}

// favours tells whether an INVITE is of a caller who is refused last.
func (s *Stack) favours(g *glance, tr *Trunk) bool {
	if g.method != "INVITE" {
		return false
	}
	from := g.from
	if tr.TrustIdentity {
		switch {
		case len(g.asserted) > 0:
			from = g.asserted
		case len(g.remoteParty) > 0:
			from = g.remoteParty
		}
	}
	user := rawUser(from)
	return len(user) > 0 && s.admission.callers.has(callerKey(tr, user))
}

// rawUser is the user part of the first address of a field, a tel URI's number.
func rawUser(field []byte) []byte {
	if i := bytes.IndexByte(field, '"'); i >= 0 { // a display name may hold anything
		j := i + 1
		for ; j < len(field) && field[j] != '"'; j++ {
			if field[j] == '\\' {
				j++
			}
		}
		field = field[min(j+1, len(field)):]
	}
	if i := bytes.IndexByte(field, '<'); i >= 0 {
		field = field[i+1:]
	}
	scheme, rest, ok := bytes.Cut(bytes.TrimSpace(field), []byte(":"))
	if !ok {
		return nil
	}
	if bytes.EqualFold(scheme, []byte("tel")) {
		return rest[:end(rest, ";>")]
	}
	user, _, ok := bytes.Cut(rest[:end(rest, ">")], []byte("@"))
	if !ok {
		return nil
	}
	user, _, _ = bytes.Cut(user, []byte(":")) // a password
	return user
}

// end is where the first of some bytes stands, or the length.
func end(text []byte, any string) int {
	if i := bytes.IndexAny(text, any); i >= 0 {
		return i
	}
	return len(text)
}

// Favoured is how many callers are remembered for [Leg.Favour].
func (s *Stack) Favoured() int {
	c := &s.admission.callers
	c.mu.Lock()
	defer c.mu.Unlock()
	n := len(c.young)
	for key := range c.before {
		if _, twice := c.young[key]; !twice {
			n++
		}
	}
	return n
}
