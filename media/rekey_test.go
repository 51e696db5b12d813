package media

import "testing"

// A phone that takes a new key to put us on hold, sends nothing meanwhile, and takes another one to come back
// is heard, whether its rollover counter goes on or begins anew, and what was on its way is, too.
func TestNewKeysInSilence(t *testing.T) {
	for _, goesOn := range []bool{false, true} {
		e := openEngine(t, nil)
		p, l := callSecret(t, e, sha80)
		for range 10 { // over the wrap
			p.take(l, p.next())
		}
		late := p.next()
		for fill := range byte(3) {
			p.negotiate(l, keyLine(1, sha80, 20+fill))
		}
		if goesOn {
			p.out.SetROC(p.ssrc, 1)
		}
		p.take(l, late)
		p.take(l, p.next())
		if s := l.Stats(); s.PacketsReceived != 12 || s.Unauthentic != 0 {
			t.Errorf("counter goes on %v: %d received, %d unauthentic", goesOn, s.PacketsReceived, s.Unauthentic)
		}
		if n := len(l.opener.Load().try); n != 1 {
			t.Errorf("%d keys in force after the peer has changed over", n)
		}
	}
}
