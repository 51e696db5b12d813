package simulate

import (
	"fmt"
	"html"
	"io"
	"math"
	"slices"
	"strings"
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
	var b strings.Builder
	b.WriteString(`<!doctype html><html lang="en"><meta charset="utf-8"><title>hotline simulate</title>
<style>body{font:14px sans-serif;margin:2em;max-width:1200px}table{border-collapse:collapse;margin:1em 0}
td,th{white-space:nowrap;padding:3px 9px;text-align:right;border-bottom:1px solid #ddd}td:first-child,th:first-child{text-align:left}
h2{margin-top:2em}svg{max-width:100%}small{color:#555}</style><h1>hotline simulate</h1>
`)
	for _, r := range reports {
		fmt.Fprintf(&b, "<h2>%s</h2><p>%d replications, seed %d; occupancy %s; on average %.2f calls wait.</p>\n", html.EscapeString(r.Name),
			r.Report.Replications, r.Report.Seed, percent(r.Report.Occupancy), r.Report.Waiting.Mean)
		pageTable(&b, "tier", r.Report.Tiers)
		pageTable(&b, "queue", r.Report.Queues)
	}
	b.WriteString("<h2>Service level by tier</h2><p><small>answered within the tier's target, of all offered (neg); the line is the 95 % confidence interval</small></p>\n")
	b.WriteString(bars(reports))
	b.WriteString("<h2>Answered within</h2><p><small>share of the offered calls that were answered within so many seconds</small></p>\n")
	b.WriteString(curves(reports))
	b.WriteString("</html>\n")
	_, err := io.WriteString(w, b.String())
	return err
}

// TargetText is the target for people.
func (f Figures) TargetText() string {
	if f.Target == 0 {
		return "by tier"
	}
	return fmt.Sprintf("%.4g s", f.Target)
}

func percent(e Estimate) string { return fmt.Sprintf("%.1f ± %.1f %%", 100*e.Mean, 100*e.HalfWidth) }

func pageTable(b *strings.Builder, of string, rows []Figures) {
	fmt.Fprintf(b, "<table><tr><th>%s<th>offered<th>answered<th>gave up<th>target<th>neg<th>ign<th>pos<th>ans<th>ASA<th>P50<th>P80<th>P95\n", of)
	for _, f := range rows {
		fmt.Fprintf(b, "<tr><td>%s<td>%.0f<td>%.0f<td>%s<td>%s<td>%s<td>%s<td>%s<td>%s<td>%.1f ± %.1f s<td>%.0f s<td>%.0f s<td>%.0f s\n",
			html.EscapeString(f.Name), f.Offered.Mean, f.Answered.Mean, percent(f.PAbandon), f.TargetText(), percent(f.Neg), percent(f.Ign),
			percent(f.Pos), percent(f.Ans), f.ASA.Mean, f.ASA.HalfWidth, f.P50.Mean, f.P80.Mean, f.P95.Mean)
	}
	b.WriteString("</table>\n")
}

var colours = []string{"#1f77b4", "#ff7f0e", "#2ca02c", "#d62728", "#9467bd"}

// bars draws the service level of each tier, a bar for each report.
func bars(reports []Named) string {
	const w, h, left, bottom = 720, 240, 40, 30
	var b strings.Builder
	fmt.Fprintf(&b, `<svg viewBox="0 0 %d %d" font-size="11">`, w, h)
	y := func(v float64) float64 { return h - bottom - v*(h-bottom-20) }
	for v := 0; v <= 100; v += 20 {
		fmt.Fprintf(&b, `<line x1="%d" x2="%d" y1="%.1f" y2="%.1f" stroke="#ddd"/><text x="%d" y="%.1f" text-anchor="end">%d%%</text>`, left, w, y(float64(v)/100), y(float64(v)/100), left-4, y(float64(v)/100)+4, v)
	}
	tiers := reports[0].Report.Tiers
	step := float64(w-left) / float64(max(1, len(tiers)))
	width := step * 0.8 / float64(len(reports))
	for i, t := range tiers {
		for k, r := range reports {
			f := r.Report.Tiers[i]
			x := left + float64(i)*step + step*0.1 + float64(k)*width
			fmt.Fprintf(&b, `<rect x="%.1f" y="%.1f" width="%.1f" height="%.1f" fill="%s"><title>%s %s: %s</title></rect>`, x, y(f.Neg.Mean), width*0.95, y(0)-y(f.Neg.Mean), colours[k%len(colours)], html.EscapeString(r.Name), t.Name, percent(f.Neg))
			fmt.Fprintf(&b, `<line x1="%.1f" x2="%.1f" y1="%.1f" y2="%.1f" stroke="black"/>`, x+width/2, x+width/2, y(min(1, f.Neg.Mean+f.Neg.HalfWidth)), y(max(0, f.Neg.Mean-f.Neg.HalfWidth)))
		}
		fmt.Fprintf(&b, `<text x="%.1f" y="%d" text-anchor="middle">%s</text>`, left+(float64(i)+0.5)*step, h-10, t.Name)
	}
	b.WriteString("</svg>\n")
	return b.String() + legend(reports)
}

func legend(reports []Named) string {
	if len(reports) < 2 {
		return ""
	}
	var b strings.Builder
	for k, r := range reports {
		fmt.Fprintf(&b, `<span style="color:%s">&#9632;</span> %s &nbsp; `, colours[k%len(colours)], html.EscapeString(r.Name))
	}
	return "<p>" + b.String() + "</p>\n"
}

// curves draws, for each tier, the share answered within a time.
func curves(reports []Named) string {
	const w, h, left, bottom = 720, 280, 40, 30
	last := 30.0
	for _, r := range reports {
		for _, f := range r.Report.Tiers {
			last = max(last, f.P95.Mean, 2*f.Target)
		}
	}
	var seconds []float64
	for i := 0; i <= 120; i++ {
		seconds = append(seconds, last*float64(i)/120)
	}
	x := func(s float64) float64 { return left + s/last*(w-left-60) }
	y := func(v float64) float64 { return h - bottom - v*(h-bottom-20) }
	var b strings.Builder
	fmt.Fprintf(&b, `<svg viewBox="0 0 %d %d" font-size="11">`, w, h)
	for v := 0; v <= 100; v += 20 {
		fmt.Fprintf(&b, `<line x1="%d" x2="%d" y1="%.1f" y2="%.1f" stroke="#ddd"/><text x="%d" y="%.1f" text-anchor="end">%d%%</text>`, left, w-60, y(float64(v)/100), y(float64(v)/100), left-4, y(float64(v)/100)+4, v)
	}
	for i := 0; i <= 6; i++ {
		fmt.Fprintf(&b, `<text x="%.1f" y="%d" text-anchor="middle">%.0f s</text>`, x(last*float64(i)/6), h-10, last*float64(i)/6)
	}
	for k, r := range reports {
		for i, f := range r.Report.Tiers {
			dash := ""
			if k > 0 {
				dash = ` stroke-dasharray="6 3"`
			}
			fmt.Fprintf(&b, `<polyline fill="none" stroke="%s" stroke-width="2"%s points="`, colours[i%len(colours)], dash)
			values := r.Report.Curve(i, seconds)
			for j, v := range values {
				fmt.Fprintf(&b, "%.1f,%.1f ", x(seconds[j]), y(v))
			}
			fmt.Fprintf(&b, `"><title>%s %s</title></polyline>`, html.EscapeString(r.Name), f.Name)
			if k == 0 {
				fmt.Fprintf(&b, `<text x="%d" y="%.1f" fill="%s">%s</text>`, w-54, y(values[len(values)-1])+4, colours[i%len(colours)], f.Name)
			}
		}
	}
	b.WriteString("</svg>\n")
	if len(reports) > 1 {
		fmt.Fprintf(&b, "<p><small>dashed: %s</small></p>\n", html.EscapeString(reports[1].Name))
	}
	return b.String()
}
