package server

import (
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"hotline/config"
	"hotline/sip"
)

// A customer who withholds the number, which a trusted trunk asserts, has the tier; but no
// agent is shown who it is, nothing is written down, and only a trunk that is trusted
// with it is told. The numbers that the call was meant for go on in E.164.
func TestWithheldNumberStaysWithheld(t *testing.T) {
	const number = "+8613800000009"
	for _, identity := range []string{"from", "pai"} {
		t.Run(identity, func(t *testing.T) {
			people := filepath.Join(t.TempDir(), "customers.csv")
			if err := os.WriteFile(people, []byte("number,id,name,tier,manager,team,language\n"+number+",C-9,Ms Secret,A1,,,zh\n"), 0o600); err != nil {
				t.Fatal(err)
			}
			arrived := make(chan sip.Incoming, 1)
			world, err := sip.Open(sip.Options{Logger: slog.New(slog.DiscardHandler),
				Listen: []sip.Listener{{Network: "udp", Addr: netip.MustParseAddrPort("127.0.0.1:0")}},
				Access: sip.Access{Trunks: []sip.Trunk{{Name: "us", TrustIdentity: true, Addresses: []netip.Prefix{netip.MustParsePrefix("127.0.0.1/32")}}}},
				Handlers: sip.Handlers{Invite: func(l *sip.Leg) {
					arrived <- l.Incoming()
					_ = l.Reject(486, "Busy")
				}}})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = world.Close() })
			_, cfg := outside(t)
			h := start(t, func(c *config.Config) {
				cfg(c)
				c.Directory.File = people
				c.Card = config.Card{URL: "https://crm.example/{customer}"}
				c.Trunks[0].DIDs = append(c.Trunks[0].DIDs, config.DID{Number: "01085551234", Flow: "direct"})
				last := &c.Trunks[len(c.Trunks)-1]
				last.Gateways = []config.Gateway{{Host: world.Addr(0).String(), Transport: "udp"}}
				last.Identity, last.Diversion = identity, "diversion"
				last.NumbersOut = []config.NumberRule{{Prefix: "+8610", Strip: 3, Prepend: "0"}}
			})
			agent := h.textPhone()
			agent.register("alice")
			p := h.textPhone()
			p.send("INVITE", "sip:01085551234@"+h.SIPAddr().String(), "<sip:anonymous@anonymous.invalid>;tag=w", "<sip:1@127.0.0.1>", "withheld", sdp(40000, "8", "sendrecv"),
				`P-Asserted-Identity: "Ms Secret" <sip:`+number+`@carrier>`, "Privacy: id", "Diversion: <sip:+861085550000@carrier>;reason=user-busy")
			p.until("SIP/2.0 200", "INVITE")
			invite := agent.until("INVITE ", "INVITE")
			if got := field(invite, "X-Hotline-Tier"); got != "A1" {
				t.Errorf("tier %q", got)
			}
			for _, secret := range []string{"Secret", "C-9", "13800000009"} {
				if strings.Contains(invite, secret) {
					t.Errorf("the agent is shown %s:\n%s", secret, invite)
				}
			}
			agent.reply(invite, "486 Busy Here", "x", "")

			var c *call
			h.recs.Range(func(_, v any) bool { c = v.(*call); return false })
			d, no := h.dialTo(destination{number: "+8613900000000"}, c.onBehalf(byAgent("alice"), nil))
			if no.code != 0 {
				t.Fatal(no)
			}
			h.await("an answer", d.dial.Done())
			d.drop()
			in := <-arrived
			want := sip.Caller{Anonymous: true}
			if identity == "pai" {
				want.Withheld = number
			}
			if in.Caller != want {
				t.Errorf("the carrier is told of %+v, want %+v", in.Caller, want)
			}
			if want := []sip.Diversion{{Number: "01085551234", Reason: "unconditional"}, {Number: "01085550000", Reason: "user-busy"}}; !slices.Equal(in.Diversions, want) {
				t.Errorf("diversions %v, want %v", in.Diversions, want)
			}
			p.send("BYE", "sip:"+h.SIPAddr().String(), "<sip:anonymous@anonymous.invalid>;tag=w", "<sip:1@127.0.0.1>", "withheld", "")
			_ = h.Close()
			err = filepath.WalkDir(h.dir, func(path string, f os.DirEntry, err error) error {
				if err != nil || f.IsDir() {
					return err
				}
				data, err := os.ReadFile(path)
				if strings.Contains(string(data), "13800000009") {
					t.Errorf("%s holds the number", path)
				}
				return err
			})
			if err != nil || strings.Contains(h.log.String(), "13800000009") {
				t.Errorf("%v, or the number is in the log", err)
			}
		})
	}
}
