package media

import (
	"bytes"
	"errors"
	"regexp"
	"testing"
)

// Another party of a fork, or of another gateway, is judged anew: its plain answer is taken where the policy takes
// plain RTP. The one that gave keys never goes back to it, nor does one that doesn't say who it is.
func TestPlainAnswerAfterEncryptedEarlySound(t *testing.T) {
	e := openEngine(t, nil)
	safe := sdpText("127.0.0.1", "m=audio 4000 RTP/AVP 8", keyLine(2, sha80, 1))
	for _, c := range []struct {
		policy SRTP
		party  string
		want   error
	}{
		{SRTPPreferred, "a", ErrNotEncrypted},
		{SRTPPreferred, "", ErrNotEncrypted},
		{SRTPRequired, "b", ErrNotEncrypted},
		{SRTPPreferred, "b", nil},
	} {
		p := newPhone(t, PCMA)
		l := openLeg(t, e)
		l.Protect(Protection{c.policy, true})
		offer, err := l.Offer()
		if err != nil {
			t.Fatal(err)
		}
		if err := l.SetAnswerOf("a", safe); err != nil || l.Stats().Secure != SDES {
			t.Fatalf("early: %v, %s", err, l.Stats().Secure)
		}
		if err := l.SetAnswerOf(c.party, p.offer()); !errors.Is(err, c.want) {
			t.Errorf("%d of %q: %v, want %v", c.policy, c.party, err, c.want)
		}
		if c.want != nil {
			if l.Stats().Secure != SDES {
				t.Errorf("%q brought the leg to %s", c.party, l.Stats().Secure)
			}
			continue
		}
		if s := l.Stats(); s.Secure != Plain || s.RemoteAddr != addrOf(p.rtp) {
			t.Errorf("%s to %s", s.Secure, s.RemoteAddr)
		}
		if !bytes.Equal(p.hear().Payload, silence(PCMA)) {
			t.Error("what the phone gets isn't plain")
		}
		l.receive(p.packet(8, silence(PCMA), frameSamples), addrOf(p.rtp), e.now())
		if s := l.Stats(); s.PacketsReceived != 1 || s.Unauthentic != 0 {
			t.Errorf("stats %+v", s)
		}
		againOffer, err := l.Offer()
		if err != nil {
			t.Fatal(err)
		}
		key := regexp.MustCompile(`a=crypto:2 .*\r`)
		if first, second := key.Find(offer), key.Find(againOffer); second == nil || bytes.Equal(first, second) {
			t.Errorf("offered again: %s", second)
		}
		if err := l.SetAnswerOf("b", safe); err != nil || l.Stats().Secure != SDES {
			t.Errorf("encrypted again: %v, %s", err, l.Stats().Secure)
		}
	}
}

// A browser that was heard early leaves nothing behind when a plain phone answers.
func TestPlainAnswerAfterABrowser(t *testing.T) {
	e := openEngine(t, nil)
	l := openLeg(t, e)
	l.Protect(Protection{SRTPPreferred, true})
	if _, err := l.Offer(); err != nil {
		t.Fatal(err)
	}
	if _, err := l.OfferBrowser(); err != nil {
		t.Fatal(err)
	}
	own, err := e.identity.get()
	if err != nil {
		t.Fatal(err)
	}
	browser := sdpText("127.0.0.1", "m=audio 4000 UDP/TLS/RTP/SAVPF 8", "a=fingerprint:"+own.fingerprint, "a=setup:active", "a=rtcp-mux", "a=ice-ufrag:abcd", "a=ice-pwd:0123456789012345678901")
	if err := l.SetAnswerOf("browser", browser); err != nil || l.Stats().Secure != DTLS {
		t.Fatalf("%v, %s", err, l.Stats().Secure)
	}
	p := newPhone(t, PCMA)
	if err := l.SetAnswerOf("phone", p.offer()); err != nil || l.Stats().Secure != Plain {
		t.Fatalf("%v, %s", err, l.Stats().Secure)
	}
	if !bytes.Equal(p.hear().Payload, silence(PCMA)) || l.Failure() != nil || isClosedChan(l.Timeout()) {
		t.Error("the browser's handshake still counts")
	}
}

func isClosedChan(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}
