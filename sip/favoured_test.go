package sip

import (
	"fmt"
	"net/netip"
	"testing"
	"testing/synctest"
)

// In an overload the callers who were favoured when they last called are let in by an
// ordinary trunk while others get 503: A1 and C, as the server has it.
func TestFavouredCallersAreLetInInOverload(t *testing.T) {
	const trusted, stranger, other = "10.0.3.2:5060", "10.9.9.9:5060", "10.0.4.2:5060"
	synctest.Test(t, func(t *testing.T) {
		n := newMemNet()
		tiers := map[string]bool{"+8613800000001": true, "+8613800000002": false}
		srv, _ := answering(t, n, Options{Access: Access{Trunks: []Trunk{
			{Name: "trusted", Region: "CN", TrustIdentity: true, Addresses: []netip.Prefix{netip.MustParsePrefix("10.0.3.0/24")}},
			{Name: "other", Region: "CN", Addresses: []netip.Prefix{netip.MustParsePrefix("10.0.4.0/24")}},
		}}, Handlers: Handlers{Invite: func(l *Leg) {
			l.Favour(tiers[l.Incoming().Caller.Number])
			_ = l.Reject(486, "Busy Here")
		}}})
		defer srv.Close()
		calls := 0
		peers := map[string]*uac{}
		call := func(addr, want, from string, lines ...string) {
			t.Helper()
			u := peers[addr]
			if u == nil {
				u = newUAC(t, n, addr)
				peers[addr] = u
			}
			calls++
			u.toTag, u.callID = "", fmt.Sprint("favour", calls)
			msg := fmt.Sprintf("INVITE sip:95599@10.0.0.1 SIP/2.0\r\nVia: SIP/2.0/UDP %s;branch=z9hG4bKf%d;rport\r\nFrom: %s;tag=f\r\nTo: <sip:95599@10.0.0.1>\r\nCall-ID: %s\r\nCSeq: 1 INVITE\r\nMax-Forwards: 70\r\nContact: <sip:x@%s>\r\n",
				addr, calls, from, u.callID, addr)
			for _, l := range lines {
				msg += l + "\r\n"
			}
			u.raw(msg + "Content-Length: 0\r\n\r\n")
			if res := u.until("SIP/2.0 ", "1 INVITE"); res[8:11] != want {
				t.Errorf("call %d of %s by %s: %s, want %s", calls, from, addr, res[8:11], want)
			}
			u.raw(fmt.Sprintf("ACK sip:95599@10.0.0.1 SIP/2.0\r\nVia: SIP/2.0/UDP %s;branch=z9hG4bKf%d\r\nFrom: %s;tag=f\r\nTo: <sip:95599@10.0.0.1>;tag=%s\r\nCall-ID: %s\r\nCSeq: 1 ACK\r\nMax-Forwards: 70\r\nContent-Length: 0\r\n\r\n", addr, calls, from, u.toTag, u.callID))
			synctest.Wait()
		}
		const a1, c, hidden = `"A, <x>" <sip:13800000001@10.0.0.2;user=phone>`, "<sip:13800000002@10.0.0.2>", "<sip:anonymous@anonymous.invalid>"
		call(callerAddr, "486", a1)
		call(callerAddr, "486", c)
		call(trusted, "486", "<sip:1@10.0.0.2>", "P-Asserted-Identity: <tel:+8613800000001>, <sip:2@x>")
		if got := srv.Favoured(); got != 2 {
			t.Errorf("%d callers are remembered, want 2", got)
		}
		overload(srv)
		call(callerAddr, "486", a1)
		call(callerAddr, "503", c)
		call(callerAddr, "503", hidden)
		call(callerAddr, "503", c, "P-Asserted-Identity: <tel:+8613800000001>") // the trunk isn't trusted with it
		call(trusted, "486", "<sip:1@10.0.0.2>", "P-Asserted-Identity: <tel:+8613800000001>")
		call(trusted, "503", a1, "P-Asserted-Identity: <tel:+8613800000002>")
		call(other, "503", a1)    // known by another trunk only
		call(stranger, "503", a1) // anybody can write that
		tiers["+8613800000001"] = false
		call(callerAddr, "486", a1) // the last time: now it is C
		call(callerAddr, "503", a1)
	})
}

// What is remembered is bounded; the oldest go first, and who calls again stays.
func TestFavouredCallersAreBounded(t *testing.T) {
	var c callers
	for key := range uint64(1000) {
		c.note(key, true, 100)
		c.note(7, true, 100)
	}
	kept := 0
	for key := range uint64(1000) {
		if c.has(key) {
			kept++
		}
	}
	if kept < 50 || kept > 100 || !c.has(999) || !c.has(7) || c.has(1) {
		t.Errorf("%d kept, the latest %t, who calls always %t, the oldest %t", kept, c.has(999), c.has(7), c.has(1))
	}
	if c.note(999, false, 100); c.has(999) {
		t.Error("one that isn't favoured any more is")
	}
	var none callers
	if none.note(1, true, -1); none.has(1) {
		t.Error("none are to be remembered")
	}
}

// The user part is found at a glance, and whatever comes breaks nothing.
func TestRawUser(t *testing.T) {
	for field, want := range map[string]string{
		"<sip:138@x>;tag=1": "138", "sip:138@x;tag=1": "138", `"a <sip:1@x> \" b" <sips:138@x:5060;a=b>`: "138", "A B <sip:138:pw@x>": "138",
		"<tel:+86138;phone-context=x>": "+86138", "tel:+86138": "+86138", "<sip:x>": "", "": "", `"`: "", `"\`: "", "<": "", "<sip:": "", "nothing": "", "<sip:@x>": "",
	} {
		if got := string(rawUser([]byte(field))); got != want {
			t.Errorf("%q: %q, want %q", field, got, want)
		}
	}
}

func FuzzRawUser(f *testing.F) {
	f.Add([]byte(`"a" <sip:1@x>`))
	f.Fuzz(func(t *testing.T, field []byte) { rawUser(field) })
}
