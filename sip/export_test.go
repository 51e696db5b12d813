package sip

import (
	"reflect"
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
