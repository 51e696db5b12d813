// Package plot draws SVG plots and puts them on one HTML page that needs nothing
// else: no script, no other file, no network. All text is escaped here.
package plot

import (
	"fmt"
	"html"
	"math"
	"strings"
)

// Width is that of every plot, so that plots below each other line up.
const Width = 720

// The margins of a plot, beside the right one.
const left, top, bottom = 40.0, 20.0, 30.0

// Axis runs from From to To; its marks are written beside it.
type Axis struct {
	From, To float64
	Marks    []Mark
}

// Mark is a text at a place of an axis.
type Mark struct {
	At   float64
	Text string
}

// Percent is the axis of a share: 0 to 1, marked every 20 %.
func Percent() Axis {
	a := Axis{To: 1}
	for v := 0; v <= 100; v += 20 {
		a.Marks = append(a.Marks, Mark{float64(v) / 100, fmt.Sprintf("%d%%", v)})
	}
	return a
}

// Count is the axis of a number: from 0 to a round one that is not less than most,
// with at most six marks, at whole numbers.
func Count(most float64) Axis {
	step := 1.0
	for i := 0; step*5 < most; i++ {
		step *= []float64{2, 2.5, 2}[i%3] // 1, 2, 5, 10, 20, ...
	}
	a := Axis{To: step * math.Max(1, math.Ceil(most/step))}
	for v := 0.0; v <= a.To; v += step {
		a.Marks = append(a.Marks, Mark{v, fmt.Sprintf("%.0f", v)})
	}
	return a
}

var colours = []string{"#1f77b4", "#ff7f0e", "#2ca02c", "#d62728", "#9467bd"}

// Colour is the one of the i-th thing in a plot; they repeat after five.
func Colour(i int) string { return colours[i%len(colours)] }

// Plot is one picture with two axes.
type Plot struct {
	b             strings.Builder
	height, right float64
	x, y          Axis
}

// New begins a plot with its axes. label says what it shows to those who can't see
// it; right is the margin there, for text behind the lines.
func New(label string, height, right float64, x, y Axis) *Plot {
	p := &Plot{height: height, right: right, x: x, y: y}
	fmt.Fprintf(&p.b, `<svg viewBox="0 0 %d %.0f" font-size="11" role="img" aria-label="%s">`, Width, height, html.EscapeString(label))
	for _, m := range y.Marks {
		at := p.py(m.At)
		fmt.Fprintf(&p.b, `<line x1="%.0f" x2="%.0f" y1="%.1f" y2="%.1f" stroke="#ddd"/>`, left, Width-right, at, at)
		p.text(left-4, at+4, "end", "", m.Text)
	}
	for _, m := range x.Marks {
		p.text(p.px(m.At), height-10, "middle", "", m.Text)
	}
	return p
}

// px and py turn values into places.
func (p *Plot) px(v float64) float64 {
	return left + (v-p.x.From)/(p.x.To-p.x.From)*(Width-left-p.right)
}

func (p *Plot) py(v float64) float64 {
	return p.height - bottom - (v-p.y.From)/(p.y.To-p.y.From)*(p.height-bottom-top)
}

func (p *Plot) text(x, y float64, anchor, colour, text string) {
	fmt.Fprintf(&p.b, `<text x="%.1f" y="%.1f"`, x, y)
	if anchor != "" {
		fmt.Fprintf(&p.b, ` text-anchor="%s"`, anchor)
	}
	if colour != "" {
		fmt.Fprintf(&p.b, ` fill="%s"`, colour)
	}
	fmt.Fprintf(&p.b, `>%s</text>`, html.EscapeString(text))
}

// Bar stands between two places of the x axis. title is shown by a mouse over it.
func (p *Plot) Bar(from, to, value float64, colour, title string) {
	fmt.Fprintf(&p.b, `<rect x="%.1f" y="%.1f" width="%.1f" height="%.1f" fill="%s"><title>%s</title></rect>`,
		p.px(from), p.py(value), p.px(to)-p.px(from), p.py(p.y.From)-p.py(value), colour, html.EscapeString(title))
}

// Whisker is a thin upright line: what is between two values, such as a confidence
// interval, or a place that is pointed out.
func (p *Plot) Whisker(x, from, to float64) {
	fmt.Fprintf(&p.b, `<line x1="%.1f" x2="%.1f" y1="%.1f" y2="%.1f" stroke="black"/>`, p.px(x), p.px(x), p.py(to), p.py(from))
}

// Point is a place in a plot, in the units of its axes.
type Point struct{ X, Y float64 }

// Line joins points. dash is an SVG dash pattern, empty for a whole line.
func (p *Plot) Line(points []Point, colour, dash, title string) {
	fmt.Fprintf(&p.b, `<polyline fill="none" stroke="%s" stroke-width="2"`, colour)
	if dash != "" {
		fmt.Fprintf(&p.b, ` stroke-dasharray="%s"`, dash)
	}
	p.b.WriteString(` points="`)
	for _, at := range points {
		fmt.Fprintf(&p.b, "%.1f,%.1f ", p.px(at.X), p.py(at.Y))
	}
	fmt.Fprintf(&p.b, `"><title>%s</title></polyline>`, html.EscapeString(title))
}

// Dashed is the pattern of a broken line.
const Dashed = "6 3"

// Dot marks one point.
func (p *Plot) Dot(at Point, radius float64, colour, title string) {
	fmt.Fprintf(&p.b, `<circle cx="%.1f" cy="%.1f" r="%.0f" fill="%s"><title>%s</title></circle>`, p.px(at.X), p.py(at.Y), radius, colour, html.EscapeString(title))
}

// Behind writes in the right margin, at the height of a value.
func (p *Plot) Behind(value float64, colour, text string) {
	p.text(Width-p.right+6, p.py(value)+4, "", colour, text)
}

// SVG is the finished plot. Nothing may be added after it.
func (p *Plot) SVG() string {
	p.b.WriteString("</svg>\n")
	return p.b.String()
}
