package sip

import (
	"context"
	"errors"
	"strconv"
	"strings"
	"time"

	gosip "github.com/emiago/sipgo/sip"
)

// This file is RFC 4028: a call whose peer has vanished without a word ends when
// its session timer does.

// session is a leg's session timer; guarded by the leg's lock.
type session struct {
	interval time.Duration // 0: none
	ours     bool          // we refresh
	least    time.Duration // the longest Min-SE that the peer has asked for; 0: none
	timer    *time.Timer
	turn     uint64 // counts the timers: one that fires while it is replaced is of an earlier turn
}

// smallestSession is the least that RFC 4028 5 allows for a session.
const smallestSession = 90 * time.Second

// sessionOf reads Session-Expires: its seconds and who refreshes ("uac", "uas" or
// ""). ok is false when the field is there and can't be read.
func sessionOf(m message) (d time.Duration, refresher string, ok bool) {
	v, there := field(m, "Session-Expires")
	if !there {
		return 0, "", true
	}
	value, _, _ := strings.Cut(v, ";")
	d, err := seconds(value)
	if err != nil || d == 0 {
		return 0, "", false
	}
	refresher, _ = param(v, "refresher")
	return d, strings.ToLower(refresher), true
}

// tooShort says that a request asks for a session shorter than we allow: 422 with
// Min-SE (RFC 4028 6). A peer that names a session without knowing the extension
// can't be told so.
func (s *Stack) tooShort(req *gosip.Request) bool {
	d, _, _ := sessionOf(req)
	return d > 0 && d < s.opt.MinSession && hasToken(req, "Supported", "timer")
}

// leastSession is the Min-SE of a message, 0 without one.
func leastSession(m message) time.Duration {
	v, _ := field(m, "Min-SE")
	v, _, _ = strings.Cut(v, ";")
	d, err := seconds(v)
	if err != nil {
		return 0
	}
	return d
}

// askSession puts our wish for a session timer on an INVITE or UPDATE.
func (l *Leg) askSession(req *gosip.Request) {
	l.mu.Lock()
	interval, ours, least := l.session.interval, l.session.ours, l.session.least
	l.mu.Unlock()
	if interval == 0 {
		return
	}
	if least > 0 {
		req.AppendHeader(gosip.NewHeader("Min-SE", wholeSeconds(least)))
	}
	refresher := "uas"
	if ours {
		refresher = "uac"
	}
	req.AppendHeader(gosip.NewHeader("Session-Expires", strconv.Itoa(int(interval/time.Second))+";refresher="+refresher))
}

// sessionHeaders answers a request's wish for a session timer, and starts the
// timer (RFC 4028 9). A peer that doesn't know the extension gets none.
func (l *Leg) sessionHeaders(req *gosip.Request) []gosip.Header {
	s := l.stack
	if s.opt.SessionExpires <= 0 || !hasToken(req, "Supported", "timer") {
		l.startSession(0, false) // for the peer there is none any more, and nothing to refresh
		return nil
	}
	asked, refresher, _ := sessionOf(req)
	interval := s.opt.SessionExpires
	if asked > 0 {
		interval = min(interval, asked)
	}
	interval = max(interval, s.opt.MinSession)
	interval = max(interval, leastSession(req))
	if refresher != "uas" {
		refresher = "uac" // the peer can do it, and knows sooner than we that it lives
	}
	l.startSession(interval, refresher == "uas")
	hs := []gosip.Header{gosip.NewHeader("Session-Expires", strconv.Itoa(int(interval/time.Second))+";refresher="+refresher)}
	if refresher == "uac" {
		hs = append(hs, gosip.NewHeader("Require", "timer"))
	}
	return hs
}

// sessionAnswered takes the session timer from a 2xx to a request of ours (RFC
// 4028 7.2). Without the field in it the session has no timer.
func (l *Leg) sessionAnswered(res *gosip.Response) {
	d, refresher, ok := sessionOf(res)
	if !ok || l.stack.opt.SessionExpires <= 0 {
		return
	}
	l.startSession(d, refresher != "uas")
}

// startSession starts the timer anew: half of the session until our refresh, or
// until shortly before its end while the peer's is awaited (RFC 4028 10).
func (l *Leg) startSession(interval time.Duration, ours bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.session.timer != nil {
		l.session.timer.Stop()
	}
	turn := l.session.turn + 1
	l.session = session{interval: interval, ours: ours, least: l.session.least, turn: turn}
	if interval == 0 || l.state == legEnded {
		return
	}
	wait, f := interval-min(32*time.Second, interval/3), l.expire
	if ours {
		wait, f = interval/2, l.refresh
	}
	l.session.timer = time.AfterFunc(wait, func() { l.stack.spawn(func() { f(turn) }) })
}

// refresh says that we are there, by UPDATE, or by a re-INVITE with the same SDP
// where the peer doesn't know UPDATE. Whatever goes wrong, the session lives
// until its end.
func (l *Leg) refresh(turn uint64) {
	l.mu.Lock()
	byUpdate, interval, sdp := l.allowsUpdate, l.session.interval, l.localSDP
	over := l.state == legEnded || l.session.turn != turn
	if !over {
		l.session.timer = time.AfterFunc(interval/2-min(32*time.Second, interval/6), func() { l.stack.spawn(func() { l.expire(turn) }) })
	}
	l.mu.Unlock()
	if over {
		return
	}
	if !byUpdate {
		if _, err := l.Reoffer(context.Background(), sdp); err != nil {
			l.stack.log.Debug("session not refreshed", "sip_call_id", l.id.callID, "error", err)
		}
		return
	}
	for longer := false; ; {
		req := l.request(gosip.UPDATE)
		req.AppendHeader(l.contact())
		req.AppendHeader(gosip.NewHeader("Supported", l.supports()))
		l.askSession(req)
		res, err := l.exchange(req)
		var no *RefusedError
		switch {
		case err == nil:
			l.refreshTarget(res.Contact())
			if d, _, _ := sessionOf(res); d > 0 {
				l.sessionAnswered(res)
			} else {
				l.startSession(interval, true)
			}
			return
		case !longer && l.longerSession(err):
			longer, interval = true, l.sessionInterval()
			continue
		case errors.As(err, &no) && no.Code == 491:
		default:
			l.stack.log.Debug("session not refreshed", "sip_call_id", l.id.callID, "error", err)
			return
		}
		select {
		case <-time.After(l.glareWait()):
		case <-l.done:
			return
		}
	}
}

// longerSession takes the interval that a 422 to a refresh of ours asks for (RFC 4028 7.3);
// false when err is none, or asks for nothing that can be done.
func (l *Leg) longerSession(err error) bool {
	var no *RefusedError
	if !errors.As(err, &no) || no.Code != 422 || no.least > 24*time.Hour {
		return false
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.session.interval == 0 || no.least <= l.session.interval {
		return false
	}
	l.session.interval, l.session.least = no.least, no.least
	return true
}

func (l *Leg) sessionInterval() time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.session.interval
}

// expire ends a call whose session nobody has refreshed.
func (l *Leg) expire(turn uint64) {
	l.mu.Lock()
	late := l.session.turn != turn
	l.mu.Unlock()
	if late {
		return
	}
	if l.finish(End{Cause: EndExpired}) {
		l.sendBye("")
	}
}

// stopSession lets the timer go with the leg. The leg's lock is held.
func (l *Leg) stopSession() {
	if l.session.timer != nil {
		l.session.timer.Stop()
	}
}
