package e2e

import (
	"slices"
	"strings"
	"time"

	"hotline/ivr"
)

func (s *stage) listens(who string, _ []string) {
	s.t.Helper()
	b := newBaresip(s.t, baresipOptions{user: sippNumber(s.number(who)), server: s.sip, answer: "manual", regint: -1})
	b.command("dial", "sip:1@"+s.sip)
	s.baresips[who] = b
	ended := make(chan error)
	close(ended) // the stage stops the baresips
	s.callers = append(s.callers, ended)
	s.call[who] = s.log.await(s.t, "call arrived")["call"]
	s.log.await(s.t, "call queued", "call", s.call[who])
}

func (s *stage) learns(who string, more []string) {
	s.t.Helper()
	for {
		prompts := s.log.await(s.t, "announced", "call", s.call[who])["prompts"]
		told := strings.Fields(strings.Trim(prompts, "[]"))
		s.told[who] = append(s.told[who], told)
		if slices.Contains(told, "digit-"+more[0]) && (len(more) == 1 || strings.Contains(prompts, " wait-")) {
			return
		}
	}
}

// heard wants the recording to hold what was announced, in English, and music before
// and after; the last announcement only in part, since the agent picked up.
func (s *stage) heard(who string, _ []string) {
	s.t.Helper()
	prompts, err := ivr.Load("", 0)
	if err != nil {
		s.t.Fatal(err)
	}
	b := s.baresips[who]
	b.await("CALL_CLOSED", patience)
	b.stop()
	pcm := b.heard()
	hear := func(name string, frames int) {
		sound := prompts.Get(name, "en").PCM()
		sound = sound[:min(frames*frame, len(sound))]
		var missing int
		if pcm, missing = after(pcm, sound); missing*20 > len(sound)/frame {
			s.t.Errorf("%s heard %s without %d of %d frames", who, name, missing, len(sound)/frame)
		}
	}
	whole, last := s.told[who][:len(s.told[who])-1], s.told[who][len(s.told[who])-1]
	hear(ivr.HoldMusic, 10)
	for _, told := range whole {
		for _, name := range told {
			hear(name, 1000)
		}
		hear(ivr.HoldMusic, 1)
	}
	if _, missing := after(pcm, prompts.Get(last[len(last)-1], "en").PCM()); missing == 0 {
		s.t.Errorf("%s heard the last announcement to its end", who)
	}
	if d := hears(pcm, agentTone); d < 300*time.Millisecond {
		s.t.Errorf("%s heard the agent for %v", who, d)
	}
}

// after finds a sound in pcm, frame by frame as it was sent. It returns what comes
// after it and how many of its frames are missing.
func after(pcm, sound []int16) (rest []int16, missing int) {
	want := slices.Collect(slices.Chunk(sound, frame))
	rest = pcm
	for heard := range slices.Chunk(pcm, frame) {
		pcm = pcm[len(heard):]
		is := func(f []int16) bool { return slices.Equal(f, heard) }
		if n := slices.IndexFunc(want[:min(3, len(want))], is); n >= 0 {
			rest, want, missing = pcm, want[n+1:], missing+n
		}
	}
	return rest, missing + len(want)
}
