package config

import (
	"fmt"
	"os"
	"reflect"
	"regexp"
	"strings"
	"testing"
	"time"

	"hotline/sip"
)

// What the example shows in comments is right, too, and reaches the SIP front end.
func TestTrunkReachesTheFrontEnd(t *testing.T) {
	data, err := os.ReadFile(example)
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv("CARRIER_LOGIN", "hidden")
	text := regexp.MustCompile(`(?m)^( *)# (gateways:|  - \{host|login:|register:|  - \{prefix: "\+86", trunks|  - \{trunks)`).ReplaceAllString(string(data), "$1$2")
	text = strings.Replace(text, "routes: []", "routes:", 1)
	text = strings.ReplaceAll(text, "trunks: [carrier, other]", "trunks: [carrier]")
	text = strings.ReplaceAll(text, "trunks: [other]", "trunks: [carrier]")
	cfg, err := Parse("example", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	tr := cfg.SIPAccess().Trunks[1]
	want := sip.Outbound{
		Gateways: []sip.Gateway{{Host: "sip.carrier.example", Weight: 1}, {Host: "192.0.2.20", Port: 5060, Network: "udp", Priority: 1, Weight: 1}},
		Health:   sip.Health{Interval: 30 * time.Second, Failures: 2},
		Login:    &sip.Credentials{User: "4008001234", Password: "hidden", Realm: "sip.carrier.example", Algorithm: sip.Both},
		Register: &sip.Registration{Registrar: sip.Gateway{Host: "sip.carrier.example", Network: "udp"}, User: "4008001234", Expires: 10 * time.Minute},
		Numbers:  sip.NumberRules{{Prefix: "+86", MinLength: 12, Strip: 3, Prepend: "0"}, {Prefix: "+", Strip: 1, Prepend: "00"}},
		CallerID: "+861095599", Identity: sip.IdentityFrom, Failover: []int{408, 500, 502, 503, 504},
		Unreachable: 3 * time.Second, MaxRest: 5 * time.Minute,
	}
	if !reflect.DeepEqual(tr.Outbound, want) {
		t.Errorf("got  %+v\nwant %+v", tr.Outbound, want)
	}
	if got := tr.Numbers.Apply("13800000000") + " " + tr.Numbers.Apply("0086138"); got != "+8613800000000 +86138" {
		t.Errorf("numbers %s", got)
	}
	if len(cfg.Outbound.TrunksFor("+8613800000000")) != 1 || len(cfg.Outbound.Routes) != 2 {
		t.Errorf("routes %+v", cfg.Outbound.Routes)
	}
	if r := cfg.AgentRight("alice"); r == nil || cfg.AgentRight("bob") != nil || cfg.FlowRight("main") != r || cfg.FlowRight("other") != nil {
		t.Error("rights are given to the wrong ones")
	}
}

func TestTrunkOfOutgoingCallsOnly(t *testing.T) {
	text := strings.Replace(minimal, "trunks: [", `trunks: [{name: out, gateways: [{host: "192.0.2.1"}]}, `, 1)
	if _, err := Parse("x", []byte(text)); err != nil {
		t.Error(err)
	}
}

func TestRoutes(t *testing.T) {
	o := Outbound{Region: "CN", Routes: []Route{{"+8610", []string{"beijing"}}, {"110", []string{"police"}}, {"+86", []string{"a", "b"}}}}
	for dialled, want := range map[string]string{
		"01085551234": "[beijing]", "+861085551234": "[beijing]", "13800000000": "[a b]", "110": "[police]", "+4930123456": "[]", "00493012345678": "[]",
	} {
		if got := fmt.Sprint(o.TrunksFor(o.Number(dialled))); got != want {
			t.Errorf("%s goes by %s, want %s", dialled, got, want)
		}
	}
}

func TestRightReaches(t *testing.T) {
	o := Outbound{Region: "CN"}
	r := Right{Allow: []string{"+86", "10086"}, Deny: []string{"+8616", "+8610800"}}
	for dialled, want := range map[string]bool{
		"13800000000": true, "+8613800000000": true, "008613800000000": true, "10086": true,
		"16800000000": false, "+8616800000000": false, "008616800000000": false,
		"+4930123456": false, "004930123456789": false, "110": false, "": false, "01080012345": false,
	} {
		if got := r.Reaches(dialled, o.Number(dialled)); got != want {
			t.Errorf("%s (%s): %v, want %v", dialled, o.Number(dialled), got, want)
		}
	}
}

func TestRightIsOpen(t *testing.T) {
	zone, err := time.LoadLocation("Asia/Shanghai")
	if err != nil {
		t.Fatal(err)
	}
	r := Right{Hours: []Hours{"Mon-Fri 09:00-18:00", "Sun 22:00-06:00"}}
	for at, want := range map[string]bool{
		"2026-11-23 08:59": false, "2026-11-23 09:00": true, "2026-11-23 17:59": true, "2026-11-23 18:00": false, // Monday
		"2026-11-28 12:00": false, "2026-11-29 21:59": false, "2026-11-29 22:00": true, "2026-11-30 05:59": true, "2026-11-30 06:00": false,
	} {
		when, err := time.ParseInLocation("2006-01-02 15:04", at, zone)
		if err != nil {
			t.Fatal(err)
		}
		if got := r.Open(when); got != want {
			t.Errorf("%s: %v, want %v", at, got, want)
		}
	}
	if !(&Right{}).Open(time.Now()) {
		t.Error("a right without hours is closed")
	}
}
