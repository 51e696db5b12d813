package media

import (
	"errors"
	"io"
	"log/slog"
	"slices"
	"strings"
	"testing"
)

// Whatever answers our offer, plain, with SDES' keys or a browser's: no panic, an error of a known kind, a codec that was agreed
// on, and never plain RTP where the offer wants keys.
func FuzzSetAnswer(f *testing.F) {
	f.Add(uint8(0), string(sdpText("127.0.0.1", "m=audio 4000 RTP/AVP 0 96", "a=rtpmap:96 telephone-event/8000", "a=ptime:30", "a=rtcp-xr:voip-metrics")))
	f.Add(uint8(1), string(sdpText("127.0.0.1", "m=audio 4000 RTP/SAVP 8", keyLine(1, sha80, 1))))
	f.Add(uint8(2), string(sdpText("0.0.0.0", "m=audio 9 UDP/TLS/RTP/SAVPF 8", "a=mid:0", "a=ice-ufrag:abcd", "a=ice-pwd:abcdefghijklmnopqrstuvwx",
		"a=fingerprint:sha-256 "+strings.Repeat("AB:", 31)+"AB", "a=setup:active", "a=rtcp-mux", "a=candidate:1 1 udp 2130706431 127.0.0.1 4004 typ host")))
	f.Add(uint8(2), string(sdpText("127.0.0.1", "m=audio 4000 UDP/TLS/RTP/SAVP 8", "a=fingerprint:sha-1 "+strings.Repeat("AB:", 19)+"AB", "a=setup:passive")))
	e, err := Open(Config{Bind: loopback, Codecs: []Codec{PCMA, PCMU, G722}, Logger: slog.New(slog.NewTextHandler(io.Discard, nil))})
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() { e.Close() })
	known := []error{ErrBadSDP, ErrNoCommonCodec, ErrNotEncrypted, ErrEncrypted, ErrKeysInClear, ErrBadKeys}
	f.Fuzz(func(t *testing.T, kind uint8, answer string) {
		l := openLeg(t, e)
		defer l.Close()
		offer, policy := l.Offer, []SRTP{SRTPOff, SRTPRequired, SRTPRequired}[kind%3]
		if kind%3 == 2 {
			offer = l.OfferBrowser
		}
		l.Protect(Protection{policy, true})
		if _, err := offer(); err != nil {
			t.Fatal(err)
		}
		if err := l.SetAnswer([]byte(answer)); err != nil {
			if !slices.ContainsFunc(known, func(k error) bool { return errors.Is(err, k) }) {
				t.Errorf("an error of no known kind: %v", err)
			}
			return
		}
		if !l.Codec().voice() {
			t.Errorf("codec %v was agreed on", l.Codec())
		}
		if s := l.Stats(); policy == SRTPRequired && s.Secure == Plain {
			t.Error("plain RTP was agreed on")
		}
	})
}
