package config

import (
	"fmt"
	"net/netip"
	"path/filepath"
	"slices"
	"strings"
	"time"
	_ "time/tzdata" // a bare machine knows no time zones

	"github.com/nyaruka/phonenumbers"

	"hotline/ivr"
	"hotline/routing"
)

// checker finds what is wrong between fields: references, duplicates, overlaps.
// What couldn't be read was told already and is left alone.
type checker struct {
	*decoder
	cfg *Config
}

func (c *checker) all() {
	c.sounds()
	c.sip()
	c.media()
	c.srtp()
	c.trunks()
	c.outbound()
	c.directory()
	c.queues()
	c.agents()
	c.card()
	c.featureCodes()
	c.extensions()
	c.emergencies()
	c.storage()
	c.recordings()
	c.http()
	c.classes()
}

// place is where the value at path stands, or else what it would belong to.
func (c *checker) place(path string) position {
	for path != "" {
		if p, ok := c.at[path]; ok {
			return p
		}
		path = path[:max(strings.LastIndexAny(path, ".["), 0)]
	}
	return c.at[""]
}

func (c *checker) wrong(path, hint, what string, args ...any) {
	c.broken(path, c.place(path), hint, what, args...)
}

// index is the path of a list's entry, or of a field in it.
func index(list string, i int, field string) string {
	return strings.TrimSuffix(fmt.Sprintf("%s[%d].%s", list, i, field), ".")
}

// twice tells of names that stand in a list more than once.
func twice[T comparable](c *checker, seen map[T]string, name T, path, what string) {
	if c.bad[path] {
		return
	}
	if first, ok := seen[name]; ok {
		c.wrong(path, fmt.Sprintf("the first one is at line %d", c.place(first).line), "%s %v is there twice", what, name)
		return
	}
	seen[name] = path
}

func (c *checker) queueNames() []string {
	var names []string
	for _, q := range c.cfg.Queues {
		if q.Name != "" {
			names = append(names, q.Name)
		}
	}
	return names
}

func (c *checker) sip() {
	seen := map[string]string{}
	for i, l := range c.cfg.SIP.Listen {
		at := index("sip.listen", i, "address")
		if c.bad[at] {
			continue
		}
		if l.Address.Addr().IsUnspecified() {
			c.wrong(at, "name the address that peers reach, such as 192.0.2.10:5060",
				"%s is every address, but a SIP server needs a concrete one", l.Address)
		} else if l.Address.Port() != 0 {
			twice(c, seen, socketOf(l.Network)+" "+l.Address.String(), at, "address")
		}
		if a := l.Advertise; a != "" && !isHost(a) && !isHostPort(a) {
			c.wrong(index("sip.listen", i, "advertise"), "write host or host:port, such as sip.example.com",
				"advertise %s is no host", quote(a))
		}
		c.listenTLS(i, l)
		c.listenMedia(i, l)
	}
	if a := c.cfg.SIP.HEP.Address; a.IsValid() && a.Port() == 0 {
		c.wrong("sip.hep.address", "write the port that the capture server listens on, such as 192.0.2.60:9060", "address %s has no port", a)
	}
	if t := c.cfg.SIP.TLS; (t.Certificate == "") != (t.Key == "") {
		c.wrong("sip.tls", "give both, or neither", "certificate and key belong together")
	}
	if r := c.cfg.SIP.Register; r.MinExpires > r.MaxExpires && !c.bad["sip.register.min_expires"] {
		c.wrong("sip.register.min_expires", fmt.Sprintf("use at most %s", ivr.Span(r.MaxExpires)),
			"min_expires is longer than max_expires")
	}
}

func (c *checker) media() {
	m := c.cfg.Media
	if len(m.Codecs) == 0 && !c.bad["media.codecs"] {
		c.wrong("media.codecs", "use some of pcma, pcmu and g722", "codecs is empty")
	}
	if !m.Address.IsValid() && !c.bad["media.address"] {
		c.wrong("media.address", examples["netip.Addr"], "address is empty")
	}
	if m.Address.IsUnspecified() && !m.Advertise.IsValid() && !c.bad["media.advertise"] {
		c.wrong("media.address", "name a concrete address, or set media.advertise to the one that phones reach",
			"%s is every address, and phones can't be told to send there", m.Address)
	}
	if m.Advertise.IsUnspecified() && m.Advertise.IsValid() {
		c.wrong("media.advertise", "name the address that phones reach", "%s is no address to send to", m.Advertise)
	}
	if m.Kernel == "on" && m.Address.IsUnspecified() {
		c.wrong("media.kernel", "name a concrete media.address, or leave it off", "packets can't leave from %s by the kernel alone", m.Address)
	}
	if c.bad["media.ports"] || m.Ports.Max == 0 {
		return
	}
	for i, l := range c.cfg.SIP.Listen {
		port := l.Address.Port()
		same := l.Address.Addr() == m.Address || m.Address.IsUnspecified() || slices.Contains(c.cfg.mediaOthers(), l.Address.Addr())
		if l.Network == "udp" && same && port >= m.Ports.Min && port <= m.Ports.Max {
			c.wrong("media.ports", "choose another range", "the range holds port %d of entry %d of sip.listen", port, i+1)
			return
		}
	}
}

func (c *checker) trunks() {
	names, users, addresses := map[string]string{}, map[string]string{}, map[netip.Prefix]string{}
	for i, t := range c.cfg.Trunks {
		at := func(field string) string { return index("trunks", i, field) }
		twice(c, names, t.Name, at("name"), "trunk")
		for j, p := range t.Addresses {
			twice(c, addresses, p, index(at("addresses"), j, ""), "address")
		}
		if t.User != "" {
			twice(c, users, t.User, at("user"), "user")
		}
		switch {
		case c.bad[at("user")] || c.bad[at("password")] || c.bad[at("addresses")]:
		case t.User != "" && t.Password == "":
			c.wrong(at("user"), "add password: ...", "trunk %s has a user but no password", t.Name)
		case t.User == "" && t.Password != "":
			c.wrong(at("password"), "add user: ...", "trunk %s has a password but no user", t.Name)
		case !t.callsIn() && len(t.Gateways) == 0 && !c.badBelow(at("gateways")):
			c.wrong(at(""), "add addresses: [192.0.2.0/24], or user and password; or gateways, if calls only leave by it",
				"trunk %s could be anybody: it has neither addresses nor a user", t.Name)
		}
		c.tlsName(i, t)
		c.region(at("region"), t.Region)
		c.dids(i, t)
		c.trunkOut(i, &t)
	}
}

// region checks the code of a country.
func (c *checker) region(path, region string) {
	if c.bad[path] || phonenumbers.GetSupportedRegions()[region] {
		return
	}
	hint := "use an ISO 3166 code, such as CN"
	if up := strings.ToUpper(region); phonenumbers.GetSupportedRegions()[up] {
		hint = "write " + up
	}
	c.wrong(path, hint, "region %s is no country", quote(region))
}

func (c *checker) dids(trunk int, t Trunk) {
	seen := map[string]string{}
	for i, d := range t.DIDs {
		list := index("trunks", trunk, "dids")
		number, flow := index(list, i, "number"), index(list, i, "flow")
		digits := strings.TrimPrefix(d.Number, "+")
		switch {
		case c.bad[number]:
		case d.Number != "*" && (digits == "" || len(digits) > 32 || strings.Trim(digits, "0123456789") != ""):
			c.wrong(number, `write digits, perhaps after a plus sign, or "*" for any`, "number %s can't be dialled", quote(d.Number))
		default:
			twice(c, seen, d.Number, number, "number")
		}
		if known := c.flowNames(); !slices.Contains(known, d.Flow) && !c.bad[flow] && !c.bad["flows"] {
			c.wrong(flow, didYouMean(d.Flow, known), "flow %s doesn't exist", quote(d.Flow))
		}
	}
}

func (c *checker) directory() {
	d := c.cfg.Directory
	_, hasRedis := c.at["directory.redis"]
	if d.File != "" && d.Redis.Address != "" {
		c.wrong("directory.redis", "keep one of them; `hotline customers import` fills either",
			"customers are looked up in file or in redis, not both")
	} else if hasRedis && d.Redis.Address == "" && !c.bad["directory.redis"] && !c.bad["directory.redis.address"] {
		c.wrong("directory.redis", "add address: 127.0.0.1:6379", "directory.redis has no address")
	}
}

func (c *checker) queues() {
	names, served := map[string]string{}, map[string]bool{}
	whole := !c.bad["agents"]
	for i, a := range c.cfg.Agents {
		for j, q := range a.Queues {
			served[q] = true
			whole = whole && !c.bad[index(index("agents", i, "queues"), j, "")]
		}
		whole = whole && !c.bad[index("agents", i, "queues")] && !c.bad[index("agents", i, "")]
	}
	for i, q := range c.cfg.Queues {
		at := index("queues", i, "name")
		twice(c, names, q.Name, at, "queue")
		if whole && !c.bad[at] && !served[q.Name] {
			c.wrong(at, "add it to the queues of an agent", "nobody serves queue %s", q.Name)
		}
		c.extension(i, &q)
		c.skill(i, &q, whole)
		c.exits(i, &q)
		c.plan(i, &q)
		c.pace(index("queues", i, "announce.every"), q.Announce.Every, leastAnnounceEvery)
	}
	c.pace("routing.estimate_every", c.cfg.Routing.EstimateEvery, leastEstimateEvery)
	if !c.bad["queues"] {
		c.exitCircle()
	}
	if _, err := time.LoadLocation(c.cfg.Routing.TimeZone); (err != nil || c.cfg.Routing.TimeZone == "") && !c.bad["routing.time_zone"] {
		c.wrong("routing.time_zone", "use a name such as Asia/Shanghai, or Local", "time zone %s doesn't exist", quote(c.cfg.Routing.TimeZone))
	}
}

const (
	// leastAnnounceEvery leaves time to speak an announcement and to hear music.
	leastAnnounceEvery = 5 * time.Second
	// leastEstimateEvery bounds how often all of routing's state is copied.
	leastEstimateEvery = time.Second
)

// pace tells of what is done too often to be of use; 0s is never.
func (c *checker) pace(at string, every, least time.Duration) {
	if every > 0 && every < least && !c.bad[at] {
		c.wrong(at, "use 0s (never), or "+ivr.Span(least)+" and more", "%s is too often", ivr.Span(every))
	}
}

// extension tells of a time that is written down and never given.
func (c *checker) extension(i int, q *Queue) {
	at := index("queues", i, "wrap_up_extension")
	if _, given := c.at[at]; !given || c.bad[at] || c.bad[index("queues", i, "wrap_up")] || c.bad[index("queues", i, "max_extensions")] {
		return
	}
	switch {
	case q.WrapUpExtension > 0 && q.WrapUp == 0:
		c.wrong(at, "set wrap_up, or leave it out", "queue %s has no wrap-up that could be extended", q.Name)
	case q.WrapUpExtension > 0 && q.MaxExtensions == 0:
		c.wrong(at, "set max_extensions to 1 or more, or leave it out", "the wrap-up of queue %s is extended 0 times", q.Name)
	}
}

// skill checks what a queue asks of its agents; whole says that all agents could
// be read.
func (c *checker) skill(i int, q *Queue, whole bool) {
	level, skill := index("queues", i, "min_level"), index("queues", i, "skill")
	relax, strategy := index("queues", i, "relax_after"), index("queues", i, "strategy")
	switch {
	case c.bad[level] || c.bad[skill] || c.bad[relax] || c.bad[strategy]:
	case q.MinLevel > 0 && q.Skill == "":
		c.wrong(level, "add skill: ...", "queue %s asks for a level, but of no skill", q.Name)
	case q.RelaxAfter > 0 && q.MinLevel == 0:
		c.wrong(relax, "add min_level, or leave relax_after out", "queue %s asks for no level that could be relaxed", q.Name)
	case q.Strategy == routing.StrategyMostSkilled && q.Skill == "":
		c.wrong(strategy, "add skill: ...", "queue %s has no skill to go by", q.Name)
	case q.MinLevel > 0 && !q.relaxes() && whole && !c.badBelow(index("queues", i, "plan")) && !c.skilled(q):
		hint := "give one of its agents the skill, or set relax_after"
		if len(q.Plan) > 0 {
			hint = "give one of its agents the skill, or add {ring: relaxed, after: 1m} to the plan"
		}
		c.wrong(level, hint, "nobody who serves queue %s has level %d of skill %s", q.Name, q.MinLevel, q.Skill)
	}
}

// relaxes says that the queue takes seats below its level one day.
func (q *Queue) relaxes() bool {
	return q.RelaxAfter > 0 || slices.ContainsFunc(q.Plan, func(st Step) bool { return st.Ring == string(routing.StepRelaxed) })
}

// skilled says whether an agent of q has the level it asks for; what couldn't be
// read counts as if.
func (c *checker) skilled(q *Queue) bool {
	for i, a := range c.cfg.Agents {
		if !slices.Contains(a.Queues, q.Name) {
			continue
		}
		at := index("agents", i, "skills")
		for j, k := range a.Skills {
			entry := index(at, j, "")
			if k.Name == q.Skill && k.Level >= q.MinLevel || c.bad[entry] || c.bad[entry+".name"] || c.bad[entry+".level"] {
				return true
			}
		}
		if c.bad[at] {
			return true
		}
	}
	return false
}

func (c *checker) agents() {
	users, known := map[string]string{}, c.queueNames()
	for i, t := range c.cfg.Trunks {
		if t.User != "" {
			users[t.User] = index("trunks", i, "user")
		}
	}
	for i, a := range c.cfg.Agents {
		twice(c, users, a.User, index("agents", i, "user"), "user")
		skills := map[string]string{}
		for j, k := range a.Skills {
			twice(c, skills, k.Name, index(index("agents", i, "skills"), j, "name"), "skill")
		}
		c.preferences(i, &a)
		for field, list := range map[string][]string{"queues": a.Queues, "supervises": a.Supervises} {
			for j, q := range list {
				at := index(index("agents", i, field), j, "")
				if !c.bad[at] && !c.bad["queues"] && !slices.Contains(known, q) {
					c.wrong(at, didYouMean(q, known), "queue %s doesn't exist", quote(q))
				}
			}
		}
	}
}

// preferences checks the queues that an agent prefers or doesn't.
func (c *checker) preferences(i int, a *Agent) {
	seen, list := map[string]string{}, index("agents", i, "preferences")
	for j, f := range a.Preferences {
		at := index(list, j, "queue")
		twice(c, seen, f.Queue, at, "preference for queue")
		if !c.bad[at] && !c.badBelow(index("agents", i, "queues")) && !slices.Contains(a.Queues, f.Queue) {
			c.wrong(at, didYouMean(f.Queue, a.Queues), "agent %s doesn't serve queue %s", a.User, quote(f.Queue))
		}
	}
}

func (c *checker) featureCodes() {
	f, seen := c.cfg.FeatureCodes, map[string]string{}
	for _, code := range f.codes() {
		path := "feature_codes." + code.name
		switch first, ok := seen[code.value]; {
		case c.bad[path]:
		case code.value == "":
			c.wrong(path, `choose one, such as "*1"`, "%s is empty", code.name)
		case ok:
			c.wrong(path, "choose another one", "code %s is taken by %s already", code.value, first)
		default:
			seen[code.value] = code.name
		}
	}
}

func (c *checker) storage() {
	journal, records := c.cfg.Journal.Dir, c.cfg.Records.Dir
	for path, dir := range map[string]string{"journal.dir": journal, "records.dir": records} {
		if dir == "" && !c.bad[path] {
			c.wrong(path, "name a directory", "dir is empty")
		}
	}
	if journal != "" && filepath.Clean(journal) == filepath.Clean(records) {
		c.wrong("journal.dir", "use two directories", "journal.dir is records.dir too")
	}
}

func (c *checker) http() {
	h := c.cfg.HTTP
	if !c.bad["http.listen"] && !c.bad["http.token"] && h.Token == "" && !h.Listen.Addr().IsLoopback() {
		c.wrong("http.listen", "set http.token, or listen on 127.0.0.1", "%s can be reached by others, without a token", h.Listen)
	}
	for i, l := range c.cfg.SIP.Listen {
		same := l.Address.Addr() == h.Listen.Addr() || h.Listen.Addr().IsUnspecified()
		if l.Network != "udp" && same && l.Address.Port() == h.Listen.Port() && h.Listen.Port() != 0 {
			c.wrong("http.listen", "set http.listen to another port", "%s is taken by entry %d of sip.listen", h.Listen, i+1)
		}
	}
}
