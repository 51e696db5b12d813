package config

import (
	"path/filepath"
	"slices"
	"strings"
	"time"

	"hotline/ivr"
	"hotline/recording"
	"hotline/routing"
)

// Recording is what is recorded of calls, and what becomes of it.
type Recording struct {
	// Dir of the recordings, with a directory for each day. Default "data/recordings".
	Dir string `yaml:"dir" default:"data/recordings" restart:"yes"`
	// Rules say which calls are recorded: the first one that fits a call counts. Default: none,
	// and nothing is recorded.
	Rules []RecordingRule `yaml:"rules"`
	// Outgoing say which of the calls that agents make to the outside are recorded: the first one that fits a call
	// counts. Default: none, and none is.
	Outgoing []OutgoingRule `yaml:"outgoing"`
	// Per is what has a recording of its own: "call", all of the call in one; "talk", each talk with an agent;
	// "leg", the call, and beside it each agent's leg. Default "call".
	Per string `yaml:"per" default:"call" oneof:"call|talk|leg"`
	// Format is "pcma", "pcmu" (G.711, 16 kB a second for both channels) or "linear" (16 bits, twice
	// as much). Default "pcma".
	Format string `yaml:"format" default:"pcma" oneof:"pcma|pcmu|linear" restart:"yes"`
	// Announce is a prompt that callers hear once before they are recorded; in an agent's call to the outside both
	// hear it when it is answered. Default: none.
	Announce string `yaml:"announce"`
	// BeepEvery is how often caller and agent hear a short tone while they are recorded, over what the
	// other one says. 5s to 5m, default 0s: never.
	BeepEvery time.Duration `yaml:"beep_every" default:"0s" min:"0s" max:"5m"`
	// MaxLength ends a recording. 1m to 24h, default 4h.
	MaxLength time.Duration `yaml:"max_length" default:"4h" min:"1m" max:"24h" restart:"yes"`
	// MaxActive is how many are made at once; further calls aren't recorded. 1 to 100000, default
	// 2000.
	MaxActive int `yaml:"max_active" default:"2000" min:"1" max:"100000" restart:"yes"`
	// Buffer is how long the disk may stand still before recordings are dropped; 36 kB of memory
	// a second for each. 1s to 60s, default 4s.
	Buffer time.Duration `yaml:"buffer" default:"4s" min:"1s" max:"60s" restart:"yes"`
	// MinFree is the space on the disk below which no recording begins. 0KiB to 4096GiB, default 1GiB.
	MinFree Size `yaml:"min_free" default:"1GiB" min:"0KiB" max:"4096GiB" restart:"yes"`
	// SyncEvery is what a power cut may take of a recording; 0s: all of it until it ends. 1s to 5m,
	// default 0s.
	SyncEvery time.Duration `yaml:"sync_every" default:"0s" min:"0s" max:"5m" restart:"yes"`
	// KeyFile has the key that recordings are encrypted with, 64 hexadecimal digits. Default: they are not.
	KeyFile string `yaml:"key_file" restart:"yes"`
	// OldKeyFiles have the keys of recordings before. Default: none.
	OldKeyFiles []string `yaml:"old_key_files" unique:"yes" restart:"yes"`
	// KeepDays is after how many days recordings are erased; 0 keeps them. 0 to 36500, default 180.
	KeepDays int `yaml:"keep_days" default:"180" min:"0" max:"36500"`
	// Keep are other times for some queues. Default: none.
	Keep []KeepRecordings `yaml:"keep"`
	// Upload is an S3 store that recordings go to when they are whole.
	Upload Upload `yaml:"upload"`
}

// RecordingRule says which calls are recorded.
type RecordingRule struct {
	// Queues of the calls. Default all.
	Queues []string `yaml:"queues" unique:"yes"`
	// Tiers of the callers. Default all.
	Tiers []routing.Tier `yaml:"tiers" unique:"yes"`
	// Percent of these calls, drawn by lot. 0 to 100, default 100.
	Percent int `yaml:"percent" default:"100" min:"0" max:"100"`
	// From is when recording begins: "talk", when an agent has answered, or "call", when we have.
	// Default "talk".
	From string `yaml:"from" default:"talk" oneof:"talk|call"`
}

// OutgoingRule says which of the calls that agents make to the outside are recorded.
type OutgoingRule struct {
	// Trunks by which the calls leave. Default all.
	Trunks []string `yaml:"trunks" unique:"yes"`
	// Prefixes of the numbers called, in E.164 ("+86") or, for short numbers, as they are dialled. Default all.
	Prefixes []string `yaml:"prefixes" unique:"yes"`
	// Percent of these calls, drawn by lot. 0 to 100, default 100.
	Percent int `yaml:"percent" default:"100" min:"0" max:"100"`
}

// RecordsOutgoing tells whether an agent's call by a trunk to a number, as [Outbound.Number] makes it, is recorded. Lot is
// the call's own number from 0 to 99.
func (r *Recording) RecordsOutgoing(trunk, number string, lot int) bool {
	begins := func(prefix string) bool { return strings.HasPrefix(number, prefix) }
	for _, rule := range r.Outgoing {
		if (len(rule.Trunks) == 0 || slices.Contains(rule.Trunks, trunk)) && (len(rule.Prefixes) == 0 || slices.ContainsFunc(rule.Prefixes, begins)) {
			return lot < rule.Percent
		}
	}
	return false
}

// KeepRecordings is how long recordings of a queue are kept.
type KeepRecordings struct {
	// Queue of the calls.
	Queue string `yaml:"queue" required:"yes"`
	// Days after which they are erased; 0 keeps them. 0 to 36500, default 0.
	Days int `yaml:"days" default:"0" min:"0" max:"36500"`
}

// Upload is an S3 store. An empty endpoint means none.
type Upload struct {
	// Endpoint is host:port, or a host.
	Endpoint string `yaml:"endpoint" restart:"yes"`
	// Bucket in the store; it must be there.
	Bucket string `yaml:"bucket" restart:"yes"`
	// Prefix of the objects' names, such as "hotline/". Default: none.
	Prefix string `yaml:"prefix" restart:"yes"`
	// Region of the bucket. Default: the store is asked.
	Region string `yaml:"region" restart:"yes"`
	// AccessKey and SecretKey are those of the store's user.
	AccessKey string `yaml:"access_key" restart:"yes"`
	// SecretKey belongs to AccessKey.
	SecretKey Secret `yaml:"secret_key" restart:"yes"`
	// TLS encrypts the connection and checks the store's certificate. Default true.
	TLS bool `yaml:"tls" default:"true" restart:"yes"`
	// DropLocal erases a recording's sound here once the store has it. Default false.
	DropLocal bool `yaml:"drop_local" restart:"yes"`
}

// Rule is the first rule that fits a call; in a queue, or "" before that is known, then only rules from
// the call's beginning fit. Lot is the call's own number from 0 to 99; who loses isn't recorded.
func (r *Recording) Rule(queue string, tier routing.Tier, lot int) (RecordingRule, bool) {
	for _, rule := range r.Rules {
		if len(rule.Tiers) > 0 && !slices.Contains(rule.Tiers, tier) {
			continue
		}
		if len(rule.Queues) > 0 && !slices.Contains(rule.Queues, queue) {
			if queue == "" { // it may fit later
				return RecordingRule{}, false
			}
			continue
		}
		return rule, (queue != "" || rule.From == "call") && lot < rule.Percent
	}
	return RecordingRule{}, false
}

// KeepFor is how long recordings of a queue are kept; 0 is for ever.
func (r *Recording) KeepFor(queue string) time.Duration {
	days := r.KeepDays
	for _, k := range r.Keep {
		if k.Queue == queue {
			days = k.Days
		}
	}
	return time.Duration(days) * 24 * time.Hour
}

// RecordingOptions are the options of the recorder; retention, observer and logger are the caller's
// to add. It reads the files of the keys.
func (c *Config) RecordingOptions() (recording.Options, error) {
	r := &c.Recording
	format, _ := recording.ParseFormat(r.Format)
	opt := recording.Options{
		Dir: r.Dir, Format: format, Buffer: r.Buffer, MaxLength: r.MaxLength, Max: r.MaxActive,
		MinFree: int64(r.MinFree), SyncEvery: r.SyncEvery, DropLocal: r.Upload.DropLocal,
	}
	var err error
	if opt.Key, opt.OldKeys, err = r.keys(); err != nil {
		return opt, err
	}
	if u := r.Upload; u.Endpoint != "" {
		opt.Remote, err = recording.NewS3(recording.S3Options{Endpoint: u.Endpoint, Bucket: u.Bucket, Prefix: u.Prefix,
			Region: u.Region, AccessKey: u.AccessKey, SecretKey: string(u.SecretKey), TLS: u.TLS})
	}
	return opt, err
}

func (r *Recording) keys() (key *recording.Key, old []*recording.Key, err error) {
	if r.KeyFile != "" {
		if key, err = recording.ReadKey(r.KeyFile); err != nil {
			return nil, nil, err
		}
	}
	for _, f := range r.OldKeyFiles {
		k, err := recording.ReadKey(f)
		if err != nil {
			return nil, nil, err
		}
		old = append(old, k)
	}
	return key, old, nil
}

// recordings checks the section of recordings.
func (c *checker) recordings() {
	r := &c.cfg.Recording
	for i := range r.Rules {
		c.recordingRule(i, &r.Rules[i])
	}
	for i, rule := range r.Outgoing {
		at := func(field string) string { return index("recording.outgoing", i, field) }
		c.outgoingTrunks(at("trunks"), rule.Trunks)
		for j, p := range rule.Prefixes {
			c.prefix(index(at("prefixes"), j, ""), p, false)
		}
	}
	seen := map[string]string{}
	for i, k := range r.Keep {
		at := index("recording.keep", i, "queue")
		twice(c, seen, k.Queue, at, "queue")
		c.knownQueue(at, k.Queue)
	}
	c.pace("recording.beep_every", r.BeepEvery, leastBeepEvery)
	c.pace("recording.sync_every", r.SyncEvery, time.Second)
	if r.Dir == "" && !c.bad["recording.dir"] {
		c.wrong("recording.dir", "name a directory", "dir is empty")
	}
	for path, dir := range map[string]string{"journal.dir": c.cfg.Journal.Dir, "records.dir": c.cfg.Records.Dir} {
		if r.Dir != "" && dir != "" && filepath.Clean(dir) == filepath.Clean(r.Dir) {
			c.wrong("recording.dir", "use another directory", "recording.dir is %s too", path)
		}
	}
	c.recordingKeys()
	c.upload()
}

// leastBeepEvery leaves something to hear between two tones.
const leastBeepEvery = 5 * time.Second

func (c *checker) recordingRule(i int, rule *RecordingRule) {
	at := func(field string) string { return index("recording.rules", i, field) }
	for j, q := range rule.Queues {
		c.knownQueue(index(at("queues"), j, ""), q)
	}
	switch {
	case c.bad[at("from")] || rule.From != "call":
	case len(rule.Queues) > 0:
		c.wrong(at("from"), "use from: talk, or leave queues out", "when a call begins nobody knows its queue")
	case c.cfg.Recording.Per == "talk" && !c.bad["recording.per"]:
		c.wrong(at("from"), "use from: talk, or per: call", "with per: talk a recording can't begin before its talk")
	}
}

func (c *checker) knownQueue(at, name string) {
	if known := c.queueNames(); !c.bad[at] && !c.bad["queues"] && !slices.Contains(known, name) {
		c.wrong(at, didYouMean(name, known), "queue %s doesn't exist", quote(name))
	}
}

// recordingKeys reads the keys, so that a wrong one is found before a call is lost.
func (c *checker) recordingKeys() {
	r := &c.cfg.Recording
	check := func(at, file string) {
		if file == "" || c.bad[at] {
			return
		}
		if _, err := recording.ReadKey(file); err != nil {
			c.wrong(at, "make a key with: openssl rand -hex 32", "%s", strings.TrimPrefix(err.Error(), "read key of recordings: "))
		}
	}
	check("recording.key_file", r.KeyFile)
	for i, f := range r.OldKeyFiles {
		check(index("recording.old_key_files", i, ""), f)
	}
}

func (c *checker) upload() {
	u := &c.cfg.Recording.Upload
	_, given := c.at["recording.upload"]
	switch {
	case !given || c.badBelow("recording.upload"):
	case u.Endpoint == "" && (u.Bucket != "" || u.AccessKey != "" || u.DropLocal):
		c.wrong("recording.upload", "add endpoint: s3.example.com", "recording.upload has no endpoint")
	case u.Endpoint == "":
	case !isHost(u.Endpoint) && !isHostPort(u.Endpoint):
		c.wrong("recording.upload.endpoint", "write host or host:port, such as s3.example.com", "endpoint %s is no host", quote(u.Endpoint))
	case u.Bucket == "":
		c.wrong("recording.upload", "add bucket: ...", "recording.upload has no bucket")
	case (u.AccessKey == "") != (u.SecretKey == ""):
		c.wrong("recording.upload", "give both, or neither", "access_key and secret_key belong together")
	}
}

// recordingPrompts checks that the announcement is there.
func (c *checker) recordingPrompts(prompts *ivr.Prompts) {
	name := c.cfg.Recording.Announce
	if at := "recording.announce"; name != "" && !c.bad[at] && !prompts.Has(name) {
		c.wrong(at, didYouMean(name, prompts.Names()), "prompt %s doesn't exist", quote(name))
	}
}
