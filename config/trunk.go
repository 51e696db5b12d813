package config

import (
	"fmt"
	"net"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"hotline/sip"
)

// Gateway is one way into a trunk's network.
type Gateway struct {
	// Host is a name or an IP address, or either with a port. A name without a
	// port is looked up by NAPTR, SRV and address (RFC 3263).
	Host string `yaml:"host" required:"yes"`
	// Transport is "udp", "tcp" or "tls". Default: what the DNS says, else udp.
	Transport string `yaml:"transport" oneof:"udp|tcp|tls"`
	// Priority: gateways with a lower one are tried first. 0 to 65535, default 0.
	Priority int `yaml:"priority" default:"0" min:"0" max:"65535"`
	// Weight is the share of the calls among gateways of one priority; with 0 one
	// is tried after the others. 0 to 65535, default 1.
	Weight int `yaml:"weight" default:"1" min:"0" max:"65535"`
}

// Health is how the gateways of a trunk are watched by OPTIONS. Any answer but
// 408 and 503 is a sign of life.
type Health struct {
	// Interval between two OPTIONS. 0s or 1s to 1h, default 30s; 0s sends none.
	Interval time.Duration `yaml:"interval" default:"30s" min:"0s" max:"1h"`
	// Failures in a row after which a gateway is down. 1 to 100, default 2.
	Failures int `yaml:"failures" default:"2" min:"1" max:"100"`
}

// Login is what we answer a trunk's challenges with.
type Login struct {
	// User of the digest.
	User string `yaml:"user" required:"yes"`
	// Password belongs to User.
	Password Secret `yaml:"password" required:"yes"`
	// Realm that the trunk's challenges name. Others are not answered: a gateway
	// may pass on what somebody else asks.
	Realm string `yaml:"realm" required:"yes"`
	// Algorithm of the digest: "md5", "sha-256" or "both". Default "both": the
	// first one offered.
	Algorithm sip.Algorithm `yaml:"algorithm" default:"both" oneof:"md5|sha-256|both"`
}

// Registration is how we register with a trunk.
type Registration struct {
	// Registrar is a name or an IP address, or either with a port.
	Registrar string `yaml:"registrar" required:"yes"`
	// Transport is "udp", "tcp" or "tls". Default: what the DNS says, else udp.
	Transport string `yaml:"transport" oneof:"udp|tcp|tls"`
	// User of the address of record. Default: that of login.
	User string `yaml:"user"`
	// Expires is the life asked for. 30s to 24h, default 10m.
	Expires time.Duration `yaml:"expires" default:"10m" min:"30s" max:"24h"`
}

// STIR is what signatures under callers' numbers are checked with (RFC 8224).
type STIR struct {
	// Certificates is the directory with the signers' certificates in PEM, leaf
	// first: the one at https://HOST/PATH is the file HOST_PATH, with underscores
	// for slashes. Default: none.
	Certificates string `yaml:"certificates" restart:"yes"`
	// Roots is a file with the certificates that signers descend from, in PEM.
	// Default: none, nothing is checked.
	Roots string `yaml:"roots" restart:"yes"`
}

// NumberRule changes the numbers that it matches: all of what it names must be so.
type NumberRule struct {
	// Prefix that the number begins with. Default: any.
	Prefix string `yaml:"prefix"`
	// MinLength of the number, a plus sign included. 0 to 64, default 0.
	MinLength int `yaml:"min_length" default:"0" min:"0" max:"64"`
	// MaxLength of the number. 0 to 64, default 0: any.
	MaxLength int `yaml:"max_length" default:"0" min:"0" max:"64"`
	// Pattern is a regular expression that is found in the number. Default: any.
	Pattern string `yaml:"pattern"`
	// Strip is how many characters are taken off the front. 0 to 64, default 0.
	Strip int `yaml:"strip" default:"0" min:"0" max:"64"`
	// Prepend is what is put there. Default: nothing.
	Prepend string `yaml:"prepend"`
}

// hostPort splits "host", "host:port", "[address]:port" or an address.
func hostPort(s string) (host string, port int, ok bool) {
	if isHostPort(s) {
		host, p, _ := net.SplitHostPort(s)
		port, _ = strconv.Atoi(p)
		return host, port, true
	}
	return s, 0, isHost(s)
}

// outbound is how calls leave by the trunk.
func (t *Trunk) outbound() sip.Outbound {
	o := sip.Outbound{
		Domain: t.Domain, Numbers: rules(t.NumbersOut), CallerID: t.CallerID, Identity: sip.IdentityField(t.Identity),
		Failover: t.Failover, Unreachable: t.UnreachableAfter, MaxRest: t.MaxRest,
		Health: sip.Health{Interval: t.Health.Interval, Failures: t.Health.Failures},
	}
	if t.Diversion != "none" {
		o.Diversion = sip.DiversionStyle(t.Diversion)
	}
	for _, g := range t.Gateways {
		host, port, _ := hostPort(g.Host)
		o.Gateways = append(o.Gateways, sip.Gateway{Host: host, Port: port, Network: g.Transport, Priority: g.Priority, Weight: g.Weight})
	}
	if l := t.Login; l != nil {
		o.Login = &sip.Credentials{User: l.User, Password: string(l.Password), Realm: l.Realm, Algorithm: l.Algorithm}
	}
	if r := t.Register; r != nil {
		host, port, _ := hostPort(r.Registrar)
		o.Register = &sip.Registration{Registrar: sip.Gateway{Host: host, Port: port, Network: r.Transport}, User: r.User, Expires: r.Expires}
		if r.User == "" && t.Login != nil {
			o.Register.User = t.Login.User
		}
	}
	return o
}

func rules(list []NumberRule) sip.NumberRules {
	var out sip.NumberRules
	for _, r := range list {
		rule := sip.NumberRule{Prefix: r.Prefix, MinLength: r.MinLength, MaxLength: r.MaxLength, Strip: r.Strip, Prepend: r.Prepend}
		if r.Pattern != "" {
			rule.Pattern, _ = regexp.Compile(r.Pattern) // check has refused a wrong one
		}
		out = append(out, rule)
	}
	return out
}

// callsIn says that the trunk may send calls: somebody can be recognised.
func (t *Trunk) callsIn() bool { return t.User != "" || len(t.Addresses) > 0 || t.TLSName != "" }

// trunkOut checks how calls leave by a trunk.
func (c *checker) trunkOut(i int, t *Trunk) {
	at := func(field string) string { return index("trunks", i, field) }
	if len(t.DIDs) == 0 && t.callsIn() && !c.bad[at("dids")] {
		c.wrong(at("dids"), "add dids: ...", "%s has no dids", title(index("trunks", i, "")))
	}
	for j, g := range t.Gateways {
		entry := index(at("gateways"), j, "")
		c.peer(entry+".host", g.Host, "gateway")
		c.transport(entry+".transport", g.Transport, "gateway "+g.Host)
	}
	if r := t.Register; r != nil {
		c.peer(at("register.registrar"), r.Registrar, "registrar")
		c.transport(at("register.transport"), r.Transport, "registrar "+r.Registrar)
		if r.User == "" && t.Login == nil {
			c.wrong(at("register"), "add user: ..., or login: {...}", "trunk %s doesn't say as whom it is registered with", t.Name)
		}
		if !t.callsIn() && !c.bad[at("addresses")] {
			c.wrong(at("register"), "add addresses: [192.0.2.0/24], those that its calls come from", "trunk %s is registered with for calls that it may not send", t.Name)
		}
	}
	if t.Domain != "" && !isHost(t.Domain) && !c.bad[at("domain")] {
		c.wrong(at("domain"), "write a name, such as sip.example.com", "domain %s is no host", quote(t.Domain))
	}
	if t.CallerID != "" && !isNumber(t.CallerID) && !c.bad[at("caller_id")] {
		c.wrong(at("caller_id"), `write the number as the trunk wants it, such as "+861095599"`, "caller_id %s is no number", quote(t.CallerID))
	}
	if iv := t.Health.Interval; iv > 0 && iv < time.Second && !c.bad[at("health.interval")] {
		c.wrong(at("health.interval"), "use 1s to 1h, or 0s for none", "OPTIONS every %s are too many", iv)
	}
	for j, code := range t.Failover {
		if entry := index(at("failover"), j, ""); code != 408 && (code < 500 || code > 599) && !c.bad[entry] {
			c.wrong(entry, "use 408 and 500 to 599", "%d speaks for the person called: no other gateway can do better", code)
		}
	}
	if t.VerifyIdentity && c.cfg.SIP.STIR.Roots == "" && !c.bad["sip.stir.roots"] {
		c.wrong(at("verify_identity"), "set sip.stir.roots and sip.stir.certificates", "nothing says whose signatures count")
	}
	for j, name := range t.Codecs {
		if entry := index(at("codecs"), j, ""); !slices.Contains(c.cfg.Media.Codecs, name) && !c.bad[entry] && !c.badBelow("media.codecs") {
			c.wrong(entry, "add it to media.codecs", "%s isn't spoken", name)
		}
	}
	c.numbers(at("numbers_in"), t.NumbersIn)
	c.numbers(at("numbers_out"), t.NumbersOut)
}

// peer checks a host that requests are sent to.
func (c *checker) peer(path, host, what string) {
	if _, _, ok := hostPort(host); !ok && !c.bad[path] {
		c.wrong(path, "write host or host:port, such as sip.example.com or 192.0.2.10:5060", "%s %s is no host", what, quote(host))
	}
}

// transport checks that a listener leads there: what we send leaves by one.
func (c *checker) transport(path, transport, what string) {
	if transport == "" || c.bad[path] || c.badBelow("sip.listen") {
		return
	}
	if !slices.ContainsFunc(c.cfg.SIP.Listen, func(l Listen) bool { return l.Network == transport }) {
		c.wrong(path, fmt.Sprintf("add {network: %s, ...} to sip.listen, or use another transport", transport),
			"no listener speaks %s, so nothing can be sent to %s", transport, what)
	}
}

func (c *checker) numbers(list string, rules []NumberRule) {
	for i, r := range rules {
		at := func(field string) string { return index(list, i, field) }
		if _, err := regexp.Compile(r.Pattern); err != nil && !c.bad[at("pattern")] {
			c.wrong(at("pattern"), `write a regular expression, such as "^1[3-9]"`, "pattern %s can't be read", quote(r.Pattern))
		}
		for field, s := range map[string]string{"prefix": r.Prefix, "prepend": r.Prepend} {
			if s != "" && !isNumber(s) && !c.bad[at(field)] {
				c.wrong(at(field), `write digits, +, * and #, such as "+86"`, "%s %s is no part of a number", field, quote(s))
			}
		}
		if r.MaxLength > 0 && r.MaxLength < r.MinLength && !c.bad[at("max_length")] {
			c.wrong(at("max_length"), fmt.Sprintf("use at least %d", r.MinLength), "no number is that long and that short")
		}
	}
}

func isNumber(s string) bool {
	return len(s) <= 64 && s != "" && strings.Trim(s, "0123456789+*#") == ""
}
