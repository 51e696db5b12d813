package main

import (
	"bufio"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"
	"time"
)

const (
	soakTurn = 20 * time.Millisecond
	// soakBurst is how many calls of a kind may begin in a turn.
	soakBurst = 2
	// soakShort and soakLong are how long a call lasts, evenly spread.
	soakShort, soakLong = 20 * time.Second, 100 * time.Second
	// soakAnswer is how long a caller waits for an answer, and for the one to a BYE.
	soakAnswer = 5 * time.Second
	soakStay   = 10  // callers who stay from the beginning to the end
	soakRows   = 30  // of figures
	soakGrowth = 0.1 // that counts as drift, from the second quarter of the time to the last; see drifted
)

// soakKind is one kind of calls that come and go.
type soakKind struct {
	name   string
	l      *load
	number string
	want   int // calls at once
	stay   bool
	stream func(i int) int // number of a call's RTP stream

	begun        int
	calls        map[int]*soakCall
	made, failed int
	codes        map[int]int // why
}

type soakCall struct {
	sent, due, bye time.Time
}

// soaked is a server under calls of all kinds.
type soaked struct {
	rtp   *rtpLoad
	p     *process
	desk  *load
	kinds []*soakKind
}

// soak lets calls come and go, callers who listen and talk to an IVR and callers who talk to agents, and watches
// whether anything grows: memory, goroutines, files, lateness.
func soak(span time.Duration, calls int) error {
	if err := runOn(loadCore); err != nil {
		return err
	}
	runtime.GOMAXPROCS(2)
	debug.SetGCPercent(400)
	fmt.Printf("%s, %s, server on core %s, load on core %s; load average %s; %d calls in the IVR and %d with agents at once, each for %s to %s, and %d who wait all the time\n",
		time.Now().Format(time.DateOnly), runtime.Version(), serverCore, loadCore, loadAverage(), calls, calls, soakShort, soakLong, soakStay)
	s, err := startSoak(calls)
	if err != nil {
		return err
	}
	samples, err := s.run(span)
	if err == nil {
		err = s.hangUp()
	}
	if err := errors.Join(err, s.close()); err != nil {
		return err
	}
	return errors.Join(s.failed(), drifted(samples))
}

func startSoak(calls int) (s *soaked, err error) {
	s = &soaked{}
	if s.rtp, err = openRTPLoad(); err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "hotline-soak-")
	if err != nil {
		return nil, err
	}
	agents := calls + calls/5 + 1
	p, line, err := startChild("-serve", dir, "-calls", strconv.Itoa(agents))
	if err != nil {
		return nil, err
	}
	p.dir, s.p = dir, p
	if err := p.listensAt(line); err != nil {
		return nil, errors.Join(err, p.stop())
	}
	plays := streamKind{playback: true, sends: true}
	talks := streamKind{sends: true, first: 200}
	for i, k := range []*soakKind{
		{name: "ivr", number: "4", want: calls},
		{name: "queue", number: "3", want: calls},
		{name: "wait", number: "5", want: soakStay, stay: true},
	} {
		k.calls, k.codes = map[int]*soakCall{}, map[int]int{}
		k.stream = func(n int) int { return 3*n + i }
		kind := plays
		if k.name == "queue" {
			kind = talks
		}
		if k.l, err = openLoad(p.addr, k.name); err != nil {
			return nil, errors.Join(err, s.close())
		}
		k.l.sdp = sdpWithPort(s.rtp.sides[0].addr.Port())
		k.l.answer = func(n int, port uint16) { s.rtp.add(0, k.stream(n), port, kind) }
		s.kinds = append(s.kinds, k)
	}
	if s.desk, err = openLoad(p.addr, "agents"); err != nil {
		return nil, errors.Join(err, s.close())
	}
	s.desk.sdp = sdpWithPort(s.rtp.sides[1].addr.Port())
	s.desk.offer = func(n int, port uint16) { s.rtp.add(1, s.kinds[1].stream(n), port, talks) }
	if err := s.desk.register(agents); err != nil {
		return nil, errors.Join(err, s.close())
	}
	return s, nil
}

func (s *soaked) close() error {
	errs := []error{s.p.stop()}
	for _, k := range s.kinds {
		if k.l != nil {
			errs = append(errs, k.l.close())
		}
	}
	if s.desk != nil {
		errs = append(errs, s.desk.close())
	}
	s.rtp.close()
	return errors.Join(errs...)
}

// run makes the calls and prints a row of figures now and then.
func (s *soaked) run(span time.Duration) (samples []soakSample, err error) {
	every := max(span/soakRows, 5*time.Second)
	begin := time.Now()
	fmt.Println("| after | calls up, made, failed | CPU % | RSS, live heap MiB | goroutines | files | IVR late by p50, p99, most | relayed in p50, p99, most | load late p99 | faults |")
	fmt.Println("| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |")
	last, err := machineNow(s.p.cmd.Process.Pid, nil)
	if err != nil {
		return nil, err
	}
	floors := map[int]int64{}
	next := begin.Add(every)
	for now := begin; now.Before(begin.Add(span)); now = time.Now() {
		for _, k := range s.kinds {
			k.turn(now, s.rtp)
		}
		if now.After(next) {
			next = next.Add(every)
			m, err := s.sample(now.Sub(begin), &last)
			if err != nil {
				return samples, err
			}
			fmt.Println(m)
			if samples = append(samples, m); len(samples) == 1 {
				floors = s.staying()
			}
		}
		time.Sleep(soakTurn)
	}
	s.tellDrift(floors)
	for _, k := range s.kinds {
		if k.failed > 0 {
			fmt.Printf("%s: %d of %d calls failed; final answers, 0 for none: %v\n", k.name, k.failed, k.made, k.codes)
		}
	}
	return samples, nil
}

// hangUp ends all calls and tells what is left then.
func (s *soaked) hangUp() error {
	for _, k := range s.kinds {
		for i := range k.calls {
			s.rtp.remove(k.stream(i))
		}
		k.want, k.stay = 0, false
	}
	far := time.Now().Add(soakLong) // all are due
	for end := time.Now().Add(2 * soakAnswer); time.Now().Before(end); time.Sleep(time.Second) {
		for _, k := range s.kinds {
			k.turn(far, s.rtp)
		}
		far = far.Add(2 * time.Second)
	}
	values, err := scrape("http://" + s.p.http.String() + "/metrics")
	if err != nil {
		return err
	}
	fmt.Printf("after all have hung up: %.0f goroutines, %.0f open files\n", values["go_goroutines"], values["process_open_fds"])
	return nil
}

// turn ends the calls whose time has come and begins others.
func (k *soakKind) turn(now time.Time, rtp *rtpLoad) {
	k.l.mu.Lock()
	states := map[int]loadCall{}
	for i := range k.calls {
		states[i] = k.l.calls[i]
	}
	k.l.mu.Unlock()
	for i, c := range k.calls {
		st := states[i]
		switch {
		case st.code >= 300, st.code == 0 && now.Sub(c.sent) > soakAnswer:
			k.failed++
			k.codes[st.code]++
			delete(k.calls, i)
		case st.over && st.code == 200:
			if c.bye.IsZero() { // the server hung up: the IVR has an end, a queue hasn't
				rtp.remove(k.stream(i))
				if k.name != "ivr" {
					k.failed++
					k.codes[200]++
				}
			}
			delete(k.calls, i)
		case st.code == 200 && !k.stay && now.After(c.due) && now.Sub(c.bye) > time.Second:
			if c.bye.IsZero() {
				rtp.remove(k.stream(i))
			}
			c.bye = now
			k.l.inDialog("BYE", i, 2, []byte(k.number), st.to)
		}
	}
	for range min(soakBurst, k.want-len(k.calls)) {
		lasts := soakShort + time.Duration(rand.Int64N(int64(soakLong-soakShort)))
		k.calls[k.begun] = &soakCall{sent: now, due: now.Add(lasts)}
		k.begun++
		k.made++
		k.l.invite(k.number)
	}
}

// soakSample is a row of figures, since the row before.
type soakSample struct {
	after            time.Duration
	up, made, failed int
	cpu              float64 // percent of a core
	rss, heap        float64 // bytes; of the heap what lived after the last collection: what is in use between two may be twice that
	goroutines       float64
	files            float64
	late, relayed    histogram
	own              time.Duration
	faults           string
}

func (s *soaked) sample(after time.Duration, last *machineTimes) (m soakSample, err error) {
	r := s.rtp.result()
	s.rtp.reset()
	now, err := machineNow(s.p.cmd.Process.Pid, nil)
	if err != nil {
		return m, err
	}
	m = soakSample{after: after, rss: float64(now.rss), cpu: 100 * (now.program - last.program).Seconds() / now.at.Sub(last.at).Seconds(),
		late: r.lateness, relayed: r.delay, own: r.own.quantile(0.99), faults: r.faults()}
	*last = now
	for _, k := range s.kinds {
		m.up += len(k.calls)
		m.made += k.made
		m.failed += k.failed
	}
	values, err := scrape("http://" + s.p.http.String() + "/metrics")
	if err != nil {
		return m, err
	}
	m.goroutines, m.files, m.heap = values["go_goroutines"], values["process_open_fds"], values["go_memstats_next_gc_bytes"]/2
	return m, nil
}

func (m soakSample) String() string {
	times := func(h *histogram) string {
		return fmt.Sprintf("%s, %s, %s", h.quantile(0.5), h.quantile(0.99), h.most.Round(10*time.Microsecond))
	}
	return fmt.Sprintf("| %s | %d, %d, %d | %.1f | %.1f, %.1f | %.0f | %.0f | %s | %s | %s | %s |", m.after.Round(time.Second), m.up, m.made, m.failed, m.cpu,
		m.rss/(1<<20), m.heap/(1<<20), m.goroutines, m.files, times(&m.late), times(&m.relayed), m.own, m.faults)
}

// scrape reads the values of metrics without labels.
func scrape(url string) (map[string]float64, error) {
	client := &http.Client{Timeout: 5 * time.Second}
	res, err := client.Get(url)
	if err != nil {
		return nil, fmt.Errorf("scraping the hotline: %w", err)
	}
	defer res.Body.Close()
	values := map[string]float64{}
	for lines := bufio.NewScanner(res.Body); lines.Scan(); {
		name, value, _ := strings.Cut(lines.Text(), " ")
		if v, err := strconv.ParseFloat(value, 64); err == nil {
			values[name] = v
		}
	}
	return values, nil
}

// staying is the least of arrival less timestamp of those who stay, by stream.
func (s *soaked) staying() map[int]int64 {
	s.rtp.mu.Lock()
	defer s.rtp.mu.Unlock()
	k, floors := s.kinds[2], map[int]int64{}
	for i := range k.calls {
		if st := s.rtp.sides[0].streams; k.stream(i) < len(st) && st[k.stream(i)] != nil {
			floors[k.stream(i)] = st[k.stream(i)].floor()
		}
	}
	return floors
}

// tellDrift tells how far those who stayed were moved against their grid since the first row.
func (s *soaked) tellDrift(before map[int]int64) {
	after := s.staying()
	var most time.Duration
	n := 0
	for i, b := range before {
		if a, ok := after[i]; ok {
			most = max(most, time.Duration(a-b).Abs())
			n++
		}
	}
	fmt.Printf("%d of %d callers stayed; their streams moved by at most %s against the grid of their timestamps\n", n, soakStay, most)
}

// failed tells of calls that did, in all.
func (s *soaked) failed() error {
	n := 0
	for _, k := range s.kinds {
		n += k.failed
	}
	if n > 0 {
		return fmt.Errorf("%d calls failed", n)
	}
	return nil
}

// drifted compares the last quarter with the second one: in the first, tables and caches fill. What differs by less
// than slack is no drift.
func drifted(samples []soakSample) error {
	n := len(samples)
	if n < 8 {
		return fmt.Errorf("%d rows are too few to tell of drift", n)
	}
	mean := func(rows []soakSample, of func(soakSample) float64) (sum float64) {
		for _, m := range rows {
			sum += of(m) / float64(len(rows))
		}
		return sum
	}
	var grown []error
	for _, f := range []struct {
		what  string
		slack float64
		of    func(soakSample) float64
	}{
		{"resident memory, MiB", 4, func(m soakSample) float64 { return m.rss / (1 << 20) }},
		{"live heap, MiB", 4, func(m soakSample) float64 { return m.heap / (1 << 20) }},
		{"goroutines", 10, func(m soakSample) float64 { return m.goroutines }},
		{"open files", 10, func(m soakSample) float64 { return m.files }},
		{"IVR lateness p50, µs", 100, func(m soakSample) float64 { return float64(m.late.quantile(0.5).Microseconds()) }},
		{"relay delay p50, µs", 100, func(m soakSample) float64 { return float64(m.relayed.quantile(0.5).Microseconds()) }},
	} {
		early, late := mean(samples[n/4:n/2], f.of), mean(samples[n*3/4:], f.of)
		fmt.Printf("%s: %.1f in the second quarter, %.1f in the last (%+.1f %%)\n", f.what, early, late, 100*(late/early-1))
		if late > early*(1+soakGrowth) && late > early+f.slack {
			grown = append(grown, fmt.Errorf("%s grew from %.1f to %.1f", f.what, early, late))
		}
	}
	return errors.Join(grown...)
}
