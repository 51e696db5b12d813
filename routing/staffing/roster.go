package staffing

import (
	"fmt"
	"io"
	"math"
	"time"

	"hotline/routing/plot"
	"hotline/routing/simulate"
)

// Roster is a day planned from past call records. Its needs are those of the whole
// day from midnight on.
type Roster struct {
	Date     string             `json:"date"`
	Interval string             `json:"interval"`
	Calls    float64            `json:"calls"`
	Trend    float64            `json:"trend"`
	Patience float64            `json:"patience_s"` // 0: nobody gave up
	Goal     Goal               `json:"goal"`
	Needs    []Need             `json:"intervals"`
	Shifts   []Shift            `json:"shifts"`
	Hours    float64            `json:"agent_hours"`
	Tiers    []simulate.Figures `json:"tiers,omitempty"`
}

// WritePage writes the roster as one self-contained HTML page with plots.
func (r *Roster) WritePage(w io.Writer) error {
	goal := fmt.Sprintf("%.4g %% answered within %.4g s, of all offered", 100*r.Goal.Share, r.Goal.Target)
	patience := "nobody gives up"
	if r.Patience > 0 {
		patience = fmt.Sprintf("callers have a mean patience of %.0f s", r.Patience)
	}
	x := r.hours()
	parts := []string{
		plot.Heading(r.day(), fmt.Sprintf("%.0f calls expected, trend %+.0f %%; goal: %s; %s; %.0f agent hours.",
			r.Calls, 100*(r.Trend-1), goal, patience, r.Hours)),
		plot.Heading("Calls", "forecast for each interval"), r.callsPlot(x),
		plot.Heading("Seats", "what the goal needs, and what the shifts give"), r.seatsPlot(x),
		plot.Heading("Service level", "to be expected with the seats that the shifts give"), r.levelPlot(x),
		plot.Heading("Figures", "the level is that of the seats needed; one less and one more are the levels with a seat less or more"),
		r.table(), r.shiftTable(),
	}
	if len(r.Tiers) > 0 {
		parts = append(parts, plot.Heading("Tiers", "simulated with these shifts, every seat open to all"), simulate.FiguresTable("tier", r.Tiers))
	}
	return plot.WritePage(w, "hotline staff", parts...)
}

func (r *Roster) day() string {
	if d, err := time.Parse(time.DateOnly, r.Date); err == nil {
		return d.Weekday().String() + " " + r.Date
	}
	return r.Date
}

// busy says that the interval has something to show.
func (n *Need) busy() bool { return n.Seats > 0 || n.Staffed > 0 }

// span is where the i-th interval begins and ends, in hours.
func (r *Roster) span(i int) (from, to float64) {
	n := float64(len(r.Needs))
	return 24 * float64(i) / n, 24 * float64(i+1) / n
}

// hours is the axis of the busy part of the day, in whole hours.
func (r *Roster) hours() plot.Axis {
	x := plot.Axis{From: 24, To: 0}
	for i := range r.Needs {
		if from, to := r.span(i); r.Needs[i].busy() {
			x.From, x.To = math.Min(x.From, math.Floor(from)), math.Max(x.To, math.Ceil(to))
		}
	}
	if x.To == 0 { // a day without calls
		x.From, x.To = 0, 24
	}
	step := math.Ceil((x.To - x.From) / 12)
	for at := x.From; at <= x.To; at += step {
		x.Marks = append(x.Marks, plot.Mark{At: at, Text: fmt.Sprintf("%02.0f:00", at)})
	}
	return x
}

// The plots of a day stand below each other.
const dayHeight, dayRight = 200, 60

// bars draws a bar for each busy interval, beside its neighbours.
func (r *Roster) bars(p *plot.Plot, value func(*Need) float64, title string) {
	for i := range r.Needs {
		n := &r.Needs[i]
		if from, to := r.span(i); n.busy() {
			gap := (to - from) * 0.05
			p.Bar(from+gap, to-gap, value(n), plot.Colour(0), fmt.Sprintf(title, n.Clock, value(n)))
		}
	}
}

// steps draws a level line through each run of intervals that have a value.
func (r *Roster) steps(p *plot.Plot, has func(*Need) bool, value func(*Need) float64, colour, title string) {
	var run []plot.Point
	for i := range r.Needs {
		n := &r.Needs[i]
		if from, to := r.span(i); has(n) {
			run = append(run, plot.Point{X: from, Y: value(n)}, plot.Point{X: to, Y: value(n)})
		}
		if len(run) > 0 && (i+1 == len(r.Needs) || !has(n)) {
			p.Line(run, colour, "", title)
			run = nil
		}
	}
}

func (r *Roster) callsPlot(x plot.Axis) string {
	most := 0.0
	for _, n := range r.Needs {
		most = math.Max(most, n.Calls)
	}
	p := plot.New("calls of each interval", dayHeight, dayRight, x, plot.Count(most))
	r.bars(p, func(n *Need) float64 { return n.Calls }, "%s: %.1f calls")
	return p.SVG()
}

func (r *Roster) seatsPlot(x plot.Axis) string {
	most := 0
	for _, n := range r.Needs {
		most = max(most, n.Seats, n.Staffed)
	}
	p := plot.New("seats of each interval", dayHeight, dayRight, x, plot.Count(float64(most)))
	r.bars(p, func(n *Need) float64 { return float64(n.Seats) }, "%s: %.0f seats needed")
	r.steps(p, (*Need).busy, func(n *Need) float64 { return float64(n.Staffed) }, plot.Colour(1), "seats that the shifts give")
	return p.SVG() + plot.Legend(plot.Key{Colour: plot.Colour(0), Text: "needed"}, plot.Key{Colour: plot.Colour(1), Text: "given by the shifts"})
}

func (r *Roster) levelPlot(x plot.Axis) string {
	p := plot.New("service level of each interval", dayHeight, dayRight, x, plot.Percent())
	drawGoal(p, x, r.Goal.Share)
	r.steps(p, func(n *Need) bool { return n.Seats > 0 }, func(n *Need) float64 { return n.StaffedLevel }, plot.Colour(1), "service level with the seats that the shifts give")
	return p.SVG()
}

// drawGoal draws what is to be reached.
func drawGoal(p *plot.Plot, x plot.Axis, share float64) {
	p.Line([]plot.Point{{X: x.From, Y: share}, {X: x.To, Y: share}}, goalColour, plot.Dashed, fmt.Sprintf("goal: %.4g %%", 100*share))
	p.Behind(share, goalColour, "goal")
}

var goalColour = plot.Colour(3)

func (r *Roster) table() string {
	var rows [][]string
	for i := range r.Needs {
		if n := &r.Needs[i]; n.busy() {
			rows = append(rows, append([]string{n.Clock, fmt.Sprintf("%.1f", n.Calls)}, n.figures()...))
		}
	}
	return plot.Table([]string{"from", "calls", "AHT", "seats needed", "level", "one less", "one more", "staffed", "level with these"}, rows)
}

// figures are those of the table. Without calls there is no level, not one of 0.
func (n *Need) figures() []string {
	seats, staffed := fmt.Sprint(n.Seats), fmt.Sprint(n.Staffed)
	if n.quiet() {
		return []string{"", seats, "", "", "", staffed, ""}
	}
	return []string{fmt.Sprintf("%.0f s", n.AHT), seats, share(n.Level), share(n.Less), share(n.More), staffed, share(n.StaffedLevel)}
}

func share(v float64) string { return fmt.Sprintf("%.1f %%", 100*v) }

func (r *Roster) shiftTable() string {
	var rows [][]string
	for _, s := range r.Shifts {
		rows = append(rows, []string{s.Clock, fmt.Sprint(s.Agents)})
	}
	return plot.Table([]string{"shift from", "agents"}, rows)
}
