package e2e

import (
	"testing"
	"time"

	"hotline/config"
	"hotline/media"
)

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
