package media

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"regexp"
	"testing"
)

// keyLine is an a=crypto line whose key is all of one byte.
func keyLine(tag int, name string, fill byte) string {
	of, _ := suiteNamed(name)
	keys := bytes.Repeat([]byte{fill}, of.key+of.salt)
	return fmt.Sprintf("a=crypto:%d %s inline:%s", tag, name, base64.StdEncoding.EncodeToString(keys))
}

const sha80 = "AES_CM_128_HMAC_SHA1_80"

func TestPolicyAgainstOffer(t *testing.T) {
	key := keyLine(7, sha80, 1)
	plain := sdpText("127.0.0.1", "m=audio 4000 RTP/AVP 8")
	both := sdpText("127.0.0.1", "m=audio 4000 RTP/AVP 8", key)
	safe := sdpText("127.0.0.1", "m=audio 4000 RTP/SAVP 8", key)
	keyless := sdpText("127.0.0.1", "m=audio 4000 RTP/SAVP 8")
	choice := sdpText("127.0.0.1", "m=audio 4000 RTP/AVP 8", "m=audio 4002 RTP/SAVPF 8", key)
	const (
		asAVP, asBoth   = "RTP/AVP none", "RTP/AVP sdes"
		asSAVP, asSAVPF = "RTP/SAVP sdes", "RTP/SAVPF sdes"
	)
	type of map[SRTP]any
	for _, c := range []struct {
		name    string
		offer   []byte
		private bool
		want    of
	}{
		{"plain", plain, true, of{SRTPOff: asAVP, SRTPAccepted: asAVP, SRTPPreferred: asAVP, SRTPRequired: ErrNotEncrypted}},
		{"plain, signalling too", plain, false, of{SRTPOff: asAVP, SRTPAccepted: asAVP, SRTPPreferred: asAVP, SRTPRequired: ErrNotEncrypted}},
		{"plain with keys", both, true, of{SRTPOff: asAVP, SRTPAccepted: asBoth, SRTPPreferred: asBoth, SRTPRequired: asBoth}},
		{"plain with keys in clear", both, false, of{SRTPOff: asAVP, SRTPAccepted: asBoth, SRTPPreferred: asBoth, SRTPRequired: ErrKeysInClear}},
		{"encrypted", safe, true, of{SRTPOff: ErrEncrypted, SRTPAccepted: asSAVP, SRTPPreferred: asSAVP, SRTPRequired: asSAVP}},
		{"encrypted, keys in clear", safe, false, of{SRTPOff: ErrEncrypted, SRTPAccepted: asSAVP, SRTPPreferred: asSAVP, SRTPRequired: ErrKeysInClear}},
		{"encrypted without keys", keyless, true, of{SRTPOff: ErrEncrypted, SRTPAccepted: ErrBadKeys, SRTPPreferred: ErrBadKeys, SRTPRequired: ErrBadKeys}},
		{"the choice", choice, true, of{SRTPOff: asAVP, SRTPAccepted: asSAVPF, SRTPPreferred: asSAVPF, SRTPRequired: asSAVPF}},
	} {
		for policy, want := range c.want {
			t.Run(fmt.Sprintf("%s, policy %d", c.name, policy), func(t *testing.T) {
				l := openLeg(t, openEngine(t, nil))
				l.Protect(Protection{policy, c.private})
				answer, err := l.Answer(c.offer)
				if refused, ok := want.(error); ok {
					if !errors.Is(err, refused) || l.Stats().Secure != Plain {
						t.Fatalf("error %v, want %v", err, refused)
					}
					return
				}
				if err != nil {
					t.Fatal(err)
				}
				m := regexp.MustCompile(`m=audio [1-9][0-9]* (\S+)`).FindSubmatch(answer)
				if got := string(m[1]) + " " + l.Stats().Secure.String(); got != want {
					t.Errorf("answered %s, want %s\n%s", got, want, answer)
				}
				if safe := l.Stats().Secure != Plain; safe != bytes.Contains(answer, []byte("a=crypto:7 "+sha80+" inline:")) {
					t.Errorf("secure %v, answer\n%s", safe, answer)
				}
				if bytes.Contains(answer, []byte(key)) {
					t.Error("the peer's own key comes back")
				}
			})
		}
	}
}

func TestPolicyOfOffers(t *testing.T) {
	e := openEngine(t, nil)
	for _, c := range []struct {
		p      Protection
		protos string
		keys   int
		err    error
	}{
		{Protection{SRTPOff, true}, "RTP/AVP", 0, nil},
		{Protection{SRTPAccepted, true}, "RTP/AVP", 0, nil},
		{Protection{SRTPPreferred, true}, "RTP/AVP", 4, nil},
		{Protection{SRTPPreferred, false}, "RTP/AVP", 4, nil},
		{Protection{SRTPRequired, true}, "RTP/SAVP", 4, nil},
		{Protection{SRTPRequired, false}, "", 0, ErrKeysInClear},
	} {
		l := openLeg(t, e)
		l.Protect(c.p)
		offer, err := l.Offer()
		if !errors.Is(err, c.err) {
			t.Errorf("%+v: %v, want %v", c.p, err, c.err)
		}
		if n := bytes.Count(offer, []byte("a=crypto:")); n != c.keys || c.err == nil && !bytes.Contains(offer, []byte(c.protos+" ")) {
			t.Errorf("%+v: want %s with %d keys\n%s", c.p, c.protos, c.keys, offer)
		}
	}
}

func TestAnswersToOurKeys(t *testing.T) {
	e := openEngine(t, nil)
	for _, c := range []struct {
		name   string
		policy SRTP
		answer []byte
		want   any
	}{
		{"our second key", SRTPRequired, sdpText("127.0.0.1", "m=audio 4000 RTP/SAVP 8", keyLine(2, sha80, 1)), SDES},
		{"keys left aside", SRTPPreferred, sdpText("127.0.0.1", "m=audio 4000 RTP/AVP 8"), Plain},
		{"keys taken", SRTPPreferred, sdpText("127.0.0.1", "m=audio 4000 RTP/AVP 8", keyLine(1, "AEAD_AES_128_GCM", 1)), SDES},
		{"plain where it mustn't be", SRTPRequired, sdpText("127.0.0.1", "m=audio 4000 RTP/AVP 8"), ErrNotEncrypted},
		{"a tag that we never gave", SRTPRequired, sdpText("127.0.0.1", "m=audio 4000 RTP/SAVP 8", keyLine(9, sha80, 1)), ErrBadKeys},
		{"a tag of another suite", SRTPPreferred, sdpText("127.0.0.1", "m=audio 4000 RTP/AVP 8", keyLine(1, sha80, 1)), ErrBadKeys},
		{"no key", SRTPRequired, sdpText("127.0.0.1", "m=audio 4000 RTP/SAVP 8"), ErrBadKeys},
		{"keys that nobody asked for", SRTPAccepted, sdpText("127.0.0.1", "m=audio 4000 RTP/SAVP 8", keyLine(1, sha80, 1)), ErrBadKeys},
	} {
		t.Run(c.name, func(t *testing.T) {
			l := openLeg(t, e)
			l.Protect(Protection{c.policy, true})
			if _, err := l.Offer(); err != nil {
				t.Fatal(err)
			}
			err := l.SetAnswer(c.answer)
			if refused, ok := c.want.(error); ok {
				if !errors.Is(err, refused) {
					t.Errorf("error %v, want %v", err, refused)
				}
			} else if err != nil || l.Stats().Secure != c.want {
				t.Errorf("%v, %s; want %s", err, l.Stats().Secure, c.want)
			}
		})
	}
}

func TestCryptoAttributes(t *testing.T) {
	key30 := base64.StdEncoding.EncodeToString(make([]byte, 30))
	for _, c := range []struct {
		value string
		ok    bool
		mki   string
	}{
		{"1 " + sha80 + " inline:" + key30, true, ""},
		{"1 aes_cm_128_hmac_sha1_80 inline:" + key30, true, ""},
		{"1 " + sha80 + " inline:" + key30 + "|2^20", true, ""},
		{"1 " + sha80 + " inline:" + key30 + "|1048576|1:4", true, "\x00\x00\x00\x01"},
		{"1 " + sha80 + " inline:" + key30 + "|258:2", true, "\x01\x02"},
		{"1 " + sha80 + " inline:" + key30 + " WSH=128", true, ""},
		{"1 " + sha80 + " inline:" + key30 + " -UNKNOWN=1", true, ""},
		{"1 " + sha80 + " inline:" + key30 + " UNENCRYPTED_SRTP", false, ""},
		{"1 " + sha80 + " inline:" + key30 + " KDR=1", false, ""},
		{"1 " + sha80 + " inline:" + key30 + "|258:1", false, ""},
		{"1 " + sha80 + " inline:" + key30 + "|1:0", false, ""},
		{"1 " + sha80 + " inline:" + key30 + "|1:200", false, ""},
		{"1 " + sha80 + " inline:" + key30 + "|2^20|1:4|x", false, ""},
		{"1 " + sha80 + " inline:" + key30 + "|often", false, ""},
		{"1 " + sha80 + " inline:" + key30 + ";inline:" + key30, false, ""},
		{"1 " + sha80 + " inline:" + key30[:20], false, ""},
		{"1 " + sha80 + " inline:!", false, ""},
		{"1 " + sha80 + " uri:" + key30, false, ""},
		{"1 AES_CM_256_ROT13 inline:" + key30, false, ""},
		{"1234567890 " + sha80 + " inline:" + key30, false, ""},
		{"x " + sha80 + " inline:" + key30, false, ""},
		{"1 " + sha80, false, ""},
		{"", false, ""},
	} {
		got, ok := parseCrypto(c.value)
		if ok != c.ok || string(got.mki) != c.mki {
			t.Errorf("%q: %v with MKI %x; want %v, %x", c.value, ok, got.mki, c.ok, c.mki)
		}
	}
}

func FuzzCrypto(f *testing.F) {
	f.Add(keyLine(1, sha80, 1)[len("a=crypto:"):] + "|2^20|1:4 WSH=64")
	f.Add(keyLine(1, "AEAD_AES_256_GCM", 1)[len("a=crypto:"):])
	f.Fuzz(func(t *testing.T, value string) {
		c, ok := parseCrypto(value)
		if !ok {
			return
		}
		again, ok := parseCrypto(c.attribute())
		if !ok || again.tag != c.tag || !bytes.Equal(again.keys, c.keys) {
			t.Errorf("%q comes back as %q", value, c.attribute())
		}
		if _, err := c.context(); err != nil {
			t.Errorf("%q: %v", value, err)
		}
	})
}
