package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"strconv"
	"time"
)

const (
	serverCore = "0"
	loadCore   = "1"

	// callRate is how many legs a second are set up before a measurement: so few that the server, busy with
	// the sound of the others, doesn't refuse any.
	callRate = 200
)

// peer is a program under load that calls are made through.
type peer interface {
	pid() int // 0: none
	// connect brings the number of calls up to n.
	connect(n int) error
	close() error
}

// startChild runs ourselves as a server on its core from the first thread on, so that the runtime
// counts one processor, and returns the line that it begins with.
func startChild(args ...string) (p *process, line []byte, err error) {
	self, err := os.Executable()
	if err != nil {
		return nil, nil, err
	}
	p = &process{cmd: exec.Command("taskset", append([]string{"-c", serverCore, self}, args...)...)}
	p.cmd.Stderr = os.Stderr
	if p.stdin, err = p.cmd.StdinPipe(); err != nil {
		return nil, nil, err
	}
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		return nil, nil, err
	}
	if err := p.cmd.Start(); err != nil {
		return nil, nil, err
	}
	p.out = bufio.NewReader(out)
	if line, err = p.out.ReadBytes('\n'); err != nil {
		return nil, nil, errors.Join(fmt.Errorf("%v did not start: %w", args, err), p.stop())
	}
	return p, line, nil
}

// installed finds a program to compare with, and an address that is free for it, as it must be told its own; where
// it isn't installed the error is missing.
func installed(name string, missing error) (path string, at netip.AddrPort, err error) {
	if path, err = exec.LookPath(name); err != nil {
		return "", at, missing
	}
	c, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(loopback))
	if err != nil {
		return "", at, err
	}
	return path, c.LocalAddr().(*net.UDPAddr).AddrPort(), c.Close()
}

// phones make real calls through a program: to what plays prompts, or through a queue to agents.
type phones struct {
	callers, desk *load // desk: of the agents; nil: none
	number        string
	up            int
	heard         chan struct{} // one for each leg that is up
	legs          int           // a call
}

// openPhones has the callers call at.
func openPhones(rtp *rtpLoad, at netip.AddrPort, number string, kind streamKind) (p *phones, err error) {
	p = &phones{number: number, legs: 1, heard: make(chan struct{}, 1<<17)}
	p.callers, err = p.open(rtp, 0, at, "media")
	if err != nil {
		return nil, err
	}
	p.callers.answer = p.leg(rtp, 0, kind)
	return p, nil
}

// openDesk adds agents, who answer what is put through to them.
func (p *phones) openDesk(rtp *rtpLoad, at netip.AddrPort, kind streamKind) (err error) {
	if p.desk, err = p.open(rtp, 1, at, "agents"); err != nil {
		return err
	}
	p.legs = 2
	p.desk.offer = p.leg(rtp, 1, kind)
	return nil
}

func (p *phones) open(rtp *rtpLoad, side int, at netip.AddrPort, name string) (*load, error) {
	l, err := openLoad(at, name)
	if err != nil {
		return nil, err
	}
	l.sdp = sdpWithPort(rtp.sides[side].addr.Port())
	return l, nil
}

// leg begins the RTP of a leg when its port is known.
func (p *phones) leg(rtp *rtpLoad, side int, kind streamKind) func(int, uint16) {
	return func(i int, port uint16) {
		if rtp.add(side, i, port, kind) {
			p.heard <- struct{}{}
		}
	}
}

func (p *phones) connect(n int) error {
	begin, first := time.Now(), p.up
	for ; p.up < n; p.up++ {
		time.Sleep(time.Until(begin.Add(time.Duration((p.up-first)*p.legs) * time.Second / callRate)))
		p.callers.invite(p.number)
	}
	limit := time.After(10 * time.Second)
	for k := range (n - first) * p.legs {
		select {
		case <-p.heard:
		case <-limit:
			return fmt.Errorf("%d of %d legs came up; callers got %s", k, (n-first)*p.legs, p.answers(first))
		}
	}
	return nil
}

// answers counts the final answers that callers from first on got.
func (p *phones) answers(first int) string {
	p.callers.mu.Lock()
	defer p.callers.mu.Unlock()
	codes := map[int]int{}
	for _, c := range p.callers.calls[first:] {
		codes[c.code]++
	}
	return fmt.Sprint(codes)
}

// hangUp ends all calls and waits for the answers, a while.
func (p *phones) hangUp() {
	p.callers.mu.Lock()
	calls := append([]loadCall(nil), p.callers.calls...)
	p.callers.mu.Unlock()
	for i, c := range calls {
		if c.code == 200 && !c.over {
			p.callers.inDialog("BYE", i, 2, []byte(p.number), c.to)
			time.Sleep(time.Millisecond)
		}
	}
	p.callers.settle(0, 3*time.Second, 0)
}

func (p *phones) close() error {
	err := p.callers.close()
	if p.desk != nil {
		err = errors.Join(err, p.desk.close())
	}
	return err
}

// hotlinePeer is the hotline.
type hotlinePeer struct {
	*phones
	p *process
}

func startHotlinePeer(rtp *rtpLoad, agents int, o hotlineOptions, kind streamKind) (h *hotlinePeer, err error) {
	dir, err := os.MkdirTemp("", "hotline-bench-")
	if err != nil {
		return nil, err
	}
	args := []string{"-serve", dir, "-calls", strconv.Itoa(max(agents, 1)), "-estimate", o.estimate.String(), fmt.Sprintf("-kernel=%t", o.kernel)}
	if profile != "" {
		profiles++
		args = append(args, "-profile", fmt.Sprintf("%s.%d", profile, profiles))
	}
	p, line, err := startChild(args...)
	if err != nil {
		return nil, err
	}
	p.dir = dir
	h = &hotlinePeer{p: p}
	if err := p.listensAt(line); err != nil {
		return nil, errors.Join(err, p.stop())
	}
	number := "4"
	if agents > 0 {
		number = "3"
	}
	if h.phones, err = openPhones(rtp, p.addr, number, kind); err != nil {
		return nil, errors.Join(err, p.stop())
	}
	if agents == 0 {
		return h, nil
	}
	if err := h.openDesk(rtp, p.addr, kind); err != nil {
		return nil, errors.Join(err, h.close())
	}
	if err := h.desk.register(agents); err != nil {
		return nil, errors.Join(err, h.close())
	}
	return h, nil
}

func (h *hotlinePeer) pid() int { return h.p.cmd.Process.Pid }

func (h *hotlinePeer) close() error {
	h.hangUp()
	return errors.Join(h.p.stop(), h.phones.close())
}

// barePeer is one of the bare relays, which has its ports from the start.
type barePeer struct {
	p     *process
	rtp   *rtpLoad
	kind  streamKind
	ports [][2]uint16
	up    int
}

func startBarePeer(rtp *rtpLoad, what string, calls int, kind streamKind) (*barePeer, error) {
	p, line, err := startChild("-relay", what, "-calls", strconv.Itoa(calls), rtp.sides[0].addr.String(), rtp.sides[1].addr.String())
	if err != nil {
		return nil, err
	}
	kind.shared = what == "batch"
	b := &barePeer{p: p, rtp: rtp, kind: kind}
	if err := json.Unmarshal(line, &b.ports); err != nil {
		return nil, errors.Join(err, b.close())
	}
	return b, nil
}

func (b *barePeer) pid() int { return b.p.cmd.Process.Pid }

func (b *barePeer) connect(n int) error {
	if n > len(b.ports) {
		return fmt.Errorf("the relay has ports for %d calls", len(b.ports))
	}
	for ; b.up < n; b.up++ {
		for side, port := range b.ports[b.up] {
			b.rtp.add(side, b.up, port, b.kind)
		}
	}
	return nil
}

func (b *barePeer) close() error {
	_ = b.p.stdin.Close()
	return b.p.cmd.Wait()
}

// enginePeer is rtpengine.
type enginePeer struct {
	e    *rtpengine
	rtp  *rtpLoad
	kind streamKind
	up   int
}

func startEnginePeer(rtp *rtpLoad, kind streamKind) (*enginePeer, error) {
	e, err := startRTPEngine(context.Background())
	if err != nil {
		return nil, err
	}
	return &enginePeer{e: e, rtp: rtp, kind: kind}, nil
}

func (e *enginePeer) pid() int     { return e.e.cmd.Process.Pid }
func (e *enginePeer) close() error { return e.e.close() }

func (e *enginePeer) connect(n int) error {
	for ; e.up < n; e.up++ {
		ports, err := e.e.connect(e.up, e.rtp.sides[0].addr, e.rtp.sides[1].addr)
		if err != nil {
			return err
		}
		for side, port := range ports {
			e.rtp.add(side, e.up, port, e.kind)
		}
	}
	return nil
}

// nobody lets the two sides of the load send to each other: what the machine does for the load alone.
type nobody struct {
	rtp  *rtpLoad
	kind streamKind
	up   int
}

func (*nobody) pid() int     { return 0 }
func (*nobody) close() error { return nil }

func (d *nobody) connect(n int) error {
	for ; d.up < n; d.up++ {
		for side := range d.rtp.sides {
			d.rtp.add(side, d.up, d.rtp.sides[1-side].addr.Port(), d.kind)
		}
	}
	return nil
}
