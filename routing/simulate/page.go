package simulate

import (
	"fmt"
	"html"
	"io"
	"math"
	"slices"

	"hotline/routing/plot"
)

// Named is a report and what it is called: "config.yaml".
type Named struct {
	Name   string
	Report *Report
}

// Curve is the share of the offered calls whose wait was over by being answered
// within each of the given seconds, over all replications, for the i-th tier of
// the report.
func (rep *Report) Curve(tier int, seconds []float64) []float64 {
	name := rep.Tiers[tier].Name
	var waits []float64
	over := 0
	for _, r := range rep.results {
		for i := range r.classes {
			if rep.sc.Classes[i].Tier.String() == name {
				waits = append(waits, r.classes[i].waits...)
				over += r.classes[i].served + r.classes[i].left
			}
		}
	}
	slices.Sort(waits)
	out := make([]float64, len(seconds))
	for k, s := range seconds {
		n, _ := slices.BinarySearch(waits, math.Nextafter(s, math.Inf(1)))
		if over > 0 {
			out[k] = float64(n) / float64(over)
		}
	}
	return out
}

// WritePage writes one self-contained HTML page with the tables and plots of one
// report, or of several side by side.
func WritePage(w io.Writer, reports []Named) error {
	var parts []string
	for _, r := range reports {
		parts = append(parts, plot.Heading(r.Name, fmt.Sprintf("%d replications, seed %d; occupancy %s; on average %.2f calls wait.",
			r.Report.Replications, r.Report.Seed, percent(r.Report.Occupancy), r.Report.Waiting.Mean)),
			FiguresTable("tier", r.Report.Tiers), FiguresTable("queue", r.Report.Queues))
	}
	return plot.WritePage(w, "hotline simulate", append(parts,
		plot.Heading("Service level by tier", "answered within the tier's target, of all offered (neg); the line is the 95 % confidence interval"), bars(reports),
		plot.Heading("Answered within", "share of the offered calls that were answered within so many seconds"), curves(reports))...)
}

// TargetText is the target for people.
func (f Figures) TargetText() string {
	if f.Target == 0 {
		return "by tier"
	}
	return fmt.Sprintf("%.4g s", f.Target)
}

func percent(e Estimate) string { return fmt.Sprintf("%.1f ± %.1f %%", 100*e.Mean, 100*e.HalfWidth) }

// FiguresTable is a table for a page: a row for each of the tiers, queues or
// whatever of names.
func FiguresTable(of string, figures []Figures) string {
	rows := make([][]string, len(figures))
	for i, f := range figures {
		rows[i] = []string{f.Name, fmt.Sprintf("%.0f", f.Offered.Mean), fmt.Sprintf("%.0f", f.Answered.Mean), percent(f.PAbandon), percent(f.PShed), f.TargetText(),
			percent(f.Neg), percent(f.Ign), percent(f.Pos), percent(f.Ans), fmt.Sprintf("%.1f ± %.1f s", f.ASA.Mean, f.ASA.HalfWidth),
			fmt.Sprintf("%.0f s", f.P50.Mean), fmt.Sprintf("%.0f s", f.P80.Mean), fmt.Sprintf("%.0f s", f.P95.Mean)}
	}
	return plot.Table([]string{of, "offered", "answered", "gave up", "shed", "target", "neg", "ign", "pos", "ans", "ASA", "P50", "P80", "P95"}, rows)
}

// bars draws the service level of each tier, a bar for each report.
func bars(reports []Named) string {
	tiers := reports[0].Report.Tiers
	x := plot.Axis{To: math.Max(1, float64(len(tiers)))}
	for i, t := range tiers {
		x.Marks = append(x.Marks, plot.Mark{At: float64(i) + 0.5, Text: t.Name})
	}
	p := plot.New("service level by tier", 240, 0, x, plot.Percent())
	width := 0.8 / float64(len(reports))
	for i, t := range tiers {
		for k, r := range reports {
			f := r.Report.Tiers[i]
			from := float64(i) + 0.1 + float64(k)*width
			p.Bar(from, from+width*0.95, f.Neg.Mean, plot.Colour(k), fmt.Sprintf("%s %s: %s", r.Name, t.Name, percent(f.Neg)))
			p.Whisker(from+width/2, math.Max(0, f.Neg.Mean-f.Neg.HalfWidth), math.Min(1, f.Neg.Mean+f.Neg.HalfWidth))
		}
	}
	return p.SVG() + legend(reports)
}

func legend(reports []Named) string {
	if len(reports) < 2 {
		return ""
	}
	var keys []plot.Key
	for k, r := range reports {
		keys = append(keys, plot.Key{Colour: plot.Colour(k), Text: r.Name})
	}
	return plot.Legend(keys...)
}

// curves draws, for each tier, the share answered within a time.
func curves(reports []Named) string {
	x := plot.Axis{To: 30}
	for _, r := range reports {
		for _, f := range r.Report.Tiers {
			x.To = max(x.To, f.P95.Mean, 2*f.Target)
		}
	}
	for i := range 7 {
		at := x.To * float64(i) / 6
		x.Marks = append(x.Marks, plot.Mark{At: at, Text: fmt.Sprintf("%.0f s", at)})
	}
	p := plot.New("share answered within a time, by tier", 280, 60, x, plot.Percent())
	for k, r := range reports {
		for i := range r.Report.Tiers {
			r.curve(p, i, k, x.To)
		}
	}
	if len(reports) > 1 {
		return p.SVG() + fmt.Sprintf("<p><small>dashed: %s</small></p>\n", html.EscapeString(reports[1].Name))
	}
	return p.SVG()
}

// curve draws one tier of the k-th report, up to so many seconds.
func (r Named) curve(p *plot.Plot, tier, k int, last float64) {
	const steps = 120
	var seconds []float64
	for i := 0; i <= steps; i++ {
		seconds = append(seconds, last*float64(i)/steps)
	}
	points := make([]plot.Point, len(seconds))
	for i, v := range r.Report.Curve(tier, seconds) {
		points[i] = plot.Point{X: seconds[i], Y: v}
	}
	name, dash := r.Report.Tiers[tier].Name, ""
	if k > 0 {
		dash = plot.Dashed
	} else {
		p.Behind(points[steps].Y, plot.Colour(tier), name)
	}
	p.Line(points, plot.Colour(tier), dash, r.Name+" "+name)
}
