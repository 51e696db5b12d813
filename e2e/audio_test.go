package e2e

import (
	"sync"
	"testing"
	"time"

	"hotline/config"
	"hotline/media"
	"hotline/softphone"
)

const callerTone = 440

// ear measures how long a tone was heard on a leg.
type ear struct {
	mu     sync.Mutex
	frames int
	enough chan struct{}
}

// listen counts frames that hold freq; enough closes after a second of them, or after three where the kernel is to
// take the call over, which it does when it has gone evenly for one.
func listen(m *media.Leg, freq float64) *ear {
	e, enough := &ear{enough: make(chan struct{})}, 50
	if throughKernel {
		enough = 150
	}
	m.OnAudio(func(pcm []int16) {
		if media.Goertzel(pcm, freq, 8000) < 0.2 {
			return
		}
		e.mu.Lock()
		defer e.mu.Unlock()
		if e.frames++; e.frames == enough {
			close(e.enough)
		}
	})
	return e
}

// hears finds the longest run of 20 ms windows in pcm that hold freq.
func hears(pcm []int16, freq float64) time.Duration {
	best, run := 0, 0
	for i := 0; i+160 <= len(pcm); i += 160 {
		if media.Goertzel(pcm[i:i+160], freq, 8000) > 0.2 {
			run++
			best = max(best, run)
		} else {
			run = 0
		}
	}
	return time.Duration(best) * 20 * time.Millisecond
}

// A 440 Hz tone sent by the caller is measured in what the agent's baresip
// received, its 620 Hz at the caller, with each codec on each side.
func TestSoundBothWaysBetweenCallerAndBaresip(t *testing.T) {
	for _, tc := range []struct {
		caller media.Codec
		agent  string
	}{
		{media.PCMA, "pcma"}, {media.PCMA, "pcmu"}, {media.PCMU, "pcma"}, {media.PCMU, "pcmu"},
	} {
		t.Run(tc.caller.String()+" to "+tc.agent, func(t *testing.T) {
			h := startHotline(t, oneAgent)
			carol := startBaresip(t, baresipOptions{user: "carol", password: password, server: h.SIPAddr().String(), codec: tc.agent})
			h.log.await(t, "seat registered", "seat", "carol")
			call := h.dial(h.phone(tc.caller), "1", "13900000001")
			call.Media.Play(media.Tone(callerTone, time.Second, 0.4), media.PlayOptions{Loop: true})
			heard := listen(call.Media, agentTone)
			carol.await("CALL_ESTABLISHED", patience)
			awaitDone(t, "a second of the agent's tone at the caller", heard.enough)
			stop := listenFor(call, time.Second)
			<-stop
			call.Hangup()
			carol.await("CALL_CLOSED", patience)
			carol.stop()
			if d := hears(carol.heard(), callerTone); d < 900*time.Millisecond {
				t.Errorf("baresip heard the caller's tone for %v on end, want at least 0.9 s", d)
			}
			if got := call.Media.Stats().SSRCChanges; got != 0 {
				t.Errorf("the caller saw %d changes of SSRC, want one stream", got)
			}
			h.finish()
		})
	}
}

// listenFor closes its channel after d, or when the call ends.
func listenFor(c *softphone.Call, d time.Duration) <-chan struct{} {
	ch := make(chan struct{})
	go func() {
		defer close(ch)
		select {
		case <-time.After(d):
		case <-c.Done():
		}
	}()
	return ch
}

// baresip as the agent: its own way to refuse, to ring and to be reached by TCP.
func TestBaresipRefusesRingsAndStops(t *testing.T) {
	h := startHotline(t, func(c *config.Config) {
		oneAgent(c)
		c.Routing.RejectDelay, c.Routing.BusyDelay = 100*time.Millisecond, 100*time.Millisecond
	})
	carol := startBaresip(t, baresipOptions{user: "carol", password: password, server: h.SIPAddrs()[1].String(), answer: "manual", transport: "tcp"})
	h.log.await(t, "seat registered", "seat", "carol")
	call := h.dial(h.phone(), "1", "13900000001")
	carol.await("CALL_INCOMING", patience)
	carol.command("hangup", "")
	h.log.await(t, "offer failed", "seat", "carol")
	carol.await("CALL_CLOSED", patience)
	carol.await("CALL_INCOMING", patience) // the call kept its place
	call.Hangup()
	carol.await("CALL_CLOSED", patience)
	again := h.dial(h.phone(), "1", "13900000001")
	carol.await("CALL_INCOMING", patience)
	carol.command("accept", "")
	carol.await("CALL_ESTABLISHED", patience)
	h.log.await(t, "talk started", "seat", "carol")
	carol.command("hangup", "")
	awaitDone(t, "hang-up at the caller", again.Done())
	h.finish()
}

// An agent's feature codes, dialled on baresip.
func TestFeatureCodesFromBaresip(t *testing.T) {
	h := startHotline(t, oneAgent)
	carol := startBaresip(t, baresipOptions{user: "carol", password: password, server: h.SIPAddr().String()})
	h.log.await(t, "seat changed", "seat", "carol", "state", "idle")
	dial := func(code string) {
		carol.command("dial", "sip:"+code+"@"+h.SIPAddr().String())
		carol.await("CALL_ESTABLISHED", patience)
	}
	dial("*2")
	h.log.await(t, "seat changed", "seat", "carol", "status", "break")
	carol.await("CALL_CLOSED", patience)
	call := h.dial(h.phone(), "1", "13900000001")
	h.log.await(t, "call queued")
	dial("*1")
	h.log.await(t, "seat changed", "seat", "carol", "status", "ready")
	h.log.await(t, "talk started", "seat", "carol")
	call.Hangup()
	h.finish()
}
