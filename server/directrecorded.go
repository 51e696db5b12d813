package server

import (
	"hotline/media"
	"hotline/recording"
	"hotline/routing"
)

// Routing knows nothing of an agent's own call, so it has no record; what is recorded of it bears an id of its own,
// which the log names beside the SIP Call-ID.

// record begins to record a call to the outside that has been answered, if a rule wants it, and tells both.
func (d *direct) record() {
	by := d.s.recorder.Load()
	if by == nil || d.far.to.number == "" {
		return
	}
	id := d.s.numbers.next()
	number := d.cfg.Outbound.Number(d.far.to.number)
	if !d.cfg.Recording.RecordsOutgoing(d.far.to.trunk, number, lot(id)) {
		return
	}
	d.id, d.log = id, d.log.With("call", id)
	d.s.recs.Store(id, d)
	if clip := d.cfg.prompts.Get(d.cfg.Recording.Announce, d.cfg.Directory.DefaultLanguage); clip != nil {
		d.audio.Play(clip, media.PlayOptions{})
		d.b.audio.Play(clip, media.PlayOptions{})
	}
	d.rec.begin(by, d.log, d.audio, recording.Info{Call: string(id), Leg: "agent", Agent: d.agent, Number: number, Trunk: d.far.to.trunk})
}

// endRecording ends what is recorded, for a reason.
func (d *direct) endRecording(reason string) {
	if d.id != "" {
		d.rec.end(reason, allOf)
		d.s.recs.Delete(d.id)
	}
}

// pressed follows the keys of the agent's phone.
func (d *direct) pressed(k media.Digit) {
	if d.pause.add(d.cfg.FeatureCodes.PauseRecording, k) && d.id != "" {
		d.rec.toggle(d.log, d.audio)
	}
}

func (d *direct) pauseRecording(on bool) bool     { return d.rec.pause(on) }
func (d *direct) stopRecording() bool             { return d.rec.stop() }
func (d *direct) recordingViews() []recordingView { return d.rec.views() }

// taped is what is recorded of an agent's own call.
type taped struct {
	id    routing.CallID // "" when nothing is
	rec   recorded
	pause codeReader
}
