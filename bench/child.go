package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"runtime/pprof"
	"strconv"
	"strings"
	"time"

	"hotline/config"
	"hotline/server"
)

// hotlineOptions are what a measurement sets.
type hotlineOptions struct {
	estimate time.Duration // how often waits are estimated; 0 never
	kernel   bool          // the kernel passes bridged voice on
}

// hotlineConfig has a flow that hangs up at once, one that keeps the caller
// listening, and one that leads to an agent; and as many agents as calls.
func hotlineConfig(dir string, agents int, o hotlineOptions) string {
	var b strings.Builder
	fmt.Fprintf(&b, `node: bench
sip: {listen: [{network: udp, address: "127.0.0.1:0"}], max_calls: 100000, max_pending: 100000, register: {file: %s}}
directory: {file: %s}
media: {address: 127.0.0.1, rtp_timeout: 0s, kernel: %s}
trunks:
  - name: load
    addresses: [127.0.0.1]
    dids: [{number: "1", flow: bye}, {number: "2", flow: listen}, {number: "3", flow: agent}, {number: "4", flow: prompts}, {number: "5", flow: wait}]
  - name: vip
    vip: true
    addresses: [127.0.0.2]
    dids: [{number: "2", flow: listen}]
queues: [{name: q, wrap_up: 0s}, {name: nobody}]
flows:
  bye: {start: bye, steps: {bye: {hang_up: }}}
  listen: {start: a, time_limit: 1h, steps: {a: {menu: {prompts: [welcome, choose-language, choose-service], keys: {"1": b}, tries: 10, too_many: b}}, b: {hang_up: }}}
  prompts:
    start: a
    time_limit: 1h
    too_long: end
    steps:
      a: {menu: {prompts: [welcome, choose-language, choose-service], wait: 1s, keys: {"1": end}, tries: 10, too_many: b}}
      b: {menu: {prompts: [welcome, choose-language, choose-service], wait: 1s, keys: {"1": end}, tries: 10, too_many: c}}
      c: {menu: {prompts: [welcome, choose-language, choose-service], wait: 1s, keys: {"1": end}, tries: 10, too_many: end}}
      end: {hang_up: }
  agent: {start: q, steps: {q: {queue: q}}}
  wait: {start: q, time_limit: 1h, steps: {q: {queue: nobody}}}
records: {dir: %s}
journal: {dir: %s}
http: {listen: "127.0.0.1:0"}
routing: {estimate_every: %s}
agents:
  - {user: away, password: bench-secret, queues: [nobody]}
`, filepath.Join(dir, "registrations.json"), filepath.Join(dir, "customers.csv"), onOff(o.kernel), filepath.Join(dir, "records"), filepath.Join(dir, "journal"), o.estimate)
	for i := range agents {
		fmt.Fprintf(&b, "  - {user: agent%d, password: bench-secret, queues: [q]}\n", i)
	}
	return b.String()
}

func onOff(on bool) string {
	if on {
		return "on"
	}
	return "off"
}

// serve is the hotline's process: it prints its address and runs until its
// standard input closes.
func serve(dir string, agents int, o hotlineOptions) error {
	if err := writeCustomers(filepath.Join(dir, "customers.csv")); err != nil {
		return err
	}
	cfg, err := config.Parse("bench", []byte(hotlineConfig(dir, agents, o)))
	if err != nil {
		return err
	}
	log := slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelError}))
	if profile != "" {
		f, err := os.Create(profile)
		if err != nil {
			return err
		}
		defer f.Close()
		if err := pprof.StartCPUProfile(f); err != nil {
			return err
		}
		defer pprof.StopCPUProfile()
		runtime.MemProfileRate = 4096
		defer func() {
			if f, err := os.Create(profile + ".allocs"); err == nil {
				_ = pprof.Lookup("allocs").WriteTo(f, 0)
				_ = f.Close()
			}
		}()
	}
	s, err := server.Start(server.Options{Config: cfg, Version: "bench", Logger: log})
	if err != nil {
		return err
	}
	if err := json.NewEncoder(os.Stdout).Encode(addresses{s.SIPAddr(), s.HTTPAddr()}); err != nil {
		return err
	}
	untilClosed()
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	return errors.Join(s.Drain(ctx), s.Close())
}

// untilClosed waits until standard input closes, and says how many objects were
// allocated meanwhile.
func untilClosed() {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	_, _ = io.Copy(io.Discard, os.Stdin)
	runtime.ReadMemStats(&after)
	_ = json.NewEncoder(os.Stdout).Encode(after.Mallocs - before.Mallocs)
}

// writeCustomers makes every second number of the load's a customer.
func writeCustomers(file string) error {
	var b strings.Builder
	b.WriteString("number,id,name,tier,manager,team,language\n")
	tiers := []string{"A1", "A2", "B1", "B2", "C"}
	for i := 0; i < 20000; i += 2 {
		fmt.Fprintf(&b, "%s,c%d,Customer %d,%s,,,zh\n", numberOf(i), i, i, tiers[i/2%len(tiers)])
	}
	return os.WriteFile(file, []byte(b.String()), 0o600)
}

// profiles counts those written so far.
var profiles int

// addresses are the first line that a server prints.
type addresses struct{ SIP, HTTP netip.AddrPort }

// process is the hotline running beside us.
type process struct {
	cmd   *exec.Cmd
	stdin io.Closer
	out   *bufio.Reader
	addr  netip.AddrPort
	http  netip.AddrPort // of metrics
	dir   string
	// mallocs is known once it has stopped.
	mallocs uint64
}

// startProcess starts the hotline, or the bare server.
func startProcess(what string, calls int) (*process, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "hotline-bench-")
	if err != nil {
		return nil, err
	}
	p := &process{cmd: exec.Command(self, "-serve", dir, "-calls", strconv.Itoa(calls)), dir: dir}
	if profile != "" {
		profiles++
		p.cmd.Args = append(p.cmd.Args, "-profile", fmt.Sprintf("%s.%d", profile, profiles))
	}
	if what == "bare" {
		p.cmd = exec.Command(self, "-bare")
	}
	p.cmd.Stderr = os.Stderr
	if p.stdin, err = p.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := p.cmd.Start(); err != nil {
		return nil, err
	}
	p.out = bufio.NewReader(out)
	line, err := p.out.ReadBytes('\n')
	if err != nil {
		return nil, fmt.Errorf("the hotline did not start: %w", err)
	}
	return p, p.listensAt(line)
}

func (p *process) listensAt(line []byte) error {
	var at addresses
	err := json.Unmarshal(line, &at)
	p.addr, p.http = at.SIP, at.HTTP
	return err
}

func (p *process) stop() error {
	_ = p.stdin.Close()
	line, _ := p.out.ReadBytes('\n')
	_ = json.Unmarshal(line, &p.mallocs)
	err := p.cmd.Wait()
	return errors.Join(err, os.RemoveAll(p.dir))
}

// usage is what the kernel has charged to the process so far.
type usage struct {
	cpu time.Duration
	rss int64 // bytes
	at  time.Time
}

// clockTick is USER_HZ, which is 100 on every Linux that Go runs on.
const clockTick = 10 * time.Millisecond

func (p *process) usage() (usage, error) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", p.cmd.Process.Pid))
	if err != nil {
		return usage{}, err
	}
	// Fields after the command's name, which may hold blanks: 3 is the state,
	// 14 and 15 are user and system time, 24 is the resident set in pages.
	_, rest, ok := strings.Cut(string(b), ") ")
	f := strings.Fields(rest)
	if !ok || len(f) < 22 {
		return usage{}, errors.New("/proc stat has an unknown form")
	}
	n := func(i int) int64 { v, _ := strconv.ParseInt(f[i-3], 10, 64); return v }
	return usage{time.Duration(n(14)+n(15)) * clockTick, n(24) * int64(os.Getpagesize()), time.Now()}, nil
}
