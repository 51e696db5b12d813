package sip

import (
	"reflect"
	"time"
	"unsafe"

	gosip "github.com/emiago/sipgo/sip"
)

// poolSize asks sipgo's UDP transport how many addresses it remembers; there is
// no public way to it.
func poolSize(s *Stack) int {
	tp := reflect.ValueOf(s.uas[0].TransportLayer()).Elem()
	udp := tp.FieldByName("udp")
	pool := reflect.NewAt(udp.Type(), unsafe.Pointer(udp.UnsafeAddr())).Elem().Elem().FieldByName("pool")
	p := reflect.NewAt(pool.Type(), unsafe.Pointer(pool.UnsafeAddr())).Elem().Interface().(*gosip.ConnectionPool)
	return p.Size()
}

// overload makes the stack find that work has waited too long, for good.
func overload(s *Stack) {
	a := s.admission
	a.mu.Lock()
	defer a.mu.Unlock()
	a.target, a.rate, a.tokens, a.filled, a.last = time.Hour, lowestRate, 0, time.Now(), 4*time.Hour
	a.begun = time.Now().Add(time.Hour)
}
