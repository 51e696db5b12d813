package config

import (
	"slices"

	"hotline/ivr"
	"hotline/routing"
)

// Emergency is a named policy for a bad hour (应急方案), switched on and off by
// command, API or feature code.
type Emergency struct {
	// Name that it is switched on by.
	Name string `yaml:"name" required:"yes" word:"yes"`
	// Code that an agent may dial to switch it on and off. Default: none.
	Code string `yaml:"code" code:"yes"`
	// Agents who may dial the code. Default: nobody.
	Agents []string `yaml:"agents" unique:"yes"`
	// Announce are the prompts that every caller hears first. Default: none.
	Announce []string `yaml:"announce"`
	// OpenAllSeats lets every seat serve every queue and every tier, whatever its
	// queues, its agent's preferences and skills and whether it is a VIP seat. Default
	// false.
	OpenAllSeats bool `yaml:"open_all_seats"`
	// Shed are the tiers that are turned away after the announcement, from the
	// bottom: C, then B2 ... Default: none.
	Shed []routing.Tier `yaml:"shed" unique:"yes"`
}

// Emergency returns the emergency of that name.
func (c *Config) Emergency(name string) (Emergency, bool) {
	i := slices.IndexFunc(c.Emergencies, func(e Emergency) bool { return e.Name == name })
	if i < 0 {
		return Emergency{}, false
	}
	return c.Emergencies[i], true
}

// EmergencyPolicy is the policy while the emergency is on; an unknown or empty
// name gives the normal one.
func (c *Config) EmergencyPolicy(name string) routing.Policy {
	p := c.Policy()
	e, ok := c.Emergency(name)
	if !ok || !e.OpenAllSeats {
		return p
	}
	var all []routing.QueueID
	for i := range p.Queues {
		all = append(all, p.Queues[i].ID)
		q := &p.Queues[i]
		q.MinLevel = 0
		if len(q.Plan) > 0 { // everybody at once; who would leave, leaves
			q.Plan = slices.DeleteFunc(q.Plan, func(st routing.PlanStep) bool { return st.Leave == nil })
			q.Plan = append([]routing.PlanStep{{Ring: routing.StepQueue}}, q.Plan...)
		}
	}
	p.KeepIdle = 0
	for i := range p.Seats {
		p.Seats[i].VIP, p.Seats[i].Queues, p.Seats[i].Ranks = false, all, nil
	}
	return p
}

// emergencies checks names, codes and references, and that tiers are shed from
// the bottom.
func (c *checker) emergencies() {
	names, codes := map[string]string{}, map[string]bool{}
	f := c.cfg.FeatureCodes
	for _, code := range f.codes() {
		codes[code.value] = true
	}
	for i, e := range c.cfg.Emergencies {
		twice(c, names, e.Name, index("emergencies", i, "name"), "emergency")
		if at := index("emergencies", i, "code"); e.Code != "" && !c.bad[at] {
			if codes[e.Code] {
				c.wrong(at, "choose another one", "code %s is taken already", e.Code)
			}
			codes[e.Code] = true
			if len(e.Agents) == 0 {
				c.wrong(at, "add agents: [...]", "nobody may dial code %s", e.Code)
			}
		}
		for j, a := range e.Agents {
			if _, ok := c.cfg.Agent(a); !ok {
				c.wrong(index(index("emergencies", i, "agents"), j, ""), "name the user of an agent", "there is no agent %s", a)
			}
		}
		c.shed(i, e)
	}
}

// announcements checks that the prompts of emergencies are there.
func (c *checker) announcements(prompts *ivr.Prompts) {
	for i, e := range c.cfg.Emergencies {
		for j, p := range e.Announce {
			if at := index(index("emergencies", i, "announce"), j, ""); !c.bad[at] && !prompts.Has(p) {
				c.wrong(at, didYouMean(p, prompts.Names()), "prompt %s doesn't exist", quote(p))
			}
		}
	}
}

// shed wants what is below a tier that is shed to be shed, too.
func (c *checker) shed(i int, e Emergency) {
	order := []routing.Tier{routing.TierC, routing.TierB2, routing.TierB1, routing.TierA2, routing.TierA1}
	for k, t := range order {
		if slices.Contains(e.Shed, t) && k > 0 && !slices.Contains(e.Shed, order[k-1]) {
			c.wrong(index("emergencies", i, "shed"), "shed from the bottom: C, B2, B1, A2, A1", "tier %s would be turned away, but %s not", t, order[k-1])
			return
		}
	}
}
