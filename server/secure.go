package server

import (
	"slices"

	"hotline/media"
	"hotline/routing"
	"hotline/sip"
)

// protection is how the sound of a call that came in is to be encrypted.
func (set *settings) protection(leg *sip.Leg) media.Protection {
	policy := set.AgentSRTP(leg.Incoming().Agent)
	if t := leg.Incoming().Trunk; t != nil {
		policy = set.TrunkSRTP(t.Name)
	}
	return media.Protection{Policy: policy, Private: leg.Private()}
}

// phones are those of an agent's phones that may be rung as the agent's sound is to be encrypted, and
// how that is: where keys are needed, a phone that would get them in clear isn't rung.
func (set *settings) phones(agent string, contacts []sip.Contact) ([]sip.Contact, media.Protection) {
	p := media.Protection{Policy: set.AgentSRTP(agent)}
	inClear := func(c sip.Contact) bool { return !c.Private() }
	contacts = slices.Clone(contacts) // they get offers of their own
	if p.Policy == media.SRTPRequired {
		contacts = slices.DeleteFunc(contacts, inClear)
	}
	p.Private = !slices.ContainsFunc(contacts, inClear)
	return contacts, p
}

// outside is how sound is to be encrypted with those trunks that take a call.
func (set *settings) outside(trunks []string) media.Protection {
	return media.Protection{Policy: set.TrunkSRTP(trunks...), Private: set.TrunkPrivate(trunks...)}
}

// silence is the cause of a call's end when a leg's Timeout has come.
func silence(m *media.Leg) string {
	if m.Failure() != nil {
		return routing.CauseFailed // which the leg has logged
	}
	return routing.CauseRTPTimeout
}
