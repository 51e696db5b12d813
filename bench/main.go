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

func main() {
	child := flag.String("serve", "", "internal: be the hotline, with files in this directory")
	calls := flag.Int("calls", 100, "calls at once in the IVR and bridged")
	span := flag.Duration("span", 10*time.Second, "how long each measurement lasts")
	workers := flag.Int("workers", 50, "callers at once in the signalling measurement")
	flag.Parse()
	var err error
	if *child != "" {
		err = serve(*child, *calls)
	} else {
		err = measure(context.Background(), *calls, *workers, *span)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}
