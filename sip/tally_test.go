package sip

import (
	"maps"
	"net"
	"net/netip"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// told is an Observer that counts messages.
type told struct {
	noObserver
	mu sync.Mutex
	n  map[Message]int
}

func (o *told) Message(m Message) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.n[m]++
}

func (o *told) wants(t *testing.T, want map[Message]int) {
	t.Helper()
	o.mu.Lock()
	defer o.mu.Unlock()
	if !maps.Equal(o.n, want) {
		t.Errorf("got  %v\nwant %v", o.n, want)
	}
	clear(o.n)
}

// Each message counts once, for the peer that it came from or went to: a trunk by its
// address, by its password and by its gateway, an agent's phone, and strangers.
func TestMessagesAreCounted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n, seen := newMemNet(), &told{n: map[Message]int{}}
		by := Trunk{Name: "by password", Credentials: &Credentials{User: "trunk", Password: "wonderland"}}
		far := Trunk{Name: "far", Outbound: Outbound{Gateways: []Gateway{{Host: "10.0.7.1", Port: 5060}}}}
		srv, legs := answering(t, n, Options{Observer: seen, Access: Access{Trunks: []Trunk{carrier, by, far}, Accounts: []Account{account(MD5)}}})
		defer srv.Close()
		got := func(method string, code int, peer string) Message {
			return Message{Method: method, Code: code, Network: "UDP", Peer: peer}
		}
		sent := func(method string, code int, peer string) Message {
			return Message{Sent: true, Method: method, Code: code, Network: "UDP", Peer: peer}
		}

		u := newUAC(t, n, callerAddr)
		u.call()
		(<-legs).Hangup()
		u.reply(u.until("BYE ", ""), "200 OK")
		synctest.Wait()
		seen.wants(t, map[Message]int{got("INVITE", 0, "carrier"): 1, sent("INVITE", 200, "carrier"): 1, got("ACK", 0, "carrier"): 1,
			sent("BYE", 0, "carrier"): 1, got("BYE", 200, "carrier"): 1})

		p := &rawPeer{t: t, c: n.listen(agentAddr), from: "alice"}
		res := p.send("REGISTER", "sip:10.0.0.1")
		p.send("REGISTER", "sip:10.0.0.1", answer(t, res, "REGISTER", "sip:10.0.0.1", "alice", "wonderland", 1), "Contact: <sip:alice@"+agentAddr+">")
		seen.wants(t, map[Message]int{got("REGISTER", 0, ""): 2, sent("REGISTER", 401, ""): 1, sent("REGISTER", 200, PeerAgents): 1})
		p.send("OPTIONS", "sip:10.0.0.1")
		seen.wants(t, map[Message]int{got("OPTIONS", 0, PeerAgents): 1, sent("OPTIONS", 200, PeerAgents): 1})

		// An INVITE without SDP gets an offer: whatever comes, it is the trunk's from then on.
		p = &rawPeer{t: t, c: n.listen("10.0.7.9:5060"), from: "trunk"}
		res = p.send("INVITE", "sip:95599@10.0.0.1", "Contact: <sip:x@10.0.7.9>")
		p.send("INVITE", "sip:95599@10.0.0.1", answer(t, res, "INVITE", "sip:95599@10.0.0.1", "trunk", "wonderland", 1), "Contact: <sip:x@10.0.7.9>")
		synctest.Wait()
		seen.wants(t, map[Message]int{got("INVITE", 0, ""): 2, sent("INVITE", 401, ""): 1, sent("INVITE", 200, "by password"): 1})
		(<-legs).Hangup()

		gateway := n.listen("10.0.7.1:5060")
		d := srv.DialTrunk("far", Outgoing{ToUser: "+8613800000000"})
		<-gateway.in
		d.Cancel()
		synctest.Wait()
		seen.mu.Lock()
		if seen.n[sent("INVITE", 0, "far")] == 0 {
			t.Errorf("no INVITE to the gateway: %v", seen.n)
		}
		clear(seen.n)
		seen.mu.Unlock()

		// What can't be read, and answers to nothing.
		stranger := n.listen("10.0.8.1:5060")
		to := net.UDPAddrFromAddrPort(netip.MustParseAddrPort(serverAddr))
		for _, text := range []string{"SIP/2.0 299 Odd\r\nCSeq: 1 ODD\r\n\r\n", "SIP/2.0 nonsense\r\n\r\n", "rubbish", "\r\n\r\n"} {
			_, _ = stranger.WriteTo([]byte(text), to)
		}
		time.Sleep(time.Millisecond)
		synctest.Wait()
		seen.mu.Lock()
		for _, want := range []Message{got("ODD", 299, ""), got("", 1, ""), got("rubbish", 0, "")} {
			if seen.n[want] != 1 {
				t.Errorf("%v counted %d times: %v", want, seen.n[want], seen.n)
			}
		}
		seen.mu.Unlock()
	})
}

// On a connection, and for one who isn't let in.
func TestMessagesOfStreamsAreCounted(t *testing.T) {
	seen := &told{n: map[Message]int{}}
	srv := realStack(t, "tcp", Options{Observer: seen})
	conn, err := net.Dial("tcp", srv.Addr(0).String())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	for _, start := range []string{"OPTIONS sip:x SIP/2.0", "OPTIONS sip:x SIP/3.0"} {
		if _, err := conn.Write(validated(start, nil, "")); err != nil {
			t.Fatal(err)
		}
		readUntil(t, conn, "SIP/2.0 ")
	}
	seen.wants(t, map[Message]int{{Method: "OPTIONS", Network: "TCP"}: 2, {Sent: true, Method: "OPTIONS", Code: 200, Network: "TCP"}: 1,
		{Sent: true, Method: "OPTIONS", Code: 505, Network: "TCP"}: 1})
}
