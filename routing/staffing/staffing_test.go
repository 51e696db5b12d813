package staffing

import (
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"pgregory.net/rapid"

	"hotline/routing"
)

// month makes four weeks of calls: 10 an hour from 9 to 17 on weekdays, 2 on
// Saturdays, growing in the last week by the factor.
func month(growth float64) []Call {
	r := rand.New(rand.NewPCG(1, 2))
	var out []Call
	start := time.Date(2026, 9, 7, 0, 0, 0, 0, time.UTC) // a Monday
	for day := range 28 {
		d := start.AddDate(0, 0, day)
		rate := map[bool]float64{true: 10, false: 2}[d.Weekday() != time.Saturday]
		if d.Weekday() == time.Sunday {
			rate = 0
		}
		if day >= 21 {
			rate *= growth
		}
		for hour := 9; hour < 17; hour++ {
			for k := range int(rate) {
				at := d.Add(time.Duration(hour)*time.Hour + time.Duration(k)*5*time.Minute)
				c := Call{At: at, Tier: routing.TierC, Queue: "q", Wait: 30 * r.ExpFloat64(), Answered: r.Float64() < 0.9, Talk: 150, WrapUp: 30}
				if !c.Answered {
					c.Talk, c.WrapUp = 0, 0
				}
				out = append(out, c)
			}
		}
	}
	return out
}

func TestForecastByWeekdayAndHour(t *testing.T) {
	h, err := Learn(month(1), time.Hour, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		day      string
		hour     int
		want     float64
		holidays []string
	}{
		{"2026-10-06", 10, 10, nil}, {"2026-10-06", 8, 0, nil}, {"2026-10-10", 10, 2, nil}, {"2026-10-11", 10, 0, nil},
		{"2026-10-06", 10, 0, []string{"2026-10-06"}}, // a holiday is a Sunday
	} {
		day, _ := time.Parse(time.DateOnly, tc.day)
		f := h.Forecast(day, tc.holidays)
		if got := f[tc.hour]; math.Abs(got.Calls-tc.want) > 1e-9 || got.AHT != 180 {
			t.Errorf("%s at %d: %+v, want %v calls of 180 s", tc.day, tc.hour, got, tc.want)
		}
	}
	if h.Trend() != 1 {
		t.Errorf("trend %v of a steady month", h.Trend())
	}
	if p := h.Patience(); p < 100 || p > 900 {
		t.Errorf("patience %v", p)
	}
	grown, err := Learn(month(1.5), time.Hour, nil)
	if err != nil {
		t.Fatal(err)
	}
	// The average of the weekdays has a quarter of the growth in it already.
	if got, want := grown.Trend(), 1.5/1.125; math.Abs(got-want) > 0.02 {
		t.Errorf("trend %v, want %v", got, want)
	}
}

func TestPlanAndCover(t *testing.T) {
	h, err := Learn(month(1), time.Hour, nil)
	if err != nil {
		t.Fatal(err)
	}
	day := time.Date(2026, 10, 6, 0, 0, 0, 0, time.UTC)
	needs, err := Plan(h.Forecast(day, nil), time.Hour, math.Inf(1), Goal{Target: 20, Share: 0.8})
	if err != nil {
		t.Fatal(err)
	}
	// 10 calls an hour of 180 s are 0.5 erlang: 2 seats by Erlang C.
	if n := needs[10]; n.Seats != 2 || n.Level < 0.8 || n.Less >= 0.8 || n.More <= n.Level || needs[8].Seats != 0 {
		t.Errorf("at 10: %+v", n)
	}
	shifts, err := Cover(needs, time.Hour, 4*time.Hour)
	if err != nil || len(shifts) != 2 || shifts[0].Clock != "09:00" || shifts[1].Clock != "13:00" || shifts[0].Agents != 2 {
		t.Errorf("shifts %+v (%v), want two agents at 9 and at 13", shifts, err)
	}
	for _, bad := range []time.Duration{0, 25 * time.Hour} {
		if _, err := Cover(needs, time.Hour, bad); err == nil {
			t.Errorf("shifts of %v were taken", bad)
		}
	}
	if _, err := Learn(nil, time.Hour, nil); err == nil {
		t.Error("a history of nothing")
	}
	if _, err := Learn(month(1), 7*time.Minute, nil); err == nil {
		t.Error("intervals of 7 minutes")
	}
}

// Every need is covered, whatever it is, by shifts that begin one after the other
// and bring as many as they say.
func TestEveryNeedIsCovered(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		needs := make([]Need, 48)
		for i := range needs {
			needs[i].Start = time.Duration(i) * 30 * time.Minute
			needs[i].Seats = rapid.IntRange(0, 9).Draw(t, "seats")
		}
		length := time.Duration(rapid.IntRange(1, 48).Draw(t, "length")) * 30 * time.Minute
		shifts, err := Cover(needs, 30*time.Minute, length)
		if err != nil {
			t.Fatal(err)
		}
		for i, n := range needs {
			if n.Staffed < n.Seats {
				t.Fatalf("interval %d: %d of %d", i, n.Staffed, n.Seats)
			}
		}
		hours := 0
		for i, s := range shifts {
			if s.Agents <= 0 || i > 0 && s.From <= shifts[i-1].From {
				t.Fatalf("shift %d is empty or not later than the one before: %+v", i, shifts)
			}
			hours += s.Agents * int(length/(30*time.Minute))
		}
		for _, n := range needs {
			hours -= n.Staffed
		}
		if hours != 0 {
			t.Fatalf("the shifts bring %d half hours more than there are", hours)
		}
	})
}
