package sip

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	gosip "github.com/emiago/sipgo/sip"
)

// Whoever guesses passwords is slowed, by source and by name, the same for names
// that don't exist; the owner of the name elsewhere isn't, and nobody can be locked
// out by forged packets.
func TestGuessingIsSlowed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n, count := newMemNet(), newCounter()
		s := memStack(t, n, serverAddr, Options{Observer: count, Access: Access{Accounts: []Account{account(MD5)}}})
		defer s.Close()
		const uri, contact = "sip:10.0.0.1", "Contact: <sip:alice@10.0.0.3>"
		try := func(p *rawPeer, user, password string) string {
			return p.status(p.send("REGISTER", uri, contact, answer(t, p.send("REGISTER", uri, contact), "REGISTER", uri, user, password, 1)))
		}
		thief := &rawPeer{t: t, c: n.listen("10.6.6.6:5060"), from: "alice"}
		for _, user := range []string{"alice", "nobody"} {
			for i := range userTries {
				if got := try(thief, user, fmt.Sprint("guess", i)); !strings.HasPrefix(got, "401") {
					t.Fatalf("guess %d at %s: %s", i, user, got)
				}
			}
			if got := try(thief, user, "wonderland"); !strings.HasPrefix(got, "503") {
				t.Errorf("one more guess at %s: %s", user, got)
			}
		}
		if count.of("guessing") != 2 {
			t.Errorf("counted %d", count.of("guessing"))
		}
		owner := &rawPeer{t: t, c: n.listen(agentAddr), from: "alice"}
		if got := try(owner, "alice", "wonderland"); !strings.HasPrefix(got, "200") {
			t.Errorf("the owner got %s", got)
		}
		time.Sleep(userEvery)
		if got := try(thief, "alice", "wonderland"); !strings.HasPrefix(got, "200") {
			t.Errorf("who has come to his senses got %s", got)
		}

		owner.seq = 1000 // its Call-ID is the thief's

		// A challenge of one's own, answered from another's address.
		forger := &rawPeer{t: t, c: n.listen("10.6.6.7:5060"), from: "alice"}
		for range 3 * userTries {
			auth := answer(t, forger.send("REGISTER", uri, contact), "REGISTER", uri, "alice", "guess", 1)
			if got := owner.send("REGISTER", uri, contact, auth); !strings.HasPrefix(got, "SIP/2.0 401") || !strings.Contains(got, "stale=true") {
				t.Fatalf("a challenge given to another address: %q", got)
			}
		}
		if got := try(owner, "alice", "wonderland"); !strings.HasPrefix(got, "200") {
			t.Errorf("the owner was locked out: %s", got)
		}
	})
}

func TestGuessersAreBounded(t *testing.T) {
	g := newGuesses()
	for i := range 3 * maxGuessers {
		g.wrong(netip.PrefixFrom(netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)}), 32), "alice")
	}
	if len(g.of) > maxGuessers {
		t.Errorf("%d are remembered", len(g.of))
	}
}

// Nobody learns from the time an answer takes who has an account: a wrong password for one
// that doesn't exist is worked on like that for one that does. Work is counted in
// allocations, which a busy machine doesn't change.
func TestUnknownNamesAreAsMuchWork(t *testing.T) {
	for _, alg := range []Algorithm{MD5, SHA256} {
		t.Run(string(alg), func(t *testing.T) {
			table := newAccessTable(Access{Accounts: []Account{account(alg)}})
			lookup := func(user string) *Credentials { c, _, _ := table.credentialsOf(user); return c }
			work := func(user, password string, want verdict) float64 {
				a := newAuthenticator("hotline", time.Minute)
				source := netip.MustParseAddrPort(callerAddr)
				challenge := gosip.NewResponse(401, "Unauthorized")
				for _, h := range a.challenge(alg, prefixOf(source.Addr()), false) {
					challenge.AppendHeader(h)
				}
				req := gosip.NewRequest(gosip.REGISTER, gosip.Uri{Scheme: "sip", Host: "10.0.0.1"})
				req.SetSource(source.String())
				if !authorise(req, challenge, Credentials{User: user, Password: password, Algorithm: alg}) {
					t.Fatal("no answer to the challenge")
				}
				return testing.AllocsPerRun(200, func() {
					a.tries = newGuesses()
					if _, v := a.check(req, lookup); v != want {
						t.Fatalf("%s: %v, want %v", user, v, want)
					}
				})
			}
			known, unknown := work("alice", "not-wonderland", authWrong), work("eliza", "not-wonderland", authWrong)
			if known != unknown {
				t.Errorf("%v allocations for a name that exists, %v for one that doesn't", known, unknown)
			}
			a := newAuthenticator("other", time.Minute)
			if free := testing.AllocsPerRun(200, func() { a.tries = newGuesses() }); unknown < free+10 {
				t.Errorf("%v allocations with the digest, %v without: they tell nothing", unknown, free)
			}
		})
	}
}
