package simulate

import (
	"bufio"
	"context"
	"flag"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"hotline/routing"
)

var updateDocs = flag.Bool("update-docs", false, "write docs/real-day.md and its plot anew")

// bankCall is a line of the Technion "anonymous bank" data.
type bankCall struct {
	priority, outcome, server, date string
	queueStart, vruExit             int // s of the day; queueStart 0: no queue
	wait, service                   int // s
	serviceStart                    int
}

// bankCalls reads the data as it is. It is for research and testing and must not
// be copied: it lies beside the repository, or where HOTLINE_BANK_CALLS says.
// Lines that can't be read are reported, not dropped in silence.
func bankCalls(t *testing.T) []bankCall {
	t.Helper()
	name := os.Getenv("HOTLINE_BANK_CALLS")
	named := name != ""
	if !named {
		name = filepath.Join("..", "..", "..", "shared", "data", "bank-calls-1999-10-first-half.tsv")
	}
	f, err := os.Open(name)
	if os.IsNotExist(err) && !named {
		t.Skipf("the bank's data is not at %s and may not be shipped; get it from the Technion's SEELab and set HOTLINE_BANK_CALLS", name)
	}
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var out []bankCall
	lines := bufio.NewScanner(f)
	for n := 1; lines.Scan(); n++ {
		w := strings.Split(strings.TrimRight(lines.Text(), "\r"), "\t")
		if n == 1 {
			continue
		}
		c, err := readBankCall(w)
		if err != nil {
			t.Logf("line %d left out: %v", n, err)
			continue
		}
		out = append(out, c)
	}
	if err := lines.Err(); err != nil {
		t.Fatal(err)
	}
	return out
}

func readBankCall(w []string) (bankCall, error) {
	if len(w) != 17 {
		return bankCall{}, fmt.Errorf("%d columns instead of 17", len(w))
	}
	var errs error
	clock := func(s string) int {
		p := strings.Split(s, ":")
		sec := 0
		for _, part := range p {
			v, err := strconv.Atoi(part)
			if err != nil || len(p) != 3 {
				errs = fmt.Errorf("time %q", s)
			}
			sec = 60*sec + v
		}
		return sec
	}
	num := func(s string) int {
		v, err := strconv.Atoi(s)
		if err != nil || v < 0 {
			errs = fmt.Errorf("number %q", s)
		}
		return v
	}
	c := bankCall{priority: w[3], date: w[5], vruExit: clock(w[7]), queueStart: clock(w[9]), wait: num(w[11]),
		outcome: w[12], serviceStart: clock(w[13]), service: num(w[15]), server: w[16]}
	return c, errs
}

// offered: neither a phantom nor hung up in the VRU. Such a caller waited in the
// queue or went to an agent without a wait.
func (c bankCall) offered() bool {
	return c.outcome == "AGENT" || c.outcome == "HANG" && c.queueStart != 0
}

// The half month in the test's own words. The figures were counted with awk from
// the file, before this code was written.
func TestBankCountsAndServiceLevels(t *testing.T) {
	const within = 20
	var offered, answered, abandoned, a, b int
	for _, c := range bankCalls(t) {
		if !c.offered() {
			continue
		}
		offered++
		switch {
		case c.outcome == "AGENT":
			answered++
			if c.wait <= within {
				a++
			}
		default:
			abandoned++
			if c.wait <= within {
				b++
			}
		}
	}
	got := fmt.Sprintf("offered %d answered %d abandoned %d a %d b %d", offered, answered, abandoned, a, b)
	if want := "offered 16495 answered 15495 abandoned 1000 a 11713 b 288"; got != want {
		t.Errorf("%s, want %s", got, want)
	}
	for _, sl := range []struct {
		form      string
		got, want float64
	}{
		{"neg", float64(a) / float64(offered), 0.710094},
		{"ign", float64(a) / float64(offered-b), 0.722712},
		{"pos", float64(a+b) / float64(offered), 0.727554},
		{"ans", float64(a) / float64(answered), 0.755921},
	} {
		if math.Abs(sl.got-sl.want) > 5e-7 {
			t.Errorf("service level %s is %.6f, want %.6f", sl.form, sl.got, sl.want)
		}
	}
	// The product's own calculation comes to the same.
	var waits, gone []float64
	for _, c := range bankCalls(t) {
		if c.outcome == "AGENT" {
			waits = append(waits, float64(c.wait))
		} else if c.offered() {
			gone = append(gone, float64(c.wait))
		}
	}
	rep := report(&Scenario{Classes: []Class{{}}, Target: within * time.Second},
		[]*result{{classes: []tally{{offered: offered, served: answered, left: abandoned, waits: waits, gaveUp: gone}}}})
	if math.Abs(rep.All.Neg.Mean-0.710094) > 5e-7 || math.Abs(rep.All.Ign.Mean-0.722712) > 5e-7 ||
		math.Abs(rep.All.Pos.Mean-0.727554) > 5e-7 || math.Abs(rep.All.Ans.Mean-0.755921) > 5e-7 {
		t.Errorf("the report says %+v", rep.All)
	}
}

// absence is how long a server without a call must be idle to count as away.
const absence = 5 * 60

// pauses are how long servers took to their next call while somebody waited: work
// after the call, and breaks too short to be seen as absence. Their mean is the
// wrap-up of the replay.
func pauses(calls []bankCall, busy map[string][][2]int) time.Duration {
	var arrive, depart []int // of the queue
	for _, c := range calls {
		if c.offered() && c.queueStart > 0 && c.wait > 0 {
			arrive, depart = append(arrive, c.queueStart), append(depart, c.queueStart+c.wait)
		}
	}
	slices.Sort(arrive)
	slices.Sort(depart)
	waiting := func(s int) bool {
		in, _ := slices.BinarySearch(arrive, s)
		out, _ := slices.BinarySearch(depart, s+1)
		return in > out
	}
	sum, n := 0, 0
	for _, spans := range busy {
		for i := 1; i < len(spans); i++ {
			if gap := spans[i][0] - spans[i-1][1]; gap >= 0 && gap <= absence && waiting(spans[i-1][1]) {
				sum += gap
				n++
			}
		}
	}
	if n == 0 {
		return 0
	}
	return time.Duration(sum) * time.Second / time.Duration(n)
}

// bankDay makes a day's traffic: callers as they came, and seats present from
// a server's first to last service, without breaks of more than absence.
func bankDay(calls []bankCall) *Recorded {
	rec := &Recorded{From: start, Policy: routing.Policy{Order: routing.OrderDeadline, RingTime: routing.Hour,
		Queues: []routing.QueuePolicy{{ID: "bank"}}}}
	// Priority 2 came into the line as if it had waited 90 s already.
	for _, tier := range routing.Tiers() {
		target := int64(100000)
		if tier == routing.TierA1 {
			target = 10000
		}
		rec.Policy.Tiers = append(rec.Policy.Tiers, routing.TierPolicy{Tier: tier, TargetMS: target})
	}
	at := func(s int) routing.Time { return start.Add(routing.Duration(s) * routing.Second) }
	busy := map[string][][2]int{}
	for i, c := range calls {
		if !c.offered() {
			continue
		}
		came, tier := c.queueStart, routing.TierC
		if came == 0 {
			came = c.vruExit
		}
		if c.priority == "2" {
			tier = routing.TierA1
		}
		rec.Calls = append(rec.Calls, RecordedCall{ID: fmt.Sprint(i), At: at(came), Tier: tier, Queue: "bank",
			Wait: time.Duration(c.wait) * time.Second, Answered: c.outcome == "AGENT", Service: time.Duration(c.service) * time.Second})
		if c.outcome == "AGENT" && c.server != "NO_SERVER" {
			busy[c.server] = append(busy[c.server], [2]int{c.serviceStart, c.serviceStart + c.service})
		}
		rec.To = max(rec.To, at(came+c.wait+c.service))
	}
	for _, spans := range busy {
		slices.SortFunc(spans, func(a, b [2]int) int { return a[0] - b[0] })
	}
	rec.Policy.Queues[0].WrapUp = routing.Duration(pauses(calls, busy).Microseconds())
	for server, spans := range busy {
		seat := routing.SeatID(server)
		rec.Policy.Seats = append(rec.Policy.Seats, routing.SeatPolicy{ID: seat, Queues: []routing.QueueID{"bank"}})
		rec.Seats = append(rec.Seats, SeatEvent{At: start, Event: routing.SeatRegistered{Seat: seat}},
			SeatEvent{At: start, Event: routing.AgentStatusChanged{Agent: routing.AgentID(server), Status: routing.StatusLoggedOut}})
		status := func(s int, st routing.Status) {
			rec.Seats = append(rec.Seats, SeatEvent{At: at(s), Event: routing.AgentStatusChanged{Agent: routing.AgentID(server), Status: st}})
		}
		end := -absence - 1
		for _, s := range spans {
			if s[0]-end > absence {
				if end >= 0 {
					status(end, routing.StatusLoggedOut)
				}
				status(s[0]-1, routing.StatusReady)
			}
			end = max(end, s[1])
		}
		status(end, routing.StatusLoggedOut)
	}
	slices.SortFunc(rec.Policy.Seats, func(a, b routing.SeatPolicy) int { return strings.Compare(string(a.ID), string(b.ID)) })
	rec.sort()
	return rec
}

// bankRow compares one day.
type bankRow struct {
	day                string
	offered            int
	recWait, simWait   float64 // mean wait of those answered, s
	recLeft, simLeft   float64 // share that gave up
	recLevel, simLevel float64 // neg within 20 s
	recVIP, simVIP     float64 // mean wait of priority 2, answered
}

func compareDay(t *testing.T, day string, calls []bankCall) bankRow {
	t.Helper()
	rec := bankDay(calls)
	sc, err := rec.Scenario(rec.Policy, 1999, 8)
	if err != nil {
		t.Fatal(err)
	}
	sc.Target = 20 * time.Second
	rep, err := Run(context.Background(), sc, nil)
	if err != nil {
		t.Fatal(err)
	}
	row := bankRow{day: day, offered: len(rec.Calls), simWait: rep.All.ASA.Mean, simLeft: rep.All.PAbandon.Mean, simLevel: rep.All.Neg.Mean}
	var served, vips, within, left float64
	for _, c := range rec.Calls {
		switch {
		case !c.Answered:
			left++
		default:
			served++
			row.recWait += c.Wait.Seconds()
			if c.Wait <= 20*time.Second {
				within++
			}
			if c.Tier == routing.TierA1 {
				vips++
				row.recVIP += c.Wait.Seconds()
			}
		}
	}
	row.recWait /= served
	row.recVIP /= vips
	row.recLeft, row.recLevel = left/float64(len(rec.Calls)), within/float64(len(rec.Calls))
	for _, f := range rep.Tiers {
		if f.Name == "A1" {
			row.simVIP = f.ASA.Mean
		}
	}
	if total := rep.All.Answered.Mean + rep.All.Abandoned.Mean; math.Abs(total-float64(len(rec.Calls))) > 0.5 {
		t.Errorf("%s: %v calls came out of %d", day, total, len(rec.Calls))
	}
	return row
}

// The half month replayed under the bank's own rule. What comes out is a finding,
// not a pass mark: the test holds the documented table to what is computed.
func TestBankReplayedDayByDay(t *testing.T) {
	byDay := map[string][]bankCall{}
	var days []string
	for _, c := range bankCalls(t) {
		if byDay[c.date] == nil {
			days = append(days, c.date)
		}
		byDay[c.date] = append(byDay[c.date], c)
	}
	slices.Sort(days)
	var rows []bankRow
	for _, d := range days {
		rows = append(rows, compareDay(t, d, byDay[d]))
	}
	text, plot := bankTable(rows), bankPlot(rows)
	doc := filepath.Join("..", "..", "docs", "real-day.md")
	if *updateDocs {
		writeBetween(t, doc, text)
		if err := os.WriteFile(filepath.Join("..", "..", "docs", "real-day.svg"), []byte(plot), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	have, err := os.ReadFile(doc)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(have), text) {
		t.Errorf("docs/real-day.md is not what is computed; run with -update-docs. Computed:\n%s", text)
	}
}

func bankTable(rows []bankRow) string {
	var b strings.Builder
	b.WriteString("| day | offered | ASA recorded | simulated | priority 2 recorded | simulated | gave up recorded | simulated | within 20 s recorded | simulated |\n")
	b.WriteString("| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |\n")
	for _, r := range rows {
		fmt.Fprintf(&b, "| %s | %d | %.0f s | %.0f s | %.0f s | %.0f s | %.1f %% | %.1f %% | %.0f %% | %.0f %% |\n", r.day, r.offered,
			r.recWait, r.simWait, r.recVIP, r.simVIP, 100*r.recLeft, 100*r.simLeft, 100*r.recLevel, 100*r.simLevel)
	}
	return b.String()
}

// bankPlot draws the mean waits of both, day by day.
func bankPlot(rows []bankRow) string {
	const w, h, left, bottom = 720, 300, 50, 40
	top := 1.0
	for _, r := range rows {
		top = max(top, r.recWait, r.simWait)
	}
	x := func(i int) float64 { return left + float64(i)*(w-left-20)/float64(max(1, len(rows)-1)) }
	y := func(v float64) float64 { return h - bottom - v/top*(h-bottom-30) }
	var b strings.Builder
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" font-family="sans-serif" font-size="11">`+"\n", w, h)
	fmt.Fprintf(&b, `<rect width="%d" height="%d" fill="white"/><text x="%d" y="16" font-size="13">Mean wait of answered calls, s: recorded (blue) and simulated (orange)</text>`+"\n", w, h, left)
	for v := 0.0; v <= top; v += 20 {
		fmt.Fprintf(&b, `<line x1="%d" x2="%d" y1="%.1f" y2="%.1f" stroke="#ddd"/><text x="%d" y="%.1f" text-anchor="end">%.0f</text>`+"\n", left, w-20, y(v), y(v), left-6, y(v)+4, v)
	}
	for i, r := range rows {
		fmt.Fprintf(&b, `<text x="%.1f" y="%d" text-anchor="middle">%s</text>`+"\n", x(i), h-bottom+16, r.day[2:])
	}
	line := func(color string, value func(bankRow) float64) {
		fmt.Fprintf(&b, `<polyline fill="none" stroke="%s" stroke-width="2" points="`, color)
		for i, r := range rows {
			fmt.Fprintf(&b, "%.1f,%.1f ", x(i), y(value(r)))
		}
		b.WriteString("\"/>\n")
	}
	line("#1f77b4", func(r bankRow) float64 { return r.recWait })
	line("#ff7f0e", func(r bankRow) float64 { return r.simWait })
	b.WriteString("</svg>\n")
	return b.String()
}

// writeBetween puts text in place of the table of a document.
func writeBetween(t *testing.T, name, text string) {
	t.Helper()
	have, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	head, rest, ok := strings.Cut(string(have), "<!-- table -->\n")
	_, tail, ok2 := strings.Cut(rest, "<!-- end -->\n")
	if !ok || !ok2 {
		t.Fatalf("%s has no place for the table", name)
	}
	if err := os.WriteFile(name, []byte(head+"<!-- table -->\n"+text+"<!-- end -->\n"+tail), 0o644); err != nil {
		t.Fatal(err)
	}
}
