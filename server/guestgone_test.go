package server

import (
	"testing"

	"hotline/config"
	"hotline/media"
)

// A guest whose sound is closed, as at shutdown, leaves; it doesn't ask closed digits for ever.
func TestGuestWithoutSoundLeaves(t *testing.T) {
	h := start(t, func(c *config.Config) {
		threeDesks(c)
		for i := range c.Agents {
			if c.Agents[i].User == "carol" {
				c.Agents[i].Supervises = []string{c.Queues[0].Name}
			}
		}
	})
	phone, _ := h.phoneOf("carol")
	_, desk := h.desk("alice")
	caller, _ := h.talking("alice", desk)
	carol, err := phone.Dial(h.context(), "*6alice", "carol", "")
	if err != nil {
		t.Fatal(err)
	}
	var talk *talk
	h.until("alice talks", func() bool { talk = h.talks.at("alice"); return talk != nil })
	var audio *media.Leg
	h.until("carol is in the talk", func() bool {
		talk.visit(nil, func() {
			if len(talk.company.guests) == 1 {
				audio = talk.company.guests[0].audio
			}
		})
		return audio != nil
	})
	if err := audio.Close(); err != nil {
		t.Fatal(err)
	}
	h.await("the end of carol's call", carol.Done())
	h.until("the talk is the two's again", func() (alone bool) {
		talk.visit(nil, func() { alone = talk.company.mix == nil })
		return alone
	})
	caller.Hangup()
}
