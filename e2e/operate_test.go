package e2e

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"hotline/media"
	"hotline/routing"
	"hotline/softphone"
)

// refusedWith dials and wants a refusal with this status.
func refusedWith(t *testing.T, p *softphone.Phone, did string, code int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	c, err := p.Dial(ctx, did, "13900000099", "")
	if err == nil {
		c.Hangup()
		t.Fatalf("the call was answered, want %d", code)
	}
	var refused *softphone.RefusedError
	if !errors.As(err, &refused) || refused.Code != code {
		t.Fatalf("dial: %v, want %d", err, code)
	}
}

// SIGHUP: a wrong file changes nothing and each problem is named with its line; a
// right one lets a new agent in, and names what needs a restart.
func TestReloadBySIGHUP(t *testing.T) {
	p := newProgram(t, "carol")
	p.start()
	carol, phone := p.seat("carol"), openPhone(t, p.uri())
	running, _ := p.talk(phone, carol, "13900000001")
	dave := openDesk(t, p.uri(), "dave")
	if err := dave.register(time.Minute); err == nil {
		t.Fatal("an agent who is not in the config has registered")
	}

	good := p.config("carol", "dave")
	broken := strings.Replace(good, "wrap_up: 0s", "wrap_upp: 0s", 1)
	line := 1 + strings.Count(broken[:strings.Index(broken, "wrap_upp")], "\n")
	p.write(broken)
	p.signal(syscall.SIGHUP)
	refused := p.log.await(t, "config refused, the old one stays", "line", fmt.Sprint(line))
	if !strings.Contains(refused["problem"]+refused["hint"], "wrap_up") {
		t.Errorf("the log doesn't name the problem: %v", refused)
	}
	if n := scrape(t, p.http)["hotline_reload_failures_total"]; n != 1 {
		t.Errorf("hotline_reload_failures_total is %v, want 1", n)
	}
	if err := dave.register(time.Minute); err == nil {
		t.Fatal("an agent of the refused config has registered")
	}

	p.write(strings.Replace(good, "rtp_timeout: 0s", "rtp_timeout: 7s", 1))
	p.signal(syscall.SIGHUP)
	if got := p.log.await(t, "config reloaded")["needs_restart"]; got != "[media.rtp_timeout]" {
		t.Errorf("needs_restart is %s, want [media.rtp_timeout]", got)
	}
	if err := dave.register(time.Minute); err != nil {
		t.Fatalf("the new agent: %v", err)
	}
	p.log.await(t, "seat registered", "seat", "dave")
	select {
	case <-running.Done():
		t.Error("the reload ended a call")
	default:
	}
	second, _ := p.talk(phone, dave, "13900000002") // carol still talks
	for _, c := range []*softphone.Call{running, second} {
		c.Hangup()
		p.log.await(t, "call closed", "outcome", "answered")
	}
	if got := outcomes(t, p.stop()); got["answered"] != 2 || len(got) != 1 {
		t.Errorf("records %v, want 2 answered", got)
	}
}

// SIGTERM: no new calls, but who talks goes on talking, and then the program ends
// by itself.
func TestDrainBySIGTERM(t *testing.T) {
	p := newProgram(t, "carol")
	p.start()
	phone := openPhone(t, p.uri())
	caller, agent := p.talk(phone, p.seat("carol"), "13900000001")
	p.signal(syscall.SIGTERM)
	p.log.await(t, "draining: no new calls", "in_progress", "1")
	refusedWith(t, phone, "1", 503)
	if code := p.get("/readyz"); code != http.StatusServiceUnavailable {
		t.Errorf("/readyz says %d while draining, want 503", code)
	}
	if code := p.get("/healthz"); code != http.StatusOK {
		t.Errorf("/healthz says %d while draining, want 200", code)
	}
	heard := listen(caller.Media, agentTone)
	agent.Media.Play(media.Tone(agentTone, time.Second, 0.4), media.PlayOptions{Loop: true})
	awaitDone(t, "a second of the agent's tone while draining", heard.enough)
	caller.Hangup()
	awaitDone(t, "hang-up at the agent", agent.Done())
	p.exits(0)
	if got := outcomes(t, p.records()); got["answered"] != 1 || len(got) != 1 {
		t.Errorf("records %v, want 1 answered", got)
	}
}

// A second SIGTERM hangs up at once.
func TestSecondSIGTERMStopsAtOnce(t *testing.T) {
	p := newProgram(t, "carol")
	p.start()
	phone := openPhone(t, p.uri())
	caller, agent := p.talk(phone, p.seat("carol"), "13900000001")
	waiting := dial(t, phone, "1", "13900000002")
	p.log.await(t, "call queued", "queue", "sales")
	p.signal(syscall.SIGTERM)
	p.log.await(t, "draining: no new calls", "in_progress", "2")
	p.signal(syscall.SIGTERM)
	awaitDone(t, "hang-up at the caller who talks", caller.Done())
	awaitDone(t, "hang-up at the agent", agent.Done())
	awaitDone(t, "hang-up at the caller who waits", waiting.Done())
	p.exits(0)
	if got := outcomes(t, p.records()); got["answered"] != 1 || got["cut"] != 1 || len(got) != 2 {
		t.Errorf("records %v, want 1 answered and 1 cut", got)
	}
}

// `hotline seats` and `hotline seats free` against the running program.
func TestSeatsCommands(t *testing.T) {
	p := newProgram(t, "carol", "dave")
	p.start()
	phone, carol := openPhone(t, p.uri()), p.seat("carol")
	caller, agent := p.talk(phone, carol, "13900000001")
	url := "--url=http://" + p.http
	out, errs, code := runProgram(t, "seats", url)
	if code != 0 || !row(out, "carol", "talking", "ready") || !row(out, "dave", "offline", "ready") {
		t.Errorf("hotline seats: code %d, %s\n%s", code, errs, out)
	}
	if out, errs, code = runProgram(t, "seats", "free", "carol", url); code != 0 || !row(out, "carol", "idle") {
		t.Errorf("hotline seats free carol: code %d, %s\n%s", code, errs, out)
	}
	awaitDone(t, "hang-up at the caller", caller.Done())
	awaitDone(t, "hang-up at the agent", agent.Done())
	p.log.await(t, "call closed", "cause", "seat_freed")
	again, _ := p.talk(phone, carol, "13900000002") // the seat takes the next call
	again.Hangup()
	p.log.await(t, "call closed", "cause", "caller_hung_up")
	if out, errs, code = runProgram(t, "seats", "free", "zoe", url); code != 1 || !strings.Contains(errs, "no seat zoe") || out != "" {
		t.Errorf("hotline seats free zoe: code %d, %q, %q", code, out, errs)
	}
	if got := outcomes(t, p.stop()); got["answered"] != 2 || len(got) != 1 {
		t.Errorf("records %v, want 2 answered", got)
	}
	if _, errs, code = runProgram(t, "seats", url); code != 1 || !strings.Contains(errs, "no hotline answers") {
		t.Errorf("hotline seats with no hotline: code %d, %q", code, errs)
	}
}

// row tells whether a line of a table begins with a name and holds the words.
func row(table, name string, words ...string) bool {
	for line := range strings.Lines(table) {
		f := strings.Fields(line)
		if len(f) == 0 || f[0] != name {
			continue
		}
		for _, w := range words {
			if !slices.Contains(f, w) {
				return false
			}
		}
		return true
	}
	return false
}

func TestCheckCommand(t *testing.T) {
	p := newProgram(t, "carol")
	if out, errs, code := runProgram(t, "check", p.file); code != 0 || !strings.HasSuffix(out, ": ok\n") {
		t.Errorf("a right file: code %d, %q, %q", code, out, errs)
	}
	p.write(strings.NewReplacer("wrap_up: 0s", "wrap_upp: 0s", "ring_time: 3s", "ring_time: soon").Replace(p.config("carol")))
	out, errs, code := runProgram(t, "check", p.file)
	if lines := strings.Count(out, "\n"); code != 1 || lines != 2 || strings.Count(out, p.file+":") != 2 {
		t.Errorf("a file with two mistakes: code %d, %d lines, %s%s", code, lines, out, errs)
	}
	if out, errs, code := runProgram(t, "check", p.file+".missing"); code != 1 {
		t.Errorf("no file: code %d, %q, %q", code, out, errs)
	}
	if _, errs, code := runProgram(t, "serve", "--config", p.file); code != 1 || !strings.Contains(errs, p.file+":") {
		t.Errorf("serve with a wrong file: code %d, %q", code, errs)
	}
}

// `hotline demo --json` prints one JSON object and nothing else.
func TestDemoCommand(t *testing.T) {
	out, errs, code := runProgram(t, "demo", "--for", "6s", "--json")
	if code != 0 || errs != "" {
		t.Fatalf("code %d: %s%s", code, errs, out)
	}
	var sum struct {
		Tiers map[string]struct{ Offered, Answered, Abandoned *int }
	}
	d := json.NewDecoder(strings.NewReader(out))
	d.DisallowUnknownFields()
	if err := d.Decode(&sum); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	if err := d.Decode(new(any)); !errors.Is(err, io.EOF) {
		t.Errorf("more than one JSON value: %v: %s", err, out)
	}
	offered := 0
	for _, tier := range routing.Tiers() {
		got, ok := sum.Tiers[tier.String()]
		if !ok || got.Offered == nil || got.Answered == nil || got.Abandoned == nil {
			t.Errorf("tier %v is not whole: %s", tier, out)
			continue
		}
		offered += *got.Offered
	}
	if len(sum.Tiers) != 5 || offered == 0 {
		t.Errorf("%d tiers, %d calls offered: %s", len(sum.Tiers), offered, out)
	}
}
