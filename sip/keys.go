package sip

import (
	"fmt"

	gosip "github.com/emiago/sipgo/sip"
)

// maxKeys bounds the keys that wait for being sent by INFO.
const maxKeys = 32

// RefuseDigits has keys by INFO answered with 415 from now on (RFC 2976 2.2): the peer is to send
// them beside its sound.
func (l *Leg) RefuseDigits() {
	l.mu.Lock()
	l.noDigits = true
	l.mu.Unlock()
}

func (l *Leg) refusesKeys() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.noDigits
}

// SendDigit sends a key (0-9, *, #, A-D) to the peer by INFO (application/dtmf-relay), each when the
// one before was answered, as nothing else keeps their order. It doesn't wait; false for a leg that
// isn't answered or is over, and when 32 keys wait already.
func (l *Leg) SendDigit(key byte) bool {
	l.mu.Lock()
	if l.state != legAnswered && l.state != legConfirmed || len(l.keys) >= maxKeys {
		l.mu.Unlock()
		return false
	}
	l.keys = append(l.keys, key)
	first := len(l.keys) == 1
	l.mu.Unlock()
	return !first || l.stack.spawn(l.sendKeys)
}

// sendKeys sends what waits.
func (l *Leg) sendKeys() {
	for key, ok := l.nextKey(); ok; key, ok = l.keySent() {
		req := l.request(gosip.INFO)
		req.AppendHeader(gosip.NewHeader("Content-Type", "application/dtmf-relay"))
		req.SetBody(fmt.Appendf(nil, "Signal=%c\r\nDuration=160\r\n", key))
		if _, err := l.exchange(req); err != nil {
			l.stack.log.Debug("key not taken", "sip_call_id", l.id.callID, "error", err)
		}
	}
}

// nextKey is the key to be sent; false with none, and once the leg is over.
func (l *Leg) nextKey() (byte, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.keys) == 0 || l.state == legEnded {
		l.keys = nil
		return 0, false
	}
	return l.keys[0], true
}

func (l *Leg) keySent() (byte, bool) {
	l.mu.Lock()
	if len(l.keys) > 0 {
		l.keys = l.keys[1:]
	}
	l.mu.Unlock()
	return l.nextKey()
}
