package e2e

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/icholy/digest"
	"github.com/pion/rtp"
	"github.com/pion/webrtc/v4"

	"hotline/config"
	"hotline/media"
)

// webPhone is an agent's phone in a page: SIP over one WebSocket, sound by WebRTC.
type webPhone struct {
	t    *testing.T
	user string
	ws   *websocket.Conn
	pc   *webrtc.PeerConnection

	mu    sync.Mutex
	heard []int16
}

func openWebPhone(t *testing.T, user, url, ca string) *webPhone {
	t.Helper()
	pem, err := os.ReadFile(ca)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(pem)
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	w := &webPhone{t: t, user: user}
	w.ws, _, err = websocket.Dial(ctx, url, &websocket.DialOptions{Subprotocols: []string{"sip"}, HTTPClient: &http.Client{Transport: transport}})
	if err != nil {
		t.Fatal(err)
	}
	w.ws.SetReadLimit(1 << 20)
	t.Cleanup(func() { _ = w.ws.CloseNow() })
	return w
}

func (w *webPhone) say(text string) {
	w.t.Helper()
	if err := w.ws.Write(w.t.Context(), websocket.MessageText, []byte(text)); err != nil {
		w.t.Fatal(err)
	}
}

// hear waits for a message that begins so.
func (w *webPhone) hear(prefix string) string {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(w.t.Context(), patience)
	defer cancel()
	for {
		_, msg, err := w.ws.Read(ctx)
		if err != nil {
			w.t.Fatalf("waiting for %q: %v", prefix, err)
		}
		if strings.HasPrefix(string(msg), prefix) {
			return string(msg)
		}
	}
}

// field is the value of a SIP header field.
func field(msg, name string) string {
	for line := range strings.Lines(msg) {
		if value, ok := strings.CutPrefix(line, name+": "); ok {
			return strings.TrimSpace(value)
		}
	}
	return ""
}

func (w *webPhone) register() {
	w.t.Helper()
	ask := func(seq int, more string) string {
		w.say(fmt.Sprintf("REGISTER sip:localhost SIP/2.0\r\nVia: SIP/2.0/WSS page.invalid;branch=z9hG4bKr%d\r\nFrom: <sip:%s@localhost>;tag=w\r\nTo: <sip:%s@localhost>\r\nCall-ID: web\r\nCSeq: %d REGISTER\r\nMax-Forwards: 70\r\nContact: <sip:%s@page.invalid;transport=ws>;expires=60\r\n%s\r\n",
			seq, w.user, w.user, seq, w.user, more))
		return w.hear("SIP/2.0 ")
	}
	challenge, err := digest.ParseChallenge(field(ask(1, ""), "WWW-Authenticate"))
	if err != nil {
		w.t.Fatal(err)
	}
	credentials, err := digest.Digest(challenge, digest.Options{Method: "REGISTER", URI: "sip:localhost", Username: w.user, Password: password})
	if err != nil {
		w.t.Fatal(err)
	}
	if got := ask(2, "Authorization: "+credentials.String()+"\r\n"); !strings.HasPrefix(got, "SIP/2.0 200") {
		w.t.Fatalf("not registered: %q", got)
	}
}

// answer takes the INVITE and speaks a tone.
func (w *webPhone) answer(tone float64) {
	w.t.Helper()
	invite := w.hear("INVITE ")
	_, offer, _ := strings.Cut(invite, "\r\n\r\n")
	sdp := w.connect(offer, tone)
	w.say(fmt.Sprintf("SIP/2.0 200 OK\r\nVia: %s\r\nFrom: %s\r\nTo: %s;tag=web\r\nCall-ID: %s\r\nCSeq: %s\r\nContact: <sip:%s@page.invalid;transport=ws>\r\nContent-Type: application/sdp\r\nContent-Length: %d\r\n\r\n%s",
		field(invite, "Via"), field(invite, "From"), field(invite, "To"), field(invite, "Call-ID"), field(invite, "CSeq"), w.user, len(sdp), sdp))
	w.hear("ACK ")
}

// connect gives the PeerConnection the offer and returns its answer.
func (w *webPhone) connect(offer string, tone float64) string {
	w.t.Helper()
	check := func(err error) {
		w.t.Helper()
		if err != nil {
			w.t.Fatalf("%v\n%s", err, offer)
		}
	}
	var se webrtc.SettingEngine
	se.SetIncludeLoopbackCandidate(true)
	se.SetInterfaceFilter(func(name string) bool { return name == "lo" })
	se.SetNetworkTypes([]webrtc.NetworkType{webrtc.NetworkTypeUDP4})
	codecs := new(webrtc.MediaEngine)
	check(codecs.RegisterDefaultCodecs())
	var err error
	w.pc, err = webrtc.NewAPI(webrtc.WithSettingEngine(se), webrtc.WithMediaEngine(codecs)).NewPeerConnection(webrtc.Configuration{})
	check(err)
	w.t.Cleanup(func() { _ = w.pc.GracefulClose() })
	track, err := webrtc.NewTrackLocalStaticRTP(webrtc.RTPCodecCapability{MimeType: webrtc.MimeTypePCMA, ClockRate: 8000}, "audio", "page")
	check(err)
	_, err = w.pc.AddTrack(track)
	check(err)
	w.pc.OnTrack(func(r *webrtc.TrackRemote, _ *webrtc.RTPReceiver) {
		for {
			p, _, err := r.ReadRTP()
			if err != nil {
				return
			}
			w.mu.Lock()
			for _, b := range p.Payload {
				w.heard = append(w.heard, media.DecodeALaw(b))
			}
			w.mu.Unlock()
		}
	})
	check(w.pc.SetRemoteDescription(webrtc.SessionDescription{Type: webrtc.SDPTypeOffer, SDP: offer}))
	answer, err := w.pc.CreateAnswer(nil)
	check(err)
	gathered := webrtc.GatheringCompletePromise(w.pc)
	check(w.pc.SetLocalDescription(answer))
	awaitDone(w.t, "the browser's candidates", gathered)
	w.speak(track, tone)
	return w.pc.LocalDescription().SDP
}

// speak sends a tone until the test ends.
func (w *webPhone) speak(track *webrtc.TrackLocalStaticRTP, freq float64) {
	stop, done := make(chan struct{}), make(chan struct{})
	w.t.Cleanup(func() { close(stop); <-done })
	clip := media.Tone(freq, time.Second, 0.4)
	go func() {
		defer close(done)
		tick := time.NewTicker(20 * time.Millisecond)
		defer tick.Stop()
		for n := uint32(0); ; n++ {
			_ = track.WriteRTP(&rtp.Packet{Header: rtp.Header{Version: 2, PayloadType: 8, SequenceNumber: uint16(n), Timestamp: n * 160},
				Payload: clip.Frame(media.PCMA, int(n)%clip.Frames())})
			select {
			case <-tick.C:
			case <-stop:
				return
			}
		}
	}()
}

// An agent's browser registers by WSS, gets a call from the queue with DTLS and ICE, and both hear each
// other's tone; SRTP is required.
func TestBrowserPhoneTakesACall(t *testing.T) {
	certs := certificates(t)
	h := startHotline(t, func(c *config.Config) {
		oneAgent(c)
		c.Agents[0].SRTP = "required"
		c.SIP.Listen = append(c.SIP.Listen, config.Listen{Network: "wss", Address: netip.MustParseAddrPort("127.0.0.1:0"),
			Certificate: filepath.Join(certs, "server.pem"), Key: filepath.Join(certs, "server.key")})
	})
	carol := openWebPhone(t, "carol", "wss://"+h.SIPAddrs()[2].String()+"/", filepath.Join(certs, "ca.pem"))
	carol.register()
	h.log.await(t, "seat registered", "seat", "carol")
	call := h.dial(h.phone(media.PCMA), "1", "13900000001")
	call.Media.Play(media.Tone(callerTone, time.Second, 0.4), media.PlayOptions{Loop: true})
	heard := listen(call.Media, agentTone)
	carol.answer(agentTone)
	awaitDone(t, "a second of the browser's tone at the caller", heard.enough)
	<-listenFor(call, time.Second)
	call.Hangup()
	bye := carol.hear("BYE ")
	carol.say(fmt.Sprintf("SIP/2.0 200 OK\r\nVia: %s\r\nFrom: %s\r\nTo: %s\r\nCall-ID: %s\r\nCSeq: %s\r\nContent-Length: 0\r\n\r\n",
		field(bye, "Via"), field(bye, "From"), field(bye, "To"), field(bye, "Call-ID"), field(bye, "CSeq")))
	carol.mu.Lock()
	d := hears(carol.heard, callerTone)
	carol.mu.Unlock()
	if d < 900*time.Millisecond {
		t.Errorf("the browser heard the caller's tone for %v on end, want at least 0.9 s", d)
	}
	rec := h.finish()[0]
	if agent, _ := rec["agent_media"].(map[string]any); agent["secure"] != "dtls" {
		t.Errorf("recorded as %v, want dtls", agent["secure"])
	}
}
