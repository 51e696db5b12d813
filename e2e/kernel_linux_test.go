package e2e

import (
	"errors"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"hotline/config"
	"hotline/media"
	"hotline/media/kernel/kerneltest"
	"hotline/softphone"
)

// The tests of what caller and agent hear hold where the kernel forwards calls, and it does forward those that are
// plain talk of two with one codec.
func TestSoundThroughTheKernel(t *testing.T) {
	throughKernel = true
	defer func() { throughKernel = false }()
	for name, c := range map[string]struct {
		test    func(*testing.T)
		forward bool
	}{
		"tones both ways": {TestSoundBothWaysBetweenCallerAndBaresip, true},
		"hold and resume": {TestBaresipHoldsAndResumes, true},
		"blind transfer":  {TestBaresipTransfersBlindly, true},
		"linphone":        {TestLinphoneTransfersAfterAsking, true},
		"recorded":        {TestRecordsACallToBaresip, false},
		"encrypted":       {TestBaresipCallsEncrypted, false},
	} {
		ran := false
		forwarded = 0
		t.Run(name, func(t *testing.T) { ran = true; c.test(t) })
		if ran && c.forward != (forwarded > 0) {
			t.Errorf("%s: the kernel forwarded %d packets, want some: %v", name, forwarded, c.forward)
		}
	}
}

// A talk with a baresip that the kernel forwards: sound both ways, hold and resume, one stream at the
// caller, and nearly all packets passed on by the kernel.
func TestTalkThroughTheKernel(t *testing.T) {
	h := startHotline(t, func(c *config.Config) {
		oneAgent(c)
		c.Media.Kernel = "on"
	})
	if h.metrics()["hotline_media_kernel"] != 1 {
		t.Fatalf("the kernel doesn't forward here; this test needs root, or CAP_BPF and CAP_NET_ADMIN:\n%s", h.log)
	}
	carol := startBaresip(t, baresipOptions{user: "carol", password: password, server: h.SIPAddr().String()})
	h.log.await(t, "seat registered", "seat", "carol")
	call := h.dial(h.phone(), "1", "13900000001")
	call.Media.Play(media.Tone(callerTone, time.Second, 0.4), media.PlayOptions{Loop: true})
	carol.await("CALL_ESTABLISHED", patience)
	throughKernel := func() {
		t.Helper()
		for deadline := time.Now().Add(patience); h.Media().KernelLegs < 2; {
			if time.Now().After(deadline) {
				t.Fatalf("the kernel took %d of 2 legs over", h.Media().KernelLegs)
			}
			awaitDone(t, "the agent's tone", listen(call.Media, agentTone).enough)
		}
		before := h.Media()
		awaitDone(t, "the agent's tone by the kernel", listen(call.Media, agentTone).enough)
		after := h.Media()
		all, kernels := after.PacketsSent-before.PacketsSent, after.KernelPackets-before.KernelPackets
		if all < 80 || kernels*10 < all*9 {
			t.Errorf("the kernel forwarded %d of %d packets, want nine of ten", kernels, all)
		}
	}
	throughKernel()
	carol.command("hold", "")
	awaitDone(t, "the end of the agent's tone", quiet(call.Media, agentTone))
	carol.command("resume", "")
	throughKernel()
	call.Hangup()
	carol.await("CALL_CLOSED", patience)
	carol.stop()
	if d := hears(carol.heard(), callerTone); d < 2*time.Second {
		t.Errorf("baresip heard the caller's tone for %v on end, want at least 2 s", d)
	}
	if s := call.Media.Stats(); s.SSRCChanges != 0 || s.Lost != 0 || s.Duplicates != 0 || s.Late != 0 {
		t.Errorf("the caller heard more than one even stream: %+v", s)
	}
	if got := h.Media(); got.KernelLegs != 0 {
		t.Errorf("%d legs are in the kernel after the call", got.KernelLegs)
	}
	h.finish()
}

// kernelProgram is the program with the kernel's path wanted.
func kernelProgram(t *testing.T) *program {
	t.Helper()
	p := newProgram(t, "carol")
	was := p.config("carol")
	now := strings.Replace(was, "media: {", `media: {kernel: "on", `, 1)
	if now == was {
		t.Fatal("the config has another form")
	}
	p.write(now)
	return p
}

// speaking has a caller and the agent say tones to each other.
func (p *program) speaking(caller *softphone.Phone, d *desk, from string) (a, b *softphone.Call) {
	p.t.Helper()
	a, b = p.talk(caller, d, from)
	a.Media.Play(media.Tone(callerTone, time.Second, 0.4), media.PlayOptions{Loop: true})
	b.Media.Play(media.Tone(agentTone, time.Second, 0.4), media.PlayOptions{Loop: true})
	awaitDone(p.t, "the agent's tone", listen(a.Media, agentTone).enough)
	awaitDone(p.t, "the caller's tone", listen(b.Media, callerTone).enough)
	return a, b
}

// forwards waits until the kernel forwards packets of the program's.
func (p *program) forwards(caller *softphone.Call) {
	p.t.Helper()
	for deadline := time.Now().Add(patience); scrape(p.t, p.http)["hotline_media_kernel_packets_total"] == 0; {
		if time.Now().After(deadline) {
			p.t.Fatalf("the kernel forwards nothing; it needs root, or CAP_BPF and CAP_NET_ADMIN; the log:\n%s", p.log)
		}
		awaitDone(p.t, "the agent's tone", listen(caller.Media, agentTone).enough)
	}
}

// spray sends packets of voice to an address from where nobody expects them, until the test ends.
func spray(t *testing.T, to string) {
	t.Helper()
	c, err := net.Dial("udp", to)
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	wg.Go(func() {
		packet := append([]byte{0x80, 8, 0, 1, 0, 0, 0, 160, 0, 0, 0, 7}, make([]byte, 160)...)
		for {
			if _, err := c.Write(packet); errors.Is(err, net.ErrClosed) {
				return
			}
			<-time.After(time.Millisecond)
		}
	})
	t.Cleanup(func() {
		_ = c.Close()
		wg.Wait()
	})
}

// kill -9 while the kernel forwards a talk, with the phones and a stranger sending on: no program, map or link is left,
// and the program that is started again has its calls forwarded.
func TestKilledWhileTheKernelForwards(t *testing.T) {
	p := kernelProgram(t)
	p.start()
	carol := p.seat("carol")
	a, b := p.speaking(openPhone(t, p.uri()), carol, "13900000001")
	p.forwards(a)
	spray(t, a.Media.Stats().RemoteAddr.String())
	held := kerneltest.HeldBy(t, p.cmd.Process.Pid)
	if len(held) < 7 {
		t.Fatalf("the program holds %v, want programs, maps and links", held)
	}
	if err := p.cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	<-p.ended
	kerneltest.AwaitGone(t, held, patience)

	p.start()
	b.Hangup() // what a person does with a dead line
	_ = carol.Close()
	again, _ := p.speaking(openPhone(t, p.uri()), p.seat("carol"), "13900000002")
	p.forwards(again)
	again.Hangup()
	p.log.await(t, "call closed", "outcome", "answered")
	held = kerneltest.HeldBy(t, p.cmd.Process.Pid)
	p.stop()
	kerneltest.AwaitGone(t, held, patience)
}

// Without the rights that it takes, the kernel forwards nothing: the log and the metrics say so, and calls are heard.
func TestKernelWithoutRights(t *testing.T) {
	p := kernelProgram(t)
	p.under = []string{"setpriv", "--bounding-set", "-bpf,-perfmon,-net_admin,-sys_admin", "--inh-caps", "-all", "--"}
	p.start()
	if why := p.log.await(t, "bridged calls are not forwarded by the kernel, but by this process")["reason"]; !strings.Contains(why, "not permitted") {
		t.Errorf("the reason is %q", why)
	}
	if held := kerneltest.HeldBy(t, p.cmd.Process.Pid); len(held) > 0 {
		t.Errorf("the program holds %v", held)
	}
	a, _ := p.speaking(openPhone(t, p.uri()), p.seat("carol"), "13900000001")
	for series, want := range map[string]float64{"hotline_media_kernel": 0, "hotline_media_kernel_packets_total": 0} {
		if got := scrape(t, p.http)[series]; got != want {
			t.Errorf("%s is %v, want %v", series, got, want)
		}
	}
	a.Hangup()
	p.log.await(t, "call closed", "outcome", "answered")
	p.stop()
}
