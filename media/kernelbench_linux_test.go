package media

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"

	"hotline/media/kernel"
)

// BenchmarkHundredTalks is what a hundred talks cost, all phones speaking: the phones alone, beside a
// server that serves one leg, with the server between them, and with the kernel in the server's place.
// What the last two add to the second is the talks' own; the second adds what a server costs in any
// case to wake up at each tick. A round is ten seconds: use -benchtime=1x. cpu-% is of one core, by the process, where
// the phones are too and which softirqs on loopback are billed to; machine-% is of the whole machine.
func BenchmarkHundredTalks(b *testing.B) {
	alone := func(b *testing.B) *Engine {
		phones := openEngine(b, nil)
		for range benchCalls {
			one, other := openLeg(b, phones), openLeg(b, phones)
			connect(b, one, other)
			one.Play(MusicOnHold(), PlayOptions{Loop: true})
			other.Play(MusicOnHold(), PlayOptions{Loop: true})
		}
		return phones
	}
	b.Run("phones alone", func(b *testing.B) { reportCost(b, alone(b), nil) })
	b.Run("idle server", func(b *testing.B) {
		server := openEngine(b, nil)
		for range server.shards {
			openLeg(b, server)
		}
		reportCost(b, alone(b), nil)
	})
	b.Run("userland", func(b *testing.B) { benchmarkTalks(b, openEngine(b, nil)) })
	for _, mode := range []kernel.Mode{kernel.TCX, kernel.XDPGeneric} {
		b.Run("kernel by "+string(mode), func(b *testing.B) {
			benchmarkTalks(b, openEngine(b, func(c *Config) {
				withKernel(c)
				c.openKernel = func(o kernel.Options) (*kernel.Path, error) {
					o.Modes = []kernel.Mode{mode}
					return kernel.Open(o)
				}
			}))
		})
	}
}

func benchmarkTalks(b *testing.B, server *Engine) {
	phones := openEngine(b, nil)
	bridgeTalks(b, server, phones)
	if server.kernel != nil {
		await(b, "the kernel forwards all", func() bool { return server.Stats().KernelLegs == 2*benchCalls })
	}
	reportCost(b, phones, server)
	for l := range phones.legs {
		if s := l.Stats(); s.Lost != 0 || s.Duplicates != 0 {
			b.Errorf("a phone lost %d packets and got %d twice", s.Lost, s.Duplicates)
			break
		}
	}
}

func reportCost(b *testing.B, phones, server *Engine) {
	stats, err := ebpf.EnableStats(unix.BPF_STATS_RUN_TIME)
	if err != nil {
		b.Fatal(err)
	}
	defer stats.Close()
	own, machine, start := cpu(b), busy(b), time.Now()
	received := phones.Stats().PacketsReceived
	var before EngineStats
	if server != nil {
		before = server.Stats()
	}
	for b.Loop() {
		<-time.After(10 * time.Second)
	}
	wall := time.Since(start)
	b.ReportMetric(100*float64(cpu(b)-own)/float64(wall), "cpu-%")
	b.ReportMetric(100*float64(busy(b)-machine)/float64(wall), "machine-%")
	b.ReportMetric(float64(phones.Stats().PacketsReceived-received)/wall.Seconds(), "packets/s")
	b.ReportMetric(0, "ns/op")
	if server == nil {
		return
	}
	after := server.Stats()
	b.ReportMetric(100*float64(after.KernelPackets-before.KernelPackets)/float64(after.PacketsSent-before.PacketsSent), "by-kernel-%")
	if server.kernel != nil {
		runs, took := programCost(b)
		b.ReportMetric(float64(took)/float64(runs), "ns/run")
	}
}

// programCost is what our programs have cost since statistics were switched on.
func programCost(b *testing.B) (runs uint64, took time.Duration) {
	for id := ebpf.ProgramID(0); ; {
		next, err := ebpf.ProgramGetNextID(id)
		if err != nil {
			return max(runs, 1), took
		}
		id = next
		p, err := ebpf.NewProgramFromID(id)
		if err != nil {
			continue
		}
		if info, err := p.Info(); err == nil && strings.HasPrefix(info.Name, "forward_") {
			if s, err := p.Stats(); err == nil {
				runs += s.RunCount
				took += s.Runtime
			}
		}
		p.Close()
	}
}

// busy is the CPU time of the whole machine.
func busy(b *testing.B) time.Duration {
	text, err := os.ReadFile("/proc/stat")
	if err != nil {
		b.Fatal(err)
	}
	var user, nice, system, idle, wait, irq, softirq time.Duration
	if _, err := fmt.Sscanf(string(text), "cpu %d %d %d %d %d %d %d", &user, &nice, &system, &idle, &wait, &irq, &softirq); err != nil {
		b.Fatal(err)
	}
	return (user + nice + system + irq + softirq) * 10 * time.Millisecond // USER_HZ is 100 everywhere
}
