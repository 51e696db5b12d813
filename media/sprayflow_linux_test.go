package media

import "testing"

// Nor does anybody hear a stranger where the kernel forwards.
func TestSprayedPortsThroughKernel(t *testing.T) {
	testSprayedPorts(t, func(t *testing.T, change func(*Config)) *Engine {
		e := openKernelEngine(t, change)
		t.Cleanup(func() {
			if e.Stats().KernelPackets == 0 {
				t.Error("nothing went through the kernel")
			}
		})
		return e
	})
}
