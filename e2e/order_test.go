package e2e

import "testing"

// Carol talks while cy of C comes, and after a second bo of B1 and ann of A1. The
// targets are such that each order serves them in another way, and none as they
// came.
const (
	orderTiers  = "tiers: {A1: {target: 10m}, B1: {target: 10s}, C: {target: 13s}}\n"
	orderAgents = "agents: [{user: carol, queues: [sales]}]\n"
	orderPeople = "ann A1\nbo B1\n"
	orderCalls  = `
		carol comes
		first calls
		carol talks to first
		cy calls
		clock calls for 1s
		clock gives up
		ann calls
		bo calls
	`
)

// In each order the freed seat goes to the caller whom the order names.
func TestOrdersOnLiveCalls(t *testing.T) {
	for _, sc := range []scene{
		{name: "strict", script: serves("ann", "bo", "cy"), why: `
			ann: OFFERED to carol by rule queue (order strict, step queue)
			ann: of tier C, which had waited`},
		{name: "deadline", script: serves("bo", "cy", "ann"), why: `
			cy: OFFERED to carol by rule queue (order deadline, step queue)
			cy: of tier A1, which had waited`},
		{name: "ratio", script: serves("cy", "bo", "ann"), why: `
			bo: OFFERED to carol by rule queue (order ratio, step queue)
			bo: of tier A1, which had waited`},
	} {
		t.Run(sc.name, func(t *testing.T) {
			sc.config = orderTiers + orderAgents + "routing: {order: " + sc.name + "}\n"
			sc.customers, sc.script = orderPeople, orderCalls+sc.script
			sc.play(t)
		})
	}
}

// serves has carol serve callers in this order.
func serves(names ...string) (script string) {
	for _, name := range names {
		script += "carol hangs up\ncarol talks to " + name + "\n"
	}
	return script
}

// A reload while three wait counts from the next freed seat on, and they keep their
// places: another order, or other targets.
func TestOrderReloadedWhileCallsWait(t *testing.T) {
	for _, sc := range []scene{
		{name: "strict to ratio", config: "routing: {order: strict}\n", script: serves("ann") + `
			reload routing: {order: ratio}
		` + serves("cy", "bo"), why: `
			ann: (order strict,
			cy: (order ratio,`},
		{name: "deadline, other targets", config: "routing: {order: deadline}\n", script: serves("bo") + `
			reload tiers: {A1: {target: 10s}, C: {target: 10m}}
		` + serves("ann", "cy"), why: `
			bo: of tier C, which had waited
			ann: of its target 10m0s`},
	} {
		t.Run(sc.name, func(t *testing.T) {
			sc.config += orderTiers + orderAgents
			sc.customers, sc.script = orderPeople, orderCalls+sc.script
			sc.play(t)
		})
	}
}
