package e2e

import (
	"testing"
	"time"

	"hotline/config"
	"hotline/media"
)

const colleagueTone = 880

// twoDesks has carol in the queue and olga, whom carol reaches as 802.
func twoDesks(c *config.Config) {
	oneAgent(c)
	c.Queues[0].WrapUp = time.Hour
	c.Agents = append(c.Agents, agent("olga", false))
	c.Extensions = []config.Extension{{Number: "802", Agent: "olga"}}
}

// quiet tells when freq hasn't been heard on a leg for a quarter of a second.
func quiet(m *media.Leg, freq float64) <-chan struct{} {
	done, frames := make(chan struct{}), 0
	m.OnAudio(func(pcm []int16) {
		if media.Goertzel(pcm, freq, 8000) > 0.05 {
			frames = 0
			return
		}
		if frames++; frames == 12 {
			close(done)
		}
	})
	return done
}

// baresip holds and resumes its caller (RFC 5359 2.1): the caller hears the music, then
// the agent again, and the record says how long it was on hold.
func TestBaresipHoldsAndResumes(t *testing.T) {
	h := startHotline(t, oneAgent)
	carol := startBaresip(t, baresipOptions{user: "carol", password: password, server: h.SIPAddr().String()})
	h.log.await(t, "seat registered", "seat", "carol")
	call := h.dial(h.phone(), "1", "13900000001")
	awaitDone(t, "the agent's tone", listen(call.Media, agentTone).enough)
	carol.command("hold", "")
	awaitDone(t, "the end of the agent's tone", quiet(call.Media, agentTone))
	loud := make(chan struct{})
	frames := 0
	call.Media.OnAudio(func(pcm []int16) {
		for _, s := range pcm {
			if s > 500 || s < -500 {
				if frames++; frames == 25 {
					close(loud)
				}
				return
			}
		}
	})
	awaitDone(t, "music on hold", loud)
	carol.command("resume", "")
	awaitDone(t, "the agent's tone again", listen(call.Media, agentTone).enough)
	carol.command("hangup", "")
	awaitDone(t, "the end", call.Done())
	recs := h.finish()
	if hold, _ := recs[0]["hold_s"].(float64); hold < 0.5 || hold > 20 {
		t.Errorf("record says %v s on hold", recs[0]["hold_s"])
	}
}

// baresip transfers its caller to a colleague by extension (RFC 5359 2.4): the caller
// hears the colleague, baresip's call ends, its agent wraps up.
func TestBaresipTransfersBlindly(t *testing.T) {
	h := startHotline(t, twoDesks)
	carol := startBaresip(t, baresipOptions{user: "carol", password: password, server: h.SIPAddr().String()})
	h.log.await(t, "seat registered", "seat", "carol")
	olga := startBaresip(t, baresipOptions{user: "olga", password: password, server: h.SIPAddr().String(), tone: colleagueTone})
	h.log.await(t, "seat registered", "seat", "olga")
	call := h.dial(h.phone(), "1", "13900000001")
	awaitDone(t, "the agent's tone", listen(call.Media, agentTone).enough)
	carol.command("transfer", "sip:802@"+h.SIPAddr().String())
	awaitDone(t, "the colleague's tone", listen(call.Media, colleagueTone).enough)
	carol.await("CALL_CLOSED", patience)
	h.log.await(t, "seat changed", "seat", "carol", "state", "wrap_up")
	olga.command("hangup", "")
	awaitDone(t, "the end", call.Done())
	recs := h.finish()
	if talks, _ := recs[0]["talks"].([]any); recs[0].str("agent") != "olga" || len(talks) != 1 {
		t.Errorf("record %v", recs[0])
	}
}

// A transfer to somebody who isn't there: baresip hangs up by itself then. The caller
// isn't lost but waits at the old place and gets the next agent.
func TestBaresipHangsUpAfterAFailedTransfer(t *testing.T) {
	h := startHotline(t, func(c *config.Config) { twoDesks(c); c.Agents = append(c.Agents, agent("dora", false, "sales")) })
	carol := startBaresip(t, baresipOptions{user: "carol", password: password, server: h.SIPAddr().String()})
	h.log.await(t, "seat registered", "seat", "carol")
	call := h.dial(h.phone(), "1", "13900000001")
	awaitDone(t, "the agent's tone", listen(call.Media, agentTone).enough)
	carol.command("transfer", "sip:802@"+h.SIPAddr().String())
	h.log.await(t, "transfer refused")
	dora := startBaresip(t, baresipOptions{user: "dora", password: password, server: h.SIPAddr().String(), tone: colleagueTone})
	awaitDone(t, "the next agent's tone", listen(call.Media, colleagueTone).enough)
	call.Hangup()
	dora.await("CALL_CLOSED", patience)
	recs := h.finish()
	if talks, _ := recs[0]["talks"].([]any); recs[0].str("agent") != "dora" || len(talks) != 1 {
		t.Errorf("record %v", recs[0])
	}
}
