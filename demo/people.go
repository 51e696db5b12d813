package demo

import (
	"context"
	"encoding/csv"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"hotline"
	"hotline/config"
	"hotline/media"
	"hotline/routing"
	"hotline/sip"
	"hotline/softphone"
)

var loopback = netip.MustParseAddrPort("127.0.0.1:0")

// The agents hum one note and the callers another, so that each side can tell
// that it hears the other.
const (
	agentTone  = 1000.0
	callerTone = 440.0
)

type agents struct {
	phones []*softphone.Phone
	hum    *media.Clip
	wg     sync.WaitGroup
}

func openAgents(ctx context.Context, cfg *config.Config, server netip.AddrPort, log *slog.Logger) (*agents, error) {
	a := &agents{hum: media.Tone(agentTone, time.Second, 0.4)}
	for _, agent := range cfg.Agents {
		p, err := softphone.Open(softphone.Options{
			Server: "sip:" + server.String(), Listen: loopback, Ring: a.ring, Logger: slog.New(slog.DiscardHandler),
			Credentials: sip.Credentials{User: agent.User, Password: string(agent.Password), Algorithm: agent.Algorithm},
		})
		if err != nil {
			a.close()
			return nil, fmt.Errorf("agent %s: %w", agent.User, err)
		}
		a.phones = append(a.phones, p)
		reg, cancel := context.WithTimeout(ctx, 5*time.Second)
		err = p.Register(reg, time.Minute)
		cancel()
		if err != nil {
			a.close()
			return nil, fmt.Errorf("agent %s: %w", agent.User, err)
		}
	}
	log.Info("demo agents registered", "agents", len(a.phones))
	return a, nil
}

// ring is an agent's phone: mostly it is picked up, now and then refused or left
// to ring.
func (a *agents) ring(r *softphone.Ringing) {
	a.wg.Add(1)
	defer a.wg.Done()
	think := between(200*time.Millisecond, 900*time.Millisecond)
	mood := rand.IntN(100)
	if mood < 4 {
		<-r.Gone() // away from the desk
		return
	}
	select {
	case <-time.After(think):
	case <-r.Gone():
		return
	}
	if mood < 10 {
		r.Refuse(486)
		return
	}
	c, err := r.Answer()
	if err != nil {
		return // the caller was faster
	}
	c.Media.Play(a.hum, media.PlayOptions{Loop: true})
	select {
	case <-c.Done():
	case <-time.After(between(2*time.Second, 6*time.Second)):
		c.Hangup()
	}
}

func (a *agents) close() {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	for _, p := range a.phones {
		p.Settle(ctx)
		_ = p.Close()
	}
	a.wg.Wait()
}

func between(lo, hi time.Duration) time.Duration { return lo + rand.N(hi-lo) }

type callers struct {
	phone   *softphone.Phone
	tally   *tally
	log     *slog.Logger
	dial    string
	numbers map[routing.Tier][]string
	hum     *media.Clip
	wg      sync.WaitGroup
	hangUp  chan struct{}
	unknown atomic.Uint64
}

func openCallers(cfg *config.Config, server netip.AddrPort, t *tally, log *slog.Logger) (*callers, error) {
	numbers, err := customerNumbers()
	if err != nil {
		return nil, err
	}
	p, err := softphone.Open(softphone.Options{Server: "sip:" + server.String(), Listen: loopback, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		return nil, err
	}
	dial := cfg.Trunks[0].DIDs[0].Number
	if dial == "*" {
		dial = "95599"
	}
	return &callers{phone: p, tally: t, log: log, dial: dial, numbers: numbers,
		hum: media.Tone(callerTone, time.Second, 0.4), hangUp: make(chan struct{})}, nil
}

// customerNumbers are the numbers of the example customers by tier.
func customerNumbers() (map[routing.Tier][]string, error) {
	rows, err := csv.NewReader(strings.NewReader(string(hotline.ExampleCustomers))).ReadAll()
	if err != nil || len(rows) < 2 {
		return nil, fmt.Errorf("the example customers are wrong: %w", err)
	}
	column := map[string]int{}
	for i, name := range rows[0] {
		column[name] = i
	}
	out := map[routing.Tier][]string{}
	for _, r := range rows[1:] {
		tier, err := routing.ParseTier(r[column["tier"]])
		if err != nil {
			return nil, fmt.Errorf("the example customers are wrong: %w", err)
		}
		out[tier] = append(out[tier], r[column["number"]])
	}
	for _, t := range routing.Tiers() {
		if len(out[t]) == 0 {
			return nil, fmt.Errorf("the example customers have nobody of tier %s", t)
		}
	}
	return out, nil
}

// wave is the order in which tiers call: half of them C.
var wave = []routing.Tier{routing.TierA1, routing.TierC, routing.TierB1, routing.TierC,
	routing.TierA2, routing.TierC, routing.TierB2, routing.TierC}

// run makes calls until ctx ends.
func (c *callers) run(ctx context.Context) {
	for i := 0; ; i++ {
		tier := wave[i%len(wave)]
		c.wg.Go(func() { c.call(tier) })
		select {
		case <-time.After(between(200*time.Millisecond, 700*time.Millisecond)):
		case <-ctx.Done():
			return
		}
	}
}

// finish lets the last calls end by themselves until ctx ends, then hangs up.
func (c *callers) finish(ctx context.Context) {
	done := make(chan struct{})
	go func() { c.wg.Wait(); close(done) }()
	select {
	case <-done:
	case <-ctx.Done():
		close(c.hangUp)
		<-done
	}
}

func (c *callers) close() {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	c.phone.Settle(ctx)
	_ = c.phone.Close()
}

// call is one caller: dials, presses keys where the menu wants some, waits as
// long as patience lasts, talks, hangs up.
func (c *callers) call(tier routing.Tier) {
	ns := c.numbers[tier]
	number := ns[rand.IntN(len(ns))]
	if tier == routing.TierC && rand.IntN(2) == 0 {
		number = fmt.Sprintf("+86139%08d", c.unknown.Add(1)) // nobody knows them: C
	}
	c.tally.placed(tier)
	ctx, cancel := context.WithTimeout(context.Background(), 15*time.Second)
	defer cancel()
	call, err := c.phone.Dial(ctx, c.dial, number, "")
	if err != nil {
		var refused *softphone.RefusedError
		if !errors.As(err, &refused) {
			c.log.Warn("demo caller could not call", "error", err)
		}
		return
	}
	defer call.Hangup()
	heard := listen(call.Media)
	call.Media.Play(c.hum, media.PlayOptions{Loop: true})
	keys := "##" // cuts the greeting short
	if tier == routing.TierC {
		// Language, then what it is about, typed ahead; then no more prompts.
		keys = string("12"[rand.IntN(2)]) + string("1230"[rand.IntN(4)]) + "#"
	}
	for _, key := range []byte(keys) {
		_ = call.Media.SendDigit(key, 100*time.Millisecond)
	}
	patience := time.NewTimer(between(6*time.Second, 20*time.Second))
	defer patience.Stop()
	select {
	case <-heard:
		c.tally.heard(tier)
	case <-patience.C:
		return
	case <-c.hangUp:
		return
	case <-call.Done():
		return
	}
	select {
	case <-time.After(between(time.Second, 4*time.Second)):
	case <-call.Done():
	case <-c.hangUp:
	}
}

// listen closes its channel when the agent's note has been heard for 200 ms.
func listen(m *media.Leg) <-chan struct{} {
	heard := make(chan struct{})
	frames := 0
	m.OnAudio(func(pcm []int16) {
		if frames >= 10 {
			return
		}
		if media.Goertzel(pcm, agentTone, 8000) < 0.2 {
			frames = 0
			return
		}
		if frames++; frames == 10 {
			close(heard)
		}
	})
	return heard
}
