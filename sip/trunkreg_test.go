package sip

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// scripted is a registrar that speaks SIP as text: it answers the n-th REGISTER
// with the n-th line of its script, and from then on with the last one.
type scripted struct {
	mu     sync.Mutex
	script []string // "200 OK|Expires: 60"
	heard  []memPacket
}

func (r *scripted) open(n *memNet, addr string, script ...string) {
	r.script = script
	c := n.listen(addr)
	go func() {
		b := make([]byte, 4096)
		for {
			m, from, err := c.ReadFrom(b)
			if err != nil {
				return
			}
			text := string(b[:m])
			r.mu.Lock()
			line := r.script[min(len(r.heard), len(r.script)-1)]
			r.heard = append(r.heard, memPacket{at: time.Since(n.t0), text: text})
			r.mu.Unlock()
			if line == "" {
				continue // silent
			}
			status, fields, _ := strings.Cut(line, "|")
			for _, name := range []string{"Via", "From", "To", "Call-ID", "CSeq"} {
				fields += "\r\n" + name + ": " + header(text, name)
			}
			fields = strings.TrimPrefix(fields, "\r\n")
			_, _ = c.WriteTo([]byte("SIP/2.0 "+status+"\r\n"+fields+"\r\nContent-Length: 0\r\n\r\n"), from)
		}
	}()
}

func (r *scripted) close(n *memNet, addr string) { _ = n.conns[addr].Close() }

func (r *scripted) got() []memPacket {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]memPacket(nil), r.heard...)
}

func registered() Trunk {
	tr := Trunk{Name: "out"}
	tr.Outbound.Login = &Credentials{User: "we", Password: "secret", Realm: "carrier"}
	tr.Outbound.Register = &Registration{Registrar: Gateway{Host: "10.0.0.11", Port: 5060, Network: "udp"}, User: "we", Expires: 10 * time.Minute}
	return tr
}

func registration(s *Stack) RegistrationStatus { return *s.Trunks()[0].Registration }

// The registration is made with the trunk's login, refreshed in good time with one
// Call-ID and rising numbers, and taken back when the server stops.
func TestTrunkRegistrationIsKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newMemNet()
		reg := memStack(t, n, gw1, Options{Realm: "carrier", Access: Access{Accounts: []Account{{Credentials{User: "we", Password: "secret"}}}}})
		defer reg.Close()
		s := dialer(t, n, registered())
		time.Sleep(time.Second)
		if st := registration(s); !st.Registered || st.Failures != 0 || len(reg.Contacts("we")) != 1 {
			t.Fatalf("registration %+v, contacts %d", st, len(reg.Contacts("we")))
		}
		if uri := reg.Contacts("we")[0].URI; uri != "sip:we@10.0.0.1:5060" {
			t.Errorf("contact %q", uri)
		}
		time.Sleep(10 * time.Minute)
		if !registration(s).Registered || len(reg.Contacts("we")) != 1 {
			t.Fatal("the registration has ended")
		}
		var at []time.Duration
		last, id := 0, ""
		for _, p := range n.sent(serverAddr, "REGISTER ") {
			var seq int
			_, _ = fmt.Sscan(header(p.text, "CSeq"), &seq)
			if seq <= last || id != "" && header(p.text, "Call-ID") != id {
				t.Errorf("CSeq %d after %d, Call-ID %q after %q", seq, last, header(p.text, "Call-ID"), id)
			}
			last, id = seq, header(p.text, "Call-ID")
			if header(p.text, "Authorization") != "" {
				at = append(at, p.at)
			}
		}
		if len(at) != 2 || at[1] < 450*time.Second || at[1] > 546*time.Second {
			t.Errorf("registered at %v, want a second time after 75 to 91 %% of 10 min", at)
		}
		s.Drain()
		s.Settle(t.Context())
		if registration := s.Trunks()[0].Registration; registration != nil || len(reg.Contacts("we")) != 0 {
			t.Errorf("after the end %+v, contacts %d", registration, len(reg.Contacts("we")))
		}
	})
}

// RFC 3261 10.2.8: the life that the registrar wants is asked for, at once and from
// then on.
func TestTrunkRegistrationTooBrief(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newMemNet()
		reg := memStack(t, n, gw1, Options{Realm: "carrier", MinExpires: 20 * time.Minute, Access: Access{Accounts: []Account{{Credentials{User: "we", Password: "secret"}}}}})
		defer reg.Close()
		s := dialer(t, n, registered())
		time.Sleep(time.Second)
		st := registration(s)
		if life := time.Until(st.Expires); !st.Registered || life < 19*time.Minute || life > 20*time.Minute {
			t.Fatalf("registration %+v", st)
		}
		time.Sleep(20 * time.Minute)
		brief := 0
		for _, p := range n.sent(gw1, "SIP/2.0 423") {
			brief += min(1, len(p.text))
		}
		if brief != 1 {
			t.Errorf("%d answers 423, want the life to be remembered", brief)
		}
	})
}

// RFC 5626 4.5: pauses double from 30 s to 30 min, each with a random share of up
// to half taken off; an answer ends them.
func TestTrunkRegistrationBacksOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n, r := newMemNet(), &scripted{}
		script := make([]string, 10, 11)
		for i := range script {
			script[i] = "500 Oh"
		}
		r.open(n, gw1, append(script, "200 OK|Expires: 600")...)
		defer r.close(n, gw1)
		s := dialer(t, n, registered())
		time.Sleep(3 * time.Hour)
		got := r.got()
		if len(got) < 11 {
			t.Fatalf("%d tries in three hours", len(got))
		}
		for i := range 10 {
			upper := min(30*time.Minute, 30*time.Second<<i)
			if gap := got[i+1].at - got[i].at; gap < upper/2 || gap > upper {
				t.Errorf("pause %d is %v, want %v to %v", i, gap, upper/2, upper)
			}
		}
		if st := registration(s); !st.Registered || st.Failures != 0 || st.Problem != "" {
			t.Errorf("registration %+v", st)
		}
	})
}

func TestTrunkRegistrationAnswers(t *testing.T) {
	challenge := `401 Unauthorized|WWW-Authenticate: Digest realm="carrier", nonce="%s", algorithm=MD5, qop="auth"%s`
	for _, tc := range []struct {
		name       string
		script     []string
		sent       int // REGISTERs within 10 s
		registered bool
		problem    string
	}{
		{"granted", []string{"200 OK"}, 1, true, ""},
		{"a stale nonce", []string{fmt.Sprintf(challenge, "a", ""), fmt.Sprintf(challenge, "b", ", stale=true"), "200 OK"}, 3, true, ""},
		{"always stale", []string{fmt.Sprintf(challenge, "a", ", stale=true")}, 3, false, "401"},
		{"a wrong password", []string{fmt.Sprintf(challenge, "a", "")}, 2, false, "401"},
		{"somebody else's realm", []string{strings.Replace(fmt.Sprintf(challenge, "a", ""), "carrier", "evil", 1)}, 1, false, "realm"},
		{"423 without a life", []string{"423 Interval Too Brief"}, 1, false, "Min-Expires"},
		{"423 again and again", []string{"423 Interval Too Brief|Min-Expires: 900"}, 2, false, "423"},
		{"423 beyond reason", []string{"423 Interval Too Brief|Min-Expires: 4000000000"}, 1, false, "Min-Expires"},
		{"forbidden", []string{"403 Forbidden"}, 1, false, "403"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n, r := newMemNet(), &scripted{}
				r.open(n, gw1, tc.script...)
				defer r.close(n, gw1)
				s := dialer(t, n, registered())
				time.Sleep(10 * time.Second)
				st := registration(s)
				if len(r.got()) != tc.sent || st.Registered != tc.registered || !strings.Contains(st.Problem, tc.problem) {
					t.Errorf("%d REGISTERs, %+v", len(r.got()), st)
				}
			})
		})
	}
}

// The registrar's own Retry-After is obeyed where it asks for more than we would
// wait.
func TestTrunkRegistrationRetryAfter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n, r := newMemNet(), &scripted{}
		r.open(n, gw1, "503 Busy|Retry-After: 300", "200 OK")
		defer r.close(n, gw1)
		dialer(t, n, registered())
		time.Sleep(10 * time.Minute)
		got := r.got()
		if len(got) < 2 || got[1].at-got[0].at != 300*time.Second {
			t.Errorf("tries %v", got)
		}
	})
}

// A registration that can't be refreshed counts until its life is over, no longer.
func TestTrunkRegistrationRunsOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n, r := newMemNet(), &scripted{}
		r.open(n, gw1, "200 OK|Expires: 600", "")
		defer r.close(n, gw1)
		s := dialer(t, n, registered())
		time.Sleep(600*time.Second - time.Nanosecond)
		synctest.Wait()
		if st := registration(s); !st.Registered || st.Problem == "" {
			t.Errorf("before its end %+v", st)
		}
		time.Sleep(time.Second)
		if st := registration(s); st.Registered {
			t.Errorf("after its end %+v", st)
		}
	})
}

// A reload that changes the login registers anew; the old binding has gone before.
func TestTrunkRegistrationAfterReload(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newMemNet()
		reg := memStack(t, n, gw1, Options{Realm: "carrier", Access: Access{Accounts: []Account{
			{Credentials{User: "we", Password: "secret"}}, {Credentials{User: "they", Password: "other"}}}}})
		defer reg.Close()
		s := dialer(t, n, registered())
		time.Sleep(time.Second)
		next := registered()
		next.Outbound.Login = &Credentials{User: "they", Password: "other", Realm: "carrier"}
		next.Outbound.Register.User = "they"
		s.SetAccess(Access{Trunks: []Trunk{next}})
		time.Sleep(time.Second)
		if len(reg.Contacts("we")) != 0 || len(reg.Contacts("they")) != 1 {
			t.Errorf("contacts %d and %d", len(reg.Contacts("we")), len(reg.Contacts("they")))
		}
		before := len(n.sent(serverAddr, "REGISTER "))
		s.SetAccess(Access{Trunks: []Trunk{next}})
		time.Sleep(time.Second)
		if len(n.sent(serverAddr, "REGISTER ")) != before {
			t.Error("a reload without a change registers anew")
		}
		// The same contact again: the end of the old registration must not be the
		// end of the new one.
		longer := next
		longer.Outbound.Register = &Registration{Registrar: next.Outbound.Register.Registrar, User: "they", Expires: 20 * time.Minute}
		s.SetAccess(Access{Trunks: []Trunk{longer}})
		time.Sleep(time.Second)
		if len(reg.Contacts("they")) != 1 || !registration(s).Registered {
			t.Errorf("contacts %d, %+v after a change of the life", len(reg.Contacts("they")), registration(s))
		}
		s.SetAccess(Access{})
		time.Sleep(time.Second)
		if len(reg.Contacts("they")) != 0 {
			t.Error("the registration of a trunk that was taken away is left")
		}
	})
}
