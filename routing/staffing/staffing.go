// Package staffing says how many seats a day needs: it makes a forecast from past
// calls, computes the seats of each interval by Erlang A, and covers them with
// shifts.
package staffing

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"time"

	"hotline/routing"
	"hotline/routing/erlang"
	"hotline/routing/simulate"
)

// Call is a past call that entered a queue.
type Call struct {
	At       time.Time // of entering the queue
	Tier     routing.Tier
	Queue    routing.QueueID
	Wait     float64 // s
	Answered bool
	Talk     float64 // s, with holds; 0 when not answered
	WrapUp   float64 // s
}

// History is what past calls say of days to come.
type History struct {
	interval time.Duration
	// sum of calls by weekday and interval of the day, and the days seen.
	counts [7][]float64
	days   [7]float64
	handle []float64 // sum of handling times by interval of the day
	served []float64
	aht    float64
	waits  []simulate.Wait
	trend  float64
	first  time.Time
	last   time.Time
}

// Learn makes a history of calls, in their own time zones. The interval must
// divide the day. Holidays (yyyy-mm-dd) count, and are forecast, as Sundays.
func Learn(calls []Call, interval time.Duration, holidays []string) (*History, error) {
	if interval <= 0 || 24*time.Hour%interval != 0 {
		return nil, fmt.Errorf("an interval of %v doesn't divide the day; use 15m, 30m or 1h", interval)
	}
	if len(calls) == 0 {
		return nil, errors.New("no call entered a queue: nothing to forecast from")
	}
	n := int(24 * time.Hour / interval)
	h := &History{interval: interval, handle: make([]float64, n), served: make([]float64, n)}
	for d := range h.counts {
		h.counts[d] = make([]float64, n)
	}
	calls = slices.Clone(calls)
	slices.SortFunc(calls, func(a, b Call) int { return a.At.Compare(b.At) })
	h.first, h.last = calls[0].At, calls[len(calls)-1].At
	var sum, served float64
	perDay := map[string]float64{}
	for _, c := range calls {
		slot := h.slot(c.At)
		h.counts[weekday(c.At, holidays)][slot]++
		perDay[c.At.Format(time.DateOnly)]++
		h.waits = append(h.waits, simulate.Wait{Seconds: c.Wait, GaveUp: !c.Answered})
		if c.Answered {
			h.handle[slot] += c.Talk + c.WrapUp
			h.served[slot]++
			sum += c.Talk + c.WrapUp
			served++
		}
	}
	if served == 0 {
		return nil, errors.New("no call was answered: the handling time isn't known")
	}
	h.aht = sum / served
	// A day without a call is a day, too.
	for d := midnight(h.first); !d.After(h.last); d = d.AddDate(0, 0, 1) {
		h.days[weekday(d, holidays)]++
	}
	h.trend = trend(perDay, h, holidays)
	return h, nil
}

func midnight(t time.Time) time.Time {
	y, m, d := t.Date()
	return time.Date(y, m, d, 0, 0, 0, 0, t.Location())
}

func (h *History) slot(t time.Time) int {
	return min(len(h.handle)-1, int((time.Duration(t.Hour())*time.Hour+time.Duration(t.Minute())*time.Minute)/h.interval))
}

func weekday(t time.Time, holidays []string) time.Weekday {
	if slices.Contains(holidays, t.Format(time.DateOnly)) {
		return time.Sunday
	}
	return t.Weekday()
}

// trend is by how much the last seven days had more calls than days of their
// weekdays have on average. With less than three weeks there is none to see.
func trend(perDay map[string]float64, h *History, holidays []string) float64 {
	if h.last.Sub(h.first) < 20*24*time.Hour {
		return 1
	}
	var got, expected float64
	for i := range 7 {
		day := midnight(h.last).AddDate(0, 0, -i)
		got += perDay[day.Format(time.DateOnly)]
		w := weekday(day, holidays)
		for _, n := range h.counts[w] {
			expected += n / math.Max(1, h.days[w])
		}
	}
	if expected == 0 {
		return 1
	}
	return got / expected
}

// Interval is a stretch of a day to come.
type Interval struct {
	Start time.Duration `json:"-"` // of the day
	Clock string        `json:"start"`
	Calls float64       `json:"calls"`
	AHT   float64       `json:"aht_s"`
}

// Forecast are the calls of a day to come, by interval: the mean of its weekday,
// times the trend of the last week. A weekday never seen takes the mean of all.
func (h *History) Forecast(day time.Time, holidays []string) []Interval {
	w := weekday(day, holidays)
	out := make([]Interval, len(h.handle))
	for i := range out {
		calls := 0.0
		if h.days[w] > 0 {
			calls = h.counts[w][i] / h.days[w]
		} else {
			all, days := 0.0, 0.0
			for d := range h.counts {
				all, days = all+h.counts[d][i], days+h.days[d]
			}
			calls = all / days
		}
		aht := h.aht
		if h.served[i] >= 30 { // enough to be its own
			aht = h.handle[i] / h.served[i]
		}
		start := time.Duration(i) * h.interval
		out[i] = Interval{Start: start, Clock: fmt.Sprintf("%02d:%02d", int(start.Hours()), int(start.Minutes())%60), Calls: calls * h.trend, AHT: aht}
	}
	return out
}

// Trend is the factor of the last week over the average.
func (h *History) Trend() float64 { return h.trend }

// Patience is the mean patience in seconds, estimated from those who gave up and
// those who were answered before; +Inf when nobody gave up.
func (h *History) Patience() float64 { return simulate.NewKaplanMeier(h.waits).Mean() }

// Goal is what a day must reach.
type Goal struct {
	Target float64 `json:"target_s"`
	Share  float64 `json:"share"` // of the calls to be answered within Target
}

// Need is what an interval needs.
type Need struct {
	Interval
	Erlangs   float64 `json:"erlangs"`
	Seats     int     `json:"seats"`
	Level     float64 `json:"service_level"`
	Occupancy float64 `json:"occupancy"`
	// Less and More are the service level with one seat less and one more.
	Less float64 `json:"service_level_one_less"`
	More float64 `json:"service_level_one_more"`
	// Staffed is how many the shifts bring, and StaffedLevel the service level to
	// be expected with them.
	Staffed      int     `json:"staffed"`
	StaffedLevel float64 `json:"service_level_staffed"`
}

// Plan computes the fewest seats of each interval that reach the goal, by Erlang A
// with the given patience (0 or +Inf: Erlang C). An interval without calls needs
// none.
func Plan(intervals []Interval, interval time.Duration, patience float64, goal Goal) ([]Need, error) {
	out := make([]Need, len(intervals))
	for i, iv := range intervals {
		out[i].Interval = iv
		if iv.quiet() {
			continue
		}
		l := iv.load(interval, patience)
		seats, m, err := erlang.Seats(l, goal.Target, goal.Share)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", iv.Clock, err)
		}
		out[i].Erlangs, out[i].Seats = l.Offered(), seats
		out[i].Level, out[i].Occupancy = m.ServiceLevel(goal.Target).Neg, m.Waits().Occupancy
		out[i].More = level(l, seats+1, goal.Target)
		out[i].Less = level(l, seats-1, goal.Target)
	}
	return out, nil
}

// quiet says that no calls are worth a seat.
func (iv *Interval) quiet() bool { return iv.Calls < 0.01 }

func (iv *Interval) load(interval time.Duration, patience float64) erlang.Load {
	return erlang.Load{Rate: iv.Calls / interval.Seconds(), Service: iv.AHT, Patience: patience}
}

// Expect fills in StaffedLevel, for needs that Cover has staffed.
func Expect(needs []Need, interval time.Duration, patience float64, goal Goal) {
	for i := range needs {
		if n := &needs[i]; !n.quiet() {
			n.StaffedLevel = level(n.load(interval, patience), n.Staffed, goal.Target)
		}
	}
}

// level is 0 where there is no seat, or without end of the queue.
func level(l erlang.Load, seats int, target float64) float64 {
	m, err := erlang.New(l, seats)
	if err != nil {
		return 0
	}
	return m.ServiceLevel(target).Neg
}

// Shift is some agents who begin together.
type Shift struct {
	From   time.Duration `json:"-"`
	Clock  string        `json:"from"`
	Agents int           `json:"agents"`
}

// Cover covers the needs with shifts of one length that begin at intervals, and
// fills in Staffed. No two begin at the same time. Beginning each shift where the first seat is missing needs the
// fewest shifts (it is the interval covering problem); those at the end of the day
// begin earlier, so that none goes beyond midnight.
func Cover(needs []Need, interval, length time.Duration) ([]Shift, error) {
	n := int(length / interval)
	if n < 1 || n > len(needs) {
		return nil, fmt.Errorf("a shift of %v doesn't fit intervals of %v in a day", length, interval)
	}
	var out []Shift
	for i := range needs {
		if missing := needs[i].Seats - needs[i].Staffed; missing > 0 {
			begin := min(i, len(needs)-n)
			for k := begin; k < begin+n; k++ {
				needs[k].Staffed += missing
			}
			if last := len(out) - 1; last >= 0 && out[last].From == needs[begin].Start {
				out[last].Agents += missing
				continue
			}
			out = append(out, Shift{From: needs[begin].Start, Clock: needs[begin].Clock, Agents: missing})
		}
	}
	return out, nil
}
