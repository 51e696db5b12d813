package routing

import (
	"cmp"
	"slices"
)

// The strategies: which of the idle seats of a queue is rung first. Ties go to the
// longest idle, then to the id.
const (
	// StrategyLongestIdle rings the seat that has been idle for longest.
	StrategyLongestIdle = "longest_idle"
	// StrategyLeastOccupied rings the seat with the least time in calls and
	// wrap-ups since it registered.
	StrategyLeastOccupied = "least_occupied"
	// StrategyMostSkilled rings the seat with the highest level of the queue's
	// skill.
	StrategyMostSkilled = "most_skilled"
	// StrategyRoundRobin rings the seat whose last offer is the longest ago, taken
	// or not: each has its turn.
	StrategyRoundRobin = "round_robin"
	// StrategyWeighted gives each seat a share of the offers in proportion to its
	// weight: it rings the seat with the fewest offers, taken or not, for its weight.
	StrategyWeighted = "weighted"
)

// maxRingGroup is how many seats ring at once for one call at most.
const maxRingGroup = 16

// maxWeight is the highest weight of a seat; the lowest is 1.
const maxWeight = 100

// maxLevel is the highest level of a skill; the lowest is 1.
const maxLevel = 10

// Skill is what a seat's agent can do, and how well.
type Skill struct {
	Name  string `json:"name"`
	Level int    `json:"level"` // 1 to 10
}

// level returns the seat's level of a skill, 0 if it has none.
func (x *seat) level(skill string) int {
	for i := range x.skills {
		if x.skills[i].Name == skill {
			return x.skills[i].Level
		}
	}
	return 0
}

// fits says whether x has the level that q asks for.
func (q *queue) fits(x *seat) bool { return q.minLevel == 0 || x.level(q.skill) >= q.minLevel }

// rank is where x stands in q, 1 for those who are rung first.
func (x *seat) rank(q *queue) int {
	for i := range x.ranks {
		if x.ranks[i].Queue == q.id {
			return x.ranks[i].Rank
		}
	}
	return 1
}

// compareIdle is the order in which q's idle seats are rung: those below its level
// last, then by rank, then by the strategy. What it depends on doesn't change while a
// seat is idle.
func (q *queue) compareIdle(a, b *seat) int {
	if q.minLevel > 0 {
		if fit := q.fits(a); fit != q.fits(b) {
			if fit {
				return -1
			}
			return 1
		}
	}
	if r := cmp.Compare(a.rank(q), b.rank(q)); r != 0 {
		return r
	}
	first := 0
	switch q.strategy {
	case StrategyLeastOccupied:
		first = cmp.Compare(a.busy, b.busy)
	case StrategyMostSkilled:
		first = cmp.Compare(b.level(q.skill), a.level(q.skill))
	case StrategyRoundRobin:
		first = cmp.Compare(a.lastOffer, b.lastOffer)
	case StrategyWeighted:
		first = compareTurns(a, b)
	}
	if first != 0 {
		return first
	}
	return cmp.Or(cmp.Compare(a.idleSince, b.idleSince), cmp.Compare(a.id, b.id))
}

// compareTurns compares what two seats have had for their weights.
func compareTurns(a, b *seat) int { return cmp.Compare(a.turns*b.weight, b.turns*a.weight) }

// catchUp brings the turns of x, who has just come, up to those of the seat that has
// had least of all who are there and compete with x in a weighted queue. Else x
// would be rung alone until it has had as much as they.
func (s *State) catchUp(x *seat) {
	var least *seat
	for _, q := range x.queues {
		if q.strategy != StrategyWeighted {
			continue
		}
		for _, y := range s.seatList {
			if y != x && y.present && y.vip == x.vip && y.rank(q) == x.rank(q) && slices.Contains(y.queues, q) && (least == nil || compareTurns(y, least) < 0) {
				least = y
			}
		}
	}
	if least != nil {
		x.turns = max(x.turns, least.turns*x.weight/least.weight)
	}
}

// setWeight changes the weight of x, which stands in no list, and keeps what it has
// had for it.
func (x *seat) setWeight(weight int64) {
	x.turns = x.turns * weight / x.weight
	x.weight = weight
}

func validStrategy(name string) bool {
	switch name {
	case "", StrategyLongestIdle, StrategyLeastOccupied, StrategyMostSkilled, StrategyRoundRobin, StrategyWeighted:
		return true
	}
	return false
}
