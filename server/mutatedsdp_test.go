package server

import (
	"fmt"
	"math/rand/v2"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"hotline/config"
	"hotline/routing"
)

// soundDescriptions are as phones write them: plain, with SRTP's keys, and a browser's.
var soundDescriptions = []string{
	"v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\nm=audio 4000 RTP/AVP 8 0 9 101 13\r\na=rtpmap:8 PCMA/8000\r\na=rtpmap:101 telephone-event/8000\r\na=fmtp:101 0-15\r\na=ptime:20\r\na=maxptime:60\r\na=rtcp:4001 IN IP4 127.0.0.1\r\na=rtcp-xr:voip-metrics\r\na=sendrecv\r\n",
	"v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\nm=video 0 RTP/AVP 96\r\nm=audio 4002 RTP/SAVP 0 101\r\nc=IN IP4 127.0.0.1\r\na=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:WVNfX19zZW1jdGwgKCkgewkyMjA7fQp9CnVubGVz|2^20|1:4\r\na=crypto:2 AEAD_AES_256_GCM inline:x\r\na=rtpmap:101 telephone-event/8000\r\na=sendonly\r\n",
	"v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\na=group:BUNDLE 0\r\na=fingerprint:sha-256 " + strings.Repeat("AB:", 31) + "AB\r\nm=audio 9 UDP/TLS/RTP/SAVPF 111 8 126\r\nc=IN IP4 0.0.0.0\r\na=mid:0\r\na=ice-ufrag:abcd\r\na=ice-pwd:abcdefghijklmnopqrstuvwx\r\na=setup:actpass\r\na=rtcp-mux\r\na=candidate:1 1 udp 2130706431 127.0.0.1 4004 typ host\r\na=rtpmap:111 opus/48000/2\r\na=rtpmap:126 telephone-event/8000\r\na=rtcp-fb:111 transport-cc\r\n",
}

// wrongLines are lines that some reader of SDP somewhere has tripped over.
var wrongLines = []string{"", "=", "v=1", "v=", "o=", "o=- 99999999999999999999 -1 IN IP6 x", "s=", "t=0", "m=", "m=audio", "m=audio 99999 RTP/AVP 8", "m=audio -1 RTP/AVP 8", "m=audio 4000/65535 RTP/AVP 8", "m=audio 4000 RTP/AVP",
	"m=audio 4000 RTP/AVP " + strings.Repeat("8 ", 2000), "m=audio 4000 RTP/AVP 300 -1 x", "m=audio 0 RTP/AVP 8", "m=image 4000 udptl t38", "c=", "c=IN IP4 300.1.1.1", "c=IN IP4 0.0.0.0", "c=IN IP6 ::1", "c=IN IP4 127.0.0.1/127/3", "c=IN IP4 localhost",
	"a=rtpmap:", "a=rtpmap:8 PCMA/0", "a=rtpmap:999 x/99999999999", "a=rtpmap:0 PCMA/8000/9", "a=fmtp:101 0-99999999", "a=fmtp:101 15-0,,", "a=ptime:0", "a=ptime:-20", "a=ptime:99999", "a=maxptime:1", "a=rtcp:", "a=rtcp:0", "a=rtcp:70000 IN IP4 x",
	"a=crypto:", "a=crypto:1", "a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:", "a=crypto:99999999999 x inline:%%%|2^99|1:9", "a=fingerprint:", "a=fingerprint:sha-256 ZZ", "a=fingerprint:md5 00", "a=setup:", "a=setup:holdconn", "a=ice-ufrag:", "a=ice-pwd:",
	"a=candidate:", "a=candidate:1 1 udp x 127.0.0.1 99999 typ host", "a=mid:", "a=group:BUNDLE", "a=inactive", "a=recvonly", "\x00", "\xff\xfe", "日本=x", strings.Repeat("a=x\r\n", 500), strings.Repeat("a", 4000)}

// mutatedSound is a description with one to four faults; the same dice make the same ones.
func mutatedSound(d *rand.Rand) string {
	sdp := soundDescriptions[d.IntN(len(soundDescriptions))]
	for range 1 + d.IntN(4) {
		lines := strings.Split(sdp, "\r\n")
		i, j := d.IntN(len(lines)), d.IntN(len(lines))
		switch d.IntN(8) {
		case 0:
			lines = slices.Delete(lines, i, i+1)
		case 1:
			lines = slices.Insert(lines, j, slices.Repeat([]string{lines[i]}, 1+d.IntN(40))...)
		case 2:
			lines[i], lines[j] = lines[j], lines[i]
		case 3:
			lines[i] = wrongLines[d.IntN(len(wrongLines))]
		case 4:
			lines = slices.Insert(lines, i, wrongLines[d.IntN(len(wrongLines))])
		case 5: // one of its words
			words := strings.Split(lines[i], " ")
			words[d.IntN(len(words))] = []string{"", "0", "-1", "65536", "4294967296", "x", "RTP/AVP", "127.0.0.1", "*"}[d.IntN(9)]
			lines[i] = strings.Join(words, " ")
		case 6:
			lines = lines[:i+1]
		default:
			b := []byte(strings.Join(lines, "\r\n"))
			for range 1 + d.IntN(6) {
				if len(b) > 0 {
					b[d.IntN(len(b))] = byte(d.IntN(256))
				}
			}
			lines = []string{string(b)}
		}
		sdp = strings.Join(lines, []string{"\r\n", "\r\n", "\r\n", "\n", "\r"}[d.IntN(5)])
	}
	return sdp[:min(len(sdp), 16<<10)]
}

// soundPeer calls with what descriptions it is given.
type soundPeer struct {
	*textPhone
	calls int
	codes map[string]int
}

func (p *soundPeer) callID() string { return fmt.Sprint("sound", p.calls) }

// until waits for a message, as a textPhone does, and lets the server hang up meanwhile.
func (p *soundPeer) until(prefix, method string) string {
	p.t.Helper()
	_ = p.conn.SetReadDeadline(time.Now().Add(patience))
	buf := make([]byte, 65536)
	for {
		n, err := p.conn.Read(buf)
		if err != nil {
			p.t.Fatalf("waiting for %q to %s: %v", prefix, method, err)
		}
		msg := string(buf[:n])
		if strings.HasPrefix(msg, "BYE ") {
			p.reply(msg, "200 OK", "", "")
		}
		if strings.HasPrefix(msg, prefix) && strings.HasSuffix(field(msg, "CSeq"), " "+method) {
			return msg
		}
	}
}

const soundURI, soundFrom = "sip:1@127.0.0.1", "<sip:13800000001@127.0.0.1>;tag=s"

// invite sends an INVITE, in the call with that To or for a new one, acknowledges its final answer with
// what late says, and returns it.
func (p *soundPeer) invite(to, sdp, late string) (res string) {
	p.t.Helper()
	p.send("INVITE", soundURI, soundFrom, to, p.callID(), sdp)
	seq := fmt.Sprintf("%d INVITE", p.seq)
	for res == "" || strings.HasPrefix(res, "SIP/2.0 1") || field(res, "CSeq") != seq {
		res = p.until("SIP/2.0 ", "INVITE")
	}
	code := strings.Fields(res)[1]
	p.codes[code]++
	known := []string{"200", "400", "415", "488"}
	if to != "<"+soundURI+">" {
		known = append(known, "491")
	}
	if !slices.Contains(known, code) {
		p.t.Fatalf("answered %q to %q", res, sdp)
	}
	if code == "200" {
		p.send("ACK", soundURI, soundFrom, field(res, "To"), p.callID(), late)
		return res
	}
	p.raw(fmt.Sprintf("ACK %s SIP/2.0\r\nVia: SIP/2.0/UDP %s;branch=z9hG4bKINVITE%d;rport\r\nFrom: %s\r\nTo: %s\r\nCall-ID: %s\r\nCSeq: %d ACK\r\nMax-Forwards: 70\r\nContent-Length: 0\r\n\r\n",
		soundURI, p.addr(), p.seq, soundFrom, field(res, "To"), p.callID(), p.seq))
	return res
}

// change is a re-INVITE. It may overtake the ACK before it, and is told to come again.
func (p *soundPeer) change(to, sdp string) {
	p.t.Helper()
	for limit := time.Now().Add(patience); ; {
		if res := p.invite(to, sdp, ""); !strings.HasPrefix(res, "SIP/2.0 491") {
			return
		}
		if time.Now().After(limit) {
			p.t.Fatal("the call is never ready for a change")
		}
	}
}

// end hangs up, unless the server has.
func (p *soundPeer) end(res string) {
	p.t.Helper()
	if !strings.HasPrefix(res, "SIP/2.0 200") {
		return
	}
	p.send("BYE", soundURI, soundFrom, field(res, "To"), p.callID(), "")
	if got := p.until("SIP/2.0 ", "BYE"); !strings.HasPrefix(got, "SIP/2.0 200") && !strings.HasPrefix(got, "SIP/2.0 481") {
		p.t.Fatalf("BYE answered %q", got)
	}
}

// alive has the server say that it is.
func (p *soundPeer) alive(after string) {
	p.t.Helper()
	p.send("OPTIONS", "sip:127.0.0.1", soundFrom, "<sip:127.0.0.1>", fmt.Sprint("alive", p.calls), "")
	if res := p.until("SIP/2.0 ", "OPTIONS"); !strings.HasPrefix(res, "SIP/2.0 200") {
		p.t.Fatalf("after %q: %q", after, res)
	}
}

// Descriptions of sound with faults, as offers of calls and of changes to them, and as answers in the
// ACK, are taken or refused, break nothing and leave nothing.
func TestMutatedSoundDescriptions(t *testing.T) {
	h := start(t, func(c *config.Config) {
		c.Trunks[0].SRTP = "preferred"
		c.Media.PortRest = 0
		c.Agents[0].Queues, c.Agents[1].Queues = nil, nil
	})
	p := &soundPeer{textPhone: h.textPhone(), codes: map[string]int{}}
	dice := rand.New(rand.NewPCG(29, 1))
	to, good := "<"+soundURI+">", sdp(4000, "8", "sendrecv")
	p.end(p.invite(to, good, ""))
	goroutines := runtime.NumGoroutine()
	for i := range 900 {
		bad := mutatedSound(dice)
		p.calls++
		switch i % 3 {
		case 0:
			p.end(p.invite(to, bad, ""))
		case 1:
			res := p.invite(to, good, "")
			p.change(field(res, "To"), bad)
			p.end(res)
		default:
			p.end(p.invite(to, "", bad))
		}
		p.alive(bad)
	}
	h.when("all calls are over", func(s *routing.State) bool { return len(s.Calls()) == 0 })
	if n := h.media.Stats().Legs; n != 0 {
		t.Errorf("%d legs are left", n)
	}
	if p.codes["488"]+p.codes["400"]+p.codes["415"] < 100 || p.codes["200"] < 400 {
		t.Errorf("the descriptions are too wrong or too right: %v", p.codes)
	}
	limit := time.Now().Add(patience)
	for runtime.NumGoroutine() > goroutines+10 && time.Now().Before(limit) {
		runtime.Gosched()
	}
	if n := runtime.NumGoroutine(); n > goroutines+10 {
		t.Errorf("%d goroutines, %d before", n, goroutines)
	}
}
