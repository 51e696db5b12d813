package media_test

import (
	"fmt"
	"log/slog"
	"net/netip"
	"testing"

	"hotline/media"
)

// What is heard of a relayed call is as good, whatever the network does, when the kernel forwards it.
func TestSoundThroughKernel(t *testing.T) {
	cfg := media.Config{Bind: netip.MustParseAddr("127.0.0.1"), Logger: slog.New(slog.DiscardHandler)}
	media.WithKernel(&cfg)
	e, err := media.Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { e.Close() })
	if !e.Stats().Kernel {
		t.Fatal("the kernel doesn't forward here; this test needs root, or CAP_BPF and CAP_NET_ADMIN")
	}
	var all []*trial
	for i, n := range networks() {
		p := path{name: "relayed", from: media.PCMA, to: media.PCMA}
		all = append(all, &trial{path: p, network: n, signal: tone, seed: uint64(i) + 1, engine: e})
	}
	talk := speech(t)
	for _, c := range []struct {
		name  string
		codec media.Codec
		signal
		least float64
	}{{"chirp", media.PCMA, chirp, 25}, {"chirp", media.PCMU, chirp, 25}, {"speech", media.PCMA, talk, 20}} {
		p := path{name: fmt.Sprintf("%s %s to %s", c.name, c.codec, c.codec), from: c.codec, to: c.codec}
		all = append(all, &trial{path: p, network: networks()[0], signal: c.signal, seed: 1, engine: e, compare: faithful(c.signal, c.least)})
	}
	try(t, all)
	for _, tr := range all {
		least := uint64(1)
		if tr.network.name == "clean" {
			least = tonePart * 8 / 10
		}
		if tr.forwarded < least {
			t.Errorf("%s, %s: the kernel forwarded %d packets of %d with sound, want %d", tr.path.name, tr.network.name, tr.forwarded, tonePart, least)
		}
	}
}
