package sip

import (
	"regexp"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	gosip "github.com/emiago/sipgo/sip"
)

func TestNumberRules(t *testing.T) {
	china := NumberRules{{Prefix: "+86", MinLength: 12, Strip: 3, Prepend: "0"}, {Prefix: "+", Strip: 1, Prepend: "00"}}
	for _, tc := range []struct {
		rules    NumberRules
		in, want string
	}{
		{china, "+8613800000000", "013800000000"},
		{china, "+8695599", "008695599"},
		{china, "+4930123456", "004930123456"},
		{china, "110", "110"},
		{nil, "+8613800000000", "+8613800000000"},
		{NumberRules{{MaxLength: 4, Prepend: "9"}}, "1234", "91234"},
		{NumberRules{{MaxLength: 4, Prepend: "9"}}, "12345", "12345"},
		{NumberRules{{Pattern: regexp.MustCompile(`^1[3-9]\d{9}$`), Prepend: "+86"}}, "13800000000", "+8613800000000"},
		{NumberRules{{Pattern: regexp.MustCompile(`^1[3-9]\d{9}$`), Prepend: "+86"}}, "12000000000", "12000000000"},
		{NumberRules{{Strip: 9, Prepend: "x"}}, "12", "x"},
		{NumberRules{{Prefix: "0", Strip: 1}, {Prepend: "5"}}, "01", "1"},
	} {
		if got := tc.rules.Apply(tc.in); got != tc.want {
			t.Errorf("%s becomes %s, want %s", tc.in, got, tc.want)
		}
	}
}

// What a trunk is shown, by its rules.
func TestTrunkIsShownWhoCalls(t *testing.T) {
	diverted := []Diversion{{"+8610955990", "no-answer"}, {"4008", "user-busy"}}
	for _, tc := range []struct {
		name string
		set  func(*Outbound, *Outgoing)
		want map[string]string // fields, whole or (*) their beginning
	}{
		{"as it comes", func(*Outbound, *Outgoing) {}, map[string]string{
			"INVITE": "sip:+8613811111111@10.0.0.11:5060 SIP/2.0", "From": `"Li" <sip:+8613800000000@10.0.0.1>;tag=*`,
			"To": "<sip:+8613811111111@10.0.0.11:5060>", "P-Asserted-Identity": "", "Privacy": "", "Diversion": "", "History-Info": ""}},
		{"own number, own domain, national numbers", func(o *Outbound, _ *Outgoing) {
			o.CallerID, o.Domain = "+8695599", "carrier.example"
			o.Numbers = NumberRules{{Prefix: "+86", Strip: 3, Prepend: "0"}}
		}, map[string]string{
			"INVITE": "sip:013811111111@carrier.example SIP/2.0", "From": `"Li" <sip:+8695599@carrier.example>;tag=*`, "To": "<sip:013811111111@carrier.example>"}},
		{"customer's number, national", func(o *Outbound, _ *Outgoing) {
			o.Numbers, o.Identity = NumberRules{{Prefix: "+86", Strip: 3, Prepend: "0"}}, IdentityPAI
		}, map[string]string{
			"From": `"Li" <sip:013800000000@10.0.0.1>;tag=*`, "P-Asserted-Identity": `"Li" <sip:013800000000@10.0.0.1>`, "Privacy": ""}},
		{"unknown to the called, named to the trunk", func(o *Outbound, c *Outgoing) { o.Identity, c.Private = IdentityPAI, true }, map[string]string{
			"From": `"Anonymous" <sip:anonymous@anonymous.invalid>;tag=*`, "P-Asserted-Identity": `"Li" <sip:+8613800000000@10.0.0.1>`, "Privacy": "id"}},
		{"the same by Remote-Party-ID", func(o *Outbound, c *Outgoing) { o.Identity, c.Private = IdentityRPID, true }, map[string]string{
			"From": `"Anonymous" <sip:anonymous@anonymous.invalid>;tag=*`, "P-Asserted-Identity": "", "Privacy": "id",
			"Remote-Party-ID": `"Li" <sip:+8613800000000@10.0.0.1>;party=calling;screen=yes;privacy=full`}},
		{"unknown to both", func(_ *Outbound, c *Outgoing) { c.Private = true }, map[string]string{
			"From": `"Anonymous" <sip:anonymous@anonymous.invalid>;tag=*`, "P-Asserted-Identity": "", "Remote-Party-ID": "", "Privacy": "id"}},
		{"nobody knows who calls", func(o *Outbound, c *Outgoing) { o.Identity, c.FromUser = IdentityPAI, "anonymous" }, map[string]string{
			"From": `"Anonymous" <sip:anonymous@anonymous.invalid>;tag=*`, "P-Asserted-Identity": "", "Privacy": ""}},
		{"no diversion for who wants none", func(_ *Outbound, c *Outgoing) { c.Diversions = diverted }, map[string]string{"Diversion": "", "History-Info": ""}},
		{"diversion", func(o *Outbound, c *Outgoing) {
			o.Diversion, c.Diversions, o.Domain = DiversionField, diverted, "d"
		}, map[string]string{
			"Diversion": "<sip:+8610955990@d>;reason=no-answer;counter=1 | <sip:4008@d>;reason=user-busy;counter=1", "History-Info": ""}},
		{"history", func(o *Outbound, c *Outgoing) {
			o.Diversion, c.Diversions, o.Domain = DiversionHistory, diverted, "d"
		}, map[string]string{
			"Diversion": "", "History-Info": "<sip:4008@d?Reason=SIP%3Bcause%3D486>;index=1 | <sip:+8610955990@d?Reason=SIP%3Bcause%3D408>;index=1.1 | <sip:+8613811111111@d>;index=1.1.1"}},
		{"our own business stays here", func(_ *Outbound, c *Outgoing) {
			c.Headers = []string{"X-Hotline-Tier", "A1", "x-hotline-customer", "C-1", "Subject", "hello"}
		}, map[string]string{"X-Hotline-Tier": "", "x-hotline-customer": "", "Subject": "hello"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n, g := newMemNet(), &gateways{}
				g.open(t, n, gw1, rejects(486))
				tr := out(gw1)
				o := Outgoing{ToUser: "+8613811111111", FromUser: "+8613800000000", FromName: "Li"}
				tc.set(&tr.Outbound, &o)
				s := dialer(t, n, tr)
				<-s.DialTrunk("out", o).Done()
				msg := n.sent(serverAddr, "INVITE ")[0].text
				for field, want := range tc.want {
					got := strings.Join(fieldsOf(msg, field), " | ")
					if field == "INVITE" {
						got = strings.TrimSpace(strings.TrimPrefix(strings.SplitN(msg, "\r\n", 2)[0], "INVITE "))
					}
					begin, open := strings.CutSuffix(want, "*")
					if got != want && !(open && strings.HasPrefix(got, begin)) {
						t.Errorf("%s: %q, want %q", field, got, want)
					}
				}
			})
		})
	}
}

// fields are all values of a header field in a raw message.
func fieldsOf(text, name string) []string {
	var out []string
	for line := range strings.Lines(text) {
		if k, v, ok := strings.Cut(line, ":"); ok && strings.EqualFold(strings.TrimSpace(k), name) {
			out = append(out, strings.TrimSpace(v))
		}
	}
	return out
}

// What isn't a number never becomes part of a request.
func TestOnlyNumbersAreDialled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newMemNet()
		s := dialer(t, n, out(gw1))
		for _, number := range []string{"", "110@evil.example", "110;x=y", "110 ", "a\r\nVia: x", strings.Repeat("1", 65)} {
			d := s.DialTrunk("out", Outgoing{ToUser: number})
			if !isClosed(d.Done()) || d.Outcome().Cause != DialNoRoute {
				t.Errorf("%q: outcome %+v", number, d.Outcome())
			}
		}
		if len(n.sent(serverAddr, "")) != 0 {
			t.Error("something was sent")
		}
	})
}

// Who calls and whom the call was meant for, as a trunk says it.
func TestIncomingByRulesOfTheTrunk(t *testing.T) {
	for _, tc := range []struct {
		name   string
		trust  bool
		fields []string
		caller Caller
		divs   []Diversion
	}{
		{"by the rules", false, nil, Caller{Number: "+8613800000000"}, nil},
		{"Remote-Party-ID", true, []string{`Remote-Party-ID: "Wang" <sip:013900000000@x>;party=calling`}, Caller{Number: "+8613900000000", Name: "Wang"}, nil},
		{"a number that only the rules can read", true, []string{"P-Asserted-Identity: <sip:900113900000000@x>"}, Caller{Number: "+8613900000000"}, nil},
		{"P-Asserted-Identity comes first", true, []string{"Remote-Party-ID: <sip:013900000000@x>", "P-Asserted-Identity: <tel:+8613700000000;x=y>"}, Caller{Number: "+8613700000000"}, nil},
		{"a private Remote-Party-ID", true, []string{"Remote-Party-ID: <sip:013900000000@x>;privacy=full"}, Caller{Anonymous: true, Withheld: "+8613900000000"}, nil},
		{"withheld, and told to us", true, []string{"P-Asserted-Identity: \"Wang\" <sip:013900000000@x>", "Privacy: id;critical"}, Caller{Anonymous: true, Withheld: "+8613900000000"}, nil},
		{"withheld, of a trunk that isn't trusted", false, []string{"P-Asserted-Identity: <sip:013900000000@x>", "Privacy: id"}, Caller{Anonymous: true}, nil},
		{"withheld, with nothing but From", true, []string{"Privacy: id"}, Caller{Anonymous: true}, nil},
		{"not trusted", false, []string{"Remote-Party-ID: <sip:013900000000@x>", "Diversion: <sip:0108000@x>;reason=user-busy"}, Caller{Number: "+8613800000000"}, nil},
		{"diversions", true, []string{`Diversion: "a, b" <sip:01085551234@x>;reason=no-answer;counter=1, <tel:+861085550000>;reason="User-Busy"`, "Diversion: <sip:77@x>;reason=bogus"},
			Caller{Number: "+8613800000000"}, []Diversion{{"+861085551234", "no-answer"}, {"+861085550000", "user-busy"}, {"77", "unknown"}}},
		{"history", true, []string{"History-Info: <sip:4008@x?Reason=SIP%3Bcause%3D486>;index=1, <sip:01085551234@x>;index=1.1", "History-Info: <sip:95599@x;cause=408>;index=1.2"},
			Caller{Number: "+8613800000000"}, []Diversion{{"+861085551234", "no-answer"}, {"4008", "user-busy"}}},
		{"what can't be read", true, []string{"Diversion: <<<", "Diversion: ,,\"", "History-Info: <", "P-Asserted-Identity: >"}, Caller{Number: "+8613800000000"}, nil},
		{"far too many", true, []string{"Diversion: " + strings.Repeat("<sip:77@x>,", 50) + "<sip:77@x>"}, Caller{Number: "+8613800000000"}, slices.Repeat([]Diversion{{"77", "unknown"}}, 8)},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n := newMemNet()
				tr := carrier
				tr.TrustIdentity = tc.trust
				tr.Numbers = NumberRules{{Prefix: "0", MinLength: 8, Strip: 1, Prepend: "+86"}, {Prefix: "138", Prepend: "+86"}, {Prefix: "955", Prepend: "9"}, {Prefix: "9001", Strip: 4, Prepend: "+86"}}
				legs := make(chan *Leg, 1)
				srv := memStack(t, n, serverAddr, Options{Access: Access{Trunks: []Trunk{tr}}, Handlers: Handlers{Invite: func(l *Leg) { _ = l.Reject(486, "Busy"); legs <- l }}})
				defer srv.Close()
				u := newUAC(t, n, callerAddr)
				u.send("INVITE", 1, append(slices.Clone(tc.fields), sdp("v=0")...)...)
				u.until("SIP/2.0 486", "")
				u.send("ACK", 1)
				in := (<-legs).Incoming()
				if in.Caller != tc.caller || !slices.Equal(in.Diversions, tc.divs) || in.Dialled != "995599" {
					t.Errorf("caller %+v, diversions %v, dialled %s", in.Caller, in.Diversions, in.Dialled)
				}
			})
		})
	}
}

// Whatever a trunk writes about who calls and whom the call was meant for is read
// without harm: no panic, bounded, and only what could be part of a number or a name.
func FuzzIncomingIdentity(f *testing.F) {
	for _, seed := range []string{`<sip:a@b>, "c, d" <sip:e@f?x=1,2>;p="q"`, `"\",`, "", ",", "<,>", "<tel:+86138;x>;reason=no-answer",
		"<sip:4008@x?Reason=SIP%3Bcause%3D48>;index=1, <sip:1@x;cause=408>;index=1.1"} {
		f.Add(seed)
	}
	tr := &Trunk{TrustIdentity: true, Region: "CN"}
	f.Fuzz(func(t *testing.T, v string) {
		total := 0
		for _, part := range splitList(v) {
			total += len(part)
		}
		if total > len(v) {
			t.Errorf("%q became longer", v)
		}
		req := gosip.NewRequest(gosip.INVITE, gosip.Uri{Scheme: "sip", User: "95599", Host: "x"})
		req.AppendHeader(&gosip.FromHeader{Address: gosip.Uri{Scheme: "sip", User: "1", Host: "x"}})
		for _, name := range []string{"Diversion", "History-Info", "P-Asserted-Identity", "Remote-Party-ID"} {
			req.AppendHeader(gosip.NewHeader(name, v))
		}
		if d := diversionsOf(req, tr); len(d) > maxDiversions {
			t.Errorf("%d diversions", len(d))
		}
		c := callerOf(req, tr)
		if strings.Trim(strings.TrimPrefix(c.Number+c.Withheld, "+"), "0123456789") != "" || c.Number != "" && c.Withheld != "" || strings.ContainsAny(c.Name, "\r\n\x00") {
			t.Errorf("caller %+v", c)
		}
	})
}
