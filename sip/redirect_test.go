package sip

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// A gateway's 302 is an answer for the person called: neither the address that it names
// nor another gateway gets the call.
func TestGatewayRedirectsNowhere(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newMemNet()
		far := Trunk{Name: "far", Outbound: Outbound{Gateways: []Gateway{{Host: "10.0.7.1", Port: 5060}, {Host: "10.0.7.2", Port: 5060, Priority: 1}}}}
		srv := memStack(t, n, serverAddr, Options{Access: Access{Trunks: []Trunk{far}}})
		defer srv.Close()
		gateway := newUAC(t, n, "10.0.7.1:5060")
		d := srv.DialTrunk("far", Outgoing{ToUser: "+8613800000000"})
		gateway.reply(gateway.until("INVITE ", ""), "302 Moved Temporarily\r\nContact: <sip:+8616900000000@10.0.9.9>, <sip:+8616900000000@10.0.7.2>")
		gateway.until("ACK ", "")
		<-d.Done()
		if o := d.Outcome(); o.Cause != DialRefused || o.Code != 302 {
			t.Errorf("outcome %+v", o)
		}
		time.Sleep(time.Minute)
		for _, p := range n.sent(serverAddr, "") {
			if p.to != "10.0.7.1:5060" || strings.Contains(p.text, "+86169") {
				t.Errorf("to %s: %s", p.to, p.text)
			}
		}
	})
}
