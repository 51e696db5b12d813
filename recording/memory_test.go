package recording

import (
	"runtime"
	"testing"
	"time"

	"hotline/media"
)

// BenchmarkMemory tells what a recording under way takes.
func BenchmarkMemory(b *testing.B) {
	const many = 200
	for b.Loop() {
		b.StopTimer()
		r, err := open(Options{Dir: b.TempDir(), Logger: quiet()}, createFile)
		if err != nil {
			b.Fatal(err)
		}
		before := live()
		all := make([]*Recording, many)
		for i := range all {
			if all[i], err = r.Start(Info{Call: "n-1"}, i+1); err != nil {
				b.Fatal(err)
			}
		}
		b.StartTimer()
		for _, g := range all {
			in, out := &stream{codec: media.PCMA}, &stream{codec: media.PCMA, sent: true}
			for at := time.Duration(0); at < 3500*time.Millisecond; at += 20 * time.Millisecond {
				g.Voice(in.packet(at))
				g.Voice(out.packet(at))
			}
		}
		limit := time.After(time.Minute)
		for _, g := range all { // until the writers have been there
			for _, side := range g.rings {
				for side.tail.Load() != side.head.Load() {
					select {
					case <-limit:
						b.Fatal("the writers take nothing")
					case <-time.After(time.Millisecond):
					}
				}
			}
		}
		b.ReportMetric(float64(live()-before)/many, "B/recording")
		runtime.KeepAlive(all)
		if err := r.Close(); err != nil {
			b.Fatal(err)
		}
	}
}

// live is the memory in use.
func live() int64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}
