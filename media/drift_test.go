package media

import (
	"fmt"
	"math"
	"testing"
	"time"
)

// drifting is a packet's length by a clock that runs so many millionths faster than ours.
func drifting(ppm float64) time.Duration { return time.Duration(float64(ptime) / (1 + ppm*1e-6)) }

const driftFor = 11 * time.Minute

// driftLine is guests of one engine, each of whose clocks is off by so many millionths.
func driftLine(t *testing.T, codecs []Codec, ppm []float64, lines ...string) (guests []*guest, speakers []*speaker) {
	t.Helper()
	e := openEngine(t, func(c *Config) { c.Codecs = []Codec{PCMA, PCMU, G722} })
	for i, codec := range codecs {
		g := newGuest(t, e, codec, lines...)
		g.grid = time.Duration(i) * 7 * time.Millisecond
		guests = append(guests, g)
		speakers = append(speakers, &speaker{guest: g, due: time.Second + time.Duration(i)*3*time.Millisecond, next: func(n int) ([]int16, time.Duration) {
			return chirping(n, 0), drifting(ppm[i])
		}})
	}
	return guests, speakers
}

// A relay adds nothing for a phone whose clock is off: each packet leaves as it comes, with the numbers and timestamps that follow,
// and nothing is lost.
func TestDriftThroughARelay(t *testing.T) {
	guests, speakers := driftLine(t, []Codec{PCMA, PCMU}, []float64{100, -100})
	a, b := guests[0], guests[1]
	if err := Bridge(a.near, b.near); err != nil {
		t.Fatal(err)
	}
	pass(time.Second, driftFor, guests, speakers)
	for _, way := range []struct{ from, to *guest }{{a, b}, {b, a}} {
		if len(way.to.sent) < len(way.from.said)-3 || len(way.to.sent) > len(way.from.said)+3 {
			t.Errorf("%d packets said, %d heard", len(way.from.said), len(way.to.sent))
		}
		even(t, way.to, 2)
		echoes := way.to.echoes(way.from.said, 5)
		for _, e := range echoes {
			if e.after != 0 || math.Abs(e.db) > 1 {
				t.Fatalf("a chirp is %+.1f dB louder than it was said, and %v later", e.db, e.after)
			}
		}
		if len(echoes) < 500 {
			t.Errorf("%d chirps", len(echoes))
		}
	}
}

// even checks that the numbers and timestamps of what a guest was sent are without a gap, and that the marker says
// at most so often that it isn't.
func even(t *testing.T, g *guest, marks int) {
	t.Helper()
	marked, jumps := 0, 0
	for i := 1; i < len(g.sent); i++ {
		before, p := g.sent[i-1], g.sent[i]
		if p.SequenceNumber != before.SequenceNumber+1 {
			t.Fatalf("number %d after %d", p.SequenceNumber, before.SequenceNumber)
		}
		if p.Timestamp != before.Timestamp+uint32(len(before.Payload)) {
			jumps++
		}
		if p.Marker {
			marked++
		}
	}
	if marked > marks || jumps > marks {
		t.Errorf("%d of %d packets are marked as the first of a talk, %d timestamps don't follow; at most %d", marked, len(g.sent), jumps, marks)
	}
}

// A phone whose clock is so fast that its stream comes to lie far ahead of our clock loses a packet now and
// then, not more, and its listener is told of no new talk for that.
func TestVeryFastClockThroughARelay(t *testing.T) {
	for name, pieces := range map[string]int{"as it comes": 1, "cut in two": 2} {
		t.Run(name, func(t *testing.T) {
			const ppm = 1500
			guests, speakers := driftLine(t, []Codec{PCMA, PCMA}, []float64{ppm, 0}, fmt.Sprintf("a=ptime:%d", 20/pieces))
			a, b := guests[0], guests[1]
			if err := Bridge(a.near, b.near); err != nil {
				t.Fatal(err)
			}
			pass(time.Second, driftFor, guests, speakers)
			even(t, b, 2)
			gained := time.Duration(float64(driftFor) * ppm * 1e-6)
			left := len(a.said) - len(b.sent)/pieces
			if most := int((gained-maxAhead*time.Second/clockRate)/ptime) + 4; left < 5 || left > most {
				t.Errorf("%d packets were left out, at most %d", left, most)
			}
			b.near.sender.mu.Lock()
			lead := b.near.sender.lead(driftFor)
			b.near.sender.mu.Unlock()
			if lead > maxAhead+2*frameSamples {
				t.Errorf("the stream is %d units ahead of our clock", lead)
			}
		})
	}
}

// In a mix nobody's delay grows while clocks are off, and all is heard.
func TestDriftThroughAMix(t *testing.T) {
	codecs := []Codec{PCMA, PCMU, PCMA}
	guests, speakers := driftLine(t, codecs, []float64{100, -100, 0})
	m := guests[0].near.engine.NewMix()
	defer m.Close()
	for _, g := range guests {
		if err := m.Join(g.near, Everyone); err != nil {
			t.Fatal(err)
		}
	}
	for i, s := range speakers { // in turn, not over each other
		say := s.next
		s.next = func(n int) ([]int16, time.Duration) {
			pcm, after := say(n)
			if int(s.due/(10*time.Second))%len(speakers) != i {
				clear(pcm)
			}
			return pcm, after
		}
	}
	pass(time.Second, driftFor, guests, speakers)
	for i, from := range guests {
		for k, to := range guests {
			if k == i {
				continue
			}
			const every = 3
			turns, lost, most, least := 0, 0, time.Duration(0), time.Hour
			for n, e := range to.echoes(from.said, every) {
				at := time.Second + chirpFrom + time.Duration(n)*every*chirpEvery
				if int((at-time.Second/2)/(10*time.Second))%len(guests) != i || int((at+time.Second/2)/(10*time.Second))%len(guests) != i {
					continue
				}
				if turns++; math.Abs(e.db) > 1 {
					lost++
					continue
				}
				most, least = max(most, e.after), min(least, e.after)
			}
			t.Logf("%v to %v: %d chirps, %d damaged, %v to %v later", codecs[i], codecs[k], turns, lost, least, most)
			if turns < 250 || lost > turns/50 || most > mostAdded {
				t.Errorf("%v to %v: %d chirps, %d damaged, %v to %v later", codecs[i], codecs[k], turns, lost, least, most)
			}
		}
	}
}
