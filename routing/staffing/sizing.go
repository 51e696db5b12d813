package staffing

import (
	"fmt"
	"io"
	"math"

	"hotline/routing/erlang"
	"hotline/routing/plot"
)

// Sizing is a load and the number of seats chosen for it.
type Sizing struct {
	Model string // "erlang-c" or "erlang-a"
	Load  erlang.Load
	Seats int
	// Goal has a Share of 0 when the seats were given.
	Goal Goal
}

// sized is what one number of seats makes of the load.
type sized struct {
	seats int
	level float64
	erlang.Wait
}

// around computes up to 41 numbers of seats around the chosen one. Three times the
// square root of the load is where the service level goes from bad to good, as
// arrivals scatter that much. Without impatience too few seats have no figures.
func (z *Sizing) around() []sized {
	const each = 20 // so many less and more
	reach := max(4, int(math.Ceil(3*math.Sqrt(z.Load.Offered()))))
	step := (reach + each - 1) / each
	var out []sized
	for k := -reach / step; k <= reach/step; k++ {
		n := z.Seats + k*step
		if m, err := erlang.New(z.Load, n); err == nil {
			out = append(out, sized{n, m.ServiceLevel(z.Goal.Target).Neg, m.Waits()})
		}
	}
	return out
}

// WritePage writes one self-contained HTML page: how service level and the share
// that has to wait change with the seats, the chosen number marked.
func (z *Sizing) WritePage(w io.Writer) error {
	all := z.around()
	note := fmt.Sprintf("%s, %.2f erlangs: %.4g calls an hour of %.4g s", z.Model, z.Load.Offered(), 3600*z.Load.Rate, z.Load.Service)
	if z.Load.Patience > 0 {
		note += fmt.Sprintf(", mean patience %.4g s", z.Load.Patience)
	}
	var rows [][]string
	for _, s := range all {
		name := fmt.Sprint(s.seats)
		if s.seats == z.Seats {
			name += " (chosen)"
		}
		rows = append(rows, []string{name, share(s.level), share(s.PWait), share(s.PAbandon), fmt.Sprintf("%.1f s", s.ASA), share(s.Occupancy)})
	}
	return plot.WritePage(w, "hotline staff",
		plot.Heading(fmt.Sprintf("%d seats", z.Seats), note+"."),
		plot.Heading("Service level by seats", fmt.Sprintf("share answered within %.4g s, of all offered, and share that has to wait", z.Goal.Target)), z.plot(all),
		plot.Table([]string{"seats", "service level", "has to wait", "gives up", "ASA", "occupancy"}, rows))
}

func (z *Sizing) plot(all []sized) string {
	last := len(all) - 1
	x := plot.Axis{From: float64(all[0].seats) - 0.5, To: float64(all[last].seats) + 0.5}
	for i := 0; i <= last; i += max(1, (len(all)+11)/12) {
		x.Marks = append(x.Marks, plot.Mark{At: float64(all[i].seats), Text: fmt.Sprint(all[i].seats)})
	}
	p := plot.New("service level and share that waits, by seats", 280, 60, x, plot.Percent())
	if z.Goal.Share > 0 {
		drawGoal(p, x, z.Goal.Share)
	}
	p.Whisker(float64(z.Seats), 0, 1)
	z.curve(p, all, plot.Colour(0), "answered in time", func(s sized) float64 { return s.level })
	z.curve(p, all, plot.Colour(1), "has to wait", func(s sized) float64 { return s.PWait })
	return p.SVG() + plot.Legend(plot.Key{Colour: plot.Colour(0), Text: "service level"}, plot.Key{Colour: plot.Colour(1), Text: "has to wait"},
		plot.Key{Colour: "black", Text: fmt.Sprintf("%d seats", z.Seats)})
}

// curve draws one figure, with a larger dot at the chosen number.
func (z *Sizing) curve(p *plot.Plot, all []sized, colour, name string, value func(sized) float64) {
	points := make([]plot.Point, len(all))
	for i, s := range all {
		points[i] = plot.Point{X: float64(s.seats), Y: value(s)}
	}
	p.Line(points, colour, "", name)
	for i, s := range all {
		radius := 2.0
		if s.seats == z.Seats {
			radius = 5
		}
		p.Dot(points[i], radius, colour, fmt.Sprintf("%d seats: %s %s", s.seats, share(value(s)), name))
	}
}
