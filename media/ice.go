package media

import (
	"crypto/rand"
	"encoding/base64"
	"net"
	"net/netip"
	"strings"
	"sync"
	"time"

	"github.com/pion/stun/v4"
)

// ice is our end of ICE as a lite implementation (RFC 8445 section 2.5): the peer checks which ways lead
// to our one address, we answer, and send where its last choice came from.
type ice struct {
	mu         sync.Mutex
	ufrag, pwd string
	peer       string // the peer's ufrag: another one begins ICE anew

	in, out stun.Message // read and written into again
}

// maxCheck bounds a check; real ones stay below 200 bytes.
const maxCheck = 548

func newICE() *ice {
	i := new(ice)
	i.restart("")
	return i
}

// restart takes new credentials (RFC 8445 section 9).
func (i *ice) restart(peer string) {
	var b [24]byte
	rand.Read(b[:]) // never fails
	text := base64.RawStdEncoding.EncodeToString(b[:])
	i.mu.Lock()
	defer i.mu.Unlock()
	i.ufrag, i.pwd, i.peer = text[:8], text[8:], peer
}

// meet notes the peer's ufrag, and begins anew when that is another one than before.
func (i *ice) meet(peer string) {
	i.mu.Lock()
	known := i.peer
	if known == "" {
		i.peer = peer
	}
	i.mu.Unlock()
	if known != "" && known != peer {
		i.restart(peer)
	}
}

// note keeps the peer's ufrag.
func (i *ice) note(peer string) {
	i.mu.Lock()
	i.peer = peer
	i.mu.Unlock()
}

func (i *ice) credentials() (ufrag, pwd string) {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.ufrag, i.pwd
}

// check reads a binding request (RFC 8445 section 7.3) and returns the answer to it; nil when it isn't
// the peer's. Nothing is said to strangers. chosen tells that the peer wants this way used.
func (i *ice) check(data []byte, src netip.AddrPort) (answer []byte, chosen bool) {
	if len(data) > maxCheck {
		return nil, false
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	m := &i.in
	m.Raw = append(m.Raw[:0], data...)
	if m.Decode() != nil || m.Type != stun.BindingRequest {
		return nil, false
	}
	// The cheap tests first: who doesn't know our ufrag costs no hash.
	user, err := m.Get(stun.AttrUsername)
	if err != nil || !strings.HasPrefix(string(user), i.ufrag+":") || stun.Fingerprint.Check(m) != nil {
		return nil, false
	}
	key := stun.NewShortTermIntegrity(i.pwd)
	if key.Check(m) != nil {
		return nil, false
	}
	result := stun.BindingSuccess
	body := stun.Setter(&stun.XORMappedAddress{IP: net.IP(src.Addr().AsSlice()), Port: int(src.Port())})
	if m.Contains(stun.AttrICEControlled) { // a lite end never controls (RFC 8445 section 6.1.1)
		result, body = stun.BindingError, stun.ErrorCodeAttribute{Code: stun.CodeRoleConflict, Reason: []byte("Role Conflict")}
	}
	if i.out.Build(stun.NewTransactionIDSetter(m.TransactionID), result, body, key, stun.Fingerprint) != nil {
		return nil, false
	}
	return i.out.Raw, result == stun.BindingSuccess && m.Contains(stun.AttrUseCandidate)
}

// answerCheck takes a STUN message from the RTP port.
func (l *Leg) answerCheck(i *ice, data []byte, src netip.AddrPort, now time.Duration) {
	answer, chosen := i.check(data, src)
	if answer == nil {
		l.foreign.Add(1)
		return
	}
	to := newTarget(src)
	_ = l.pair.rtp.send(answer, &to) // if it is lost, the peer asks again
	l.alive.heard(now)
	l.mu.Lock()
	defer l.mu.Unlock()
	if known := l.rx.latch.locked; known != src && (chosen || !known.IsValid()) {
		l.log.Debug("the peer chose a way", "source", src, "chosen", chosen)
		l.rx.latch.locked, l.rx.latch.heard = src, now
		l.sender.redirect(src)
		l.reports.follow(src)
		if h := l.handshake.Load(); h != nil {
			h.redirect(src)
		}
	}
}
