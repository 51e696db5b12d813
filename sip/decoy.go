package sip

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"maps"
	"slices"
	"strings"
)

// decoys are the algorithms that are offered to names without an account. An account is
// offered its own algorithm; were any other name offered all of them, the offer would
// tell which names exist. So each name gets what some account gets, and always the same
// one, over restarts too: it is chosen by a hash that is keyed with the passwords.
type decoys struct {
	key        []byte
	algorithms []Algorithm
}

func newDecoys(t *accessTable) decoys {
	var d decoys
	h := sha256.New()
	for _, user := range slices.Sorted(maps.Keys(t.accounts)) {
		a := t.accounts[user]
		h.Write([]byte(user + "\x00" + a.Password + "\x00"))
		d.algorithms = append(d.algorithms, a.Algorithm)
	}
	d.key = h.Sum(nil)
	return d
}

func (d *decoys) offer(user string) Algorithm {
	m := hmac.New(sha256.New, d.key)
	m.Write([]byte(user))
	return d.algorithms[binary.BigEndian.Uint64(m.Sum(nil))%uint64(len(d.algorithms))]
}

// all is what all accounts have.
func (d *decoys) all() (of Algorithm) {
	for _, a := range d.algorithms {
		of = of.and(a)
	}
	return of
}

// offerTo is the offer to a name.
func (t *accessTable) offerTo(user string) Algorithm {
	a, known := t.accounts[user]
	switch {
	case known:
		return a.Algorithm
	case len(t.accounts) == 0:
		return MD5 // nobody can register, whatever the offer
	case user == "" || strings.EqualFold(user, "anonymous"): // by RFC 3323 nobody's
		return t.decoys.all()
	default:
		return t.decoys.offer(user)
	}
}

// offerToCaller is the offer to whoever calls as that name. A caller of a trunk that is known by its password only
// names any number in From: where there is such a trunk its algorithm is offered to all names, beside their own.
func (t *accessTable) offerToCaller(user string) Algorithm {
	if len(t.accounts) == 0 && t.callers != "" {
		return t.callers
	}
	return t.offerTo(user).and(t.callers)
}
