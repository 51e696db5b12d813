package server

import (
	"crypto/md5"
	"fmt"
	"strings"
	"testing"

	"hotline/config"
	"hotline/routing"
)

// authorised sends a request of a user's out of any call and answers its challenge; it
// returns the final answer.
func (p *textPhone) authorised(method, user, to, callID, body string, headers ...string) string {
	p.t.Helper()
	uri := "sip:" + to + "@127.0.0.1"
	from := fmt.Sprintf("<sip:%s@127.0.0.1>;tag=w", user)
	p.send(method, uri, from, "<"+uri+">", callID, body, headers...)
	_, nonce, _ := strings.Cut(field(p.until("SIP/2.0 401", method), "WWW-Authenticate"), `nonce="`)
	nonce, _, _ = strings.Cut(nonce, `"`)
	hash := func(s string) string { return fmt.Sprintf("%x", md5.Sum([]byte(s))) }
	response := hash(hash(user+":hotline:a-long-secret") + ":" + nonce + ":00000001:c:auth:" + hash(method+":"+uri))
	p.send(method, uri, from, "<"+uri+">", callID, body, append(headers, fmt.Sprintf(
		`Authorization: Digest username="%s", realm="hotline", nonce="%s", uri="%s", response="%s", algorithm=MD5, qop=auth, nc=00000001, cnonce="c"`, user, nonce, uri, response))...)
	for {
		if res := p.until("SIP/2.0 ", method); res[8] != '1' {
			return res
		}
	}
}

// told waits for a NOTIFY with that text.
func (p *textPhone) told(what, text string) {
	p.t.Helper()
	var said []string
	for range 20 {
		msg := p.until("NOTIFY ", "NOTIFY")
		p.reply(msg, "200 OK", "", "")
		if strings.Contains(msg, text) {
			if strings.Contains(msg, "1380000") {
				p.t.Errorf("%s: the caller's number is told: %q", what, msg)
			}
			return
		}
		said = append(said, msg)
	}
	p.t.Fatalf("%s: no NOTIFY with %q, but %q", what, text, said)
}

// A colleague's lamp, by name or extension: a call of the queue's rings, is talked and
// ends; then a call that the agent makes.
func TestBusyLampOfAnAgent(t *testing.T) {
	for _, to := range []string{"alice", "801"} {
		t.Run(to, func(t *testing.T) {
			h := start(t, func(c *config.Config) {
				threeDesks(c)
				c.Extensions = append(c.Extensions, config.Extension{Number: "801", Agent: "alice"})
			})
			desk, rings := h.desk("alice")
			_, colleague := h.desk("carol")
			p := h.textPhone()
			if res := p.authorised("SUBSCRIBE", "bob", to, "lamp", "", "Event: dialog"); !strings.HasPrefix(res, "SIP/2.0 200") {
				t.Fatal(res)
			}
			p.told("idle", "<state>terminated</state>")
			caller := h.call()
			ring := h.ring(rings)
			p.told("ringing", `direction="recipient"><state>early</state>`)
			if _, err := ring.Answer(); err != nil {
				t.Fatal(err)
			}
			p.told("talking", `direction="recipient"><state>confirmed</state>`)
			caller.Hangup()
			h.seatIs("alice", routing.SeatWrapUp)
			p.told("in wrap-up", "<state>terminated</state>")
			answered := h.answers(colleague)
			own, err := h.dial(desk, "carol")
			if err != nil {
				t.Fatal(err)
			}
			<-answered
			p.told("own call in wrap-up", "<state>confirmed</state>")
			own.Hangup()
			p.told("over", "<state>terminated</state>")
		})
	}
}

// What an agent has chosen, and why.
func TestPresenceOfAnAgent(t *testing.T) {
	h := start(t, nil)
	p := h.textPhone()
	if res := p.authorised("SUBSCRIBE", "bob", "alice", "there", "", "Event: presence"); !strings.HasPrefix(res, "SIP/2.0 200") {
		t.Fatal(res)
	}
	p.told("nobody there", "<basic>closed</basic></status><note>offline</note>")
	desk, _ := h.desk("alice")
	p.told("ready", "<basic>open</basic></status></tuple>")
	h.core.post(routing.AgentStatusChanged{Agent: "alice", Status: routing.StatusBreak, Reason: "lunch"})
	p.told("on break", "<basic>closed</basic></status><note>break: lunch</note>")
	if err := desk.Unregister(h.context()); err != nil {
		t.Fatal(err)
	}
	p.told("gone", "<note>offline</note>")
}

// Who may see what: colleagues, not queues; messages only one's own.
func TestWhoMayWatch(t *testing.T) {
	h := start(t, threeDesks)
	for _, tc := range []struct{ to, event, status string }{
		{"bob", "message-summary", "200"},
		{"803", "dialog", "200"},
		{"803", "message-summary", "404"},
		{"880", "dialog", "404"},
		{"sales", "presence", "404"},
		{"13900000000", "presence", "404"},
		{"nobody", "presence", "404"},
	} {
		p := h.textPhone()
		if res := p.authorised("SUBSCRIBE", "bob", tc.to, "who-"+tc.to+tc.event, "", "Event: "+tc.event, "Expires: 0"); !strings.HasPrefix(res, "SIP/2.0 "+tc.status) {
			t.Errorf("%s of %s: %q, want %s", tc.event, tc.to, strings.SplitN(res, "\r\n", 2)[0], tc.status)
		}
	}
}
