package media

import (
	"bytes"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/pion/sdp/v3"
)

// sdpText puts the lines after a usual session head; c is the connection address.
func sdpText(c string, lines ...string) []byte {
	head := []string{"v=0", "o=- 42 7 IN IP4 192.0.2.9", "s=-", "c=IN IP4 " + c, "t=0 0"}
	return []byte(strings.Join(append(head, lines...), "\r\n") + "\r\n")
}

// mediaLines are the m= and direction lines of an SDP, in order.
func mediaLines(text []byte) string {
	re := regexp.MustCompile(`(?m)^(m=.*|a=(sendrecv|sendonly|recvonly|inactive))$`)
	var all []string
	for _, m := range re.FindAllSubmatch(bytes.ReplaceAll(text, []byte("\r"), nil), -1) {
		all = append(all, string(m[1]))
	}
	return strings.Join(all, "\n")
}

func TestAnswers(t *testing.T) {
	e := openEngine(t, nil)
	for _, c := range []struct {
		name  string
		offer []byte
		want  string // with PORT for the leg's
		codec Codec
		held  bool
	}{
		{"both codecs: ours comes first, not theirs", sdpText("127.0.0.1", "m=audio 4000 RTP/AVP 0 8 101", "a=rtpmap:101 telephone-event/8000"),
			"m=audio PORT RTP/AVP 8 101\na=sendrecv", PCMA, false},
		{"only µ-law, no digits", sdpText("127.0.0.1", "m=audio 4000 RTP/AVP 0"),
			"m=audio PORT RTP/AVP 0\na=sendrecv", PCMU, false},
		{"their number for telephone-event", sdpText("127.0.0.1", "m=audio 4000 RTP/AVP 18 8 96", "a=rtpmap:96 TELEPHONE-EVENT/8000"),
			"m=audio PORT RTP/AVP 8 96\na=sendrecv", PCMA, false},
		{"telephone-event at another clock is none", sdpText("127.0.0.1", "m=audio 4000 RTP/AVP 8 110", "a=rtpmap:110 telephone-event/48000"),
			"m=audio PORT RTP/AVP 8\na=sendrecv", PCMA, false},
		{"comfort noise", sdpText("127.0.0.1", "m=audio 4000 RTP/AVP 8 13 19", "a=rtpmap:19 CN/16000"),
			"m=audio PORT RTP/AVP 8 13\na=sendrecv", PCMA, false},
		{"G.722 is not for this engine", sdpText("127.0.0.1", "m=audio 4000 RTP/AVP 9 0"),
			"m=audio PORT RTP/AVP 0\na=sendrecv", PCMU, false},
		{"a number renamed by rtpmap", sdpText("127.0.0.1", "m=audio 4000 RTP/AVP 97", "a=rtpmap:97 PCMU/8000/1"),
			"m=audio PORT RTP/AVP 97\na=sendrecv", PCMU, false},
		{"on hold: sendonly", sdpText("127.0.0.1", "m=audio 4000 RTP/AVP 8", "a=sendonly"),
			"m=audio PORT RTP/AVP 8\na=recvonly", PCMA, true},
		{"on hold: inactive", sdpText("127.0.0.1", "m=audio 4000 RTP/AVP 8", "a=inactive"),
			"m=audio PORT RTP/AVP 8\na=inactive", PCMA, true},
		{"on hold for the session", sdpText("127.0.0.1", "a=sendonly", "m=audio 4000 RTP/AVP 8"),
			"m=audio PORT RTP/AVP 8\na=recvonly", PCMA, true},
		{"the stream's direction wins over the session's", sdpText("127.0.0.1", "a=sendonly", "m=audio 4000 RTP/AVP 8", "a=sendrecv"),
			"m=audio PORT RTP/AVP 8\na=sendrecv", PCMA, false},
		{"on hold the old way: 0.0.0.0", sdpText("0.0.0.0", "m=audio 4000 RTP/AVP 8"),
			"m=audio PORT RTP/AVP 8\na=recvonly", PCMA, true},
		{"0.0.0.0 and sendonly", sdpText("0.0.0.0", "m=audio 4000 RTP/AVP 8", "a=sendonly"),
			"m=audio PORT RTP/AVP 8\na=recvonly", PCMA, true},
		{"they only listen", sdpText("127.0.0.1", "m=audio 4000 RTP/AVP 8", "a=recvonly"),
			"m=audio PORT RTP/AVP 8\na=sendonly", PCMA, false},
		{"video is refused in its place", sdpText("127.0.0.1", "m=video 5000 RTP/AVP 96", "m=audio 4000 RTP/AVP 8", "a=sendrecv"),
			"m=video 0 RTP/AVP 96\nm=audio PORT RTP/AVP 8\na=sendrecv", PCMA, false},
		{"only the first usable audio stream", sdpText("127.0.0.1", "m=audio 0 RTP/AVP 8", "m=audio 4000 RTP/AVP 8", "m=audio 4002 RTP/AVP 0"),
			"m=audio 0 RTP/AVP 8\nm=audio PORT RTP/AVP 8\na=sendrecv\nm=audio 0 RTP/AVP 0", PCMA, false},
		{"encrypted beside plain: plain is taken", sdpText("127.0.0.1", "m=audio 4000 RTP/SAVP 8", "m=audio 4002 RTP/AVP 8"),
			"m=audio 0 RTP/SAVP 8\nm=audio PORT RTP/AVP 8\na=sendrecv", PCMA, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			l := openLeg(t, e)
			answer, err := l.Answer(c.offer)
			if err != nil {
				t.Fatal(err)
			}
			want := strings.ReplaceAll(c.want, "PORT", fmt.Sprint(l.LocalAddr().Port()))
			if got := mediaLines(answer); got != want {
				t.Errorf("answered\n%s\nwant\n%s", got, want)
			}
			if l.Codec() != c.codec || l.Held() != c.held {
				t.Errorf("codec %s, held %v; want %s, %v", l.Codec(), l.Held(), c.codec, c.held)
			}
			if strings.Contains(string(answer), "rtcp-mux") || strings.Contains(string(answer), "0.0.0.0") {
				t.Errorf("the answer holds what it must not:\n%s", answer)
			}
		})
	}
}

func TestRefusedOffers(t *testing.T) {
	e := openEngine(t, nil)
	for _, c := range []struct {
		name  string
		offer []byte
		want  error
	}{
		{"a codec we lack", sdpText("127.0.0.1", "m=audio 4000 RTP/AVP 18"), ErrNoCommonCodec},
		{"digits without voice", sdpText("127.0.0.1", "m=audio 4000 RTP/AVP 96", "a=rtpmap:96 telephone-event/8000"), ErrNoCommonCodec},
		{"number 8 renamed to something else", sdpText("127.0.0.1", "m=audio 4000 RTP/AVP 8", "a=rtpmap:8 G729/8000"), ErrNoCommonCodec},
		{"only encrypted, without a key", sdpText("127.0.0.1", "m=audio 4000 RTP/SAVP 8"), ErrBadKeys},
		{"no stream", sdpText("127.0.0.1"), ErrNoCommonCodec},
		{"only a refused stream", sdpText("127.0.0.1", "m=audio 0 RTP/AVP 8"), ErrNoCommonCodec},
		{"only video", sdpText("127.0.0.1", "m=video 4000 RTP/AVP 8"), ErrNoCommonCodec},
		{"empty", nil, ErrBadSDP},
		{"no SDP", []byte("hello"), ErrBadSDP},
		{"a name for an address", sdpText("phone.example", "m=audio 4000 RTP/AVP 8"), ErrBadSDP},
		{"a multicast address", sdpText("239.1.1.1", "m=audio 4000 RTP/AVP 8"), ErrBadSDP},
		{"a port too high", sdpText("127.0.0.1", "m=audio 70000 RTP/AVP 8"), ErrBadSDP},
		{"no address", []byte("v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\nm=audio 4000 RTP/AVP 8\r\n"), ErrBadSDP},
		{"IPv6 to an IPv4 leg", []byte("v=0\r\no=- 1 1 IN IP6 ::1\r\ns=-\r\nc=IN IP6 ::1\r\nt=0 0\r\nm=audio 4000 RTP/AVP 8\r\n"), ErrBadSDP},
		{"a bad a=rtcp", sdpText("127.0.0.1", "m=audio 4000 RTP/AVP 8", "a=rtcp:x"), ErrBadSDP},
		{"an endless one", sdpText("127.0.0.1", strings.Repeat("a=x\r\n", maxSDP/5)), ErrBadSDP},
	} {
		t.Run(c.name, func(t *testing.T) {
			l := openLeg(t, e)
			_, err := l.Answer(c.offer)
			if !errors.Is(err, c.want) {
				t.Errorf("got %v, want %v", err, c.want)
			}
			if l.Codec() != 0 {
				t.Errorf("the refused offer left codec %s behind", l.Codec())
			}
		})
	}
}

func TestOwnOrderOfCodecs(t *testing.T) {
	e := openEngine(t, func(c *Config) { c.Codecs = []Codec{PCMU, PCMA} })
	l := openLeg(t, e)
	if _, err := l.Answer(sdpText("127.0.0.1", "m=audio 4000 RTP/AVP 8 0")); err != nil || l.Codec() != PCMU {
		t.Errorf("codec %s, error %v; want PCMU", l.Codec(), err)
	}
}

// A leg may have its own order, of what the engine speaks.
func TestOrderOfCodecsOfALeg(t *testing.T) {
	both := "v=0\r\no=p 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\nm=audio 4000 RTP/AVP 8 0\r\n"
	for _, tc := range []struct {
		engine, leg []Codec
		want        string
	}{
		{nil, nil, "RTP/AVP 8"}, {nil, []Codec{PCMU, PCMA}, "RTP/AVP 0"}, {nil, []Codec{PCMU}, "RTP/AVP 0"},
		{[]Codec{PCMA}, []Codec{PCMU, PCMA}, "RTP/AVP 8"}, {[]Codec{PCMA}, []Codec{PCMU}, "RTP/AVP 8"},
	} {
		e, err := Open(Config{Bind: netip.MustParseAddr("127.0.0.1"), Codecs: tc.engine})
		if err != nil {
			t.Fatal(err)
		}
		l, err := e.NewLeg("x")
		if err != nil {
			t.Fatal(err)
		}
		l.Prefer(tc.leg)
		if answer, err := l.Answer([]byte(both)); err != nil || !strings.Contains(string(answer), tc.want+"\r\n") {
			t.Errorf("engine %v, leg %v: %q, %v; want %s", tc.engine, tc.leg, answer, err, tc.want)
		}
		if err := e.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

func TestOfferAndItsAnswers(t *testing.T) {
	e := openEngine(t, nil)
	for _, c := range []struct {
		name   string
		answer []byte
		want   error
		codec  Codec
		keys   bool
		held   bool
	}{
		{"they choose µ-law", sdpText("127.0.0.1", "m=audio 4000 RTP/AVP 0 101", "a=rtpmap:101 telephone-event/8000"), nil, PCMU, true, false},
		{"they list both: their first", sdpText("127.0.0.1", "m=audio 4000 RTP/AVP 0 8"), nil, PCMU, false, false},
		{"they hold at once", sdpText("127.0.0.1", "m=audio 4000 RTP/AVP 8", "a=sendonly"), nil, PCMA, false, true},
		{"they refuse the stream", sdpText("127.0.0.1", "m=audio 0 RTP/AVP 8"), ErrNoCommonCodec, 0, false, false},
		{"nonsense", []byte("x"), ErrBadSDP, 0, false, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			l := openLeg(t, e)
			if err := l.SetAnswer(c.answer); c.want == nil && !errors.Is(err, ErrNoOffer) {
				t.Errorf("without an offer: got %v, want %v", err, ErrNoOffer)
			}
			offer, err := l.Offer()
			if err != nil {
				t.Fatal(err)
			}
			want := fmt.Sprintf("m=audio %d RTP/AVP 8 0 101\na=sendrecv", l.LocalAddr().Port())
			if got := mediaLines(offer); got != want {
				t.Errorf("offered\n%s\nwant\n%s", got, want)
			}
			if err := l.SetAnswer(c.answer); !errors.Is(err, c.want) {
				t.Fatalf("got %v, want %v", err, c.want)
			}
			if l.Codec() != c.codec || l.Held() != c.held {
				t.Errorf("codec %s, held %v; want %s, %v", l.Codec(), l.Held(), c.codec, c.held)
			}
			if err := l.SendDigit('1', 0); c.want == nil && (err == nil) != c.keys {
				t.Errorf("sending a digit: %v; telephone-event agreed: %v", err, c.keys)
			}
		})
	}
}

func TestReinviteKeepsPortAndCountsVersions(t *testing.T) {
	e := openEngine(t, nil)
	l := openLeg(t, e)
	var texts [][]byte
	for _, step := range []func() ([]byte, error){
		func() ([]byte, error) { return l.Answer(sdpText("127.0.0.1", "m=audio 4000 RTP/AVP 8")) },
		func() ([]byte, error) {
			return l.Answer(sdpText("127.0.0.1", "m=audio 4000 RTP/AVP 8", "a=sendonly"))
		},
		l.Offer,
		func() ([]byte, error) { return l.Answer(sdpText("127.0.0.1", "m=audio 4000 RTP/AVP 0")) },
	} {
		text, err := step()
		if err != nil {
			t.Fatal(err)
		}
		texts = append(texts, text)
	}
	var first sdp.SessionDescription
	for i, text := range texts {
		var s sdp.SessionDescription
		if err := s.Unmarshal(text); err != nil {
			t.Fatal(err)
		}
		if i == 0 {
			first = s
		}
		if s.Origin.SessionID != first.Origin.SessionID || s.Origin.SessionVersion != first.Origin.SessionVersion+uint64(i) {
			t.Errorf("SDP %d has session %d version %d", i, s.Origin.SessionID, s.Origin.SessionVersion)
		}
		if got := s.MediaDescriptions[0].MediaName.Port.Value; got != int(l.LocalAddr().Port()) {
			t.Errorf("SDP %d moved to port %d", i, got)
		}
	}
	if l.Held() || l.Codec() != PCMU {
		t.Errorf("held %v, codec %s after the last; want resumed with PCMU", l.Held(), l.Codec())
	}
}

func TestAdvertisedAddress(t *testing.T) {
	e := openEngine(t, func(c *Config) { c.Advertise = netip.MustParseAddr("203.0.113.5") })
	l := openLeg(t, e)
	offer, err := l.Offer()
	if err != nil || !strings.Contains(string(offer), "c=IN IP4 203.0.113.5\r\n") {
		t.Errorf("offer %q, error %v; want the advertised address", offer, err)
	}
}

func TestIPv6Description(t *testing.T) {
	l := &localMedia{rtp: netip.MustParseAddrPort("[2001:db8::1]:4000"), formats: []format{{8, PCMA}}, dir: sendRecv}
	text, err := l.description([]*sdp.MediaDescription{l.stream()})
	if err != nil || !strings.Contains(string(text), "c=IN IP6 2001:db8::1\r\n") {
		t.Errorf("got %q, error %v", text, err)
	}
}

func TestReportAddress(t *testing.T) {
	for _, c := range []struct{ name, line, want string }{
		{"the next port", "a=ptime:20", "192.0.2.1:4001"},
		{"a port", "a=rtcp:5005", "192.0.2.1:5005"},
		{"a port and an address", "a=rtcp:5005 IN IP4 192.0.2.7", "192.0.2.7:5005"},
	} {
		session, err := parseSDP(sdpText("192.0.2.1", "m=audio 4000 RTP/AVP 8", c.line))
		if err != nil {
			t.Fatal(err)
		}
		m, err := activeAudio(session, new(secrets).judge)
		if err != nil || m.rtcp.String() != c.want {
			t.Errorf("%s: got %v, %v; want %s", c.name, m, err, c.want)
		}
	}
}

func TestDirectionsMirror(t *testing.T) {
	for d, want := range map[direction]direction{sendRecv: sendRecv, sendOnly: recvOnly, recvOnly: sendOnly, inactive: inactive} {
		if got := d.mirror(); got != want {
			t.Errorf("%s mirrors to %s, want %s", d, got, want)
		}
	}
}

// Whatever is offered: no panic, and an answer is SDP with as many streams as the offer.
func FuzzAnswer(f *testing.F) {
	f.Add(string(sdpText("127.0.0.1", "m=audio 4000 RTP/AVP 8 0 101", "a=rtpmap:101 telephone-event/8000", "a=fmtp:101 0-15", "a=rtcp:4001 IN IP4 127.0.0.1", "a=sendonly")))
	f.Add(string(sdpText("0.0.0.0", "m=video 1 RTP/AVP 96", "m=audio 4000/2 RTP/AVP 0", "c=IN IP4 127.0.0.1/127")))
	e, err := Open(Config{Bind: loopback})
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() { e.Close() })
	f.Fuzz(func(t *testing.T, offer string) {
		l := newLeg(e, "fuzz", &pair{port: 4000}) // no sockets: nothing is sent
		answer, err := l.Answer([]byte(offer))
		if err != nil {
			if !errors.Is(err, ErrBadSDP) && !errors.Is(err, ErrNoCommonCodec) {
				t.Errorf("an error of no known kind: %v", err)
			}
			return
		}
		var theirs, ours sdp.SessionDescription
		if err := ours.Unmarshal(answer); err != nil {
			t.Errorf("the answer is no SDP: %v\n%s", err, answer)
		}
		if err := theirs.Unmarshal([]byte(offer)); err != nil || len(theirs.MediaDescriptions) != len(ours.MediaDescriptions) {
			t.Errorf("answered %d streams with %d", len(theirs.MediaDescriptions), len(ours.MediaDescriptions))
		}
	})
}

func TestCorpusIsThere(t *testing.T) {
	for _, name := range []string{"FuzzAnswer", "FuzzSetAnswer", "FuzzReceive", "FuzzReceiveReport", "FuzzDigits", "FuzzLoadClip", "FuzzCheck", "FuzzCrypto"} {
		files, err := filepath.Glob(filepath.Join("testdata", "fuzz", name, "*"))
		if err != nil || len(files) == 0 {
			t.Errorf("%s has no corpus under testdata (%v)", name, err)
		}
		for _, file := range files {
			if _, err := os.Stat(file); err != nil {
				t.Error(err)
			}
		}
	}
}

// The phone that is rung is offered the caller's codec first.
func TestFavour(t *testing.T) {
	e := openEngine(t, func(c *Config) { c.Codecs = []Codec{PCMA, PCMU, G722} })
	caller := newPhone(t, G722).call(e)
	agent := openLeg(t, e)
	agent.Favour(caller)
	agent.Favour(openLeg(t, e)) // which has no codec yet
	offer, err := agent.Offer()
	if got := mediaLines(offer); err != nil || !strings.Contains(got, "RTP/AVP 9 8 0 101") {
		t.Errorf("offered %q, %v", got, err)
	}
	quiet := openLeg(t, e)
	if _, err := quiet.Answer(sdpText("127.0.0.1", "m=audio 4000 RTP/AVP 8 97", "a=rtpmap:97 CN/8000")); err != nil {
		t.Fatal(err)
	}
	other := openLeg(t, e)
	other.Favour(quiet)
	if offer, err := other.Offer(); err != nil || !strings.Contains(mediaLines(offer), "RTP/AVP 8 0 9 13 101") {
		t.Errorf("comfort noise: offered %q, %v", mediaLines(offer), err)
	}
	if offer, err := quiet.Offer(); err != nil || !strings.Contains(mediaLines(offer), "RTP/AVP 8 0 9 97 101") {
		t.Errorf("comfort noise again: offered %q, %v", mediaLines(offer), err)
	}
}

// The length of packets that a peer wants is taken from ptime and maxptime.
func TestWantedPacketLength(t *testing.T) {
	for _, c := range []struct {
		lines string
		want  packing
	}{
		{"", packing{}},
		{"a=ptime:20", packing{size: 160}},
		{"a=ptime:10", packing{size: 80}},
		{"a=ptime:60", packing{size: 480}},
		{"a=ptime:25", packing{size: 160}},
		{"a=ptime:5", packing{}},
		{"a=ptime:200", packing{}},
		{"a=ptime:none", packing{}},
		{"a=maxptime:40", packing{most: 320}},
		{"a=ptime:40\r\na=maxptime:20", packing{size: 160, most: 160}},
		{"a=maxptime:0", packing{}},
	} {
		session, err := parseSDP(sdpText("127.0.0.1", slices.DeleteFunc([]string{"m=audio 4000 RTP/AVP 8", c.lines}, func(l string) bool { return l == "" })...))
		if err != nil {
			t.Fatal(err)
		}
		m, err := activeAudio(session, new(secrets).judge)
		if err != nil || m.packing != c.want {
			t.Errorf("%q: %+v, %v; want %+v", c.lines, m.packing, err, c.want)
		}
	}
}
