package routing

import (
	"cmp"
	"math/bits"
	"slices"
)

// lines are waiting calls by tier, each in the order of their places. Within a
// tier that is the order of serving at any time and by any policy; between tiers
// it depends on both.
type lines [tierCount]row[*call]

func (l *lines) file(c *call) {
	r := &l[c.facts.Tier]
	i, _ := slices.BinarySearchFunc(r.list(), c, comparePlaces)
	r.insert(i, c)
}

func (l *lines) unfile(c *call) {
	r := &l[c.facts.Tier]
	i, _ := slices.BinarySearchFunc(r.list(), c, comparePlaces)
	r.remove(i)
}

// tiers is the number of lists, none without lines.
func (l *lines) tiers() int {
	if l == nil {
		return 0
	}
	return len(l)
}

func (l *lines) empty() bool {
	for t := range l {
		if l[t].len() > 0 {
			return false
		}
	}
	return true
}

// comparePlaces is first come first served. It is total.
func comparePlaces(a, b *call) int {
	return cmp.Or(
		cmp.Compare(a.placeAt, b.placeAt),
		cmp.Compare(a.placeSeq, b.placeSeq),
		cmp.Compare(a.facts.ID, b.facts.ID),
	)
}

// compareReserved puts calls of A and B before those of C.
func compareReserved(a, b *call) int {
	c := func(x *call) int {
		if x.band == BandC {
			return 1
		}
		return 0
	}
	return cmp.Compare(c(a), c(b))
}

// compareCalls is the order of serving, over all queues, at the present time. It
// is total. Within a tier it is comparePlaces.
func (s *State) compareCalls(a, b *call) int {
	first := 0
	switch s.policy.Order {
	case OrderDeadline:
		first = cmp.Compare(a.placeAt.Add(s.targets[a.facts.Tier]), b.placeAt.Add(s.targets[b.facts.Tier]))
	case OrderRatio:
		first = s.compareRatios(a, b)
	default:
		first = cmp.Compare(a.band, b.band)
	}
	return cmp.Or(first, comparePlaces(a, b))
}

// compareRatios puts the larger share of the target waited first. The products
// of two spans of up to a year in microseconds need 128 bits.
func (s *State) compareRatios(a, b *call) int {
	ah, al := bits.Mul64(uint64(s.now.Sub(a.placeAt)), uint64(s.targets[b.facts.Tier]))
	bh, bl := bits.Mul64(uint64(s.now.Sub(b.placeAt)), uint64(s.targets[a.facts.Tier]))
	return cmp.Or(cmp.Compare(bh, ah), cmp.Compare(bl, al))
}
