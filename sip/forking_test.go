package sip

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// RFC 3261 16.6: contacts of equal q ring together, the next ones when all of
// these have failed; a 6xx or the owner ends it for all.
func TestContactsRingByPreference(t *testing.T) {
	for _, tc := range []struct {
		name  string
		codes [3]int // of the two with q=1, and of the one with q=0.5
		rung  string
		cause DialCause
		code  int
	}{
		{"the first group answers", [3]int{486, 200, 486}, "0s 0s -", "", 200},
		{"the first group is busy", [3]int{486, 480, 200}, "0s 0s 2s", "", 200},
		{"nobody", [3]int{486, 480, 480}, "0s 0s 2s", DialBusy, 486},
		{"one speaks for the person", [3]int{480, 603, 200}, "0s 0s -", DialRefused, 603},
		{"the owner gives up", [3]int{480, 0, 200}, "0s 0s -", DialCancelled, 0},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n := newMemNet()
				ua := memStack(t, n, serverAddr, Options{})
				defer ua.Close()
				start := time.Now()
				var rung [3]string
				var contacts []Contact
				for i, code := range tc.codes {
					addr := fmt.Sprintf("10.0.0.%d:5060", 3+i)
					rung[i] = "-"
					p := memStack(t, n, addr, Options{Access: Access{Trunks: []Trunk{anyTrunk}}, Handlers: Handlers{Invite: func(l *Leg) {
						rung[i] = time.Since(start).String()
						l.Ring()
						time.Sleep(time.Duration(1+i) * time.Second)
						switch code {
						case 0: // rings on
						case 200:
							_ = l.Answer([]byte("v=0\r\n"))
						default:
							_ = l.Reject(code, "No")
						}
					}}})
					defer p.Close()
					c, err := ua.ContactTo("sip:alice@" + addr)
					if err != nil {
						t.Fatal(err)
					}
					c.Q = []int{1000, 1000, 500}[i]
					contacts = append(contacts, c)
				}
				d := ua.Dial(Outgoing{Contacts: contacts, FromUser: "1", ToUser: "alice", Offer: []byte("v=0\r\n")})
				if tc.cause == DialCancelled {
					time.Sleep(1500 * time.Millisecond)
					d.Cancel()
				}
				<-d.Done()
				o := d.Outcome()
				if o.Leg != nil {
					o.Leg.Hangup()
				}
				time.Sleep(time.Minute)
				synctest.Wait()
				if got := strings.Join(rung[:], " "); got != tc.rung || o.Code != tc.code || o.Cause != tc.cause {
					t.Errorf("rung at %s, outcome %d %q; want %s, %d %q", got, o.Code, o.Cause, tc.rung, tc.code, tc.cause)
				}
			})
		})
	}
}
