package sip

import (
	"log/slog"
	"time"

	gosip "github.com/emiago/sipgo/sip"
)

// RFC 3261 table 4: the estimates that all other timers come from.
const (
	t1 = 500 * time.Millisecond
	t2 = 4 * time.Second
	t4 = 5 * time.Second // what is still on its way has come by then
	// timeout is 64*T1: Timers B, F, H and the life of an unacknowledged 2xx.
	timeout = 64 * t1
	// provisionalEvery is how often a caller hears that the call goes on (RFC 3261 13.3.1.1).
	provisionalEvery = time.Minute
)

func init() {
	// sipgo refuses UDP messages within 200 bytes of this figure although IP
	// fragments them well enough; a 200 with many headers is larger than 1,300.
	gosip.UDPMTUSize = 65535
	gosip.SetDefaultLogger(slog.New(slog.DiscardHandler))
}
