// Command bench measures what a call costs on this machine. It runs the hotline
// as a process of its own, loads it with real SIP and RTP from this one, and
// reads the hotline's CPU time and memory from /proc.
//
// The figures hold for this machine in this minute: compare them only with
// others of the same run.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"time"
)

// profile is where the hotline's process writes its CPU profile; "" is nowhere.
var profile string

func main() {
	child := flag.String("serve", "", "internal: be the hotline, with files in this directory")
	isBare := flag.Bool("bare", false, "internal: be the bare sipgo server")
	sip := flag.Bool("sip", false, "measure signalling only, on a core of its own, beside a bare sipgo server; -sip queued: only queued calls")
	over := flag.Bool("overload", false, "measure what gets done when more calls come than can be answered")
	var hotline hotlineOptions
	flag.DurationVar(&hotline.estimate, "estimate", 10*time.Second, "internal: how often the hotline estimates waits; 0 never")
	flag.BoolVar(&hotline.kernel, "kernel", false, "internal: the kernel passes bridged voice on")
	isRelay := flag.String("relay", "", "internal: be a bare relay, between the two addresses that follow: epoll, goroutines or batch")
	med := flag.Bool("media", false, "measure media only, on a core of its own, beside bare relays and rtpengine")
	soakFor := flag.Duration("soak", 0, "let calls come and go for so long, -calls of each kind at once, and watch for drift")
	opt := mediaOptions{}
	flag.IntVar(&opt.repeat, "repeat", 3, "with -media and -overload: measurements of each figure, of which the median counts")
	flag.IntVar(&opt.large, "large", 1000, "with -media: the highest number of calls at once; half of it is measured too")
	flag.BoolVar(&opt.clean, "clean", false, "with -media: add calls until packets are lost or late")
	flag.StringVar(&opt.only, "only", "", "with -media: only the cases whose names match this regular expression")
	flag.BoolVar(&opt.fill, "fill", false, "with -media: tell what the whole machine took, by filling what is left of it; and what eBPF took (both as root)")
	isFiller := flag.Bool("fill-core", false, "internal: fill what is left of a core")
	agents := flag.Int("agents", 1000, "registered agents in the measurement of queued calls")
	calls := flag.Int("calls", 100, "calls at once in the IVR and bridged")
	span := flag.Duration("span", 10*time.Second, "how long each measurement lasts")
	workers := flag.Int("workers", 50, "callers at once in the signalling measurement")
	flag.StringVar(&profile, "profile", "", "write CPU and allocation profiles of the hotline: FILE.1, FILE.1.allocs, ...")
	flag.Parse()
	var err error
	switch {
	case *isBare:
		err = bare()
	case *isFiller:
		err = fillCore()
	case *isRelay != "":
		err = bareRelay(*isRelay, *calls, flag.Arg(0), flag.Arg(1))
	case *soakFor > 0:
		err = soak(*soakFor, *calls)
	case *med:
		opt.small, opt.span = *calls, *span
		err = mediaCost(opt)
	case *child != "":
		err = serve(*child, *calls, hotline)
	case *over:
		err = overload(*span, max(1, opt.repeat))
	case *sip:
		err = cost(*span, *agents, flag.Arg(0))
	default:
		err = measure(context.Background(), *calls, *workers, *span)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}
