package server

import "hotline/media"

// A call that is early may be answered by its flow, by whom a step of it has dialled, by an agent, or by the time limit on
// a goroutine of its own. What is recorded from the answer on is begun by the call's goroutine wherever it is then: at
// its next prompt, while it waits, rings or talks.

// justAnswered fires when a call that was early has been answered, until recordAnswered has seen to it.
func (c *call) justAnswered() <-chan struct{} {
	if c.early.begun {
		return nil
	}
	return c.early.answered
}

// fromAnswer tells, once, that the call was early, has been answered, and is to be recorded from there.
func (c *call) fromAnswer() bool {
	if c.early.begun || c.early.answered == nil || !isDone(c.early.answered) {
		return false
	}
	c.early.begun = true
	rule, ok := c.cfg.Recording.Rule(string(c.queue), c.customer.Tier, lot(c.id))
	return ok && rule.From == "call" && c.toRecord()
}

// recordAnswered begins what is recorded from the answer on, and tells the caller; false when the call is over.
func (c *call) recordAnswered() bool {
	if c.fromAnswer() {
		c.recordLeg("caller", "", c.audio)
	}
	return c.tellRecorded()
}

// recordDialled does the same as somebody talks whom the flow has dialled; both are told.
func (c *call) recordDialled(b *party) {
	if c.fromAnswer() {
		c.recordLeg("caller", string(b.seat), c.audio)
	}
	if c.mustTell() {
		c.tellBoth(b)
	}
}

// tellBoth lets caller and party hear the announcement.
func (c *call) tellBoth(b *party) {
	clip := c.cfg.prompts.Get(c.cfg.Recording.Announce, c.spoken())
	c.play(clip, media.PlayOptions{})
	if clip != nil {
		b.audio.Play(clip, media.PlayOptions{})
	}
}

// AnswerCall answers a call at the flow's wish, and begins what is recorded of it from there.
func (p recordedPort) AnswerCall() bool { return p.c.AnswerCall() && p.c.recordAnswered() }

// Play begins what is recorded of a call that the time limit has answered before the next prompt. A caller who
// hangs up meanwhile is missed by the flow.
func (p recordedPort) Play(a media.Audio, opt media.PlayOptions) *media.Playback {
	p.c.recordAnswered()
	return p.Leg.Play(a, opt)
}
