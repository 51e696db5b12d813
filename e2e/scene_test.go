package e2e

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"hotline/routing"
)

// scene is a hotline and what happens there, in an operator's words. It is played
// with the real program, sipp as the callers and baresip as the agents.
type scene struct {
	name      string
	config    string // sections that stand in place of baseConfig's
	customers string // one a line: name tier manager team language; "-" is none
	script    string // what happens, one step a line; see verbs
	why       string // one a line: of whose call `hotline why` says what
	// record looks at more in the call records of people's latest calls.
	record func(t *testing.T, of func(who string) record)
}

// verbs are the steps of a script: each waits until it has happened. There are also
// "reload SECTIONS", "changes [SETTING: OLD → NEW]" that the reload made, "metric
// SERIES at least N", "hotline COMMAND", and comments after "#".
var verbs = map[string]func(s *stage, who string, more []string){
	"calls":  (*stage).calls,   // NAME calls [DID] [for PATIENCE]: and is queued
	"tries":  (*stage).tries,   // NAME tries: calls, and perhaps is never queued
	"gives":  (*stage).givesUp, // NAME gives up: the patience is over, nobody has answered
	"leaves": (*stage).leaves,  // NAME leaves: the patience is over in the talk
	"rings":  (*stage).rings,   // NAME rings at SEAT [by RULE] [after WAIT]
	"moves":  (*stage).moves,   // NAME moves to QUEUE: CAUSE
	"goes":   (*stage).goes,    // NAME goes: CAUSE: is turned away by a limit
	"hears":  (*stage).hears,   // NAME hears that only others are served: is shed in an emergency

	"listens": (*stage).listens, // NAME listens: calls with a baresip that keeps what it hears, and is queued
	"learns":  (*stage).learns,  // NAME learns PLACE [and a wait]: an announcement begins
	"heard":   (*stage).heard,   // NAME heard all but the last of it, music before and after, then the agent

	"comes":    (*stage).comes,    // AGENT comes [by hand | at a desk]: answers at once, or not by itself
	"talks":    (*stage).talks,    // AGENT talks to NAME, who is the next at this seat
	"picks":    (*stage).picksUp,  // AGENT picks up
	"declines": (*stage).declines, // AGENT declines: 486 at a baresip, 603 at a desk
	"stops":    (*stage).stops,    // AGENT stops ringing
	"misses":   (*stage).misses,   // AGENT misses NAME: CAUSE
	"rests":    (*stage).rests,    // AGENT rests TIME: from a failed offer, or wrap-up, to the next offer
	"hangs":    (*stage).hangsUp,  // AGENT hangs up
	"dials":    (*stage).dials,    // AGENT dials CODE
	"extends":  (*stage).extends,  // AGENT extends the wrap-up [in vain]
	"loses":    (*stage).loses,    // AGENT loses NAME, who was sent back into a queue
	"vanishes": (*stage).vanishes, // AGENT vanishes: the phone is dead, without a word
	"is":       (*stage).is,       // AGENT is STATE STATUS [REASON], or gone, as /api/seats says
}

// play plays the scene to its end and looks at what is left of it.
func (sc scene) play(t *testing.T) {
	t.Helper()
	s := newStage(t, sc)
	for line := range strings.Lines(sc.script) {
		line, _, _ = strings.Cut(line, "#")
		if words := strings.Fields(strings.ReplaceAll(line, ":", " : ")); len(words) > 1 {
			t.Log(strings.TrimSpace(line))
			s.step(strings.TrimSpace(line), words)
		}
	}
	s.end()
	s.why(sc.why)
	if sc.record != nil {
		sc.record(t, s.record)
	}
}

// stage is a scene being played.
type stage struct {
	*program
	people   map[string]int    // name of a caller to the last digits of the number
	call     map[string]string // to the id of the latest call
	callers  []<-chan error    // the end of each caller's phone
	baresips map[string]*baresip
	desks    map[string]*desk
	over     map[string]time.Time  // when an agent's latest offer failed or talk ended
	told     map[string][][]string // the prompts of each announcement that a caller learned from
}

func newStage(t *testing.T, sc scene) *stage {
	t.Helper()
	s := &stage{program: newProgram(t), people: map[string]int{}, call: map[string]string{},
		baresips: map[string]*baresip{}, desks: map[string]*desk{}, over: map[string]time.Time{}, told: map[string][][]string{}}
	var list []string
	for line := range strings.Lines(sc.customers) {
		if f := strings.Fields(line); len(f) > 0 {
			f = append(f, "-", "-", "-")
			row := []string{"+86" + sippNumber(s.number(f[0])), f[0], f[0], f[1], f[2], f[3], f[4]}
			list = append(list, strings.ReplaceAll(strings.Join(row, ","), ",-", ","))
		}
	}
	config := withSections(s.program.config(), sc.config)
	s.write(config + fmt.Sprintf("directory: {file: %q}\n", customersFile(t, list...)))
	s.start()
	t.Cleanup(s.explain)
	return s
}

// explain tells, when the test has failed, of callers' phones that ended badly.
func (s *stage) explain() {
	for _, ended := range s.callers {
		select {
		case err := <-ended:
			if err != nil && s.t.Failed() {
				s.t.Log(err)
			}
		default:
		}
	}
}

// withSections puts sections of a config in the place of those of the same names.
// Agents get the tests' password.
func withSections(config, sections string) string {
	sections = strings.ReplaceAll(sections, "{user: ", "{password: "+password+", user: ")
	replaced, keep, out := map[string]bool{}, true, ""
	for line := range strings.Lines(sections) {
		if name, _, ok := strings.Cut(line, ":"); ok && line[0] != ' ' {
			replaced[name] = true
		}
	}
	for line := range strings.Lines(config) {
		if name, _, ok := strings.Cut(line, ":"); ok && line[0] != ' ' {
			keep = !replaced[name]
		}
		if keep {
			out += line
		}
	}
	return strings.TrimRight(out, "\n") + "\n" + strings.TrimLeft(sections, "\n") + "\n"
}

// number is a caller's number, the last digits of it.
func (s *stage) number(who string) int {
	if s.people[who] == 0 {
		s.people[who] = len(s.people) + 1
	}
	return s.people[who]
}

// step does what a line says.
func (s *stage) step(line string, words []string) {
	s.t.Helper()
	switch words[0] {
	case "reload":
		s.reload(strings.TrimPrefix(line, "reload ") + "\n")
		return
	case "changes":
		s.log.await(s.t, "policy changed", "changes", strings.TrimPrefix(line, "changes "))
		return
	case "metric":
		s.metric(words[1], words[len(words)-1])
		return
	case "hotline":
		if _, errs, code := runProgram(s.t, append(words[1:], "--url=http://"+s.http)...); code != 0 {
			s.t.Fatalf("%s: code %d, %s", line, code, errs)
		}
		return
	}
	do := verbs[words[1]]
	if do == nil {
		s.t.Fatalf("%s: no such verb", line)
	}
	do(s, words[0], words[2:])
}

// want ends the test when a step went another way.
func (s *stage) want(what, got, want string) {
	s.t.Helper()
	if got != want {
		s.t.Fatalf("%s is %s, want %s; the log:\n%s", what, got, want, s.log)
	}
}

// wantCall wants a call to be the latest of a caller.
func (s *stage) wantCall(what, id, who string) {
	s.t.Helper()
	for name, call := range s.call {
		if call == id {
			s.want(what, name, who)
			return
		}
	}
	s.t.Fatalf("%s is a call that isn't in the script: %s", what, id)
}

func (s *stage) span(text string) time.Duration {
	s.t.Helper()
	d, err := time.ParseDuration(text)
	if err != nil {
		s.t.Fatal(err)
	}
	return d
}

func (s *stage) tries(who string, more []string) {
	s.t.Helper()
	c := sippCallers{scenario: "caller.xml", server: s.sip, did: "1", calls: 1, rate: 100, first: s.number(who)}
	if len(more) > 0 && more[0] != "for" {
		c.did, more = more[0], more[1:]
	}
	if len(more) > 1 {
		c.args = []string{"-recv_timeout", strconv.FormatInt(s.span(more[1]).Milliseconds(), 10)}
	}
	s.callers = append(s.callers, c.start(s.t))
	s.call[who] = s.log.await(s.t, "call arrived")["call"]
}

func (s *stage) calls(who string, more []string) {
	s.t.Helper()
	s.tries(who, more)
	s.log.await(s.t, "call queued", "call", s.call[who])
}

func (s *stage) givesUp(who string, _ []string) {
	s.t.Helper()
	s.log.await(s.t, "call closed", "call", s.call[who], "outcome", "abandoned")
}

func (s *stage) leaves(who string, _ []string) {
	s.t.Helper()
	s.log.await(s.t, "call ended", "call", s.call[who], "cause", "caller_hung_up")
}

func (s *stage) rings(who string, more []string) {
	s.t.Helper()
	offer := s.log.await(s.t, "offer", "call", s.call[who])
	s.want("the seat that "+who+" rings at", offer["seat"], more[1])
	for i := 2; i+1 < len(more); i += 2 {
		switch more[i] {
		case "by":
			s.want("the rule", offer["rule"], more[i+1])
		case "after":
			if ms, err := strconv.ParseFloat(offer["waited_ms"], 64); err != nil || ms < float64(s.span(more[i+1]).Milliseconds()) {
				s.t.Fatalf("%s rings at %s after %s ms, want at least %s", who, offer["seat"], offer["waited_ms"], more[i+1])
			}
		}
	}
}

func (s *stage) moves(who string, more []string) {
	s.t.Helper()
	s.log.await(s.t, "call moved on", "call", s.call[who], "to", more[1], "cause", more[3])
}

func (s *stage) goes(who string, more []string) {
	s.t.Helper()
	s.log.await(s.t, "call turned away", "call", s.call[who], "cause", more[1])
}

func (s *stage) hears(who string, _ []string) {
	s.t.Helper()
	s.log.await(s.t, "caller turned away in an emergency", "call", s.call[who])
	s.log.await(s.t, "call ended", "call", s.call[who], "cause", "flow_ended")
}

func (s *stage) comes(who string, more []string) {
	s.t.Helper()
	switch strings.Join(more, " ") {
	case "at a desk":
		s.desks[who] = s.seat(who)
		return
	case "by hand":
		s.baresips[who] = startBaresip(s.t, baresipOptions{user: who, password: password, server: s.sip, answer: "manual"})
	default:
		s.baresips[who] = startBaresip(s.t, baresipOptions{user: who, password: password, server: s.sip})
	}
	s.log.await(s.t, "seat registered", "seat", who)
}

func (s *stage) talks(who string, more []string) {
	s.t.Helper()
	talk := s.log.await(s.t, "talk started", "seat", who)
	s.wantCall("the next caller at "+who+"'s", talk["call"], more[1])
}

func (s *stage) picksUp(who string, _ []string) {
	s.t.Helper()
	s.baresips[who].await("CALL_INCOMING", patience)
	s.baresips[who].command("accept", "")
}

func (s *stage) declines(who string, _ []string) {
	s.t.Helper()
	if d := s.desks[who]; d != nil {
		d.ring(s.t).Refuse(603)
		return
	}
	s.baresips[who].await("CALL_INCOMING", patience)
	s.baresips[who].command("hangup", "")
}

func (s *stage) stops(who string, _ []string) {
	s.t.Helper()
	s.baresips[who].await("CALL_INCOMING", patience)
	s.baresips[who].await("CALL_CLOSED", patience)
}

func (s *stage) misses(who string, more []string) {
	s.t.Helper()
	failed := s.log.await(s.t, "offer failed", "seat", who)
	s.wantCall("the call that "+who+" misses", failed["call"], more[0])
	s.want("the cause", failed["cause"], more[2])
	s.over[who] = stamp(s.t, failed)
}

func (s *stage) rests(who string, more []string) {
	s.t.Helper()
	rest := -time.Second
	for rest < 0 { // offers of before
		rest = stamp(s.t, s.log.await(s.t, "offer", "seat", who)).Sub(s.over[who])
	}
	// The end is logged a little after the instant that the rest is counted from.
	if rest < s.span(more[0])-20*time.Millisecond {
		s.t.Fatalf("%s is rung again after %v, want at least %s", who, rest, more[0])
	}
}

func (s *stage) hangsUp(who string, _ []string) {
	s.t.Helper()
	s.baresips[who].command("hangup", "")
	s.over[who] = stamp(s.t, s.log.await(s.t, "call ended", "cause", "agent_hung_up"))
	s.baresips[who].await("CALL_CLOSED", patience)
}

func (s *stage) dials(who string, more []string) {
	s.t.Helper()
	s.baresips[who].command("dial", "sip:"+more[0]+"@"+s.sip)
	s.baresips[who].await("CALL_CLOSED", patience) // by the hotline, after the confirmation
}

// extends hangs up as soon as the hotline has decided: to hear the answer takes as long
// as a short wrap-up.
func (s *stage) extends(who string, more []string) {
	s.t.Helper()
	answer := "wrap-up-extended"
	if more[len(more)-1] == "vain" {
		answer = "wrap-up-not-extended"
	}
	s.baresips[who].command("dial", "sip:*5@"+s.sip)
	asked := s.log.await(s.t, "agent asked for a longer wrap-up", "agent", who)
	s.want("the answer to "+who, asked["answer"], answer)
	s.baresips[who].command("hangup", "")
	s.baresips[who].await("CALL_CLOSED", patience)
}

func (s *stage) loses(who string, more []string) {
	s.t.Helper()
	sent := s.log.await(s.t, "call transferred", "call", s.call[more[0]], "from", who)
	s.over[who] = stamp(s.t, sent)
	s.baresips[who].await("CALL_CLOSED", patience)
}

func (s *stage) vanishes(who string, _ []string) { s.baresips[who].kill() }

// is asks /api/seats again whenever something was logged.
func (s *stage) is(who string, more []string) {
	s.t.Helper()
	want := strings.Join(more, " ")
	s.until(who+" is "+want, func() (string, bool) {
		x := s.seatView(who)
		got := strings.TrimSpace(fmt.Sprintf("%s %s %s", x.State, x.Status, x.Reason))
		return got, got == want
	})
}

// metric asks /metrics again whenever something was logged.
func (s *stage) metric(series, least string) {
	s.t.Helper()
	want, err := strconv.ParseFloat(least, 64)
	if err != nil {
		s.t.Fatal(err)
	}
	s.until(series+" is at least "+least, func() (string, bool) {
		got, there := scrape(s.t, s.http)[series]
		return fmt.Sprint(got, " ", there), there && got >= want
	})
}

// until asks again whenever something was logged.
func (s *stage) until(what string, ask func() (got string, ok bool)) {
	s.t.Helper()
	deadline := time.After(patience)
	for {
		news := s.log.next()
		got, ok := ask()
		if ok {
			return
		}
		select {
		case <-news:
		case <-deadline:
			s.t.Fatalf("want that %s, but it is %s; the log:\n%s", what, got, s.log)
		}
	}
}

func (s *stage) seatView(who string) routing.SeatView {
	s.t.Helper()
	res, err := http.Get("http://" + s.http + "/api/seats")
	if err != nil {
		s.t.Fatal(err)
	}
	defer http.DefaultClient.CloseIdleConnections()
	defer res.Body.Close()
	var seats []routing.SeatView
	if err := json.NewDecoder(res.Body).Decode(&seats); err != nil {
		s.t.Fatal(err)
	}
	for _, x := range seats {
		if string(x.ID) == who {
			return x
		}
	}
	return routing.SeatView{State: routing.SeatGone}
}

// reload takes over a config with other sections.
func (s *stage) reload(sections string) {
	s.t.Helper()
	config, err := os.ReadFile(s.file)
	if err != nil {
		s.t.Fatal(err)
	}
	s.write(withSections(string(config), sections))
	s.signal(syscall.SIGHUP)
	s.log.await(s.t, "config reloaded")
}

// end stops everything. Each call must have one record, and the journal must be
// good.
func (s *stage) end() {
	s.t.Helper()
	if n := scrape(s.t, s.http)["hotline_invariant_violations"]; n != 0 {
		s.t.Errorf("%v violations of routing's invariants", n)
	}
	for _, b := range s.baresips {
		b.stop()
	}
	s.signal(syscall.SIGTERM)
	if s.log.await(s.t, "draining: no new calls")["in_progress"] != "0" {
		_ = s.cmd.Process.Signal(syscall.SIGTERM) // the callers who are left are hung up; perhaps they have just gone
	}
	s.exits(0)
	for _, ended := range s.callers {
		if err := awaitSipp(s.t, ended); err != nil {
			s.t.Error(err)
		}
	}
	if recs := s.records(); len(recs) != len(s.callers) || outcomes(s.t, recs)["failed"] != 0 {
		s.t.Errorf("%d calls have the records %v", len(s.callers), recs)
	}
	if out, errs, code := runProgram(s.t, "journal", "verify", filepath.Join(s.dir, "journal")); code != 0 || !strings.Contains(out, "good: it can be read back") {
		s.t.Errorf("hotline journal verify: code %d, %s%s", code, out, errs)
	}
}

// record is that of somebody's latest call.
func (s *stage) record(who string) record {
	s.t.Helper()
	for _, r := range s.records() {
		if r.str("call") == s.call[who] {
			return r
		}
	}
	s.t.Fatalf("%s's call has no record", who)
	return nil
}

// why wants `hotline why` to say these things of these people's latest calls.
func (s *stage) why(lines string) {
	s.t.Helper()
	for line := range strings.Lines(lines) {
		who, text, ok := strings.Cut(strings.TrimSpace(line), ": ")
		if !ok {
			continue
		}
		out, errs, code := runProgram(s.t, "why", s.call[who], "--journal", filepath.Join(s.dir, "journal"))
		if code != 0 || !strings.Contains(out, text) {
			s.t.Errorf("hotline why of %s's call: code %d, want %q in\n%s%s", who, code, text, out, errs)
		}
	}
}
