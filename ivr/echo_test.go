package ivr

import (
	"errors"
	"math"
	"testing"
	"time"

	"hotline/media"
)

func (l *fakeLine) echo(on bool) error {
	if on {
		l.note("echo")
	} else {
		l.note("no echo")
	}
	return nil
}

func TestEchoStep(t *testing.T) {
	for name, tt := range map[string]struct {
		step string
		keys presses
		want string
	}{
		"as it comes":             {`s: {echo: }`, nil, "0s say\n1s echo\n11s no echo\n11s hang_up"},
		"after a prompt":          {`s: {echo: {prompts: [a], for: 3s}}`, nil, "0s say a.zh\n1s say\n2s echo\n5s no echo\n5s hang_up"},
		"goes on with typed keys": {`s: {echo: {for: 1s, next: m}}`, presses{1500 * ms: "1"}, "0s say\n1s echo\n2s no echo\n2s queue operator"},
	} {
		t.Run(name, func(t *testing.T) {
			steps := []string{tt.step}
			if tt.keys != nil {
				steps = append(steps, `m: {menu: {prompts: [a], keys: {"1": q}, too_many: q}}`, `q: {queue: operator}`)
			}
			if got, _ := heard(t, mustParse(t, inFlow(steps...))["main"], Facts{Language: "zh"}, tt.keys); got != tt.want {
				t.Errorf("got\n%s\nwant\n%s", got, tt.want)
			}
		})
	}
}

// Over RTP: the tone at its level, then what the phone says; and who hangs up in the echo ends the flow.
func TestEchoOverRTP(t *testing.T) {
	hotline, phone := connected(t)
	reference, back := hears(phone, media.ReferenceHz), make(chan float64, 1)
	flow := mustParse(t, inFlow(`s: {echo: {for: 1m}}`))["main"]
	over := make(chan error, 1)
	go func() {
		_, err := Run(t.Context(), flow, hotline, &Prompts{}, Facts{})
		over <- err
	}()
	await(t, "the tone", reference)
	phone.Play(media.Tone(600, time.Minute, 0.3), media.PlayOptions{})
	phone.OnAudio(func(pcm []int16) {
		if level := media.Goertzel(pcm, 600, 8000); level > 0.2 {
			select {
			case back <- level:
			default:
			}
		}
	})
	if level := await(t, "the echo", back); math.Abs(level-0.3) > 0.02 {
		t.Errorf("the echo is %.3f loud, not 0.3", level)
	}
	if err := hotline.Close(); err != nil {
		t.Error(err)
	}
	if err := await(t, "the end of the flow", over); !errors.Is(err, errLineClosed) {
		t.Error(err)
	}
}
