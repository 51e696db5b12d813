package ivr

import (
	"bytes"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"hotline/media"
)

func loadPrompts(t *testing.T, dir string) *Prompts {
	t.Helper()
	p, err := Load(dir, 0)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// The texts, the files and what other rooms ask for are the same set.
func TestShippedPrompts(t *testing.T) {
	p := loadPrompts(t, "")
	table, err := os.ReadFile("prompts/prompts.tsv")
	if err != nil {
		t.Fatal(err)
	}
	texts := map[string]bool{}
	for i, line := range strings.Split(strings.TrimRight(string(table), "\n"), "\n") {
		cells := strings.Split(line, "\t")
		if len(cells) != 3 || cells[1] == "" || cells[2] == "" {
			t.Fatalf("prompts.tsv:%d: need name, zh and en", i+1)
		}
		texts[cells[0]] = true
		for _, language := range bothLanguages {
			c := p.clips[cells[0]][language]
			if c == nil {
				t.Errorf("%s.%s.wav is missing; run prompts/render.sh", cells[0], language)
				continue
			}
			if d := c.Duration(); d < 200*time.Millisecond || d > 12*time.Second {
				t.Errorf("%s.%s.wav lasts %v", cells[0], language, d)
			}
			if peak := peak(c); peak < 0.4 || peak > 0.56 {
				t.Errorf("%s.%s.wav peaks at %.2f of full scale, want about -6 dB (0.50)", cells[0], language, peak)
			}
		}
	}
	for _, name := range p.Names() {
		if !texts[name] {
			t.Errorf("%s has no text in prompts.tsv", name)
		}
	}
	for _, name := range strings.Fields(`welcome vip-welcome choose-language choose-service enter-number wrong-key no-key please-wait
		connecting all-busy position digit-0 digit-9 goodbye you-are-ready on-break logged-out wrap-up-ended wrap-up-extended wrap-up-not-extended unknown-code`) {
		if !p.Has(name) {
			t.Errorf("no prompt %q", name)
		}
	}
}

func peak(c *media.Clip) float64 {
	var top float64
	for _, s := range c.PCM() {
		top = max(top, math.Abs(float64(s))/32768)
	}
	return top
}

func TestPromptsOfADirectory(t *testing.T) {
	short, err := os.ReadFile("prompts/digit-1.zh.wav")
	if err != nil {
		t.Fatal(err)
	}
	one, err := media.LoadClip(bytes.NewReader(short), 0)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	for _, name := range []string{"welcome.zh.wav", "summer-sale.fr.wav", "summer-sale.de.wav"} {
		write(t, dir, name, short)
	}
	write(t, dir, "README.txt", []byte("other files are left alone"))
	p := loadPrompts(t, dir)
	for _, tt := range []struct {
		name, language string
		want           time.Duration
	}{
		{"welcome", "zh", one.Duration()},
		{"welcome", "zh-CN", one.Duration()},
		{"summer-sale", "zh", one.Duration()},
		{"summer-sale", "", one.Duration()},
		{"welcome", "en", loadPrompts(t, "").Get("welcome", "en").Duration()},
		{"welcome", "fr", one.Duration()}, // unknown languages hear Chinese
	} {
		if c := p.Get(tt.name, tt.language); c == nil || c.Duration() != tt.want {
			t.Errorf("Get(%q, %q) = %v, want a clip of %v", tt.name, tt.language, c, tt.want)
		}
	}
	if loadPrompts(t, "").Get("welcome", "zh").Duration() == one.Duration() {
		t.Error("the prompts in the binary were changed by a directory")
	}
	if p.Has("nothing") || p.Get("nothing", "zh") != nil {
		t.Error("a prompt that isn't there was found")
	}
	// One prompt in both languages and one in others only: each sounds, none twice.
	if got := len(p.sequence([]string{"goodbye", "summer-sale"}, "").(*sequence).clips); got != 5 {
		t.Errorf("%d clips with pauses, want goodbye.zh summer-sale.de goodbye.en and two pauses", got)
	}
	if p.sequence([]string{"nothing"}, "zh") != nil {
		t.Error("unknown prompts gave a sound")
	}
}

func TestBadPromptFiles(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, "Welcome.wav", nil)
	write(t, dir, "welcome.zh.wav", []byte("no sound"))
	_, err := Load(dir, 0)
	if err == nil {
		t.Fatal("bad files were taken")
	}
	for _, want := range []string{dir, "Welcome.wav: name it NAME.LANG.wav", "welcome.zh.wav: unusable WAV file"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("error %q doesn't say %q", err, want)
		}
	}
	if _, err := Load(filepath.Join(dir, "nowhere"), 0); err == nil {
		t.Error("a missing directory was taken")
	}
}

func write(t *testing.T, dir, name string, data []byte) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(dir, name), data, 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestSequenceIsItsClips(t *testing.T) {
	p := testPrompts()
	p.clips["tone"] = map[string]*media.Clip{"zh": media.Tone(500, time.Second, 0.3)}
	s := p.sequence([]string{"a", "tone", "b"}, "zh").(*sequence)
	if s.Frames() != 3*50+2*10 {
		t.Fatalf("%d frames", s.Frames())
	}
	whole := media.Concat(s.clips...)
	for i := range s.Frames() {
		if !bytes.Equal(s.Frame(media.PCMA, i), whole.Frame(media.PCMA, i)) || !bytes.Equal(s.Frame(media.PCMU, i), whole.Frame(media.PCMU, i)) {
			t.Fatalf("frame %d is another one", i)
		}
	}
}
