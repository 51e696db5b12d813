package demo

import (
	"context"
	"fmt"
	"io"
	"strings"
	"time"

	"hotline/routing"
	"hotline/server"
)

// table shows queues and seats while the demo runs: drawn in place on a
// terminal, else one line every few seconds.
type table struct {
	out      io.Writer
	terminal bool
	srv      *server.Server
	tally    *tally
	lines    int // drawn last
}

func newTable(out io.Writer, terminal bool, srv *server.Server, t *tally) *table {
	return &table{out: out, terminal: terminal, srv: srv, tally: t}
}

func (t *table) run(ctx context.Context) {
	every := 2 * time.Second
	if t.terminal {
		every = 250 * time.Millisecond
	}
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			st, err := t.srv.Status(ctx)
			if err != nil {
				continue
			}
			if t.terminal {
				t.draw(st)
			} else {
				t.line(st)
			}
		case <-ctx.Done():
			return
		}
	}
}

// line is one plain line.
func (t *table) line(st server.Status) {
	waiting, answered, abandoned := 0, uint64(0), uint64(0)
	for _, q := range st.Queues {
		for _, w := range q.Waiting {
			waiting += w.Count
		}
		answered += q.Totals.Answered
		abandoned += q.Totals.Abandoned
	}
	talking, idle := 0, 0
	for _, s := range st.Seats {
		switch s.State {
		case routing.SeatTalking:
			talking++
		case routing.SeatIdle:
			idle++
		}
	}
	fmt.Fprintf(t.out, "calls %2d  waiting %2d  talking %d  idle seats %d  answered %d  abandoned %d\n",
		st.Calls, waiting, talking, idle, answered, abandoned)
}

// draw draws the tables over the last ones.
func (t *table) draw(st server.Status) {
	var b strings.Builder
	if t.lines > 0 {
		fmt.Fprintf(&b, "\x1b[%dA", t.lines)
	}
	n := 0
	put := func(format string, args ...any) {
		fmt.Fprintf(&b, format+"\x1b[K\n", args...)
		n++
	}
	put("")
	put("%-12s %3s %3s %3s %3s %3s %7s %7s %8s %9s", "queue", "A1", "A2", "B1", "B2", "C", "ringing", "longest", "answered", "abandoned")
	for _, q := range st.Queues {
		w := make([]any, 0, 10)
		w = append(w, q.ID)
		for _, c := range q.Waiting {
			w = append(w, c.Count)
		}
		longest := (time.Duration(q.LongestWait) * time.Microsecond).Truncate(100 * time.Millisecond)
		w = append(w, q.OnOffer, longest, q.Totals.Answered, q.Totals.Abandoned)
		put("%-12s %3d %3d %3d %3d %3d %7d %7s %8d %9d", w...)
	}
	put("")
	put("%-12s %-4s %-9s %-10s %s", "seat", "vip", "state", "status", "call")
	for _, s := range st.Seats {
		vip := ""
		if s.VIP {
			vip = "vip"
		}
		put("%-12s %-4s %-9s %-10s %s", s.ID, vip, s.State, s.Status, s.Call)
	}
	t.lines = n
	_, _ = io.WriteString(t.out, b.String())
}
