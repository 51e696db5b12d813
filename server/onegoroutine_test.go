package server

import (
	"runtime"
	"strings"
	"testing"

	"hotline/config"
)

// A caller in a flow costs one goroutine: stacks are a good part of what thousands of them take.
func TestCallerInAFlowIsOneGoroutine(t *testing.T) {
	other, err := config.Parse("test", []byte(strings.Replace(baseConfig, "flows:\n", `flows:
  asks: {start: m, steps: {m: {menu: {prompts: [welcome], keys: {"1": q}, wait: 30s, too_many: q}}, q: {queue: sales}}}
`, 1)))
	if err != nil {
		t.Fatal(err)
	}
	h := start(t, func(c *config.Config) {
		c.Flows["direct"] = other.Flows["asks"]
	})
	const calls = 3
	for range calls {
		h.call()
	}
	h.until("the callers are in the flow", func() bool { return goroutinesIn("hotline/ivr.run(") == calls })
	if n := goroutinesIn("hotline/server.(*call)"); n != calls {
		t.Errorf("%d goroutines for %d calls", n, calls)
	}
}

// goroutinesIn counts those that have a function on their stack, or were started by it.
func goroutinesIn(function string) (n int) {
	buf := make([]byte, 4<<20)
	for _, g := range strings.Split(string(buf[:runtime.Stack(buf, true)]), "\n\n") {
		if strings.Contains(g, function) {
			n++
		}
	}
	return n
}
