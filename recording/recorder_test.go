package recording

import (
	"encoding/binary"
	"io"
	"log/slog"
	"math"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"hotline/media"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const patience = 10 * time.Second

// counts is an Observer.
type counts struct {
	mu      sync.Mutex
	ended   map[string]int
	dropped map[string]int
	uploads map[bool]int
	erased  int
	told    chan string // reasons of drops, and "uploaded"
}

func newCounts() *counts {
	return &counts{ended: map[string]int{}, dropped: map[string]int{}, uploads: map[bool]int{}, told: make(chan string, 1000)}
}

func (c *counts) RecordingEnded(reason string, _ int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ended[reason]++
}

func (c *counts) RecordingDropped(reason string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.dropped[reason]++
	c.told <- reason
}

func (c *counts) RecordingUploaded(ok bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.uploads[ok]++
	if ok {
		c.told <- "uploaded"
	}
}

func (c *counts) RecordingErased() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.erased++
}

func (c *counts) wait(t *testing.T, what string) {
	t.Helper()
	limit := time.After(patience)
	for {
		select {
		case got := <-c.told:
			if got == what {
				return
			}
		case <-limit:
			t.Fatalf("%s wasn't told", what)
		}
	}
}

func quiet() *slog.Logger { return slog.New(slog.NewTextHandler(io.Discard, nil)) }

// newRecorder opens a recorder in a directory of the test's.
func newRecorder(t *testing.T, change func(*Options), create func(string) (file, error)) (*Recorder, *counts) {
	t.Helper()
	c := newCounts()
	opt := Options{Dir: filepath.Join(t.TempDir(), "rec"), Observer: c, Logger: quiet()}
	if change != nil {
		change(&opt)
	}
	if create == nil {
		create = createFile
	}
	r, err := open(opt, create)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = r.Close() })
	return r, c
}

// begin starts a recording.
func begin(t *testing.T, r *Recorder, call string) *Recording {
	t.Helper()
	g, err := r.Start(Info{Call: call, Leg: "caller", Number: "+8613900000001", Queue: "sales", Agent: "alice", Tier: "C"}, 1)
	if err != nil {
		t.Fatal(err)
	}
	return g
}

// whole waits until the file is whole, and reads its sidecar.
func whole(t *testing.T, g *Recording) Info {
	t.Helper()
	select {
	case <-g.Done():
	case <-time.After(patience):
		t.Fatal("the recording doesn't end")
	}
	in, err := Find(g.rec.opt.Dir, g.ID())
	if err != nil {
		t.Fatal(err)
	}
	return in
}

// stream makes the packets of one direction.
type stream struct {
	codec media.Codec
	sent  bool
	freq  float64
	ts    uint32
	n     int // samples so far
}

func (s *stream) packet(at time.Duration) media.Voice {
	b := make([]byte, 160)
	for i := range b {
		v := int16(0)
		if s.freq > 0 {
			v = int16(8000 * math.Sin(2*math.Pi*s.freq*float64(s.n+i)/rate))
		}
		if s.codec == media.PCMU {
			b[i] = media.EncodeULaw(v)
		} else {
			b[i] = media.EncodeALaw(v)
		}
	}
	v := media.Voice{Sent: s.sent, At: at, TS: s.ts, Codec: s.codec, Payload: b}
	s.ts += 160
	s.n += 160
	return v
}

// channels reads a plain recording.
func channels(t *testing.T, path string) (left, right []int16) {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	format, size, err := readWAVHeader(f)
	if err != nil {
		t.Fatal(err)
	}
	data, err := io.ReadAll(f)
	if err != nil {
		t.Fatal(err)
	}
	if len(data) != int(size) {
		t.Fatalf("the header says %d bytes of sound, %d are there", size, len(data))
	}
	return split(format, data)
}

func split(format Format, data []byte) (left, right []int16) {
	w := format.width()
	for i := 0; i+2*w <= len(data); i += 2 * w {
		left, right = append(left, sampleOf(format, data[i:])), append(right, sampleOf(format, data[i+w:]))
	}
	return left, right
}

func sampleOf(format Format, b []byte) int16 {
	switch format {
	case ALaw:
		return media.DecodeALaw(b[0])
	case ULaw:
		return media.DecodeULaw(b[0])
	}
	return int16(binary.LittleEndian.Uint16(b))
}

// wantTone wants a sine of 8000 amplitude all along, within 0.5 dB, and none of another
// frequency.
func wantTone(t *testing.T, what string, pcm []int16, freq, other float64) {
	t.Helper()
	for i := 0; i+800 <= len(pcm); i += 800 {
		got := 20 * math.Log10(media.Goertzel(pcm[i:i+800], freq, rate)*32768/8000)
		if math.Abs(got) > 0.5 {
			t.Fatalf("%s: %.0f Hz is %.2f dB off at sample %d", what, freq, got, i)
		}
		if cross := media.Goertzel(pcm[i:i+800], other, rate); cross > 0.001 {
			t.Fatalf("%s: %.0f Hz is there too, %.4f, at sample %d", what, other, cross, i)
		}
	}
}

func TestTonesOnTheirChannels(t *testing.T) {
	for _, c := range []struct {
		format      Format
		left, right media.Codec
	}{{ALaw, media.PCMA, media.PCMA}, {ALaw, media.PCMU, media.PCMA}, {ULaw, media.PCMU, media.PCMA}, {Linear, media.PCMA, media.PCMU}} {
		r, _ := newRecorder(t, func(o *Options) { o.Format = c.format }, nil)
		g := begin(t, r, "n-1")
		caller, agent := &stream{codec: c.left, freq: 500, ts: math.MaxUint32 - 999}, &stream{codec: c.right, sent: true, freq: 1200, ts: 77}
		for i := range 500 { // ten seconds, more than the ring holds: the writer keeps up
			at := time.Hour + time.Duration(i)*20*time.Millisecond
			g.Voice(caller.packet(at))
			g.Voice(agent.packet(at))
			if i%100 == 99 {
				g.w.poke()
				eventually(t, "the ring is emptied", func() bool { return g.rings[0].tail.Load() == g.rings[0].head.Load() })
			}
		}
		g.Stop(EndedCall)
		in := whole(t, g)
		left, right := channels(t, in.Path(r.opt.Dir))
		if len(left) != 80000 || in.Seconds != 10 || in.Ended != EndedCall || in.Number != "+8613900000001" {
			t.Errorf("%v: %d samples, %+v", c.format, len(left), in)
		}
		wantTone(t, "left", left, 500, 1200)
		wantTone(t, "right", right, 1200, 500)
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	}
}

// eventually polls what another goroutine does without a signal.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	limit := time.After(patience)
	for !ok() {
		select {
		case <-limit:
			t.Fatalf("not within %v: %s", patience, what)
		case <-time.After(time.Millisecond):
		}
	}
}

func TestTapAllocatesNothing(t *testing.T) {
	r, _ := newRecorder(t, func(o *Options) { o.Buffer = time.Minute }, nil)
	g := begin(t, r, "n-1")
	v := (&stream{codec: media.PCMA}).packet(0)
	if n := testing.AllocsPerRun(1000, func() { g.Voice(v); v.Sent = !v.Sent }); n != 0 {
		t.Errorf("%v allocations a packet", n)
	}
	g.Stop(EndedCall)
}

func TestPauseLeavesSilence(t *testing.T) {
	r, _ := newRecorder(t, nil, nil)
	g := begin(t, r, "n-1")
	caller, agent := &stream{codec: media.PCMA, freq: 500}, &stream{codec: media.PCMA, sent: true, freq: 1200}
	for i := range 150 {
		switch i {
		case 50:
			g.Pause()
		case 100:
			g.Resume()
		}
		g.Voice(caller.packet(time.Duration(i) * 20 * time.Millisecond))
		g.Voice(agent.packet(time.Duration(i) * 20 * time.Millisecond))
	}
	g.Stop(EndedStopped)
	in := whole(t, g)
	left, right := channels(t, in.Path(r.opt.Dir))
	if len(left) != 24000 || in.Pauses != 1 || in.Ended != EndedStopped {
		t.Fatalf("%d samples, %+v", len(left), in)
	}
	for i := 8000; i < 16000; i++ {
		if abs(left[i]) > 8 || abs(right[i]) > 8 {
			t.Fatalf("sample %d of the pause is %d, %d", i, left[i], right[i])
		}
	}
	wantTone(t, "before", left[:8000], 500, 1200)
	wantTone(t, "after", right[16000:], 1200, 500)
}

func abs(v int16) int { return max(int(v), -int(v)) }

func TestNoRecordingBegins(t *testing.T) {
	r, c := newRecorder(t, func(o *Options) { o.Max = 1 }, nil)
	g := begin(t, r, "n-1")
	if _, err := r.Start(Info{Call: "n-2"}, 1); err == nil || c.dropped[RefusedMany] != 1 {
		t.Errorf("%v, %v", err, c.dropped)
	}
	g.Stop(EndedCall)
	whole(t, g)
	begin(t, r, "n-3").Stop(EndedCall)
	low, c := newRecorder(t, func(o *Options) { o.MinFree = math.MaxInt64 }, nil)
	if _, err := low.Start(Info{Call: "n-4"}, 1); err == nil || c.dropped[RefusedLow] != 1 || !low.Stats().Low {
		t.Errorf("%v, %v", err, c.dropped)
	}
}

func TestTooLong(t *testing.T) {
	r, _ := newRecorder(t, func(o *Options) { o.MaxLength = time.Second }, nil)
	g := begin(t, r, "n-1")
	s := &stream{codec: media.PCMA, freq: 500}
	for i := range 150 {
		g.Voice(s.packet(time.Duration(i) * 20 * time.Millisecond))
	}
	if in := whole(t, g); in.Ended != EndedLength || in.Seconds < 1 {
		t.Errorf("%+v", in)
	}
}
