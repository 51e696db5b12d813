package media

import (
	"testing"
	"time"
)

// A phone that sends its keys as telephone-event and as SIP INFO presses each once, and one that sends them
// one way presses them as often as it says.
func TestKeysThatComeBothWays(t *testing.T) {
	type step struct {
		info bool
		key  byte
		wait time.Duration
	}
	event := func(key byte) step { return step{key: key} }
	info := func(key byte) step { return step{key: key, info: true} }
	later := func(s step) step { s.wait = 1100 * time.Millisecond; return s }
	for name, c := range map[string]struct {
		steps []step
		want  string
	}{
		"events first":    {[]step{event('1'), info('1'), event('2'), info('2')}, "12"},
		"infos first":     {[]step{info('1'), event('1'), info('2'), event('2')}, "12"},
		"a key repeated":  {[]step{event('1'), event('1'), info('1'), info('1'), event('1'), info('1')}, "111"},
		"events alone":    {[]step{event('1'), event('1'), event('1')}, "111"},
		"infos alone":     {[]step{info('1'), info('1'), info('2')}, "112"},
		"not the same":    {[]step{event('1'), info('2')}, "12"},
		"much later":      {[]step{event('1'), later(info('1'))}, "11"},
		"more than fit":   {[]step{info('1'), info('2'), info('3'), info('4'), info('5'), info('6'), info('7'), info('8'), info('9'), event('9')}, "123456789"},
		"of a long press": {[]step{info('1'), later(later(event('1')))}, "1"},
	} {
		t.Run(name, func(t *testing.T) {
			l := openLeg(t, openEngine(t, nil))
			now := l.engine.now()
			for _, s := range c.steps {
				now += s.wait
				l.mu.Lock()
				if s.info {
					l.injected(s.key, now)
				} else {
					l.pressed(press{key: s.key, at: now - s.wait, duration: s.wait})
				}
				l.mu.Unlock()
			}
			got := ""
			for len(l.digits) > 0 {
				got += string((<-l.digits).Key)
			}
			if got != c.want {
				t.Errorf("%q, want %q", got, c.want)
			}
		})
	}
}

// An INFO that comes while the event's packets do is of that press.
func TestInfoDuringAnEvent(t *testing.T) {
	e := openEngine(t, nil)
	p := newPhone(t, PCMA)
	l := p.call(e)
	press := func(duration uint16, end bool) {
		code, _ := keyCode('5')
		payload := make([]byte, 4)
		telephoneEvent{code, end, duration}.put(payload)
		l.receive(p.packet(96, payload, 0), addrOf(p.rtp), e.now())
	}
	press(160, false)
	if err := l.InjectDigit('5'); err != nil {
		t.Fatal(err)
	}
	press(320, true)
	if n := len(l.digits); n != 1 {
		t.Errorf("%d presses", n)
	}
	if d := <-l.Digits(); d.Key != '5' || d.Duration != 0 && d.Duration != 40*time.Millisecond {
		t.Errorf("%+v", d)
	}
}
