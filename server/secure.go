package server

import (
	"slices"

	"hotline/media"
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
	if p.Policy == media.SRTPRequired {
		contacts = slices.DeleteFunc(slices.Clone(contacts), inClear)
	}
	p.Private = !slices.ContainsFunc(contacts, inClear)
	return contacts, p
}

// outside is how sound is to be encrypted with those trunks that take a call.
func (set *settings) outside(trunks []string) media.Protection {
	return media.Protection{Policy: set.TrunkSRTP(trunks...), Private: set.TrunkPrivate(trunks...)}
}
