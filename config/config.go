// Package config reads the configuration file. It finds everything that is
// wrong with a file at once, each problem with its line, column and a hint, and
// turns what is right into the options of the other rooms.
//
// Every field of Config is described beside it: what it is, its unit and range,
// and its default, which stands in the tag "default". The tag "restart" marks
// what a running server can't take over; see NeedsRestart.
//
// Relative paths are relative to the working directory.
package config

import (
	"net/netip"
	"time"

	"hotline/ivr"
	"hotline/routing"
	"hotline/sip"
)

// Config is the content of a configuration file. Load and Parse fill in the
// defaults.
type Config struct {
	// Node names this server in the journal, in records and metrics: letters,
	// digits, '.', '_' and '-'. Default: the name of the host.
	Node string `yaml:"node" word:"yes" restart:"yes"`
	// SIP is the SIP front end.
	SIP SIP `yaml:"sip"`
	// Media is the sound: RTP ports and codecs.
	Media Media `yaml:"media"`
	// Trunks are the peers that send callers. At least one.
	Trunks []Trunk `yaml:"trunks" required:"yes"`
	// Outbound says who may call the outside, and by which trunks.
	Outbound Outbound `yaml:"outbound"`
	// Directory says who calls.
	Directory Directory `yaml:"directory"`
	// Tiers are what is promised to each service class.
	Tiers Tiers `yaml:"tiers"`
	// Queues are where callers wait. At least one.
	Queues []Queue `yaml:"queues" required:"yes"`
	// Agents are the people who answer, each with one seat of the same name.
	// At least one.
	Agents []Agent `yaml:"agents" required:"yes"`
	// Card is what agents' phones are told of callers.
	Card Card `yaml:"card"`
	// Extensions are short numbers that agents dial and transfer to. Default: none.
	Extensions []Extension `yaml:"extensions"`
	// Routing says who is rung, when and how long.
	Routing Routing `yaml:"routing"`
	// FeatureCodes are what agents dial to say what they do.
	FeatureCodes FeatureCodes `yaml:"feature_codes"`
	// Emergencies are named policies for a bad hour.
	Emergencies []Emergency `yaml:"emergencies"`
	// Prompts are recordings beside those that are built in.
	Prompts Prompts `yaml:"prompts"`
	// Flows are what callers hear and press, by name. At least one.
	Flows map[string]*ivr.Flow `yaml:"flows" required:"yes"`
	// Records are the call records.
	Records Records `yaml:"records"`
	// Recording is what is recorded of calls' sound.
	Recording Recording `yaml:"recording"`
	// Journal is the journal of routing.
	Journal Journal `yaml:"journal"`
	// HTTP is the server of metrics, health and operations.
	HTTP HTTP `yaml:"http"`
	// Log says what is logged and how.
	Log Log `yaml:"log"`
	// Drain is how the server stops.
	Drain Drain `yaml:"drain"`
}

// Secret is a password or token. It doesn't show itself when it is printed or
// logged; string(s) is the value.
type Secret string

// String hides the value.
func (s Secret) String() string {
	if s == "" {
		return ""
	}
	return "[secret]"
}

// GoString hides the value.
func (s Secret) GoString() string { return s.String() }

// Size is a number of bytes, written such as "512KiB", "64MiB" or "1GiB".
type Size int64

// SIP is the SIP front end.
type SIP struct {
	// Listen are the addresses to receive on. At least one.
	Listen []Listen `yaml:"listen" required:"yes" restart:"yes"`
	// Realm is the digest realm that phones show. Default "hotline".
	Realm string `yaml:"realm" default:"hotline" restart:"yes"`
	// UserAgent names the server in SIP messages. Default "hotline".
	UserAgent string `yaml:"user_agent" default:"hotline" restart:"yes"`
	// MaxCalls is the number of legs at once; beyond it new calls get 503.
	// 1 to 100000, default 2000.
	MaxCalls int `yaml:"max_calls" default:"2000" min:"1" max:"100000" restart:"yes"`
	// MaxPending is the number of requests being worked on at once; beyond it
	// new ones get 503. 1 to 100000, default 4000.
	MaxPending int `yaml:"max_pending" default:"4000" min:"1" max:"100000" restart:"yes"`
	// MaxConnections is the number of connections (TCP, TLS, WebSocket) at once,
	// trunks' aside; beyond it the oldest on which nobody has shown a password or
	// certificate gives way to the next. 1 to 100000, default 1024.
	MaxConnections int `yaml:"max_connections" default:"1024" min:"1" max:"100000" restart:"yes"`
	// MaxConnectionsPerSource is how many of them one IPv4 address or IPv6 /64
	// may hold, trunks' addresses aside; 0 is a quarter. 0 to 100000, default 0.
	MaxConnectionsPerSource int `yaml:"max_connections_per_source" default:"0" min:"0" max:"100000" restart:"yes"`
	// IdleTimeout is after how much silence a connection is closed. 10s to 24h,
	// default 1h.
	IdleTimeout time.Duration `yaml:"idle_timeout" default:"1h" min:"10s" max:"24h" restart:"yes"`
	// MaxDelay is how long work may wait for a processor: once it has waited longer for a
	// while, and longer than 100ms, so many new calls, registrations and pings get 503 that it
	// doesn't, strangers first, VIP trunks, favoured callers and agents' phones last; 0s refuses none. 0s to 1s, default 20ms.
	MaxDelay time.Duration `yaml:"max_delay" default:"20ms" min:"0s" max:"1s" restart:"yes"`
	// FavouredCallers is how many callers of the tiers A1 and A2 are remembered: their next
	// calls by a known trunk are refused last. 0 to 1000000, default 10000, 0: none.
	FavouredCallers int `yaml:"favoured_callers" default:"10000" min:"0" max:"1000000" restart:"yes"`
	// MaxRatePerSource is how many datagrams a second are taken from one IPv4 address
	// or IPv6 /64, trunks' addresses aside, and 50 times as many from where somebody has
	// shown a password; the rest is dropped. 0 to 100000, default 200, 0: any number.
	MaxRatePerSource int `yaml:"max_rate_per_source" default:"200" min:"0" max:"100000" restart:"yes"`
	// RetryAfter is what an overloaded server tells new calls to wait, on average and in
	// whole seconds: half to two and a half times this. 0s tells nothing, for a trunk
	// that would stop sending altogether. 0s to 60s, default 2s.
	RetryAfter time.Duration `yaml:"retry_after" default:"2s" min:"0s" max:"60s" restart:"yes"`
	// UnreachableAfter is how long an agent's phone may give no sign before its
	// seat counts as unreachable. 500ms to 32s, default 3s.
	UnreachableAfter time.Duration `yaml:"unreachable_after" default:"3s" min:"500ms" max:"32s" restart:"yes"`
	// TraceCalls is the number of dialogs whose signalling is remembered for hotline
	// trace, without bodies and with masked numbers. 0 to 100000, default 500.
	TraceCalls int `yaml:"trace_calls" default:"500" min:"0" max:"100000" restart:"yes"`
	// HEP sends a copy of each SIP message to a capture server such as Homer.
	HEP HEP `yaml:"hep"`
	// SessionExpires is the session timer of calls (RFC 4028) that peers are asked
	// for: a call whose peer has gone without a word ends within this time. 0s asks
	// for none. 0s to 24h, default 30m.
	SessionExpires time.Duration `yaml:"session_expires" default:"30m" min:"0s" max:"24h" restart:"yes"`
	// MinSession is the shortest session timer that peers may ask for; 422 tells
	// them. 90s to 1h, default 90s.
	MinSession time.Duration `yaml:"min_session" default:"90s" min:"90s" max:"1h" restart:"yes"`
	// Register is about the registrations of agents' phones.
	Register Register `yaml:"register"`
	// Subscriptions are agents' phones that show what others do (busy lamps,
	// presence).
	Subscriptions Subscriptions `yaml:"subscriptions"`
	// NonceTTL is the life of a digest challenge. 10s to 1h, default 5m.
	NonceTTL time.Duration `yaml:"nonce_ttl" default:"5m" min:"10s" max:"1h" restart:"yes"`
	// DNS are the name servers that gateways are looked up by, host:port. Default:
	// those of the system.
	DNS []string `yaml:"dns" hostport:"yes" unique:"yes" restart:"yes"`
	// STIR says whose signatures under callers' numbers count.
	STIR STIR `yaml:"stir"`
	// TLS is about connections that the server opens to others.
	TLS TLS `yaml:"tls"`
}

// TLS is about connections that the server opens to others by TLS. The files are
// read again when they change.
type TLS struct {
	// CA is a PEM file of the authorities that others' certificates must come
	// from. Default: those of the system.
	CA string `yaml:"ca" restart:"yes"`
	// Certificate is a PEM file that the server shows when it is asked for one.
	// Default: none.
	Certificate string `yaml:"certificate" restart:"yes"`
	// Key is the PEM file of the certificate's key.
	Key string `yaml:"key" restart:"yes"`
}

// Listen is one address to receive SIP on.
type Listen struct {
	// Network is "udp", "tcp", "tls", "ws" (WebSocket) or "wss". Default "udp".
	Network string `yaml:"network" default:"udp" oneof:"udp|tcp|tls|ws|wss"`
	// Address is a concrete IP address and port; port 0 lets the kernel choose.
	// 0.0.0.0 and [::] are refused: answers must leave from the address that
	// the peer knows.
	Address netip.AddrPort `yaml:"address" required:"yes"`
	// Advertise is the host, or host:port, that peers reach this address by
	// when it is another one (behind a NAT). Default: the address.
	Advertise string `yaml:"advertise"`
	// MediaAddress is the local IP address of the RTP sockets of calls by this listener.
	// Default: media.address where that is of the listener's IP version, else the
	// listener's own.
	MediaAddress netip.Addr `yaml:"media_address"`
	// MediaAdvertise is the IP address that these phones send RTP to when it is another
	// one (behind a NAT). Default: media.advertise with media.address, else the address.
	MediaAdvertise netip.Addr `yaml:"media_advertise"`
	// Certificate is the PEM file that a tls or wss listener shows, with those
	// between it and its authority behind it. It and its key are read again when
	// they change.
	Certificate string `yaml:"certificate"`
	// Key is the PEM file of the certificate's key.
	Key string `yaml:"key"`
	// ClientCA is a PEM file of the authorities of clients' certificates.
	// Default: clients are asked for none.
	ClientCA string `yaml:"client_ca"`
	// ClientCertificate is "optional" or "require": whether a client without one
	// is let in. Only with client_ca. Default "optional".
	ClientCertificate string `yaml:"client_certificate" default:"optional" oneof:"optional|require"`
	// Origins are the pages that browsers may open a ws or wss connection from,
	// beside those of the same host: desk.example.com, *.example.com, or
	// https://desk.example.com.
	Origins []string `yaml:"origins" unique:"yes"`
}

// Register is about the registrations of agents' phones.
type Register struct {
	// MinExpires is the shortest registration. 10s to 1h, default 60s.
	MinExpires time.Duration `yaml:"min_expires" default:"60s" min:"10s" max:"1h" restart:"yes"`
	// MaxExpires is the longest registration. 10s to 24h, default 1h.
	MaxExpires time.Duration `yaml:"max_expires" default:"1h" min:"10s" max:"24h" restart:"yes"`
	// MaxContacts is how many phones one agent may register at once; the oldest
	// gives way. 1 to 16, default 4.
	MaxContacts int `yaml:"max_contacts" default:"4" min:"1" max:"16" restart:"yes"`
	// File keeps the registrations over a restart; "" keeps none. Default
	// "data/registrations.json".
	File string `yaml:"file" default:"data/registrations.json" restart:"yes"`
}

// Subscriptions are agents' phones that show what others do.
type Subscriptions struct {
	// Max is how many there may be at once; beyond it new ones get 503. 1 to
	// 1000000, default 10000.
	Max int `yaml:"max" default:"10000" min:"1" max:"1000000" restart:"yes"`
	// MaxPerAgent is how many of them one agent may have; the oldest gives way. 1 to
	// 10000, default 100.
	MaxPerAgent int `yaml:"max_per_agent" default:"100" min:"1" max:"10000" restart:"yes"`
	// MaxExpires is the longest one, and that of a phone that names no time. 1m to
	// 24h, default 1h.
	MaxExpires time.Duration `yaml:"max_expires" default:"1h" min:"1m" max:"24h" restart:"yes"`
}

// Media is the sound.
type Media struct {
	// Address is the local IP address of all RTP sockets. Default 127.0.0.1.
	Address netip.Addr `yaml:"address" default:"127.0.0.1" restart:"yes"`
	// Advertise is the IP address that phones send RTP to when it is another
	// one (behind a NAT). Default: the address.
	Advertise netip.Addr `yaml:"advertise" restart:"yes"`
	// Ports is the range of RTP ports, such as "20000-29999"; each leg takes an
	// even one and the next. Default: the kernel chooses, without a limit.
	Ports Ports `yaml:"ports" restart:"yes"`
	// Codecs are those that are spoken, the preferred one first: pcma (A-law),
	// pcmu (µ-law), g722 (16 kHz sound; a call between it and the others is
	// transcoded). Default pcma, pcmu.
	Codecs []string `yaml:"codecs" default:"pcma,pcmu" oneof:"pcma|pcmu|g722" unique:"yes" restart:"yes"`
	// RTPTimeout is after how long without any RTP a leg is given up; 0s never.
	// Default 60s.
	RTPTimeout time.Duration `yaml:"rtp_timeout" default:"60s" min:"0s" max:"24h" restart:"yes"`
	// HoldTimeout is the same while the leg is on hold; 0s never. Default 0s.
	HoldTimeout time.Duration `yaml:"hold_timeout" default:"0s" min:"0s" max:"24h" restart:"yes"`
	// PortRest is how long a pair of ports rests after its call, so that late
	// packets don't reach the next one. 0s to 60s, default 2s.
	PortRest time.Duration `yaml:"port_rest" default:"2s" min:"0s" max:"60s" restart:"yes"`
	// SRTP is how sound is encrypted: "off" (never), "accepted" (where the peer offers
	// it; we offer none, but to browsers), "preferred" (we offer it, too, and talk without if the
	// peer leaves it aside) or "required" (calls without it fail). Default
	// "accepted".
	SRTP string `yaml:"srtp" default:"accepted" oneof:"off|accepted|preferred|required"`
	// Kernel "on" has the Linux kernel pass on the voice of bridged calls (eBPF), which
	// needs CAP_BPF and CAP_NET_ADMIN and an address that is not 0.0.0.0; where it
	// can't, the log says why and calls go on without it. Default "off".
	Kernel string `yaml:"kernel" default:"off" oneof:"off|on" restart:"yes"`
}

// Ports is a range of UDP ports, both ends included. The zero value means that
// the kernel chooses.
type Ports struct{ Min, Max uint16 }

// Trunk is a peer that sends callers: known by its addresses, by digest, by its TLS
// certificate, or, with several given, by all of them together; or one by whose
// gateways calls leave; or both.
type Trunk struct {
	// Name of the trunk in logs, records and metrics.
	Name string `yaml:"name" required:"yes" word:"yes"`
	// Addresses it sends from: IP addresses or networks such as 192.0.2.0/24.
	// The most specific network wins. Default: any, then user and password are
	// needed.
	Addresses []netip.Prefix `yaml:"addresses" unique:"yes"`
	// User is the digest user name of the trunk. Default: none.
	User string `yaml:"user" word:"yes"`
	// Password belongs to User.
	Password Secret `yaml:"password"`
	// TLSName is the domain that the trunk's TLS certificate names; it needs a
	// listener with client_ca. Default: none.
	TLSName string `yaml:"tls_name"`
	// Algorithm of the digest: "md5", "sha-256" or "both". Default "md5", which
	// is all that many systems know.
	Algorithm sip.Algorithm `yaml:"algorithm" default:"md5" oneof:"md5|sha-256|both"`
	// Region is the ISO 3166 code of the country that completes national
	// numbers. Default "CN".
	Region string `yaml:"region" default:"CN"`
	// TrustIdentity takes the caller's number from P-Asserted-Identity or
	// Remote-Party-ID where there is one, and believes Diversion and History-Info.
	// Only for a trunk that checks them. A number told in confidence (Privacy: id) finds
	// the customer's tier, but is shown to nobody and written nowhere. Default false.
	TrustIdentity bool `yaml:"trust_identity"`
	// Refer hands a caller of the trunk who is transferred outside back to it (REFER):
	// the call costs us no more from then on. If the trunk refuses, or the agent's minutes
	// are counted, we dial. Default false.
	Refer bool `yaml:"refer"`
	// Symmetric sends requests within a call to where it came from instead of
	// its Contact: for a trunk behind a NAT. Default false.
	Symmetric bool `yaml:"symmetric"`
	// LearnRTP hears callers of the trunk from any IP address, as phones behind a NAT
	// are heard. Without it, where the address in SDP is the one that signalling comes
	// from, sound from elsewhere is dropped. For a gateway that sends its sound from an
	// address of its own; Symmetric does the same. Default false.
	LearnRTP bool `yaml:"learn_rtp"`
	// NumbersIn change the numbers that come from the trunk, before Region
	// completes them: the first rule that matches counts. Default: none.
	NumbersIn []NumberRule `yaml:"numbers_in"`
	// MaxCalls at once, both ways together. 0 to 100000, default 0: any number.
	MaxCalls int `yaml:"max_calls" default:"0" min:"0" max:"100000"`
	// MaxRate is the number of new calls a second, both ways together. 0 to 10000,
	// default 0: any number.
	MaxRate int `yaml:"max_rate" default:"0" min:"0" max:"10000"`
	// VerifyIdentity judges who signed for the caller's number by sip.stir (RFC 8224).
	// The call goes on whatever comes of it. Default false.
	VerifyIdentity bool `yaml:"verify_identity"`
	// SoleUpstream says that the peer has no other way to send its calls: when
	// they are too many, no Retry-After tells it to stop altogether. Default false.
	SoleUpstream bool `yaml:"sole_upstream"`
	// VIP says that its new calls are the last to be refused when there are too many.
	// Default false.
	VIP bool `yaml:"vip"`
	// Codecs are those spoken with its callers, the preferred one first, as in
	// media.codecs. Default: those.
	Codecs []string `yaml:"codecs" oneof:"pcma|pcmu|g722" unique:"yes"`
	// DTMF is how keys travel, both ways: "rfc4733" (events beside the sound; keys by INFO
	// get 415), "info" (events are neither offered nor taken) or "any": events where the
	// trunk takes them, and keys by INFO are taken, too. Default "any".
	DTMF string `yaml:"dtmf" default:"any" oneof:"any|rfc4733|info"`
	// SRTP is how sound with the trunk is encrypted, as in media.srtp. Default: that.
	SRTP string `yaml:"srtp" oneof:"off|accepted|preferred|required"`
	// DIDs are the numbers that may be dialled here. At least one, unless calls
	// only leave by the trunk.
	DIDs []DID `yaml:"dids"`

	// Gateways are the ways by which calls leave. Default: none leave.
	Gateways []Gateway `yaml:"gateways"`
	// Health is how the gateways are watched.
	Health Health `yaml:"health"`
	// UnreachableAfter is how long a gateway may take for its first answer to a
	// call, before the next one is tried. 500ms to 32s, default 3s.
	UnreachableAfter time.Duration `yaml:"unreachable_after" default:"3s" min:"500ms" max:"32s"`
	// Failover are the answers after which the next gateway is tried, beside none.
	// Default 408, 500, 502, 503, 504.
	Failover []int `yaml:"failover" unique:"yes"`
	// MaxRest is how long a gateway may ask to be left alone, by Retry-After. 1s to
	// 1h, default 5m.
	MaxRest time.Duration `yaml:"max_rest" default:"5m" min:"1s" max:"1h"`
	// Login answers the trunk's challenges. Default: none are answered.
	Login *Login `yaml:"login"`
	// Register keeps us registered with the trunk. Default: no.
	Register *Registration `yaml:"register"`
	// Domain is the host in the addresses of calls that leave. Default: the
	// gateway's for who is called, ours for who calls.
	Domain string `yaml:"domain"`
	// NumbersOut change the numbers that the trunk is told: the first rule that
	// matches counts. Default: none.
	NumbersOut []NumberRule `yaml:"numbers_out"`
	// CallerID is the number that is shown for all calls, as the trunk wants it.
	// Default: the customer's.
	CallerID string `yaml:"caller_id"`
	// Identity is where the trunk reads who calls: "from", "pai"
	// (P-Asserted-Identity) or "rpid" (Remote-Party-ID). With the last two it is
	// told, and trusted with, the number of callers who want to stay unknown.
	// Default "from".
	Identity string `yaml:"identity" default:"from" oneof:"from|pai|rpid"`
	// Diversion is how the trunk is told whom a forwarded call was meant for:
	// "none", "diversion" or "history-info". Default "none".
	Diversion string `yaml:"diversion" default:"none" oneof:"none|diversion|history-info"`
}

// DID is a number that can be dialled, and the flow that answers.
type DID struct {
	// Number as the trunk dials it, in quotes: digits, perhaps a plus sign; "*"
	// is any number that isn't listed.
	Number string `yaml:"number" required:"yes"`
	// Flow that answers, one of flows.
	Flow string `yaml:"flow" required:"yes"`
}

// Directory says who calls. It is either a file or a Redis; with neither, nobody
// is known.
type Directory struct {
	// File is a CSV file with the columns number, id, name, tier, manager,
	// team, language. Default: none.
	File string `yaml:"file"`
	// Redis is a server with a hash customer:NUMBER for each customer.
	Redis Redis `yaml:"redis"`
	// Timeout is how long a call waits for the directory before it goes on with
	// the default tier. 1ms to 5s, default 50ms.
	Timeout time.Duration `yaml:"timeout" default:"50ms" min:"1ms" max:"5s"`
	// Cache keeps the latest answers.
	Cache Cache `yaml:"cache"`
	// DefaultTier is that of callers who are unknown: A1, A2, B1, B2 or C.
	// Default C.
	DefaultTier routing.Tier `yaml:"default_tier" default:"C"`
	// DefaultLanguage is that of callers who are unknown, an ISO 639 code.
	// Default "zh".
	DefaultLanguage string `yaml:"default_language" default:"zh" language:"yes"`
}

// Redis is a Redis server. An empty address means none.
type Redis struct {
	// Address is host:port.
	Address string `yaml:"address" hostport:"yes"`
	// Username of the ACL. Default: none.
	Username string `yaml:"username"`
	// Password of the user or of the server. Default: none.
	Password Secret `yaml:"password"`
	// Database number. 0 to 10000, default 0.
	Database int `yaml:"database" default:"0" min:"0" max:"10000"`
	// TLS encrypts the connection and checks the server's certificate. Default
	// false.
	TLS bool `yaml:"tls"`
}

// Cache keeps the latest answers of the directory.
type Cache struct {
	// Size is the number of callers kept; 0 keeps none. 0 to 10000000, default
	// 10000.
	Size int `yaml:"size" default:"10000" min:"0" max:"10000000"`
	// TTL is how long an answer counts; the answer that a number is unknown
	// counts a fifth of it. 1s to 24h, default 5m.
	TTL time.Duration `yaml:"ttl" default:"5m" min:"1s" max:"24h"`
}

// Prompts are recordings beside those that are built in.
type Prompts struct {
	// Dir holds files NAME.LANGUAGE.wav (8 kHz, mono), which add to the built-in
	// prompts or replace one of the same name. Default: none.
	Dir string `yaml:"dir"`
	// Level is what the speech in those files is brought to, in dBov, as the built-in prompts have it;
	// 0 leaves it as it is. -60 to 0, default -24.
	Level int `yaml:"level" default:"-24" min:"-60" max:"0"`
}

// Records are the call records.
type Records struct {
	// Dir of the files calls-YYYY-MM-DD.jsonl. Default "data/records".
	Dir string `yaml:"dir" default:"data/records" restart:"yes"`
}

// Journal is the journal of routing.
type Journal struct {
	// Dir of the journal's segments. Default "data/journal".
	Dir string `yaml:"dir" default:"data/journal" restart:"yes"`
	// SegmentSize is the size beyond which a new segment is begun. 64KiB to
	// 4GiB, default 64MiB.
	SegmentSize Size `yaml:"segment_size" default:"64MiB" min:"64KiB" max:"4GiB" restart:"yes"`
	// KeepSegments is how many segments are kept; 0 keeps all. 0 to 100000,
	// default 0.
	KeepSegments int `yaml:"keep_segments" default:"0" min:"0" max:"100000" restart:"yes"`
	// SyncWithin is what a power cut may take: how soon after it was written an
	// entry is on its way to the disk. 1ms to 10s, default 50ms.
	SyncWithin time.Duration `yaml:"sync_within" default:"50ms" min:"1ms" max:"10s" restart:"yes"`
}

// HTTP is the server of metrics, health and operations.
type HTTP struct {
	// Listen is an IP address and port; port 0 lets the kernel choose. An
	// address that others can reach needs a token. Default 127.0.0.1:8080.
	Listen netip.AddrPort `yaml:"listen" default:"127.0.0.1:8080" restart:"yes"`
	// Token that a client must show ("Authorization: Bearer TOKEN"). Default:
	// none.
	Token Secret `yaml:"token"`
}

// Log says what is logged and how.
type Log struct {
	// Level is the least that is logged: "debug", "info", "warn" or "error".
	// Default "info".
	Level string `yaml:"level" default:"info" oneof:"debug|info|warn|error"`
	// Format is "text" or "json". Default "text".
	Format string `yaml:"format" default:"text" oneof:"text|json" restart:"yes"`
}

// Drain is how the server stops.
type Drain struct {
	// Timeout is how long calls may go on after the first signal to stop. 0s to
	// 24h, default 60s.
	Timeout time.Duration `yaml:"timeout" default:"60s" min:"0s" max:"24h"`
}
