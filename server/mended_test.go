package server

import (
	"strings"
	"testing"

	"hotline/routing"
)

// A phone that registers anew during a call of its own, after its connection broke or it
// was started again, is still in that call: nothing is offered to it.
func TestRegistrationDuringAnOwnCall(t *testing.T) {
	h := start(t, threeDesks)
	_, carol := h.desk("carol")
	bob := h.textPhone()
	bob.register("bob")
	h.seatIs("bob", routing.SeatIdle)
	answered := h.answers(carol)
	res := bob.authorised("INVITE", "bob", "803", "own", sdp(4004, "8", "sendrecv"))
	if !strings.HasPrefix(res, "SIP/2.0 200") {
		t.Fatalf("the colleague's call was answered %q", res)
	}
	bob.send("ACK", strings.Trim(field(res, "Contact"), "<>"), "<sip:bob@127.0.0.1>;tag=w", field(res, "To"), "own", "")
	h.seatIs("bob", routing.SeatOwnCall)
	bob.authorised("REGISTER", "bob", "bob", "gone", "", "Expires: 0")
	h.seatIs("bob", routing.SeatOffline)
	bob.register("bob")
	h.seatIs("bob", routing.SeatOwnCall)
	(<-answered).Hangup()
	bob.reply(bob.until("BYE ", "BYE"), "200 OK", "", "")
	h.seatIs("bob", routing.SeatIdle)
}

// An agent who holds the caller and whose transfer fails still holds: the caller hears the
// music again, and isn't put through to a phone that doesn't listen.
func TestTransferFailsDuringHold(t *testing.T) {
	h := start(t, threeDesks)
	_, carol := h.desk("carol")
	k := talking(h)
	k.hold()
	k.phone.send("REFER", k.target, k.from, k.to, k.id, "", "Refer-To: <sip:803@127.0.0.1>")
	k.phone.until("SIP/2.0 202", "REFER")
	h.ring(carol).Refuse(603)
	for {
		notify := k.phone.until("NOTIFY ", "NOTIFY")
		k.phone.reply(notify, "200 OK", "", "")
		if strings.Contains(notify, "SIP/2.0 603") {
			break
		}
	}
	h.await("the music", h.music(k.caller))
	k.resume()
	k.caller.Hangup()
	bye := k.phone.until("BYE ", "BYE")
	k.phone.reply(bye, "200 OK", "", "")
}
