package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// searchUpTo times the large number of calls bounds the search for the highest one.
	searchUpTo = 3
	// lateAt is when a stream is no longer clean: p99 of the lateness, or of the delay by the relay.
	lateAt = 5 * time.Millisecond
)

// mediaCase is one program doing one kind of work.
type mediaCase struct {
	name  string
	kind  streamKind
	start func(rtp *rtpLoad, calls int, kind streamKind) (peer, error)
}

// mediaCases are measured without estimates of waits, which take time and memory in bursts of their own; one
// shows how much.
var mediaCases = []mediaCase{
	{"ivr, callers listen", streamKind{playback: true}, startIVR},
	{"ivr, callers send", streamKind{playback: true, sends: true}, startIVR},
	{"bridged", streamKind{sends: true}, startBridged(hotlineOptions{})},
	{"bridged, keys pressed", streamKind{sends: true, keys: true}, startBridged(hotlineOptions{})},
	{"bridged, waits estimated", streamKind{sends: true}, startBridged(hotlineOptions{estimate: 10 * time.Second})},
	{"bridged, in the kernel", streamKind{sends: true}, startBridged(hotlineOptions{kernel: true})},
	{"bridged, keys pressed, in the kernel", streamKind{sends: true, keys: true}, startBridged(hotlineOptions{kernel: true})},
	{"bare relay, epoll", streamKind{sends: true}, startBare("epoll")},
	{"bare relay, goroutines", streamKind{sends: true}, startBare("goroutines")},
	{"bare relay, batch", streamKind{sends: true}, startBare("batch")},
	{"rtpengine", streamKind{sends: true}, func(rtp *rtpLoad, _ int, kind streamKind) (peer, error) { return startEnginePeer(rtp, kind) }},
	{"asterisk, callers listen", streamKind{playback: true}, startAsterisk(false)},
	{"asterisk, callers send", streamKind{playback: true, sends: true}, startAsterisk(false)},
	{"asterisk, bridged", streamKind{sends: true}, startAsterisk(true)},
	{"asterisk, bridged, keys pressed", streamKind{sends: true, keys: true}, startAsterisk(true)},
	{"load alone", streamKind{sends: true, shared: true}, func(rtp *rtpLoad, _ int, kind streamKind) (peer, error) {
		return &nobody{rtp: rtp, kind: kind}, nil
	}},
}

func startIVR(rtp *rtpLoad, _ int, kind streamKind) (peer, error) {
	return startHotlinePeer(rtp, 0, hotlineOptions{}, kind)
}

func startBridged(o hotlineOptions) func(*rtpLoad, int, streamKind) (peer, error) {
	return func(rtp *rtpLoad, calls int, kind streamKind) (peer, error) {
		return startHotlinePeer(rtp, calls, o, kind)
	}
}

func startAsterisk(bridged bool) func(*rtpLoad, int, streamKind) (peer, error) {
	return func(rtp *rtpLoad, calls int, kind streamKind) (peer, error) {
		if !bridged {
			calls = 0
		}
		return startAsteriskPeer(rtp, calls, kind)
	}
}

func startBare(what string) func(*rtpLoad, int, streamKind) (peer, error) {
	return func(rtp *rtpLoad, calls int, kind streamKind) (peer, error) {
		return startBarePeer(rtp, what, calls, kind)
	}
}

// mediaCost measures what sound costs: prompts, and bridged calls beside bare relays and rtpengine;
// the server on one core and the load on the other.
func mediaCost(o mediaOptions) (err error) {
	if err := runOn(loadCore); err != nil {
		return err
	}
	runtime.GOMAXPROCS(2) // the packets' thread needn't wait for the calls'
	debug.SetGCPercent(400)
	fmt.Printf("%s, %s, server on core %s, load on core %s; load average %s; %d measurements of %s, their median\n",
		time.Now().Format(time.DateOnly), runtime.Version(), serverCore, loadCore, loadAverage(), o.repeat, o.span)
	only, err := regexp.Compile(o.only)
	if err != nil {
		return err
	}
	fill, err := startFiller(o.fill)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, fill.close()) }()
	var rows []mediaFigures
	var missing []string
	for _, c := range mediaCases {
		if !only.MatchString(c.name) {
			continue
		}
		got, err := c.measure(o, fill)
		if errors.Is(err, errNoRTPEngine) || errors.Is(err, errNoAsterisk) {
			if !slices.Contains(missing, err.Error()) {
				missing = append(missing, err.Error())
			}
			continue
		}
		if err != nil {
			return fmt.Errorf("%s: %w", c.name, err)
		}
		rows = append(rows, got...)
	}
	for _, what := range missing {
		fmt.Println("left out:", what)
	}
	printTable(rows)
	return nil
}

// runOn begins the program anew on a core, so that children and threads are there too.
func runOn(core string) error {
	const mark = "HOTLINE_BENCH_CORE"
	if os.Getenv(mark) == core {
		return nil
	}
	taskset, err := exec.LookPath("taskset")
	if err != nil {
		return err
	}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	return unix.Exec(taskset, append([]string{"taskset", "-c", core, self}, os.Args[1:]...), append(os.Environ(), mark+"="+core))
}

func loadAverage() string {
	b, _ := os.ReadFile("/proc/loadavg")
	f := strings.Fields(string(b))
	if len(f) < 3 {
		return "unknown"
	}
	return strings.Join(f[:3], " ")
}

// measure makes the small number of calls, half the large one and that, and more if asked to.
func (c mediaCase) measure(o mediaOptions, fill *filler) (rows []mediaFigures, err error) {
	rtp, err := openRTPLoad()
	if err != nil {
		return nil, err
	}
	defer rtp.close()
	most := o.large
	if o.clean { // no more agents than needed: those who wait cost something too
		most = searchUpTo * o.large
	}
	p, err := c.start(rtp, most, c.kind)
	if err != nil {
		return nil, err
	}
	defer func() {
		if err := p.close(); err != nil { // calls whose BYE was lost, when there were too many
			fmt.Println(c.name, "when it stopped:", err)
		}
	}()
	for _, calls := range slices.Compact([]int{o.small, max(o.small, o.large/2), o.large}) {
		f, err := c.at(rtp, p, calls, o.span, o.repeat, fill)
		if err != nil { // more calls than it bears
			fmt.Printf("%s: at %d calls: %v\n", c.name, calls, err)
			return rows, nil
		}
		rows = append(rows, f)
	}
	if o.clean && p.pid() != 0 {
		c.search(rtp, p, rows[len(rows)-1], most)
	}
	return rows, nil
}

// search adds a quarter at a time, beginning with what was measured last, until it wasn't clean twice: once may
// be another program's doing.
func (c mediaCase) search(rtp *rtpLoad, p peer, f mediaFigures, most int) {
	best, failed := 0, 0
	for {
		if f.clean() {
			best, failed = f.calls, 0
		} else if failed++; failed == 2 {
			break
		}
		n := f.calls * 5 / 4
		if n > most {
			break
		}
		var err error
		if f, err = c.at(rtp, p, n, 2*time.Second, 3, nil); err != nil {
			fmt.Printf("%s: at %d calls: %v\n", c.name, n, err)
			break
		}
	}
	fmt.Printf("%s: highest number of calls that was clean: %d\n", c.name, best)
}

// at measures with so many calls.
func (c mediaCase) at(rtp *rtpLoad, p peer, calls int, span time.Duration, repeat int, fill *filler) (mediaFigures, error) {
	if err := p.connect(calls); err != nil {
		return mediaFigures{}, err
	}
	time.Sleep(2 * time.Second)
	var all []mediaFigures
	for range repeat {
		f, err := measureOnce(rtp, p.pid(), calls, span, fill)
		if err != nil {
			return f, err
		}
		if fill != nil && p.pid() != 0 {
			part, run, err := timeBPF(p.pid(), span)
			if err != nil {
				return f, err
			}
			f.bpf, f.bpfRun = 100*part*100/float64(calls), run
		}
		f.name, f.playback = c.name, c.kind.playback
		all = append(all, f)
	}
	f := medians(all)
	fmt.Println(f)
	return f, nil
}

// mediaFigures are those of one measurement.
type mediaFigures struct {
	name         string
	playback     bool
	calls        int
	cpu, machine float64       // percent of a core per 100 calls: the program; all of the machine, 0 where that isn't known
	bpf          float64       // the same, of eBPF programs
	bpfRun       time.Duration // of one run
	p50, p99     time.Duration // of the relay's delay, or of the lateness of what is played
	most, drift  time.Duration
	own          time.Duration // p99 of the load's own lateness
	pps          float64
	rss          int64
	keys, heard  uint64
	faults       string
	spans, bad   int // how often was measured, and with faults
}

// clean forgives a minority of the measurements: other programs use the machine too.
func (f mediaFigures) clean() bool { return 2*f.bad < f.spans && f.p99 <= lateAt }

func (f mediaFigures) String() string {
	what, faults := "relayed in", f.faults
	if f.playback {
		what = fmt.Sprintf("drift %s, late by", f.drift.Round(10*time.Microsecond))
	}
	if faults == "" {
		faults = "nothing lost"
	}
	s := fmt.Sprintf("%-36s %5d calls: %6.2f %% of a core per 100, %6.0f packets/s, %s p50 %s p99 %s max %s (load late by p99 %s), RSS %d KiB, %s",
		f.name, f.calls, f.cpu, f.pps, what, f.p50, f.p99, f.most.Round(10*time.Microsecond), f.own, f.rss>>10, faults)
	if f.keys > 0 {
		s += fmt.Sprintf(", %d of %d keys arrived", f.heard, f.keys)
	}
	if f.machine > 0 {
		s += fmt.Sprintf("; the whole machine %.2f %%", f.machine)
	}
	if f.bpfRun > 0 {
		s += fmt.Sprintf("; eBPF %.2f %%, %d ns a packet", f.bpf, f.bpfRun.Nanoseconds())
	}
	return s
}

func measureOnce(rtp *rtpLoad, pid, calls int, span time.Duration, fill *filler) (f mediaFigures, err error) {
	rtp.reset()
	before, err := machineNow(pid, fill)
	if err != nil {
		return f, err
	}
	time.Sleep(span)
	after, err := machineNow(pid, fill)
	if err != nil {
		return f, err
	}
	r := rtp.result()
	took := after.at.Sub(before.at)
	per := func(d time.Duration) float64 { return 100 * d.Seconds() / took.Seconds() * 100 / float64(calls) }
	h := &r.delay
	if r.lateness.n > 0 {
		h = &r.lateness
	}
	return mediaFigures{calls: calls, cpu: per(after.program - before.program),
		machine: per(after.busy - before.busy),
		p50:     h.quantile(0.5), p99: h.quantile(0.99), most: h.most, drift: r.drift, own: r.own.quantile(0.99),
		pps: float64(r.received) / took.Seconds(), rss: after.rss, keys: r.pressed, heard: r.heard, faults: r.faults()}, nil
}

// machineTimes is CPU time used so far.
type machineTimes struct {
	at            time.Time
	program, busy time.Duration // busy: all programs but the filler
	rss           int64
}

func machineNow(pid int, fill *filler) (m machineTimes, err error) {
	if pid != 0 {
		u, err := (&process{cmd: &exec.Cmd{Process: &os.Process{Pid: pid}}}).usage()
		if err != nil {
			return m, err
		}
		m.rss = u.rss
	}
	m.at = time.Now()
	if m.busy, err = fill.busy(m.at); err != nil || pid == 0 {
		return m, err
	}
	m.program, err = cpuOf(pid)
	return m, err
}

// cpuOf is the process's user and system time to the nanosecond; /proc has its sum in steps of 10 ms.
func cpuOf(pid int) (time.Duration, error) {
	var ts unix.Timespec
	const cpuclockSched = 2 // clock_getcpuclockid(3)
	err := unix.ClockGettime(int32(^pid<<3|cpuclockSched), &ts)
	return time.Duration(ts.Nano()), err
}

// medians takes the median of each figure; faults are those of all.
func medians(all []mediaFigures) mediaFigures {
	f := all[0]
	f.cpu = median(all, func(f mediaFigures) float64 { return f.cpu })
	f.machine = median(all, func(f mediaFigures) float64 { return f.machine })
	f.bpf = median(all, func(f mediaFigures) float64 { return f.bpf })
	f.bpfRun = median(all, func(f mediaFigures) time.Duration { return f.bpfRun })
	f.pps = median(all, func(f mediaFigures) float64 { return f.pps })
	f.p50 = median(all, func(f mediaFigures) time.Duration { return f.p50 })
	f.p99 = median(all, func(f mediaFigures) time.Duration { return f.p99 })
	f.most = median(all, func(f mediaFigures) time.Duration { return f.most })
	f.own = median(all, func(f mediaFigures) time.Duration { return f.own })
	f.rss = median(all, func(f mediaFigures) int64 { return f.rss })
	f.drift = all[len(all)-1].drift
	var faults []string
	for _, one := range all {
		if one.faults != "" {
			faults = append(faults, one.faults)
		}
	}
	f.faults, f.spans, f.bad = strings.Join(faults, "; "), len(all), len(faults)
	return f
}

func median[T float64 | int64 | time.Duration](all []mediaFigures, of func(mediaFigures) T) T {
	var values []T
	for _, f := range all {
		values = append(values, of(f))
	}
	slices.Sort(values)
	return values[len(values)/2]
}

// printTable prints the rows for the documentation, with ratios to the bare relay at the same number of
// calls and the memory that a call takes.
func printTable(rows []mediaFigures) {
	fmt.Println("\n| work | calls | CPU % of a core per 100 | CPU ms per call-second | machine more than for the load alone | × epoll relay | p50 | p99 | max | KiB per further call | faults |")
	fmt.Println("| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |")
	bare, alone := map[int]float64{}, map[int]float64{}
	first := map[string]mediaFigures{}
	for _, f := range rows {
		if f.name == "bare relay, epoll" {
			bare[f.calls] = f.cpu
		}
		if f.name == "load alone" {
			alone[f.calls] = f.machine
		}
	}
	for _, f := range rows {
		ratio, memory, machine := "", "", ""
		if a := alone[f.calls]; a > 0 {
			machine = fmt.Sprintf("%.2f", f.machine-a)
		}
		if b := bare[f.calls]; b > 0 && !f.playback && f.cpu > 0 {
			ratio = fmt.Sprintf("%.2f", f.cpu/b)
		}
		if o, ok := first[f.name]; ok && f.rss > 0 && f.calls > o.calls {
			memory = fmt.Sprintf("%.0f", float64(f.rss-o.rss)/1024/float64(f.calls-o.calls))
		} else {
			first[f.name] = f
		}
		fmt.Printf("| %s | %d | %.2f | %.3f | %s | %s | %s | %s | %s | %s | %s |\n", f.name, f.calls, f.cpu, f.cpu/10, machine, ratio,
			f.p50, f.p99, f.most.Round(10*time.Microsecond), memory, f.faults)
	}
}
