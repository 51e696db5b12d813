package sip

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"

	gosip "github.com/emiago/sipgo/sip"
	"github.com/icholy/digest"
)

// instances are two phones of alice's; the answers to their REGISTERs.
func instances(t *testing.T, n *memNet, lines ...string) (srv *Stack, phones []*uac, answers []string) {
	t.Helper()
	srv = memStack(t, n, serverAddr, Options{Access: Access{Accounts: []Account{{Credentials{User: "alice", Password: "pw"}}, {Credentials{User: "bob", Password: "pw"}}}}})
	t.Cleanup(func() { _ = srv.Close() })
	for i, addr := range []string{"10.0.0.21:5060", "10.0.0.22:5060"} {
		u := newUAC(t, n, addr)
		answers = append(answers, u.registerInstance(1, fmt.Sprintf("urn:uuid:%d", i+1), lines...))
		phones = append(phones, u)
	}
	return srv, phones, answers
}

// registerInstance registers alice's phone and returns the 200.
func (u *uac) registerInstance(seq int, urn string, lines ...string) string {
	u.t.Helper()
	send := func(seq int, more ...string) string {
		lines := append([]string{fmt.Sprintf(`Contact: <sip:alice@%s>;+sip.instance="<%s>"`, u.c.addr, urn)}, append(more, lines...)...)
		u.raw(fmt.Sprintf("REGISTER sip:10.0.0.1 SIP/2.0\r\nVia: SIP/2.0/UDP %s;branch=z9hG4bKr%s%d\r\nMax-Forwards: 70\r\nFrom: <sip:alice@10.0.0.1>;tag=r\r\nTo: <sip:alice@10.0.0.1>\r\nCall-ID: %s\r\nCSeq: %d REGISTER\r\n%sContent-Length: 0\r\n\r\n",
			u.c.addr, u.callID, seq, u.callID, seq, strings.Join(append(lines, ""), "\r\n")))
		return u.until("SIP/2.0 ", fmt.Sprintf("%d REGISTER", seq))
	}
	chal, err := digest.ParseChallenge(header(send(seq), "WWW-Authenticate"))
	if err != nil {
		u.t.Fatal(err)
	}
	cred, err := digest.Digest(chal, digest.Options{Method: "REGISTER", URI: "sip:10.0.0.1", Username: "alice", Password: "pw", Count: 1})
	if err != nil {
		u.t.Fatal(err)
	}
	res := send(seq+1, "Authorization: "+cred.String())
	if !strings.HasPrefix(res, "SIP/2.0 200") {
		u.t.Fatal(res)
	}
	return res
}

func mustURI(t *testing.T, text string) (u gosip.Uri) {
	t.Helper()
	if err := gosip.ParseUri(text, &u); err != nil {
		t.Fatal(err)
	}
	return u
}

// RFC 5627 5.3: what a phone that knows GRUUs is told, and what they mean.
func TestGRUU(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newMemNet()
		srv, phones, answers := instances(t, n, "Supported: gruu, path")
		_, public, _ := strings.Cut(answers[1], `"<urn:uuid:2>";pub-gruu="`)
		public, rest, _ := strings.Cut(public, `"`)
		_, temporary, _ := strings.Cut(rest, `;temp-gruu="`)
		temporary, _, _ = strings.Cut(temporary, `"`)
		if public != "sip:alice@10.0.0.1;gr=urn:uuid:2" || !strings.HasPrefix(temporary, "sip:tgruu.") || !strings.HasSuffix(temporary, "@10.0.0.1;gr") || strings.Contains(temporary, "alice") {
			t.Fatalf("told %q and %q in %q", public, temporary, answers[1])
		}
		mean := func(uri string) string {
			u := mustURI(t, uri)
			user, instance := srv.meant(&u, u.User)
			return user + " " + instance
		}
		for uri, want := range map[string]string{
			public:                    "alice <urn:uuid:2>",
			temporary:                 "alice <urn:uuid:2>",
			"sip:alice@10.0.0.1":      "alice ",
			"sip:tgruu.x@10.0.0.1;gr": "tgruu.x ",
			strings.Replace(temporary, "tgruu.", "tgruu.A", 1): strings.TrimSuffix(strings.TrimPrefix(strings.Replace(temporary, "tgruu.", "tgruu.A", 1), "sip:"), "@10.0.0.1;gr") + " ",
		} {
			if got := mean(uri); got != want {
				t.Errorf("%s means %q, want %q", uri, got, want)
			}
		}
		cs := srv.ContactsAt("alice", "<urn:uuid:2>")
		if len(cs) != 1 || cs[0].URI != "sip:alice@10.0.0.22:5060" || len(srv.ContactsAt("alice", "")) != 2 || len(srv.ContactsAt("alice", "<urn:uuid:3>")) != 0 {
			t.Errorf("it is at %+v", cs)
		}
		// A refresh doesn't end what was given before; another registration does.
		again := phones[1].registerInstance(3, "urn:uuid:2", "Supported: gruu")
		if strings.Contains(again, temporary) || mean(temporary) != "alice <urn:uuid:2>" {
			t.Errorf("after a refresh it means %q", mean(temporary))
		}
		phones[1].callID = "restarted"
		phones[1].registerInstance(1, "urn:uuid:2", "Supported: gruu")
		if got := mean(temporary); strings.HasPrefix(got, "alice") {
			t.Errorf("after a restart of the phone it means %q", got)
		}
	})
}

// Phones that don't ask, or sit behind a proxy, get none.
func TestGRUUIsForThoseWhoAsk(t *testing.T) {
	for _, lines := range [][]string{nil, {"Supported: gruu, path", "Path: <sip:10.0.0.30;lr>"}} {
		synctest.Test(t, func(t *testing.T) {
			_, _, answers := instances(t, newMemNet(), lines...)
			if strings.Contains(answers[1], "gruu=") {
				t.Errorf("told %q", answers[1])
			}
		})
	}
}

// A transfer to one phone names it; the name is the account.
func TestReferToAGRUU(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newMemNet()
		srv, u, _, got := referring(t, n)
		defer srv.Close()
		u.send("REFER", 2, "Refer-To: <sip:alice@10.0.0.1;gr=urn:uuid:2>")
		r := <-got
		if r.To != "alice" || r.Instance != "<urn:uuid:2>" {
			t.Errorf("referred to %q, %q", r.To, r.Instance)
		}
		r.Refuse(603, "Decline")
		u.until("SIP/2.0 603", "2 REFER")
	})
}
