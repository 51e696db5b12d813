package ivr

import (
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"

	"hotline/media"
)

// shippedFiles are rendered by prompts/render.sh from prompts/prompts.tsv.
//
//go:embed prompts/*.wav
var shippedFiles embed.FS

// promptFile is how the file of a prompt is named: NAME.LANG.wav.
var promptFile = regexp.MustCompile(`^([a-z0-9][a-z0-9-]*)\.([a-z]{2,3})\.wav$`)

// bothLanguages are those in which a caller hears what comes before the choice of a language.
var bothLanguages = []string{"zh", "en"}

// promptGap is the pause after a prompt when another one follows.
const promptGap = 200 * time.Millisecond

// Prompts are the clips that can be played, by name and language. They never change and may be
// shared.
type Prompts struct {
	clips map[string]map[string]*media.Clip
}

var shipped = sync.OnceValues(func() (*Prompts, error) {
	p := &Prompts{clips: map[string]map[string]*media.Clip{}}
	sub, err := fs.Sub(shippedFiles, "prompts")
	if err != nil {
		return nil, err
	}
	return p, p.add(sub, 0)
})

// shippedNames are the names of the prompts in the binary.
func shippedNames() []string {
	p, err := shipped()
	if err != nil {
		return nil
	}
	return sortedKeys(p.clips)
}

// Load gives the prompts in the binary, with those in dir added or in place of them: files named
// NAME.LANG.wav, such as welcome.zh.wav, of 8 kHz, one channel, 16-bit PCM or G.711. Other files
// than *.wav are left alone. Speech in them is brought to
// so many dBov; 0 leaves it as it is. An empty dir adds nothing. The error names every bad file.
func Load(dir string, dbov float64) (*Prompts, error) {
	base, err := shipped()
	if err != nil {
		return nil, fmt.Errorf("load the prompts in the binary: %w", err)
	}
	if dir == "" {
		return base, nil
	}
	p := &Prompts{clips: map[string]map[string]*media.Clip{}}
	for name, clips := range base.clips {
		p.clips[name] = map[string]*media.Clip{}
		for language, c := range clips {
			p.clips[name][language] = c
		}
	}
	if err := p.add(os.DirFS(dir), dbov); err != nil {
		return nil, fmt.Errorf("load prompts from %s: %w", dir, err)
	}
	return p, nil
}

func (p *Prompts) add(dir fs.FS, dbov float64) error {
	entries, err := fs.ReadDir(dir, ".")
	if err != nil {
		return err
	}
	var errs []error
	for _, e := range entries {
		if e.IsDir() || filepath.Ext(e.Name()) != ".wav" {
			continue
		}
		m := promptFile.FindStringSubmatch(e.Name())
		if m == nil {
			errs = append(errs, fmt.Errorf("%s: name it NAME.LANG.wav with small letters, such as welcome.zh.wav", e.Name()))
			continue
		}
		c, err := loadFile(dir, e.Name(), dbov)
		if err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", e.Name(), err))
			continue
		}
		if p.clips[m[1]] == nil {
			p.clips[m[1]] = map[string]*media.Clip{}
		}
		p.clips[m[1]][m[2]] = c
	}
	return errors.Join(errs...)
}

func loadFile(dir fs.FS, name string, dbov float64) (*media.Clip, error) {
	f, err := dir.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return media.LoadClip(f, dbov)
}

// The sounds that are made, not recorded; a file of the same name takes their place.
const (
	HoldMusic = "hold-music" // what those who wait hear, unless a queue says otherwise
	RingBack  = "ring-back"  // China's ring-back tone
)

var made = map[string]func() *media.Clip{HoldMusic: media.MusicOnHold, RingBack: media.RingBack}

// Has tells whether there is a prompt of that name, in any language.
func (p *Prompts) Has(name string) bool { return len(p.clips[name]) > 0 || made[name] != nil }

// Get gives the prompt in the language ("zh", "en"; "zh-CN" counts as zh), or else in another
// one: zh, en, then the first by name. It is nil only when Has is false.
func (p *Prompts) Get(name, language string) *media.Clip {
	clips := p.clips[name]
	primary, _, _ := strings.Cut(language, "-")
	for _, l := range append([]string{primary}, bothLanguages...) {
		if c := clips[l]; c != nil {
			return c
		}
	}
	for _, l := range sortedKeys(clips) {
		return clips[l]
	}
	if sound := made[name]; sound != nil {
		return sound()
	}
	return nil
}

// Names are the names of all recorded prompts in order.
func (p *Prompts) Names() []string { return sortedKeys(p.clips) }

// sequence puts prompts together for one caller: in the language, or, while that is "", all of
// them in each of both languages. Unknown names are left out. It is nil when nothing is left.
func (p *Prompts) sequence(names []string, language string) media.Audio {
	var clips []*media.Clip
	add := func(c *media.Clip) {
		if c == nil {
			return
		}
		if len(clips) > 0 {
			clips = append(clips, gap())
		}
		clips = append(clips, c)
	}
	if language != "" {
		for _, n := range names {
			add(p.Get(n, language))
		}
	} else {
		p.inBoth(names, add)
	}
	if len(clips) == 0 {
		return nil
	}
	return &sequence{clips: slices.Clip(clips)}
}

// inBoth gives the prompts in Chinese, then in English; one that is in neither sounds once.
func (p *Prompts) inBoth(names []string, add func(*media.Clip)) {
	for i, l := range bothLanguages {
		for _, n := range names {
			c := p.clips[n][l]
			if c == nil && i == 0 && p.clips[n][bothLanguages[1]] == nil {
				c = p.Get(n, l)
			}
			add(c)
		}
	}
}

var gap = sync.OnceValue(func() *media.Clip { return media.Quiet(promptGap) })

// sequence is clips one after the other without a copy of their sound.
type sequence struct{ clips []*media.Clip }

// Frames implements [media.Audio].
func (s *sequence) Frames() int {
	n := 0
	for _, c := range s.clips {
		n += c.Frames()
	}
	return n
}

// Frame implements [media.Audio].
func (s *sequence) Frame(c media.Codec, i int) []byte {
	for _, clip := range s.clips {
		if n := clip.Frames(); i >= n {
			i -= n
		} else {
			return clip.Frame(c, i)
		}
	}
	return nil
}
