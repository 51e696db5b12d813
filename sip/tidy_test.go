package sip

import (
	"strings"
	"testing"
	"testing/synctest"

	gosip "github.com/emiago/sipgo/sip"
)

// A peer of RFC 2543, without tag and cookie: it gets its From back as it wrote it, its
// call is answered and hung up, and our BYE names it as it named itself.
func TestOldPeerCalls(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newMemNet()
		srv, legs := answering(t, n, Options{})
		defer srv.Close()
		u := newUAC(t, n, callerAddr)
		invite := "INVITE sip:95599@10.0.0.1 SIP/2.0\r\nVia: SIP/2.0/UDP 10.0.0.2:5060\r\nFrom: \"Old; one\" <sip:1@10.0.0.2>\r\nTo: <sip:95599@10.0.0.1>\r\nCall-ID: old\r\nCSeq: 1 INVITE\r\nContact: <sip:1@10.0.0.2>\r\n"
		u.raw(invite + "Content-Type: application/sdp\r\nContent-Length: 5\r\n\r\nv=0\r\n")
		ok := u.until("SIP/2.0 200", "1 INVITE")
		if got := header(ok, "From"); got != `"Old; one" <sip:1@10.0.0.2>` {
			t.Errorf("From came back as %q", got)
		}
		u.raw(strings.NewReplacer("INVITE", "ACK", "To: <sip:95599@10.0.0.1>", "To: "+header(ok, "To")).Replace(invite) + "Content-Length: 0\r\n\r\n")
		l := <-legs
		<-l.Confirmed()
		l.Hangup()
		bye := u.until("BYE ", "")
		if got := header(bye, "To"); strings.Contains(got, "tag") || !strings.Contains(got, "sip:1@10.0.0.2") {
			t.Errorf("BYE to %q", got)
		}
		u.reply(bye, "200 OK")
		synctest.Wait()
		if srv.Calls() != 0 {
			t.Error("the dialog is left")
		}
	})
}

func TestTidy(t *testing.T) {
	for _, tc := range []struct{ name, in, want string }{
		{"spaces around marks", "Via: SIP/2.0/UDP a ; branch\t= z9hG4bKx ;rport\r\nFrom: <sip:a@b> ; tag = 1\r\n", "Via: SIP/2.0/UDP a;branch=z9hG4bKx;rport\r\nFrom: <sip:a@b>;tag=1\r\n"},
		{"quoted ones stay", "Via: SIP/2.0/UDP a;branch=z9hG4bKx\r\nFrom: \"a ; b \\\" = c\" <sip:a@b> ;tag=1\r\n", "Via: SIP/2.0/UDP a;branch=z9hG4bKx\r\nFrom: \"a ; b \\\" = c\" <sip:a@b>;tag=1\r\n"},
		{"no tag, no cookie", "Via: SIP/2.0/UDP a\r\nf: <sip:a@b>\r\n", "Via: SIP/2.0/UDP a\r\nf: <sip:a@b>\r\n"},
		{"other fields stay", "Via: SIP/2.0/UDP a;branch=z9hG4bKx\r\nFrom: <sip:a@b>;tag=1\r\nX: a = b\r\n", "Via: SIP/2.0/UDP a;branch=z9hG4bKx\r\nFrom: <sip:a@b>;tag=1\r\nX: a = b\r\n"},
	} {
		start, body := "OPTIONS sip:a SIP/2.0\r\n", "\r\nbody = here"
		if got := string(tidy([]byte(start + tc.in + body))); got != start+tc.want+body {
			t.Errorf("%s: %q", tc.name, got)
		}
	}
}

// Whatever comes is rewritten at most, and what could be read before can be after.
func FuzzTidy(f *testing.F) {
	f.Add("OPTIONS sip:a@b SIP/2.0\r\nVia: SIP/2.0/UDP a ; branch = z9hG4bKx\r\nFrom: <sip:a@b>\r\nTo: <sip:c@d>\r\nCall-ID: 1\r\nCSeq: 1 OPTIONS\r\n\r\n")
	f.Add("\"\\\r\n;=\r\n\r\n")
	parser := gosip.NewParser()
	f.Fuzz(func(t *testing.T, text string) {
		msg, err := parser.ParseSIP([]byte(text))
		out := tidy([]byte(text))
		if req, ok := msg.(*gosip.Request); err == nil && ok && req.Via() != nil {
			if again, err := parser.ParseSIP(out); err == nil {
				if r, ok := again.(*gosip.Request); !ok || r.Method != req.Method || len(r.GetHeaders("Via")) != len(req.GetHeaders("Via")) {
					t.Errorf("%q became %q", text, out)
				}
			}
		}
	})
}
