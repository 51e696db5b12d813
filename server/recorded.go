package server

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"sync"
	"time"

	"hotline/config"
	"hotline/media"
	"hotline/recording"
	"hotline/records"
	"hotline/routing"
)

// recorded is what is recorded of a call. The call's goroutine begins and ends recordings;
// pausing and stopping may come from anywhere.
type recorded struct {
	mu      sync.Mutex
	rule    bool // the call is to be recorded
	told    bool // the caller knows
	stopped bool // by hand: nothing of this call is recorded any more
	byStep  bool // paused by a step of the flow
	byHand  bool // paused by the agent or the API
	count   int
	live    []liveRecording
	all     []records.Recording
}

// liveRecording is one under way; leg is "caller" or "agent".
type liveRecording struct {
	*recording.Recording
	leg   string
	agent string
	audio *media.Leg
}

// openRecorder starts recording if there is anything to do for it: rules, or recordings that
// are kept from before.
func (s *Server) openRecorder(cfg *config.Config) error {
	if s.recorder.Load() != nil {
		return nil
	}
	if _, err := os.Stat(cfg.Recording.Dir); err != nil && len(cfg.Recording.Rules) == 0 && len(cfg.Recording.Outgoing) == 0 {
		return nil
	}
	opt, err := cfg.RecordingOptions()
	if err != nil {
		return fmt.Errorf("open recordings: %w", err)
	}
	opt.Observer, opt.Logger = s.metrics, s.log
	opt.Keep = func(queue string) time.Duration { return s.settings.Load().Recording.KeepFor(queue) }
	r, err := recording.Open(opt)
	if err != nil {
		return fmt.Errorf("open recordings: %w", err)
	}
	s.recorder.Store(r)
	return nil
}

// lot is the call's number from 0 to 99, the same whenever it is asked.
func lot(id routing.CallID) int {
	sum := sha256.Sum256([]byte(id))
	return int(binary.BigEndian.Uint64(sum[:]) % 100)
}

// toRecord decides whether the call is recorded from here on.
func (c *call) toRecord() bool {
	if c.s.recorder.Load() == nil {
		return false
	}
	_, ok := c.cfg.Recording.Rule(string(c.queue), c.customer.Tier, lot(c.id))
	c.rec.mu.Lock()
	defer c.rec.mu.Unlock()
	c.rec.rule = c.rec.rule || ok
	return ok
}

// recordCall begins to record a call that is recorded from its beginning, and tells the caller;
// false when the call is over.
func (c *call) recordCall() bool {
	if !c.toRecord() {
		return true
	}
	c.recordLeg("caller", "", c.audio)
	return c.tellRecorded()
}

// tellRecorded tells a caller who is or may be recorded, once; false when the call is over.
func (c *call) tellRecorded() bool {
	if !c.mustTell() {
		return true
	}
	return c.hear(c.cfg.Recording.Announce)
}

// mustTell says that the caller has to be told now, once.
func (c *call) mustTell() bool {
	c.rec.mu.Lock()
	defer c.rec.mu.Unlock()
	if !c.rec.rule || c.rec.told || c.rec.stopped {
		return false
	}
	c.rec.told = true
	return c.cfg.Recording.Announce != ""
}

// beforeQueue tells callers who will be recorded when they talk; false when the call is over.
func (c *call) beforeQueue() bool {
	c.toRecord()
	return c.tellRecorded()
}

// recordTalk begins what is recorded of a talk. Who came by a way on which nobody told, hears
// it now, and so does the agent.
func (t *talk) recordTalk() {
	t.early.begun = true
	if !t.toRecord() { // what is under way goes on
		return
	}
	if t.mustTell() {
		t.tellBoth(t.b)
	}
	t.recordLeg("caller", string(t.b.seat), t.audio)
	if t.cfg.Recording.Per == "leg" && t.b.seat != "" {
		t.recordLeg("agent", string(t.b.seat), t.b.audio)
	}
}

// recordLeg begins a recording of a leg, unless there is one. When it can't begin, the call
// goes on without.
func (c *call) recordLeg(leg, agent string, audio *media.Leg) {
	c.rec.begin(c.s.recorder.Load(), c.log, audio, recording.Info{
		Call: string(c.id), Leg: leg, Number: c.a.Incoming().Caller.Number, Queue: string(c.queue), Agent: agent, Tier: c.customer.Tier.String(),
	})
}

// begin records a leg as info says, unless that is done already.
func (r *recorded) begin(by *recording.Recorder, log *slog.Logger, audio *media.Leg, info recording.Info) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, l := range r.live {
		if l.audio == audio && l.Ended() == "" {
			return
		}
	}
	if r.stopped {
		return
	}
	r.count++
	g, err := by.Start(info, r.count)
	if err != nil {
		log.Warn("call not recorded", "leg", info.Leg, "reason", err)
		r.all = append(r.all, records.Recording{Leg: info.Leg, Agent: info.Agent, Ended: err.Error()})
		return
	}
	if r.byStep || r.byHand {
		g.Pause()
	}
	r.live = append(r.live, liveRecording{g, info.Leg, info.Agent, audio})
	audio.Tap(g.Voice)
	log.Info("recording", "recording", g.ID(), "leg", info.Leg)
}

// end ends those that match, for a reason.
func (r *recorded) end(reason string, match func(liveRecording) bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	rest := r.live[:0]
	for _, l := range r.live {
		if !match(l) {
			rest = append(rest, l)
			continue
		}
		l.audio.Tap(nil)
		l.Stop(reason)
		r.all = append(r.all, records.Recording{
			ID: l.ID(), Leg: l.leg, Agent: l.agent, Start: records.Time{Time: l.Start()},
			Length: records.Seconds(l.Length().Microseconds()), Ended: l.Ended(),
		})
	}
	r.live = rest
}

func allOf(liveRecording) bool { return true }

// afterTalk ends what is recorded of a talk only, and a pause that the agent has left.
func (t *talk) afterTalk(b *party) {
	t.pauseRecording(false)
	t.rec.end(recording.EndedTalk, func(l liveRecording) bool {
		return t.cfg.Recording.Per == "talk" || l.audio == b.audio
	})
}

// recordings are those of the call, for its record, once all have ended.
func (c *call) recordings() []records.Recording {
	c.rec.end(recording.EndedCall, allOf)
	c.rec.mu.Lock()
	defer c.rec.mu.Unlock()
	return c.rec.all
}

// pauseRecording pauses what is recorded and what will be, or goes on with it; false when there is nothing
// to pause: the call isn't recorded any more, or there was no pause.
func (c *call) pauseRecording(on bool) bool {
	return c.s.recorder.Load() != nil && c.rec.pause(on)
}

// pause is pauseRecording where there is a recorder.
func (r *recorded) pause(on bool) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.stopped {
		return false
	}
	was := r.byHand
	r.byHand = on
	return r.follow() || on || was
}

// Private pauses what is recorded while a step of a flow asks for what must not be.
func (p recordedPort) Private(on bool) {
	p.c.rec.mu.Lock()
	defer p.c.rec.mu.Unlock()
	p.c.rec.byStep = on
	p.c.rec.follow()
}

// follow pauses or resumes what is under way; false when nothing is.
func (r *recorded) follow() bool {
	for _, l := range r.live {
		if r.byStep || r.byHand {
			l.Pause()
		} else {
			l.Resume()
		}
	}
	return r.on()
}

// recordedPort is the caller's line as flows see it.
type recordedPort struct {
	*media.Leg
	c *call
}

// Gone implements [ivr.Ending].
func (p recordedPort) Gone() (hungUp, silent <-chan struct{}) {
	return p.c.a.Done(), p.c.audio.Timeout()
}

// stopRecording ends what is recorded of the call for good; false when nothing is.
func (c *call) stopRecording() bool { return c.rec.stop() }

func (r *recorded) stop() bool {
	r.mu.Lock()
	some := r.on()
	r.stopped = r.stopped || some
	r.mu.Unlock()
	if some {
		r.end(recording.EndedStopped, allOf)
	}
	return some
}

// on tells whether anything is under way; what ended by itself isn't. The lock is held.
func (r *recorded) on() bool {
	return slices.ContainsFunc(r.live, func(l liveRecording) bool { return l.Ended() == "" })
}

// beepTone is the tone that tells of a recording: 1400 Hz, 200 ms.
var beepTone = sync.OnceValue(func() *media.Clip { return media.Tone(1400, 200*time.Millisecond, 0.1) })

// confirmTones tell an agent that the recording is paused, or goes on.
var confirmTones = map[bool]func() *media.Clip{
	true:  sync.OnceValue(func() *media.Clip { return media.Tone(400, 200*time.Millisecond, 0.1) }),
	false: sync.OnceValue(func() *media.Clip { return media.Tone(800, 200*time.Millisecond, 0.1) }),
}

// beeper is when the next tone is due; nil for never.
func (s *settings) beeper() (due <-chan time.Time, stop func()) {
	every := s.Recording.BeepEvery
	if every == 0 {
		return nil, func() {}
	}
	k := time.NewTicker(every)
	return k.C, k.Stop
}

// beep lets both sides hear that they are recorded.
func (t *talk) beep() {
	if t.b == nil || t.onHold || t.moving != nil || t.handing != nil {
		return
	}
	t.rec.beep(t.audio, t.b.audio)
}

// beep lets these hear that they are recorded, if they are now.
func (r *recorded) beep(legs ...*media.Leg) {
	r.mu.Lock()
	on := r.on() && !r.byHand && !r.byStep
	r.mu.Unlock()
	if !on {
		return
	}
	for _, l := range legs {
		l.Overlay(beepTone())
	}
}

// togglePause follows the key code of an agent.
func (c *call) togglePause(agent *party) {
	if c.s.recorder.Load() != nil {
		c.rec.toggle(c.log.With("seat", agent.seat), agent.audio)
	}
}

// toggle pauses or goes on, as the agent who hears the leg wants.
func (r *recorded) toggle(log *slog.Logger, heard *media.Leg) {
	r.mu.Lock()
	on := !r.byHand
	r.mu.Unlock()
	if !r.pause(on) {
		return
	}
	log.Info("recording paused or resumed by the agent", "paused", on)
	heard.Play(confirmTones[on](), media.PlayOptions{})
}
