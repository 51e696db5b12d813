package server

import (
	"log/slog"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"hotline/config"
)

// lineStub is a leg as far as time is concerned.
type lineStub struct{ done chan struct{} }

func (l lineStub) Done() <-chan struct{} { return l.done }
func (l lineStub) Hangup()               { close(l.done) }

// The calls of one owner share the minutes of the day: with each that is answered or ends
// all have another time left, and together they never spend more.
func TestParallelCallsShareTheMinutes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &Server{log: slog.New(slog.DiscardHandler)}
		right := &config.Right{Allow: []string{"+"}, MinutesPerDay: 60}
		now := func() time.Time { return time.Now().UTC() }
		time.Sleep(10*time.Hour - time.Duration(now().Hour())*time.Hour) // whose day is long enough
		began := now()
		var mu sync.Mutex
		talked := make(map[string]time.Duration)
		call := func(name string) lineStub {
			c, reason := s.spending.begin(right, "agent:a", "+49", "+49", now())
			if c == nil {
				t.Fatal(reason)
			}
			l := lineStub{make(chan struct{})}
			answered := now()
			c.answer(answered)
			go func() {
				s.follow(c, l, now)
				c.end(now())
				mu.Lock()
				defer mu.Unlock()
				talked[name] = now().Sub(answered)
			}()
			synctest.Wait()
			return l
		}
		call("first")
		time.Sleep(10 * time.Minute)
		call("second")
		third := call("third") // 50 minutes for three
		time.Sleep(10 * time.Minute)
		third.Hangup() // 20 minutes for two
		time.Sleep(10*time.Minute - time.Nanosecond)
		synctest.Wait()
		mu.Lock()
		if len(talked) != 1 {
			t.Errorf("ended before their time: %v", talked)
		}
		mu.Unlock()
		time.Sleep(time.Nanosecond)
		synctest.Wait()
		mu.Lock()
		defer mu.Unlock()
		if talked["first"] != 30*time.Minute || talked["second"] != 20*time.Minute || talked["third"] != 10*time.Minute {
			t.Errorf("after %v they have talked %v, want 60 minutes in all", now().Sub(began), talked)
		}
	})
}
