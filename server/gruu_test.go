package server

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"hotline/routing"
)

// An agent calls one phone of a colleague's by its temporary address (RFC 5627): the
// other one is quiet.
func TestOnePhoneIsCalledByGRUU(t *testing.T) {
	h := start(t, threeDesks)
	var phones []*textPhone
	var address string
	for i := range 2 {
		p := h.textPhone()
		res := p.authorised("REGISTER", "carol", "carol", fmt.Sprint("phone", i), "", "Supported: gruu", "Expires: 60",
			fmt.Sprintf(`Contact: <sip:text@%s>;+sip.instance="<urn:uuid:%d>"`, p.addr(), i))
		_, mine, _ := strings.Cut(res, fmt.Sprintf(`"<urn:uuid:%d>"`, i))
		_, mine, _ = strings.Cut(mine, `;temp-gruu="sip:`)
		if address, _, _ = strings.Cut(mine, "@"); address == "" {
			t.Fatalf("no address in %q", res)
		}
		phones = append(phones, p)
	}
	h.seatIs("carol", routing.SeatIdle)
	desk, _ := h.desk("bob")
	ended := make(chan error, 1)
	go func() {
		_, err := desk.Dial(h.context(), address, "bob", "")
		ended <- err
	}()
	invite := phones[1].until("INVITE ", "INVITE")
	phones[1].reply(invite, "486 Busy Here", "c", "")
	if err := <-ended; err == nil || !strings.Contains(err.Error(), "486") {
		t.Errorf("bob's call ended with %v", err)
	}
	phones[0].send("OPTIONS", "sip:127.0.0.1", "<sip:carol@127.0.0.1>;tag=o", "<sip:127.0.0.1>", "options", "")
	buf := make([]byte, 65536)
	_ = phones[0].conn.SetReadDeadline(time.Now().Add(patience))
	if n, err := phones[0].conn.Read(buf); err != nil || !strings.HasPrefix(string(buf[:n]), "SIP/2.0 200") {
		t.Errorf("the other phone got %q, %v", buf[:n], err)
	}
}
