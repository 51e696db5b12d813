package config

import (
	"fmt"
	"net/netip"
	"os"
	"reflect"
	"regexp"
	"strings"
	"testing"
	"time"

	"hotline/media"
	"hotline/routing"
)

const example = "../config.example.yaml"

func TestExampleLoads(t *testing.T) {
	cfg, err := Load(example)
	if err != nil {
		t.Fatal(err)
	}
	policy := cfg.Policy()
	if err := policy.Validate(); err != nil {
		t.Errorf("routing refuses the policy: %v", err)
	}
	if len(policy.Seats) != 5 || !policy.Seats[1].VIP || policy.Seats[1].ID != "bob" || policy.Seats[1].Team != "east" {
		t.Errorf("seats are %+v", policy.Seats)
	}
	if policy.RingTime != 20*routing.Second || policy.KeepIdle != 1 {
		t.Errorf("policy is %+v", policy)
	}
	if access := cfg.SIPAccess(); len(access.Trunks) != 2 || len(access.Accounts) != 5 ||
		access.Trunks[0].Credentials != nil || access.Trunks[1].Credentials.Password != "carrier-secret" {
		t.Errorf("access is wrong: %d trunks, %d accounts", len(access.Trunks), len(access.Accounts))
	}
	if l := cfg.SIPListen(); len(l) != 2 || l[1].Network != "tcp" || l[1].Addr != netip.MustParseAddrPort("127.0.0.1:5060") {
		t.Errorf("listeners are %+v", l)
	}
	m := cfg.MediaConfig()
	if m.PortMin != 20000 || m.PortMax != 29999 || !reflect.DeepEqual(m.Codecs, []media.Codec{media.PCMA, media.PCMU}) {
		t.Errorf("media is %+v", m)
	}
	if o := cfg.SIPOptions(); o.Unreachable != 3*time.Second || o.MaxCalls != 2000 || o.RetryAfter != 2*time.Second {
		t.Errorf("SIP options: %+v", o.Unreachable)
	}
}

// TestExampleNamesEveryField keeps the example complete: it is the documentation
// that operators read.
func TestExampleNamesEveryField(t *testing.T) {
	data, err := os.ReadFile(example)
	if err != nil {
		t.Fatal(err)
	}
	var walk func(reflect.Type)
	walk = func(typ reflect.Type) {
		for typ.Kind() == reflect.Slice {
			typ = typ.Elem()
		}
		if typ.Kind() != reflect.Struct || isScalar(typ) {
			return
		}
		for i := range typ.NumField() {
			name := typ.Field(i).Tag.Get("yaml")
			if !regexp.MustCompile(`(?m)^[# -]*(\{|.*[{ ])?` + name + `:`).Match(data) {
				t.Errorf("%s of %s isn't in config.example.yaml", name, typ)
			}
			walk(typ.Field(i).Type)
		}
	}
	walk(reflect.TypeFor[Config]())
}

// TestDefaults compares what the comments of the example promise with
// what a file gets that leaves everything out.
func TestDefaults(t *testing.T) {
	cfg, err := Parse("minimal", []byte(minimal))
	if err != nil {
		t.Fatal(err)
	}
	shown, err := Load(example)
	if err != nil {
		t.Fatal(err)
	}
	shown.Node, shown.Media.Ports, shown.Directory.File, shown.Routing.KeepIdle = cfg.Node, Ports{}, "", 0
	shown.Emergencies, shown.Extensions = cfg.Emergencies, cfg.Extensions
	shown.Outbound.Rights, shown.SIP.DNS = nil, nil
	shown.Outbound.Routes, shown.Card.Rings = nil, nil
	shown.Recording.Rules, shown.Recording.OldKeyFiles, shown.Recording.Keep = nil, nil, nil
	shown.Recording.Outgoing = nil
	shown.SIP.Listen, shown.Trunks, shown.Queues, shown.Agents, shown.Flows = cfg.SIP.Listen, cfg.Trunks, cfg.Queues, cfg.Agents, cfg.Flows
	if !reflect.DeepEqual(cfg, shown) {
		t.Errorf("the example says that these are the defaults:\n%+v\nbut they are\n%+v", shown, cfg)
	}
	policy := cfg.Policy()
	if err := policy.Validate(); err != nil {
		t.Error(err)
	}
	if q := cfg.Queues[0]; q.WrapUp != 10*time.Second {
		t.Errorf("wrap-up is %s by default", q.WrapUp)
	}
	if cfg.Trunks[0].Region != "CN" || cfg.Agents[0].Algorithm != "md5" {
		t.Errorf("trunk %+v, agent %+v", cfg.Trunks[0], cfg.Agents[0].Algorithm)
	}
}

const minimal = `
sip: {listen: [{address: "127.0.0.1:5060"}]}
trunks: [{name: t, addresses: [127.0.0.1], dids: [{number: "*", flow: main}]}]
queues: [{name: q}]
agents: [{user: a, password: secret-a, queues: [q]}]
flows: {main: {start: q, steps: {q: {queue: q}}}}
`

func TestEnvironment(t *testing.T) {
	t.Setenv("HOTLINE_TEST_PASSWORD", "0123 from outside")
	t.Setenv("HOTLINE_TEST_CALLS", "17")
	text := strings.Replace(minimal, "secret-a", `"${HOTLINE_TEST_PASSWORD}"`, 1)
	text = strings.Replace(text, "sip: {", `sip: {max_calls: "${HOTLINE_TEST_CALLS}", `, 1)
	cfg, err := Parse("env", []byte(text+"http:\n  token: ${HOTLINE_TEST_PASSWORD}\n"))
	if err != nil {
		t.Fatal(err)
	}
	if cfg.SIP.MaxCalls != 17 || cfg.HTTP.Token != "0123 from outside" || cfg.Agents[0].Password != cfg.HTTP.Token {
		t.Errorf("max_calls %d, token %q", cfg.SIP.MaxCalls, string(cfg.HTTP.Token))
	}
}

func TestSecretsDoNotShow(t *testing.T) {
	cfg, err := Parse("minimal", []byte(minimal))
	if err != nil {
		t.Fatal(err)
	}
	if s := fmt.Sprintf("%v %+v %#v %s", cfg.Agents, cfg.Agents, cfg.Agents, cfg.Agents[0].Password); strings.Contains(s, "secret-a") {
		t.Errorf("printed: %s", s)
	}
}
